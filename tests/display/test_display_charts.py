"""Plots: inline SVG that is escaped, with the same figures as a table."""

import re
from xml.etree import ElementTree as ET

import pytest

from llmops_kernel.display.charts import lines_view, waterfall_view


def usd(amount):
    return f"${amount:.2f}"


def test_a_waterfall_shows_each_step_and_what_is_left():
    view = waterfall_view(
        ("before", 10.0), {"cache": 4.0, "<route>": 2.5, "judge": -0.5}, ("after", 4.0),
        caption="The bill", shown=usd,
    )  # fmt: skip
    assert view.text.splitlines()[0] == "The bill"
    assert re.search(r"cache +-\$4\.00 +\$6\.00", view.text)
    assert re.search(r"judge +\+\$0\.50 +\$4\.00", view.text)
    assert "<route>" not in view.html
    assert "&lt;route&gt;" in view.html
    assert view.facts == {
        "start": 10.0, "steps": {"cache": 4.0, "<route>": 2.5, "judge": -0.5}, "end": 4.0,
    }  # fmt: skip
    svg = ET.fromstring(view.html.split("</svg>")[0] + "</svg>")
    assert svg.get("aria-label") == "The bill"
    bars = [each for each in svg.iter() if each.tag.endswith("rect")]
    heights = [float(each.get("height")) for each in bars]
    assert len(bars) == 5
    assert heights[1] == pytest.approx(0.4 * heights[0], abs=0.2)
    assert heights[4] == pytest.approx(0.4 * heights[0], abs=0.2)


def test_lines_are_told_apart_without_colours():
    view = lines_view(
        (0.6, 0.8), {"hits": (20, 10), "wrong": (4, 0)}, caption="Hits", x_name="threshold",
        shown=lambda n: f"{n:.0f}",
    )  # fmt: skip
    assert re.search(r"0\.6 +20 +4", view.text)
    svg = ET.fromstring(view.html.split("</svg>")[0] + "</svg>")
    lines = [each for each in svg.iter() if each.tag.endswith("polyline")]
    assert len({each.get("stroke-dasharray") for each in lines}) == 2
    assert len({each.get("stroke") for each in lines}) == 2


def test_nothing_to_show_is_no_error():
    assert "none" in lines_view((), {}, caption="Empty", x_name="x").text
    assert waterfall_view(("a", 0.0), {}, ("b", 0.0), caption="Empty").html


def test_series_of_another_length_are_refused():
    with pytest.raises(ValueError, match="2 points"):
        lines_view((1,), {"a": (1, 2)}, caption="", x_name="x")
