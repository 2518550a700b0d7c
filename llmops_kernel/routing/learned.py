"""Is the small model good enough for this question? A calibrated guess, and the large if unsure."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from llmops_kernel.errors import SettingsError
from llmops_kernel.routing.asked import has_media, is_conversation, last_text
from llmops_kernel.routing.features import feature
from llmops_kernel.routing.router import Decision, OneLeg

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from llmops_kernel.calls import CallContext, ChatRequest
    from llmops_kernel.embed import Embedder
    from llmops_kernel.routing.saved import Saved


class FromText(OneLeg):
    """A router that was learned from texts of single questions, and knows no other requests.

    What it was not learned from (tools, images, a conversation, no text) goes to the large model.

    Args:
        saved: What was learned.
        embedder: Loads the embedder at the first decision.
    """

    heavy = True

    def __init__(self, saved: Saved, embedder: Callable[[], Embedder]) -> None:
        self.saved = saved
        self._load = embedder
        self._embedder: Embedder | None = None
        self.models: tuple[str, ...] = (saved.small, saved.large)

    def renamed(self, small: str, large: str) -> Self:
        """Return the same router for other models ("" keeps the one it was learned for)."""
        saved = replace(
            self.saved, small=small or self.saved.small, large=large or self.saved.large
        )
        return type(self)(saved, self._load)

    def decide(self, request: ChatRequest, context: CallContext) -> Decision:  # noqa: ARG002
        """Return the small model where it is good enough with enough confidence.

        Raises:
            MissingExtra: numpy or onnxruntime is not installed.
            SettingsError: It was learned with another embedder than the one there is.
        """
        text = last_text(request).strip()
        why_not = _unlike(request, text)
        if why_not:
            return Decision(self.saved.large, why_not)
        return self.judged(text)

    def judged(self, text: str) -> Decision:
        """Return the decision for the text of a single question."""
        raise NotImplementedError

    def row(self, text: str) -> Any:
        """Return the features of a text."""
        if self._embedder is None:
            embedder = self._load()
            if embedder.id != self.saved.embedder:
                raise SettingsError(
                    "The route was learned with another embedder",
                    detail=f"{self.saved.embedder}, and this is {embedder.id}",
                    hint="Learn it again",
                )
            self._embedder = embedder
        return feature(text, self._embedder)


class Learned(FromText):
    """A logistic regression on embedding and form: is the small model worse, as good, or better?

    What a call to the small model is expected to gain orders the questions; Platt's curve makes
    of it the probability that its answer is good enough.
    """

    kind = "learned"

    def judged(self, text: str) -> Decision:
        """Return the small model if it is good enough with the probability that was asked for."""
        saved, confidence = self.saved, self.confidence(text)
        if confidence >= saved.threshold:
            return Decision(saved.small, "good enough with enough confidence", confidence)
        return Decision(saved.large, "not sure enough of the small model", confidence)

    def confidence(self, text: str) -> float:
        """Return the probability that the small model's answer is good enough."""
        scores = self.saved.weights.scores(self.row(text)).tolist()
        grown = [math.exp(score - max(scores)) for score in scores]
        gain = (grown[2] - grown[0]) / math.fsum(grown)
        slope, offset = self.saved.calibration
        return logistic(slope * gain + offset)


def logistic(value: float) -> float:
    """Return 1 / (1 + exp(-value)), without overflow."""
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    grown = math.exp(value)
    return grown / (1.0 + grown)


def _unlike(request: ChatRequest, text: str) -> str:
    """Return how a request differs from what routers are learned from; "" if it does not."""
    if not text:
        return "no text to decide by"
    if request.tools:
        return "tools: learned from questions alone"
    if has_media(request):
        return "images: learned from questions alone"
    if is_conversation(request):
        return "a conversation: learned from single questions"
    return ""
