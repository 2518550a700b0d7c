"""The pages of routes: escaped, stable, and with a plot that is well formed."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from llmops_kernel.display.route import (
    route_explain_view,
    route_learned_view,
    route_list_view,
    route_report_view,
)
from llmops_kernel.routing.book import Listed
from llmops_kernel.routing.bounds import NEVER, Line
from llmops_kernel.routing.frontier import Frontier, Point
from llmops_kernel.routing.record import RouteUse, Share
from llmops_kernel.routing.router import Decision

EVIL = "<script>alert(1)</script>"
USD = 1_000_000_000


def curve(*, priced: bool = False) -> Frontier:
    points = tuple(
        Point(n / 20, 0.6 + 0.2 * (n / 20) ** 0.5, n / 100 if priced else None) for n in range(21)
    )
    return Frontier(points, Point(0.33, 0.72, 0.05 if priced else None), 0.66)


def use(**changes: object) -> RouteUse:
    values: dict[str, object] = {
        "route": "r", "kind": "cascade", "calls": 4, "answered": 4, "refused": 0, "cached": 0,
        "escalated": 1, "fell_back": 0, "may_be_billed": 0,
        "models": (Share("small", 3, 1, 0, {"real": USD}, 0.9, 10), Share("large", 1, 0, 0, {})),
        "large": "large", "usd_nano": {"real": USD}, "large_nano": {"real": 4 * USD}, **changes,
    }  # fmt: skip
    return RouteUse(**values)  # type: ignore[arg-type]


def svg(html: str) -> ET.Element:
    return ET.fromstring(html[html.index("<svg") : html.index("</svg>") + 6])


def test_everything_is_escaped() -> None:
    views = [
        route_list_view([Listed(EVIL, EVIL, (EVIL,), EVIL, EVIL)]),
        route_explain_view(
            Decision(EVIL, EVIL, 0.5), route=EVIL, kind=EVIL, asked=EVIL, then=[EVIL]
        ),
        route_report_view([use(route=EVIL, kind=EVIL)], {EVIL: curve()}, notes=[EVIL]),
        route_learned_view(
            Line(0.5, 0.4, 0.01, 0.02), curve(), route=EVIL, kind="learned", models=(EVIL, EVIL),
            evidence={"rows": 5, "target_loss": 0.02}, notes=[EVIL],
        ),
    ]  # fmt: skip
    for each in views:
        assert "<script" not in each.html
        assert "&lt;script" in each.html
        json.dumps(each.metadata, allow_nan=False)


@pytest.mark.parametrize("priced", [False, True])
def test_the_plot_is_svg_of_its_own(priced: bool) -> None:
    shown = route_report_view([use()], {"r": curve(priced=priced)})
    drawn = svg(shown.html)
    names = [each.tag.rpartition("}")[2] for each in drawn.iter()]
    assert names.count("polyline") == 1
    assert names.count("circle") == 1
    assert not {"script", "style", "image", "foreignObject"} & set(names)
    width, height = float(drawn.attrib["width"]), float(drawn.attrib["height"])
    (line,) = (each for each in drawn.iter() if each.tag.endswith("polyline"))
    for pair in line.attrib["points"].split():
        x, y = map(float, pair.split(","))
        assert 0 <= x <= width
        assert 0 <= y <= height
    said = "".join(drawn.itertext())
    assert ("dollars a call" if priced else "share of calls to the large model") in said
    assert ("Dollars a call" in shown.text) == priced
    assert shown.html.index("</svg>") < shown.html.index("Cost and quality of route/r</caption>")


def test_the_table_after_the_plot_has_the_chosen_point() -> None:
    lines = route_report_view([], {"r": curve()}).text.splitlines()
    chosen = [line for line in lines if "chosen" in line]
    assert [line.split()[:2] for line in chosen] == [["33.0%", "0.7200"]]
    shares = [float(line.split("%")[0]) for line in lines if line.strip()[:1].isdigit()]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 100.0)


@pytest.mark.parametrize(
    "flat",
    [Frontier(()), Frontier((Point(0.0, 0.5),)), Frontier((Point(0.0, 0.5), Point(1.0, 0.5)))],
)
def test_a_frontier_that_is_none(flat: Frontier) -> None:
    shown = route_report_view([], {"r": flat})
    assert ("<svg" in shown.html) == (len(flat.points) > 1)
    assert "nan" not in shown.html.lower().replace("finance", "")


def test_a_report_says_what_was_saved_and_what_it_cost() -> None:
    text = route_report_view([use(may_be_billed=2)], {}).text
    row = next(line for line in text.splitlines() if line.startswith("r (cascade)"))
    assert row.split("  ")[-1].strip() == "$3.00"
    assert "75 %" in row
    assert "Failed legs that may be billed all the same: r" in text


def test_a_stable_report_leaves_real_dollars_out() -> None:
    shown = route_report_view(
        [use(usd_nano={"simulated": USD}, large_nano={"simulated": 2 * USD}), use(route="s")],
        {}, stable=True,
    )  # fmt: skip
    assert "$1.00 simulated" in shown.text
    assert "$3.00" not in shown.text
    assert shown.facts["routes"][1]["saved_nano"] == {"real": 3 * USD}


def test_a_route_without_evidence() -> None:
    shown = route_learned_view(
        Line(NEVER), curve(), route="r", kind="learned", models=("s", "l"),
        evidence={"rows": 50, "target_loss": 0.02}, notes=["Not enough evidence"],
    )  # fmt: skip
    assert "0 %" in shown.text
    assert shown.text.endswith("Not enough evidence")
