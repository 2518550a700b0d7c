"""Where side environments are, and how processes run in them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.envs.recipes import RECIPES, Recipe, recipe_named
from llmops_kernel.errors import MissingEnvironment
from llmops_kernel.settings import data_home

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGE = Path(__file__).parent.parent
# Of our own process, and of no use or harmful in another environment.
_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


def root() -> Path:
    """Return the folder of all side environments (``LLMOPS_ENVS``, or ``envs`` of the record's)."""
    named = os.environ.get("LLMOPS_ENVS")
    return Path(named).expanduser().absolute() if named else data_home() / "envs"


@dataclass(frozen=True, slots=True)
class Environment:
    """One side environment, made or not.

    Attributes:
        recipe: What it holds.
        folder: Where it is or would be.
    """

    recipe: Recipe
    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter, whether or not it is there."""
        return self.folder / "bin" / "python"

    @property
    def marker(self) -> Path:
        """The file that is written last: an environment without it is not whole."""
        return self.folder / "llmops-made"

    @property
    def made(self) -> bool:
        """Whether it can be used."""
        return self.marker.is_file() and self.python.exists()

    @property
    def variant(self) -> str | None:
        """Which variant of the recipe it was made from; None where it was not made."""
        return "".join(self._marks()[1:]) if self.made else None

    @property
    def fits(self) -> bool:
        """Whether it was made, and for a machine such as this."""
        return self.variant == self.recipe.variant

    @property
    def current(self) -> bool:
        """Whether it holds what the recipe for this machine says today."""
        return self.made and self._marks() == self._marks_of(self.recipe)

    def mark(self) -> None:
        """Write down that it is whole, and what it was made from."""
        self.marker.write_text("\n".join([*self._marks_of(self.recipe), ""]), encoding="utf-8")

    def _marks(self) -> list[str]:
        return self.marker.read_text(encoding="utf-8").split()

    @staticmethod
    def _marks_of(recipe: Recipe) -> list[str]:
        return [recipe.digest, *filter(None, [recipe.variant])]


def find(name: str) -> Environment:
    """Return an environment by name, whether or not it was made (raises `UsageProblem`)."""
    return Environment(recipe_named(name), root() / name)


def environments() -> list[Environment]:
    """Return all known environments."""
    return [find(name) for name in RECIPES]


def python_of(name: str) -> Path:
    """Return the interpreter of a side environment.

    Raises:
        UsageProblem: There is no such environment.
        MissingEnvironment: It was not made yet.
    """
    environment = find(name)
    if not environment.made:
        raise MissingEnvironment(name)
    return environment.python


def command_env(name: str, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables for a process in a side environment.

    Our package can be imported there, and nothing else of our own environment.

    Args:
        name: The environment's name.
        base: The variables to start from (default: this process's own).

    Raises:
        UsageProblem: There is no such environment.
    """
    environment = find(name)
    values = {k: v for k, v in (os.environ if base is None else base).items() if k not in _OURS}
    values |= environment.recipe.variables
    values["PYTHONPATH"] = str(_window())
    values["PYTHONUNBUFFERED"] = "1"
    return values


def _window() -> Path:
    """Return a folder that holds our package and nothing else, by a link."""
    folder = root() / "package"
    link = folder / "llmops_kernel"
    if link.is_symlink() and link.resolve() == _PACKAGE.resolve():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".llmops_kernel.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(_PACKAGE, target_is_directory=True)
    fresh.replace(link)  # in one step: another process may be importing through it
    return folder
