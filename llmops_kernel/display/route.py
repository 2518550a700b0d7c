"""Routes: which there are, what one decides, what was learned, and what they have saved."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

from llmops_kernel.display.mime import View, view
from llmops_kernel.display.money import count, dollars, nano_dollars, percent
from llmops_kernel.display.table import table
from llmops_kernel.display.text import markup, one_line, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmops_kernel.routing.book import Listed
    from llmops_kernel.routing.bounds import Line
    from llmops_kernel.routing.frontier import Frontier, Point
    from llmops_kernel.routing.record import RouteUse
    from llmops_kernel.routing.router import Decision

_LINE = 240
_WIDTH, _HEIGHT, _MARGIN = 480, 260, 46  # of a plot, in its own units
_MEMBER_COLUMNS = (
    "Route", "Model", "Answered", "Passed over", "Failed", "Cost", "Quality", "Judged"
)  # fmt: skip
_SHOWN = 11  # points of a frontier that are shown as a table


def route_list_view(routes: Sequence[Listed]) -> View:
    """Build the list of routes."""
    rows = [
        (f"route/{each.name}", each.kind or None, ", ".join(each.models) or None, each.source,
         each.problem or None)
        for each in routes
    ]  # fmt: skip
    columns = ("Route", "Kind", "Models", "From", "Problem")
    html, plain = table(columns, rows, "Routes")
    return view(html, plain, {"routes": [asdict(each) for each in routes]})


def route_explain_view(
    decision: Decision, *, route: str, kind: str, asked: str, then: Sequence[str] = ()
) -> View:
    """Build the explanation of whom a route would ask.

    Args:
        decision: What it decides.
        route: Its name.
        kind: What sort of route it is.
        asked: The question.
        then: What would follow, a sentence each.
    """
    rows: list[tuple[str, object]] = [
        ("Question", asked),
        ("Route", f"{route} ({kind})"),
        ("Model", decision.model),
        ("Reason", decision.reason),
    ]
    if decision.confidence is not None:
        rows.append(("Confidence", f"{decision.confidence:.3f}"))
    rows += [("Then", each) for each in then]
    html, _ = table(("Name", "Value"), rows, "What the route would do")
    plain = "\n".join(f"{name}: {one_line(value, _LINE)}" for name, value in rows)
    facts = {"route": route, "kind": kind, "asked": asked, **asdict(decision), "then": list(then)}
    return view(html, plain, facts)


def route_learned_view(
    line: Line,
    frontier: Frontier,
    *,
    route: str,
    kind: str,
    models: tuple[str, str],
    evidence: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> View:
    """Build the page of a route that was learned.

    Args:
        line: Its threshold, and what was found of it on questions it was not learned from.
        frontier: Cost against quality there.
        route: Its name.
        kind: ``learned`` or ``intent``.
        models: The small and the large model.
        evidence: What it was learned from.
        notes: What a person should know.
    """
    over = "wrong among those sent" if kind == "intent" else "loss of quality over all"
    rows: list[tuple[str, object]] = [
        ("Route", f"route/{route} ({kind})"),
        ("Small model", models[0]),
        ("Large model", models[1]),
        ("Questions", count(int(evidence["rows"]))),
        ("Share to the small model", percent(line.share)),
        (f"{over.capitalize()}, allowed", f"{evidence['target_loss']:.3f}"),
        (f"{over.capitalize()}, found", f"{line.loss:.3f}"),
        ("Its bound (95 %)", None if line.bound is None else f"{line.bound:.3f}"),
        ("Area under the curve of recovery", _number(frontier.area)),
    ]
    html, plain = table(("Name", "Value"), rows, "What was learned")
    plot, points = _frontier(frontier, f"Cost and quality of route/{route}")
    below = "".join(f"\n<p>{markup(note)}</p>" for note in notes)
    told = [plain, points.text, *(printable(note) for note in notes)]
    facts = {"route": route, "kind": kind, "line": asdict(line),
             **{name: each for name, each in evidence.items() if name != "texts"}}  # fmt: skip
    return view(f"{html}\n{plot}\n{points.html}{below}", "\n\n".join(told), facts)


def route_report_view(
    uses: Sequence[RouteUse],
    frontiers: Mapping[str, Frontier],
    *,
    notes: Sequence[str] = (),
    stable: bool = False,
) -> View:
    """Build the report of what routes have done, with a plot of cost against quality for each.

    Args:
        uses: What they have done.
        frontiers: Cost against quality, by route, where that is known.
        notes: What a person should know.
        stable: Leave out dollars of real money, which depend on what providers count.
    """
    columns = ("Route", "Calls", "Not by the large", "Escalated", "Fell back", "Refused", "Cached",
               "Cost", "All by the large", "Saved")  # fmt: skip
    rows = [
        (
            f"{use.route} ({use.kind})",
            count(use.calls),
            None if use.share_small is None else percent(use.share_small),
            count(use.escalated),
            count(use.fell_back),
            count(use.refused),
            count(use.cached),
            _books(use.usd_nano, stable),
            _books(use.large_nano, stable),
            _books(use.saved_nano, stable),
        )
        for use in uses
    ]
    parts, lines = _both(table(columns, rows, "Routes"))
    members = [
        (
            use.route,
            each.model,
            count(each.served),
            count(each.passed_over),
            count(each.failed),
            _books(each.usd_nano, stable),
            _number(each.quality),
            count(each.judged) if each.judged else None,
        )
        for use in uses
        for each in use.models
    ]
    if members:
        _join(parts, lines, table(_MEMBER_COLUMNS, members, "Models"))
    for name, each in frontiers.items():
        plot, points = _frontier(each, f"Cost and quality of route/{name}")
        parts += [plot, points.html]
        lines.append(points.text)
    billed = [use.route for use in uses if use.may_be_billed]
    told = [*notes]
    if billed:
        told.append(f"Failed legs that may be billed all the same: {', '.join(billed)}")
    parts += [f"<p>{markup(note)}</p>" for note in told]
    lines += [printable(note) for note in told]
    facts = {
        "routes": [use.as_dict() for use in uses],
        "frontiers": {name: each.as_dict() for name, each in frontiers.items()},
        "notes": told,
    }
    return view("\n".join(parts), "\n\n".join(lines), facts)


def _both(pair: tuple[str, str]) -> tuple[list[str], list[str]]:
    return [pair[0]], [pair[1]]


def _join(parts: list[str], lines: list[str], pair: tuple[str, str]) -> None:
    parts.append(pair[0])
    lines.append(pair[1])


def _books(nano: Mapping[str, int], stable: bool) -> str | None:
    """Return dollars by book; simulated ones are the same in every run, real ones are not."""
    said = [
        nano_dollars(amount) + ("" if book == "real" else f" {printable(book)}")
        for book, amount in sorted(nano.items())
        if (amount or len(nano) == 1) and not (stable and book == "real")
    ]
    return " + ".join(said) or None


def _number(value: float | None) -> str | None:
    return None if value is None or not isfinite(value) else f"{value:.3f}"


# ---- the frontier -------------------------------------------------------------------------------


def _frontier(frontier: Frontier, title: str) -> tuple[str, View]:
    """Return a plot as inline SVG, and its points as a table."""
    priced = all(point.usd is not None for point in frontier.points)
    columns = ("To the large", "Quality", *(("Dollars a call",) if priced else ()), "")
    step = max(len(frontier.points) // (_SHOWN - 1), 1)
    shown = list(frontier.points[::step])
    if frontier.points and shown[-1] is not frontier.points[-1]:
        shown.append(frontier.points[-1])
    rows = [(point, "") for point in shown]
    if frontier.chosen is not None:
        rows.append((frontier.chosen, "chosen"))
    rows.sort(key=lambda row: row[0].large)
    cells = [
        (
            f"{point.large:.1%}",
            f"{point.quality:.4f}",
            *((dollars(point.usd),) if priced else ()),
            said or None,
        )
        for point, said in rows
    ]
    html, plain = table(columns, cells, title)
    return _svg(frontier, title, priced=priced), view(html, plain)


def _svg(frontier: Frontier, title: str, *, priced: bool) -> str:
    """Return the curve, a line for choosing at random, and where the route stands."""
    if len(frontier.points) < 2:
        return ""
    shown = [*frontier.points, *([frontier.chosen] if frontier.chosen else [])]
    across = [_x(point, priced) for point in shown]
    up = [point.quality for point in shown]
    left, right, bottom, top = min(across), max(across), min(up), max(up)

    def place(point: Point) -> tuple[float, float]:
        width, height = right - left or 1.0, top - bottom or 1.0
        x = _MARGIN + (_x(point, priced) - left) / width * (_WIDTH - 2 * _MARGIN)
        y = _HEIGHT - _MARGIN - (point.quality - bottom) / height * (_HEIGHT - 2 * _MARGIN)
        return x, y

    curve = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, frontier.points))
    (x1, y1), (x2, y2) = place(frontier.points[0]), place(frontier.points[-1])
    floor, side = _HEIGHT - _MARGIN, _WIDTH - _MARGIN
    name = "dollars a call" if priced else "share of calls to the large model"
    low, high = (dollars(left), dollars(right)) if priced else (f"{left:.0%}", f"{right:.0%}")
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{markup(title)}" '
        'font-size="11" fill="currentColor">',
        f"<title>{markup(title)}</title>",
        f'<path d="M{_MARGIN},{_MARGIN / 2:g} V{floor} H{side}" fill="none" '
        'stroke="currentColor" stroke-opacity="0.5"/>',
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="currentColor" '
        'stroke-opacity="0.4" stroke-dasharray="4 4"/>',
        f'<polyline points="{curve}" fill="none" stroke="#1f77b4" stroke-width="2"/>',
    ]
    if frontier.chosen is not None:
        x, y = place(frontier.chosen)
        lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="#d62728"/>')
    lines += [
        _label(_MARGIN, floor + 16, low, "start"),
        _label(side, floor + 16, high, "end"),
        _label(_WIDTH / 2, floor + 32, name, "middle"),
        _label(_MARGIN - 4, floor, f"{bottom:.2f}", "end"),
        _label(_MARGIN - 4, _MARGIN, f"{top:.2f}", "end"),
        _label(_MARGIN, _MARGIN / 2 - 6, "quality (dashed: chosen at random)", "start"),
        "</svg>",
    ]
    return "\n".join(lines)


def _x(point: Point, priced: bool) -> float:
    return (point.usd or 0.0) if priced else point.large


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{markup(text)}</text>'
