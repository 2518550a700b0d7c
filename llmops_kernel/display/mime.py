"""A result as the front end takes it: one mime bundle and its metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, Any

from llmops_kernel.display.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection

_MAX_DEPTH = 20


@dataclass(frozen=True, repr=False)
class View:
    """Something to look at: text, HTML or Markdown, and the figures beside it.

    Attributes:
        data: The mime bundle; always has ``text/plain``.
        facts: JSON-like figures. They go to output *metadata* under ``llmops``, because notebook
            checkers compare text and HTML between runs but not metadata.
    """

    data: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The plain text."""
        return self.data["text/plain"]

    @property
    def html(self) -> str:
        """The HTML, or "" when there is none."""
        return self.data.get("text/html", "")

    @property
    def metadata(self) -> dict[str, Any]:
        """The output metadata, JSON-serialisable."""
        return {"llmops": jsonable(self.facts)} if self.facts else {}

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(
        self,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """Return the bundle and its metadata, as IPython's display protocol asks for."""
        data = {
            mime: content
            for mime, content in self.data.items()
            if (not include or mime in include) and not (exclude and mime in exclude)
        }
        return data, self.metadata


def view(html: str, plain: str, facts: Mapping[str, Any] | None = None) -> View:
    """Build a view of HTML with its plain text."""
    return View({"text/html": html, "text/plain": plain}, facts or {})


def jsonable(value: Any, _depth: int = 0) -> Any:
    """Return data that ``json.dumps(..., allow_nan=False)`` accepts.

    Decimals become strings (exact), times ISO 8601, sets lists, models their dumps, and whatever
    else has no JSON form its ``str``.
    """
    if isinstance(value, Enum):
        return jsonable(value.value, _depth)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if _depth < _MAX_DEPTH:
        if isinstance(value, Mapping):
            return {printable(key): jsonable(item, _depth + 1) for key, item in value.items()}
        if isinstance(value, Sequence | AbstractSet) and not isinstance(value, bytes | bytearray):
            return [jsonable(item, _depth + 1) for item in value]
        if callable(dump := getattr(value, "model_dump", None)) and not isinstance(value, type):
            return jsonable(dump(mode="json"), _depth + 1)
    return printable(value)
