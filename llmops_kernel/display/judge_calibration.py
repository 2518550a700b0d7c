"""A judge beside people: what its mean would be by their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.display.mime import View, view
from llmops_kernel.display.table import table
from llmops_kernel.display.text import markup, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.judge.calibration.model import Calibration


def calibration_view(
    found: Calibration, rows: Sequence[tuple[str, str]], *, notes: Sequence[str] = ()
) -> View:
    """Build the table of a calibration.

    Args:
        found: What was found.
        rows: Names and figures, as `judge.report.calibrated` writes them.
        notes: What a person should know; a line each.
    """
    judge = ", ".join(found.judges) or "the judge"
    labels = f"{found.labels} label{'s' * (found.labels != 1)}" if found.labels else "no label"
    state: str = found.state
    if state == "too few labels":
        state = f"too few, {found.needed} more needed"
    caption = f"{found.metric} by {judge}: {found.scored} scored, {labels} ({state})"
    html, plain = table(("Figure", "Value"), list(rows), caption)
    told = [each for each in (found.note, *notes) if each]
    parts = [html, *(f"<p>{markup(each[0].upper() + each[1:])}</p>" for each in told)]
    lines = [plain, *(printable(each[0].upper() + each[1:]) for each in told)]
    return view("\n".join(parts), "\n".join(lines), {**found.as_dict(), "notes": list(notes)})
