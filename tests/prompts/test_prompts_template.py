from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.errors import UsageProblem
from llmops_kernel.prompts import Segment, Template, interpolate

NAMES: dict[str, Any] = {
    "name": "Ada",
    "customer": SimpleNamespace(name="Ada", tags=["new", "vip"], _secret="s3cret"),
    "rows": [{"id": 7}, {"id": 8}],
    "prices": {"eur": 5, "a b": 6, "it's": 7},
    "größe": 3,
    "empty": "",
    "_": "last",
    "_private": "p",
}


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("Dear {name},", "Dear Ada,"),
        ("{customer.name} {customer.tags[0]} {customer.tags[-1]}", "Ada new vip"),
        ('{rows[1]["id"]} {prices["a b"]}', "8 6"),
        ("{prices['eur']} {prices[\"it's\"]}", "5 7"),
        ("{größe}|{empty}|", "3||"),
        ("{customer.tags}", "['new', 'vip']"),
        # braces that are not ours
        ('{"name": "x", "n": {"a": {}}}', '{"name": "x", "n": {"a": {}}}'),
        (
            "{name:>10} {name!r} { name } {name + 1} {}",
            "{name:>10} {name!r} { name } {name + 1} {}",
        ),
        ("{0} {f(x)} {name.upper()} {rows[name]}", "{0} {f(x)} {name.upper()} {rows[name]}"),
        ("for x in {a, b}: cost $5 $name", "for x in {a, b}: cost $5 $name"),
        ("} {", "} {"),
        # doubled braces
        ("{{name}}", "{name}"),
        ("{{name}", "{name}"),
        ("{{{name}}}", "{Ada}"),
        ('{{"a": {{"b": "{name}"}}}}', '{"a": {"b": "Ada"}}'),
        ('{{"a": {"b": 1}}}', '{"a": {"b": 1}}'),
    ],
)
def test_only_bound_names_are_filled_in(typed: str, sent: str) -> None:
    filled = interpolate(typed, NAMES)
    assert filled.text == sent
    assert filled.missing == ()


@pytest.mark.parametrize(
    ("typed", "missing"),
    [
        ("{nmae} and {nmae}", ("nmae",)),
        ("{customer.nmae}", ("customer.nmae",)),
        ("{rows[9]}", ("rows[9]",)),
        ('{prices["usd"]}', ('prices["usd"]',)),
        ("{name[0][0][5]}", ("name[0][0][5]",)),
        ("{unbound.attribute} {unbound[0]}", ()),  # might be anything
        ("{_private} {_}", ("_private", "_")),
        ("{customer._secret}", ("customer._secret",)),
        ("{customer.__class__}", ("customer.__class__",)),
        ("{customer.__class__.__init__.__globals__}", None),
    ],
)
def test_what_cannot_be_filled_in_stays_and_is_reported(
    typed: str, missing: tuple[str, ...] | None
) -> None:
    filled = interpolate(typed, NAMES)
    assert filled.text == typed
    if missing is not None:
        assert filled.missing == missing
    else:
        assert len(filled.missing) == 1


def test_values_are_data_and_stay_apart() -> None:
    filled = interpolate("A {name} B {evil} C", {"name": "Ada", "evil": "{name} {{x}}"})
    assert filled.text == "A Ada B {name} {{x}} C"
    assert filled.segments == (
        Segment("A "),
        Segment("Ada", "name"),
        Segment(" B "),
        Segment("{name} {{x}}", "evil"),
        Segment(" C"),
    )


class Hostile:
    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError

    def __getitem__(self, key: Any) -> Any:
        raise MemoryError

    def __str__(self) -> str:
        raise RuntimeError


def test_values_that_raise_are_reported() -> None:
    filled = interpolate("{x} {x.a} {x[0]}", {"x": Hostile()})
    assert filled.missing == ("x", "x.a", "x[0]")


def test_what_is_inserted_is_bounded() -> None:
    filled = interpolate("{a}|{b}", {"a": "x" * 60, "b": "y" * 60}, max_inserted=100)
    assert filled.cut == ("b",)
    assert filled.text == "x" * 60 + "|" + "y" * 40 + "… (20 more characters left out)"
    assert interpolate("{a}", {"a": "x" * 100}, max_inserted=100).cut == ()


class Evaluated(Exception):
    pass


class Trap(dict[str, Any]):
    """Bound to every name; whoever calls, formats or evaluates it learns so."""

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        assert not name.startswith("_")
        return self

    def __call__(self, *args: Any) -> Any:
        raise Evaluated

    def __format__(self, spec: str) -> str:
        raise Evaluated

    def __str__(self) -> str:
        return "V"


BRACES = st.lists(
    st.sampled_from(
        ["{", "}", "{{", "}}", "a", "b1", ".", "[0]", "['k']", "_", "!r", ":", " ", "é"]
    )
).map("".join)


@given(st.text() | BRACES)
def test_any_text_passes_and_nothing_is_called(typed: str) -> None:
    filled = interpolate(typed, Trap())
    assert "".join(segment.text for segment in filled.segments) == filled.text
    unfilled = interpolate(typed, {})
    if "{{" not in typed:
        assert unfilled.text == typed


WORDS = st.text("ab:,[] ", max_size=5)


@given(st.dictionaries(WORDS, WORDS | st.dictionaries(WORDS, st.lists(st.integers()))))
def test_json_that_is_doubled_comes_out_as_it_was(value: Any) -> None:
    text = json.dumps(value)
    doubled = text.replace("{", "{{").replace("}", "}}")
    assert interpolate(doubled, {}).text == text


def test_long_hostile_text_is_linear() -> None:
    for piece in ("{", "{{", "{a", "{a.", "{a[0]", '{a["', "}", "{a}"):
        typed = piece * 10_000
        assert interpolate(typed, {}).text.startswith("{" if "{" in piece else "}")


def test_a_template_is_strict() -> None:
    template = Template('{greeting} {user.name}: {{"a": 1}}')
    assert template.names == ("greeting", "user")
    assert template.fill(greeting="Hi", user=SimpleNamespace(name="Ada")) == 'Hi Ada: {"a": 1}'
    with pytest.raises(UsageProblem, match=r"no value for {greeting}"):
        template.fill(user=SimpleNamespace(name="Ada"))
    with pytest.raises(UsageProblem, match=r"no value for {user.name}"):
        template.fill(greeting="Hi", user=1)
    with pytest.raises(UsageProblem, match=r"'greting' \(did you mean 'greeting'\?\)"):
        template.fill(greting="Hi")
    with pytest.raises(UsageProblem, match="too long"):
        Template("{x}").fill(x="y" * 500_000)
