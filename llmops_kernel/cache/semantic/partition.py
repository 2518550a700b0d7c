"""The cached texts of one partition in memory: their vectors, answer groups and gates."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from llmops_kernel.cache.semantic.margin import Standing, standing
from llmops_kernel.cache.semantic.nearest import FROM, Sketch, cosines_of
from llmops_kernel.cache.semantic.neighbours import NOBODY, SHOWN, Nearest, Neighbour

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llmops_kernel.cache.semantic.gates import Gate

_FIRST = 256


class Partition:
    """Texts of one partition, found by their nearness.

    Args:
        dim: Numbers of a vector.
        most: Texts it is made for.
    """

    def __init__(self, dim: int, most: int = 50_000) -> None:
        self.dim = dim
        self._most = most
        self.keys: list[str] = []
        self._places: dict[str, int] = {}
        self._gates: list[Gate] = []
        self._names: list[str] = []  # of groups, by their number
        self._numbers: dict[str, int] = {}
        self._answers: dict[str, int] = {}  # group of an answer
        self._sizes: list[int] = []  # of groups
        self._sketch: Sketch | None = None
        self._vectors = np.empty((_FIRST, dim), np.float32)
        self._groups = np.empty(_FIRST, np.int64)

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def add(
        self, key: str, vector: NDArray[np.float32], *, group: str, answer: str, gate: Gate
    ) -> None:
        """Add a text, in place of an earlier one of this key.

        Args:
            key: Of its answer.
            vector: Shape (dim,), length 1.
            group: Its answer group.
            answer: Digest of its answer.
            gate: What must agree.

        Raises:
            ValueError: The vector has another shape, or is not finite.
        """
        if vector.shape != (self.dim,) or not np.isfinite(vector).all():
            raise ValueError("a vector of this partition is finite and has its length")
        number = self._numbers.setdefault(group, len(self._names))
        if number == len(self._names):
            self._names.append(group)
            self._sizes.append(0)
        self._answers[answer] = number
        place = self._places.get(key, len(self.keys))
        if place == len(self.keys):
            if place == len(self._vectors):
                self._grow()
            self.keys.append(key)
            self._gates.append(gate)
            self._places[key] = place
        else:
            self._sizes[self._groups[place]] -= 1
        self._sizes[number] += 1
        self._vectors[place] = vector
        self._groups[place] = number
        if self._sketch is not None and place < self._sketch.room:
            self._sketch.put(place, self._vectors[place])
        self._gates[place] = gate

    def remove(self, key: str) -> None:
        """Remove a text, if it is there."""
        place = self._places.pop(key, None)
        if place is None:
            return
        last = len(self.keys) - 1
        self._sizes[self._groups[place]] -= 1
        if place != last:
            moved = self.keys[last]
            self.keys[place], self._gates[place] = moved, self._gates[last]
            self._vectors[place] = self._vectors[last]
            self._groups[place] = self._groups[last]
            self._places[moved] = place
            if self._sketch is not None and max(last, place) < self._sketch.room:
                self._sketch.move(last, place)
        self.keys.pop()
        self._gates.pop()

    def group_of(self, answer: str) -> str | None:
        """Return the group that an answer belongs to; None if nobody was given it."""
        number = self._answers.get(answer)
        return None if number is None else self._names[number]

    def group_name(self, number: int) -> str:
        """Return the name of a group that a standing names by its number."""
        return self._names[number]

    def gate(self, entry: int) -> Gate:
        """Return the gate of a text that a standing names by its number."""
        return self._gates[entry]

    def merge(self, one: str, other: str) -> None:
        """Make two groups one, called as the first."""
        into, gone = self._numbers[one], self._numbers.get(other)
        if gone is None or gone == into:
            return
        groups = self._groups[: len(self.keys)]
        groups[groups == gone] = into
        self._sizes[into], self._sizes[gone] = self._sizes[into] + self._sizes[gone], 0
        for answer, number in self._answers.items():
            if number == gone:
                self._answers[answer] = into
        self._numbers[other] = into

    def standing(self, vector: NDArray[np.float32]) -> Standing:
        """Return how a query stands.

        Args:
            vector: Shape (dim,), length 1.
        """
        places, cosines = self._compared(vector)
        return self._standing(places, cosines)

    def nearest(self, vector: NDArray[np.float32]) -> Nearest:
        """Return how a query stands, and its neighbours.

        Args:
            vector: Shape (dim,), length 1.
        """
        if not self.keys:
            return NOBODY
        places, cosines = self._compared(vector)
        found = self._standing(places, cosines)
        some = min(SHOWN, len(cosines))
        others = np.argpartition(-cosines, some - 1)[:some]
        near = {int(each if places is None else places[each]): float(cosines[each])
                for each in others[np.argsort(-cosines[others], kind="stable")]}  # fmt: skip
        # Among equals, the one that the standing speaks of is the first.
        near = {found.entry: found.best} | near
        return Nearest(found, tuple(self._neighbour(*each) for each in [*near.items()][:SHOWN]))

    def _neighbour(self, place: int, cosine: float) -> Neighbour:
        group = self._names[int(self._groups[place])]
        vector = self._vectors[place].copy()
        return Neighbour(self.keys[place], group, self._gates[place], vector, cosine)

    def _compared(
        self, vector: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64] | None, NDArray[np.float32]]:
        """Return the texts that can matter (None: all) and their cosines to a query."""
        count = len(self.keys)
        vector = np.asarray(vector, np.float32)
        vectors, groups = self._vectors[:count], self._groups[:count]
        if count < FROM:
            return None, cosines_of(vectors, vector)
        some = self._sketched(count).candidates(vectors, groups, vector)
        return some, cosines_of(vectors[some], vector)

    def _standing(self, places: NDArray[np.int64] | None, cosines: NDArray[np.float32]) -> Standing:
        groups = self._groups[: len(self.keys)]
        if places is None:
            return standing(cosines, groups)
        found = standing(cosines, groups[places])
        return replace(found, entry=int(places[found.entry]), wordings=self._sizes[found.group])

    def _sketched(self, count: int) -> Sketch:
        """Return the sketch of all texts, made anew where it has grown too small or too old."""
        sketch = self._sketch
        if sketch is None or sketch.room < count or sketch.built_for * 2 < count:
            sketch = self._sketch = Sketch(self._vectors[:count], len(self._vectors))
        return sketch

    def _grow(self) -> None:
        now = len(self._vectors)
        size = min(2 * now, max(self._most, now + now // 4))
        vectors = np.empty((size, self.dim), np.float32)
        groups = np.empty(size, np.int64)
        vectors[: len(self._vectors)] = self._vectors
        groups[: len(self._groups)] = self._groups
        self._vectors, self._groups = vectors, groups
