"""What people's labels say of a judge, as rows and lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.judge.report.figures import p_value, share, spread

if TYPE_CHECKING:
    from llmops_kernel.judge.calibration.model import Calibration
    from llmops_kernel.judge.juries import JuryAgreement


def calibration_rows(found: Calibration) -> list[tuple[str, str]]:
    """Return names and figures of a calibration, in the order in which they are read."""
    rows = [
        ("The judge's own mean, of all", spread(found.raw)),
        ("Mean corrected by the labels (PPI++)", spread(found.corrected)),
    ]
    if found.cross_check:
        rows.append(("Cross-check (Rogan-Gladen)", spread(found.cross_check)))
    rows.append(("People's mean, of the labelled", share(found.human_mean)))
    name = "Quadratic kappa" if found.kappa and "quadratic" in found.kappa.method else "Kappa"
    rows.append((name, spread(found.kappa)))
    if found.sensitivity:
        rows.append(("Sensitivity: people's yes called yes", spread(found.sensitivity)))
    if found.specificity:
        rows.append(("Specificity: people's no called no", spread(found.specificity)))
    rows += bias_rows(found)
    for each in found.advice:
        labels = f"{each.labels:,}" if each.labels else "more judged samples"
        rows.append((f"Labels for ±{each.within:g}", f"{labels} (without a judge {each.alone:,})"))
    return rows


def bias_rows(found: Calibration) -> list[tuple[str, str]]:
    """Return the rows that tell where a judge leans."""
    rows = []
    if (lengths := found.lengths) is not None:
        if lengths.correlation:
            rows.append(("Score and length, correlation", spread(lengths.correlation, signed=True)))
        if lengths.error_correlation:
            told = spread(lengths.error_correlation, signed=True)
            rows.append(("Judge less people and length, correlation", told))
        if lengths.separation is not None:
            rows.append(("Good above bad (AUC)", share(lengths.separation)))
            pairs = f"{share(lengths.matched)} ({lengths.matched_pairs:,} pairs)"
            rows.append(("The same, at about equal length", pairs))
    if (positions := found.positions) is not None:
        rows.append(("Same verdict in both orders", spread(positions.consistent)))
        told = f"{positions.first} for the first, {positions.second} for the second"
        rows.append(("Order decided", f"{told} (p {p_value(positions.p)})"))
    if (pairs_found := found.pair_lengths) is not None:
        rows.append(("The longer answer wins", spread(pairs_found.longer_wins)))
        told = f"{spread(pairs_found.matched)} ({pairs_found.matched_pairs:,} pairs)"
        rows.append(("Mean at about equal length", told))
    return rows


def jury_line(jury: JuryAgreement) -> str:
    """Return how a jury voted, in a line."""
    told = f"Jury of {len(jury.members)}: Krippendorff's alpha {spread(jury.alpha)}"
    told += f", {jury.split} of {jury.votes} votes split"
    if jury.judge:
        told += f", {jury.escalated} of them decided by {jury.judge}"
    return told
