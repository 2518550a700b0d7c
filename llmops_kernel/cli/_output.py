"""Printing, and the session a verb works with."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from llmops_kernel.display import View
    from llmops_kernel.session import Session


def say(text: str) -> None:
    """Print a line to stdout, at once: a run's rows are read while it goes on."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def warn(text: str) -> None:
    """Print a line to stderr."""
    sys.stdout.flush()
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def say_json(facts: Any) -> None:
    """Print JSON; dollars are exact decimal texts."""
    from llmops_kernel.display import jsonable

    say(json.dumps(jsonable(facts), indent=2, ensure_ascii=False))


def report(view: View, arguments: argparse.Namespace) -> None:
    """Print a view, as text or as JSON."""
    if arguments.json:
        say_json(view.facts)
    else:
        say(view.text)


@contextmanager
def opened_session(**overrides: Any) -> Iterator[Session]:
    """Open a session for one verb."""
    from llmops_kernel.session import Session

    session = Session(**overrides)
    try:
        yield session
    finally:
        session.close()
