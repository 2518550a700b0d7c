"""Labelling by people: the still picture, and the widget that takes keys."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.display.mime import View, view
from llmops_kernel.display.money import count
from llmops_kernel.display.table import table
from llmops_kernel.display.text import markup, one_line, printable
from llmops_kernel.errors import LLMOpsError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_HERE = Path(__file__).parent
_TEXT = 300


def label_view(
    state: Mapping[str, Any], *, how: Sequence[str] = (), notes: Sequence[str] = ()
) -> View:
    """Build the still picture of a labelling queue: its progress and the next item.

    Args:
        state: ``metric``, ``total``, ``labelled``, ``skipped``, ``pairs``, ``choices`` and ``item``
            (what the rater sees of the next one; None at the end).
        how: How labels are given, a line each.
        notes: What a person should know, a line each.
    """
    choices = ", ".join(f"{each['key']} {each['label']}" for each in state["choices"])
    what = "pairs, each in both orders" if state["pairs"] else "answers"
    rows = [
        ("Metric", state["metric"]),
        ("Shown", what),
        ("Items", count(state["total"])),
        ("Labelled", count(state["labelled"])),
        ("Skipped", count(state["skipped"])),
        ("Keys", f"{choices}, s skip, u undo"),
    ]
    html, plain = table(("", ""), rows, "Labels by people")
    parts, lines = [html], [plain]
    item = state["item"]
    if item is not None:
        shown = [("Question", item["question"])]
        shown += [(f"Passage {at}", text) for at, text in enumerate(item["contexts"], start=1)]
        if item["reference"]:
            shown.append(("Known right answer", item["reference"]))
        names = ("First answer", "Second answer") if state["pairs"] else ("Answer",)
        shown += list(zip(names, item["answers"], strict=True))
        html, plain = table(("", ""), shown, "The next item")
        parts.append(html)
        lines += ["", plain]
    told = [one_line(text, _TEXT) for text in (*how, *notes)]
    parts += [f"<p>{markup(text)}</p>" for text in told]
    lines += [printable(text) for text in told]
    return view("\n".join(parts), "\n".join(lines), {**state, "notes": list(notes)})


def label_widget(
    state: Callable[[], Mapping[str, Any]], act: Callable[[str, str, str], object]
) -> Any:
    """Return the widget: one item at a time, by keys or buttons.

    Args:
        state: Returns what is shown, as for `label_view`; ``can_undo`` too.
        act: Called with a command ("answer" or "undo"), the choice and the item's key.

    Raises:
        MissingExtra: anywidget is not installed.
    """
    widget = _widget_class()(state=dict(state()))

    def received(_: Any, content: Any, __: Any) -> None:
        problem = ""
        said = content if isinstance(content, dict) else {}
        try:
            act(str(said.get("command")), str(said.get("choice", "")), str(said.get("item", "")))
        except LLMOpsError as error:
            problem = error.sentence()
        # The count makes every answer a change, so that the front end goes on after a problem too.
        widget.state = {**state(), "problem": problem, "turn": widget.state.get("turn", 0) + 1}

    widget.on_msg(received)
    return widget


@cache
def _widget_class() -> Any:
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise MissingExtra("widgets", error.name or "anywidget") from error

    class LabelWidget(anywidget.AnyWidget):  # type: ignore[misc,unused-ignore]
        _esm = _HERE / "label.js"
        _css = _HERE / "label.css"
        state = traitlets.Dict().tag(sync=True)

    return LabelWidget
