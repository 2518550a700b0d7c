"""A question as numbers: its embedding, and a few plain facts of its form."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.embed import Embedder

# Which facts, in which order; a saved route names the version it was learned with.
VERSION = "form-1"
_READ = 20_000  # characters of a text that are looked at
_OPTION = re.compile(r"^\s*\(?[A-Ea-e1-5][.)]\s", re.MULTILINE)
_CODE = re.compile(r"```|[{};]\s*$|\b(?:def|class|import|return|SELECT)\b", re.MULTILINE)
_MATHS = re.compile(r"[=^√∑∫≤≥±÷\\]|\d\s*[-+*/]\s*\d")
_WHY = re.compile(
    r"\b(?:why|how|explain|compare|prove|derive|design|analy[sz]e|evaluate|argue)\b", re.IGNORECASE
)


def form(text: str) -> list[float]:
    """Return facts of a text's form: lengths, shares of characters, what it seems to contain."""
    read = text[:_READ]
    size = max(len(read), 1)
    return [
        math.log1p(len(text)),
        math.log1p(len(read.split())),
        math.log1p(read.count("\n")),
        sum(char.isdigit() for char in read) / size,
        sum(char.isupper() for char in read) / size,
        sum(not (char.isalnum() or char.isspace()) for char in read) / size,
        float(min(read.count("?"), 3)),
        float(min(len(_OPTION.findall(read)), 6)),
        float(_CODE.search(read) is not None),
        float(min(len(_MATHS.findall(read)), 10)),
        float(min(len(_WHY.findall(read)), 3)),
    ]


def features(texts: Sequence[str], embedder: Embedder) -> Any:
    """Return an array of shape (texts, embedder.dim + facts), float64.

    Each text is read alone, as it will be when the route decides: in a batch, the built-in
    embedder gives it slightly different numbers.

    Raises:
        MissingExtra: numpy or the embedder's package is not installed.
    """
    import numpy as np

    return np.array([feature(text, embedder) for text in texts])


def feature(text: str, embedder: Embedder) -> Any:
    """Return the features of one text, shape (embedder.dim + facts,)."""
    import numpy as np

    vector = np.asarray(embedder.embed_query(text[:_READ]), np.float64)
    return np.concatenate([vector, np.array(form(text), np.float64)])
