from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from llmops_kernel.budget.status import CapStatus, LedgerEvent
from llmops_kernel.display import (
    View,
    budget_view,
    checks_view,
    history_view,
    jsonable,
    printable,
    status_view,
)
from llmops_kernel.settings import Cap

if TYPE_CHECKING:
    from collections.abc import Callable

DASH = "\N{EN DASH}"
HOSTILE = "<img src=x onerror=alert(1)>'\"&\x1b[31m"
DAY = datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC)


def cap_status(
    spent: str, held: str = "0", *, book: Any = "real", window: Any = "day", key: str = "alice"
) -> CapStatus:
    start, end = DAY if window == "day" else (None, None)
    return CapStatus(
        cap=Cap(scope="user", window=window, usd=Decimal("2.00")),
        book=book,
        key=key,
        limit=Decimal("2.00"),
        spent=Decimal(spent),
        held=Decimal(held),
        window_start=start,
        window_end=end,
        source="settings",
    )


def event(**changes: Any) -> LedgerEvent:
    values: dict[str, Any] = {
        "id": 7,
        "at": datetime(2026, 11, 23, 9, 30, 5, tzinfo=UTC),
        "kind": "settle",
        "hold_id": "h1",
        "call_id": "c1",
        "book": "simulated",
        "held_nano": -500_000_000,
        "spent_nano": 412_000,
        "model": "sim/gpt-4o",
        "user": "alice",
        "notebook": "/home/alice/work/01.ipynb",
        "cell_id": "a1b2",
        "run_id": "r1",
        "estimated": True,
        "detail": {"reason": "usage missing"},
    }
    return LedgerEvent(**{**values, **changes})


def test_a_cap_has_a_meter_and_says_the_same_in_text(text_of: Callable[[str], str]) -> None:
    view = budget_view([cap_status("1.60", "0.05"), cap_status("0", book="simulated")])
    assert (
        '<meter min="0" max="1" high="0.8" value="0.8250" title="82 % of $2.00"></meter>'
        " 82 % of $2.00" in view.html
    )
    text_of(view.html)
    real, simulated = view.text.split("\n")[3:]
    assert real.split("  ")[0] == "user alice, per day"
    for shown in ("real", "82 % of $2.00", "$1.60", "$0.05", "$0.35", "2026-11-24 00:00 UTC"):
        assert shown in real
    assert "simulated" in simulated
    assert "0 % of $2.00" in simulated
    assert view.metadata["llmops"]["caps"][0]["remaining"] == "0.35"


def test_an_overrun_is_said_and_its_meter_stays_full(text_of: Callable[[str], str]) -> None:
    view = budget_view([cap_status("2.40", window="total")])
    assert "120 % of $2.00" in text_of(view.html)
    assert 'value="1.0000"' in view.html
    assert "user alice, in total" in view.text
    assert "never" in view.text


def test_a_stop_is_said_first(text_of: Callable[[str], str]) -> None:
    view = budget_view([cap_status("0")], stopped=HOSTILE)
    assert view.text.startswith("All spending is stopped: <img")
    assert text_of(view.html).startswith("All spending is stopped: <img")
    assert budget_view([], stopped="").text.startswith("All spending is stopped\n")
    assert "stopped" not in budget_view([]).text


@given(st.text(st.characters(exclude_categories=())))
def test_keys_and_models_are_escaped(text_of: Callable[[str], str], text: str) -> None:
    assert printable(text).strip() in text_of(budget_view([cap_status("0", key=text)]).html)
    view = history_view([event(model=text)])
    assert printable(text) in text_of(view.html)
    json.dumps(view.metadata, allow_nan=False).encode()


def test_history_shows_changes() -> None:
    view = history_view([event(), event(kind="reserve", spent_nano=0, held_nano=5 * 10**8)])
    settle, reserve = view.text.split("\n")[3:]
    assert settle.split("  ")[0] == "2026-11-23 09:30:05"
    for shown in ("-$0.50", "+$0.00041", "01.ipynb [a1b2]", "estimated; usage missing"):
        assert shown in settle
    assert "+$0.50" in reserve
    assert "/home/alice" not in view.text
    assert view.facts["events"][0]["spent_nano"] == 412_000


