"""Learned routes as files: JSON that is checked when it is read, and replaced as a whole.

Numbers stand in base64 of little-endian float32. There is nothing in a file that could run.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from llmops_kernel.embed.checks import package
from llmops_kernel.errors import SettingsError
from llmops_kernel.files import write_whole
from llmops_kernel.routing.features import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from llmops_kernel.embed import Embedder
    from llmops_kernel.routing.intent import Intent
    from llmops_kernel.routing.learned import Learned

FORMAT = "llmops-route-1"
_MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Weights:
    """A linear model on standardised features.

    Attributes:
        mean: Shape (features,).
        scale: Shape (features,), all above 0.
        matrix: Shape (outputs, features); a learned route has worse, same, better.
        bias: Shape (outputs,).
    """

    mean: Any
    scale: Any
    matrix: Any
    bias: Any

    def scores(self, row: Any) -> Any:
        """Return the outputs of one row of features, shape (outputs,)."""
        return self.matrix @ ((row - self.mean) / self.scale) + self.bias


@dataclass(frozen=True)
class Saved:
    """What a file of a learned route says.

    Attributes:
        kind: ``learned`` or ``intent``.
        small: The model for what is simple.
        large: The model for everything else.
        embedder: Id of the embedder that it was learned with.
        weights: The linear model.
        calibration: Slope and offset of Platt's curve, or the temperature of an intent model.
        threshold: Confidence from which the small model is chosen; above 1 it never is.
        labels: The intents, in the order of the outputs.
        chosen: The intents that go to the small model.
        evidence: How it was learned and what was found, JSON-like.
    """

    kind: Literal["learned", "intent"]
    small: str
    large: str
    embedder: str
    weights: Weights
    calibration: tuple[float, ...]
    threshold: float
    labels: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)


def save(path: Path, saved: Saved) -> None:
    """Write a route, replacing what is there as a whole.

    Raises:
        SettingsError: It cannot be written.
    """
    weights = saved.weights
    data = {
        "format": FORMAT,
        "kind": saved.kind,
        "small": saved.small,
        "large": saved.large,
        "embedder": saved.embedder,
        "features": VERSION,
        "weights": {
            "mean": _packed(weights.mean),
            "scale": _packed(weights.scale),
            "matrix": _packed(weights.matrix),
            "bias": _packed(weights.bias),
        },
        "calibration": list(saved.calibration),
        "threshold": saved.threshold,
        "labels": list(saved.labels),
        "chosen": list(saved.chosen),
        "evidence": dict(saved.evidence),
    }
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, f"{text}\n")
    except OSError as error:
        raise SettingsError(
            "The route cannot be written",
            detail=f"{path}: {error.strerror or type(error).__name__}",
        ) from error


def read(path: Path) -> Saved:
    """Read a route.

    Raises:
        SettingsError: It cannot be read, or is no such file.
        MissingExtra: numpy is not installed.
    """
    package("numpy")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("the file is too large")
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT or data["features"] != VERSION:
            raise ValueError("another version wrote it")
        return _checked(data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            "The learned route cannot be read",
            detail=f"{path.name}: {error}",
            hint=f"Learn it again: llmops route learn {path.stem} --from DATA",
        ) from error


def load(path: Path, embedder: Callable[[], Embedder] | None) -> Learned | Intent:
    """Return the router that a file describes; ``embedder`` loads what it reads questions with.

    Raises:
        SettingsError: It cannot be read, or is no such file.
        MissingExtra: numpy is not installed.
    """
    saved = read(path)
    reads = embedder or _builtin
    if saved.kind == "intent":
        from llmops_kernel.routing.intent import Intent

        return Intent(saved, reads)
    from llmops_kernel.routing.learned import Learned

    return Learned(saved, reads)


def _builtin() -> Embedder:
    from llmops_kernel.embed import builtin

    return builtin()


def _checked(data: Mapping[str, Any]) -> Saved:
    kind = data["kind"]
    if kind not in ("learned", "intent"):
        raise ValueError(f"there is no kind {kind!r}")
    small, large, embedder = (data[name] for name in ("small", "large", "embedder"))
    if not all(isinstance(one, str) and one for one in (small, large, embedder)):
        raise ValueError("a name is missing")
    evidence = data["evidence"]
    if not isinstance(evidence, dict):
        raise ValueError("the evidence is no object")
    labels, chosen = tuple(map(str, data["labels"])), tuple(map(str, data["chosen"]))
    weights = Weights(**{name: _unpacked(value) for name, value in data["weights"].items()})
    _check_shapes(weights, len(labels) if kind == "intent" else 3)
    calibration = tuple(float(number) for number in data["calibration"])
    threshold = float(data["threshold"])
    if len(calibration) != (1 if kind == "intent" else 2) or not threshold >= 0.0:
        raise ValueError("calibration or threshold is wrong")
    if not set(chosen) <= set(labels):
        raise ValueError("an intent that was chosen is not among the labels")
    return Saved(
        kind, small, large, embedder, weights, calibration, threshold, labels, chosen, evidence
    )


def _check_shapes(weights: Weights, outputs: int) -> None:
    import numpy as np

    features = weights.mean.shape[0] if weights.mean.ndim == 1 else -1
    fits = (
        weights.scale.shape == (features,)
        and weights.matrix.shape == (outputs, features)
        and weights.bias.shape == (outputs,)
    )
    parts = (weights.mean, weights.scale, weights.matrix, weights.bias)
    if not fits or not all(np.isfinite(part).all() for part in parts):
        raise ValueError("the weights have wrong shapes or numbers")
    if not (weights.scale > 0).all():
        raise ValueError("a scale is not above 0")


def _packed(array: Any) -> dict[str, Any]:
    import numpy as np

    exact = np.ascontiguousarray(array, "<f4")
    return {"shape": list(exact.shape), "f4": base64.b64encode(exact.tobytes()).decode("ascii")}


def _unpacked(data: Mapping[str, Any]) -> Any:
    import numpy as np

    raw = base64.b64decode(data["f4"], validate=True)
    shape = tuple(int(size) for size in data["shape"])
    return np.frombuffer(raw, "<f4").reshape(shape).astype(np.float64)
