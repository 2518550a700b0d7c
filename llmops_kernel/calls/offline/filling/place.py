"""Where in a schema a value is being filled in, and what its name says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.offline.language.lexicon import STOP_WORDS
from llmops_kernel.calls.offline.language.text import content_stems, name_words, stem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmops_kernel.calls.offline.filling.material import Material

Filled = tuple[Any, float]  # a value, and the evidence for it from 0 (made up) to 1


@dataclass(frozen=True)
class Target:
    """A property to fill: its name and its description."""

    name: str
    description: str = ""

    @classmethod
    def of(cls, name: str, schema: Mapping[str, Any]) -> Target:
        """Take the description from the property's schema."""
        description = schema.get("description")
        return cls(name, description if isinstance(description, str) else "")

    @cached_property
    def words(self) -> list[str]:
        """The words of the name, lower-case: ``dueDate`` is ``due``, ``date``."""
        return name_words(self.name[:200])

    @cached_property
    def known(self) -> frozenset[str]:
        """The same words as a set."""
        return frozenset(self.words)

    @cached_property
    def stems(self) -> list[str]:
        """Content stems of name and description."""
        own = [stem(word) for word in self.words if word not in STOP_WORDS]
        return own + content_stems(self.description[:400])


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the value that is being filled.

    Attributes:
        target: What to fill.
        path: The property names that lead here from the root.
        material: The text to fill from: all of it, or the part an array's item stands for.
        depth: How deep the place is nested.
    """

    target: Target
    path: tuple[str, ...]
    material: Material
    depth: int = 0

    def property(self, name: str, schema: Mapping[str, Any]) -> Place:
        """Return the place of a property of an object here."""
        return Place(Target.of(name, schema), (*self.path, name), self.material, self.depth + 1)

    def item(self, name: str, material: Material | None = None) -> Place:
        """Return the place of an element of an array here."""
        return Place(Target(name), self.path, material or self.material, self.depth + 1)

    def deeper(self) -> Place:
        """Return the same place one level down, for a branch of a combination."""
        return replace(self, depth=self.depth + 1)
