"""Registered models, as a list and one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.display.mime import View, view
from llmops_kernel.display.table import table
from llmops_kernel.display.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB")


def model_list_view(versions: Sequence[Mapping[str, Any]]) -> View:
    """Build the list of versions.

    Args:
        versions: Of each ``ref``, ``stage``, ``task``, ``bytes``, ``created``, ``metrics``.
    """
    rows = [
        (
            each["ref"],
            each["stage"],
            each["task"] or None,
            _loss(each["metrics"]),
            size(each["bytes"]),
            str(each["created"])[:10],
        )
        for each in versions
    ]
    columns = ("Model", "Stage", "Task", "Eval loss", "Size", "Registered")
    html, plain = table(columns, rows, "Models of this machine")
    return view(html, plain, {"models": [dict(each) for each in versions]})


def model_view(
    version: Mapping[str, Any],
    *,
    parity: Mapping[str, Any],
    files: Mapping[str, Mapping[str, Any]],
    problems: Sequence[str],
) -> View:
    """Build what is known of one version.

    Args:
        version: As for `model_list_view`, with ``base`` and ``parent``.
        parity: ``ok`` and ``reason`` or ``results``.
        files: Bytes and hash by path.
        problems: What differs from what was registered.
    """
    ok = parity.get("ok")
    told = parity.get("reason") or "not compared" if ok is None else "the same" if ok else "differs"
    rows = [
        ("Stage", version["stage"]),
        ("Task", version["task"] or None),
        ("Base", version["base"].get("name")),
        ("Parent", version["parent"] or None),
        ("Eval loss", _loss(version["metrics"])),
        ("Size", size(version["bytes"])),
        ("Registered", version["created"]),
        ("Answers as trained", told),
        ("Files", "as registered" if not problems else "; ".join(problems)),
    ]
    html, plain = table(("", ""), rows, str(version["ref"]))
    listed = [(path, size(each["bytes"])) for path, each in sorted(files.items())]
    files_html, files_plain = table(("File", "Size"), listed, "Files")
    facts = {**version, "parity": dict(parity), "files": dict(files), "problems": list(problems)}
    return view(f"{html}\n{files_html}", f"{plain}\n\n{files_plain}", facts)


def model_card_view(card: str) -> View:
    """Build a model card: Markdown for front ends, the same as text elsewhere."""
    text = printable(card)
    return View({"text/markdown": text, "text/plain": text}, {"card": card})


def size(count: int) -> str:
    """Return bytes in decimal units, like ``4.6 MB``."""
    value, unit = float(count), _UNITS[0]
    for unit in _UNITS:
        if value < 1_000 or unit == _UNITS[-1]:
            break
        value /= 1_000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def _loss(metrics: Mapping[str, Any]) -> str | None:
    value = metrics.get("eval_loss")
    return f"{value:.3f}" if isinstance(value, int | float) else None