@pytest.mark.parametrize(
    ("detail", "note"),
    [
        (
            {"reason": "the process that made this call died"},
            "the process that made this call died",
        ),
        ({"ending": "complete", "price": "2026"}, ""),
        ({"ending": "cut", "usage": "missing"}, "cut; usage missing"),
        ({"released": "ProviderUnreachable"}, "not sent: ProviderUnreachable"),
        ({"uncertain": "ProviderTimeout"}, "charged in full: ProviderTimeout"),
        ({"overrun": 10_000_000}, "$0.01 over its hold"),
        ({"scope": "user", "window": "day", "limit": "$2.00"}, "user, per day: $2.00"),
        ({"scope": "user", "window": "day", "needed": 10**9}, "user, per day: needed $1.00"),
    ],
)
def test_history_says_why(
    text_of: Callable[[str], str], detail: dict[str, object], note: str
) -> None:
    shown = text_of(history_view([event(estimated=False, detail=detail)]).html)
    assert shown.rstrip("\n").endswith(f"[a1b2]{note}")


def test_status_pages_are_flat(text_of: Callable[[str], str]) -> None:
    view = status_view(
        {
            "version": "0.1",
            "endpoint": {"base_url": None, "running": False},
            "warnings": [],
            "names": ["a", "b"],
            "caps": [{"usd": Decimal("0.10")}],
            "bad": HOSTILE,
        }
    )
    rows = dict(line.split(maxsplit=1) for line in view.text.split("\n")[3:])
    assert rows["endpoint.base_url"] == DASH
    assert rows["endpoint.running"] == "no"
    assert rows["warnings"] == DASH
    assert rows["names"] == "a, b"
    assert rows["caps.1.usd"] == "0.10"
    assert "onerror" in text_of(view.html)


@dataclass
class Check:
    name: str
    state: str
    detail: str
    hint: str = ""


def test_checks_are_counted_in_words(text_of: Callable[[str], str]) -> None:
    view = checks_view(
        [
            Check("store", "ok", "sqlite"),
            Check("prices", "warn", "90 days old", "Update genai-prices"),
            Check("balances", "ok", HOSTILE),
        ]
    )
    assert view.text.startswith("llmops doctor: 2 ok, 1 warn\n")
    assert "Update genai-prices" in text_of(view.html)
    assert view.facts["checks"][1]["state"] == "warn"


def test_a_view_follows_the_display_protocol() -> None:
    view = View({"text/plain": "p", "text/html": "<p>p</p>"}, {"usd": Decimal("0.1")})
    assert repr(view) == "p"
    assert view._repr_mimebundle_() == (dict(view.data), {"llmops": {"usd": "0.1"}})
    assert view._repr_mimebundle_(include={"text/plain"})[0] == {"text/plain": "p"}
    assert view._repr_mimebundle_(exclude={"text/plain"})[0] == {"text/html": "<p>p</p>"}
    assert View({"text/plain": "p"}).html == ""


class Colour(StrEnum):
    RED = "red"


class Model(BaseModel):
    when: datetime
    colour: Colour = Colour.RED


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.datetimes()
    | st.binary()
    | st.sampled_from(Colour)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
)


@given(VALUES)
def test_anything_becomes_json(value: Any) -> None:
    json.dumps(jsonable(value), allow_nan=False, ensure_ascii=False).encode()


def test_json_forms() -> None:
    ring: list[Any] = []
    ring.append(ring)
    json.dumps(jsonable(ring))
    assert jsonable(Model(when=DAY[0])) == {"when": "2026-11-23T00:00:00Z", "colour": "red"}
    assert jsonable({"a": (1, {2})}) == {"a": [1, [2]]}
    assert jsonable(Model) == str(Model)
