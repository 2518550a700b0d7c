"""Making a side environment with pip, from its requirements and its lock."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llmops_kernel.envs.places import Environment, find, root
from llmops_kernel.errors import EnvironmentFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SHOWN_LINES = 12


def create(
    name: str,
    *,
    say: Callable[[str], None] = lambda _: None,
    again: bool = False,
    locked: bool = True,
) -> Environment:
    """Make a side environment, unless it is there and holds what it should.

    Two that make the same one at once wait for each other. An attempt that was broken off leaves
    nothing that could be taken for an environment.

    Args:
        name: The environment's name.
        say: Told what is being done, a line at a time.
        again: Make it anew in any case.
        locked: Keep to the versions of the lock.

    Raises:
        UsageProblem: There is no such environment.
        EnvironmentFailed: It could not be made; ``detail`` has the end of pip's output.
    """
    environment = find(name)
    root().mkdir(parents=True, exist_ok=True)
    with _alone(root() / f".{name}.lock"):
        if environment.current and not again:
            return environment
        recipe = environment.recipe
        say(f"Making the environment {name} ({recipe.purpose}); this takes minutes")
        if recipe.untried:
            say(f"Note: {recipe.untried}")
        shutil.rmtree(environment.folder, ignore_errors=True)
        _run(name, [sys.executable, "-m", "venv", str(environment.folder)])
        _run(name, _pip(environment, recipe.requirements, locked=locked))
        if recipe.alone:
            _run(name, _pip(environment, ("--no-deps", *recipe.alone), locked=locked))
        environment.mark()
        say(f"The environment {name} is ready")
    return environment


def _pip(environment: Environment, wanted: tuple[str, ...], *, locked: bool) -> list[str]:
    lock = environment.recipe.lock
    command = [str(environment.python), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    if locked and lock is not None:
        command += ["-c", str(lock)]
    return [*command, *wanted]


def _run(name: str, command: list[str]) -> None:
    # Constraints of our own environment must not bend another's versions.
    values = {key: value for key, value in os.environ.items() if key != "PIP_CONSTRAINT"}
    done = subprocess.run(command, env=values, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-_SHOWN_LINES:]
        raise EnvironmentFailed(name, "\n".join(said))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
