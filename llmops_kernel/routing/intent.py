"""What is asked for? Simple, well-known intents go to a small model, the rest to the large one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.routing.learned import FromText
from llmops_kernel.routing.router import Decision

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.embed import Embedder
    from llmops_kernel.routing.saved import Saved


class Intent(FromText):
    """A multinomial logistic regression on embedding and form, calibrated by a temperature."""

    kind = "intent"

    def __init__(self, saved: Saved, embedder: Callable[[], Embedder]) -> None:
        super().__init__(saved, embedder)
        self._chosen = frozenset(saved.chosen)

    def judged(self, text: str) -> Decision:
        """Return the small model for an intent that goes there, if the intent is sure enough."""
        label, confidence = self.intent(text)
        if confidence < self.saved.threshold:
            return Decision(self.saved.large, "not sure enough of the intent", confidence)
        model = self.saved.small if label in self._chosen else self.saved.large
        return Decision(model, f"intent {label}", confidence)

    def intent(self, text: str) -> tuple[str, float]:
        """Return the likeliest intent and its probability."""
        import numpy as np

        scores = self.saved.weights.scores(self.row(text)) / self.saved.calibration[0]
        shares = np.exp(scores - scores.max())
        best = int(shares.argmax())
        return self.saved.labels[best], float(shares[best] / shares.sum())
