"""A training: its checks, the tokens that are learnt, its curves and figures."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from llmops_kernel.display.mime import View, view
from llmops_kernel.display.money import UNKNOWN, count, percent, seconds
from llmops_kernel.display.table import table
from llmops_kernel.display.text import markup, one_line, printable, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WIDTH, _HEIGHT, _EDGE = 480, 160, 34
_SAMPLE = 400  # characters
_RESUME = "%finetune resume "
# The theme's colours, as the live view has them; where a front end drops styles, the text's own.
_BLUE, _ORANGE = "var(--jp-brand-color1,#1976d2)", "var(--jp-warn-color1,#e07b00)"
_OPEN, _CLOSE = "\N{LEFT WHITE SQUARE BRACKET}", "\N{RIGHT WHITE SQUARE BRACKET}"

Point = tuple[int, float]


def preflight_view(
    preflight: Mapping[str, Any], *, stable: bool = False, tokens: bool = True
) -> View:
    """Build the checks before a training, and a few rows with what is learnt marked.

    Learnt tokens are ``<mark>`` in HTML and stand in double brackets in text.

    Args:
        preflight: ``verdict``, ``checks`` (``name``, ``state``, ``said``, ``detail``, ``hint``),
            ``figures`` and ``view`` (rows of ``tokens``: text and whether it is learnt).
        stable: Leave out what differs between machines and runs.
        tokens: Whether rows are shown.
    """
    checks = preflight.get("checks", [])
    columns = ("Check", "State", "Found") if stable else ("Check", "State", "Found", "Figures")
    rows = [
        (each["name"], each["state"], each["said"], *(() if stable else (each["detail"] or None,)))
        for each in checks
    ]
    caption = f"Pre-flight: {preflight.get('verdict', UNKNOWN)}"
    html, plain = table(columns, rows, caption)
    parts, lines = [html], [plain]
    for each in checks:
        if each["state"] != "ok" and each["hint"]:
            said = f"{each['name']}: {each['hint']}"
            parts.append(f"<p>{markup(said)}</p>")
            lines.append(printable(said))
    if tokens:
        for number, row in enumerate(preflight.get("view", []), start=1):
            title = f"Row {number}: {row['learnt']} of {row['length']} tokens are learnt"
            parts.append(_tokens_html(title, row["tokens"], int(row["length"])))
            lines += ["", title, _tokens_text(row["tokens"], int(row["length"]))]
    return view("\n".join(parts), "\n".join(lines), dict(preflight))


def training_view(facts: Mapping[str, Any], *, stable: bool = False) -> View:
    """Build a run's figures, its loss curves and the latest sample.

    Args:
        facts: What `runs` tells of a run: ``name``, ``state``, ``reason``, ``detail``, ``hint``,
            ``base``, ``method``, ``backend``, ``rows``, ``eval_rows``, ``step``, ``steps``,
            ``phase``, ``train_curve`` and ``eval_curve`` (step, loss), ``base_eval_loss``,
            ``tokens_per_s``, ``eta_s``, ``elapsed_s``, ``memory``, ``estimate`` (low, high),
            ``sample``, ``answers``, ``exports``, ``version``. What is missing is left out.
        stable: Leave out what differs between runs: losses, speeds, sizes, the sample.
    """
    rows = _same(facts) if stable else [*_same(facts), *_measured(facts)]
    caption = f"Fine-tuning {facts['name']}: {_state(facts, stable)}"
    html, plain = table(("What", "Value"), rows, caption)
    parts, lines = [html], [plain]
    if not stable:
        if curve := loss_curve(facts.get("train_curve") or (), facts.get("eval_curve") or ()):
            parts.append(curve)
        if sample := facts.get("sample"):
            said = f"After step {sample['step']}: {prompt_text(sample['prompt'])}"
            text = shorten(printable(sample["text"]), _SAMPLE)
            parts.append(f"<p>{markup(said)}</p>\n<blockquote>{markup(text)}</blockquote>")
            lines += ["", said, f"  {one_line(text, _SAMPLE)}"]
    # A run's own hint does not know what it is called.
    hint = str(facts.get("hint") or "").replace(_RESUME, f"%finetune resume {facts['name']} ")
    detail = "" if stable else str(facts.get("detail") or "")
    told = [each for each in (detail, hint) if each]
    parts += [f"<p>{markup(each)}</p>" for each in told]
    lines += [printable(each) for each in told]
    return view("\n".join(parts), "\n".join(lines), dict(facts))


def runs_view(runs: Sequence[Mapping[str, Any]], *, stable: bool = False) -> View:
    """Build the list of runs, newest first."""
    if stable:
        columns: tuple[str, ...] = ("Model", "State", "Steps")
        rows: list[tuple[object, ...]] = [
            (each["name"], each["state"], count(each.get("steps") or None)) for each in runs
        ]
    else:
        columns = ("Run", "State", "Step", "Train loss", "Eval loss", "Why")
        rows = [
            (
                f"{each['name']}/{each['run_id']}",
                _running(each),
                f"{count(each.get('step'))} of {count(each.get('steps'))}",
                loss_text(each.get("train_loss")),
                loss_text(each.get("eval_loss")),
                each.get("reason") or None,
            )
            for each in runs
        ]
    html, plain = table(columns, rows, "Fine-tuning runs")
    return view(html, plain, {"runs": [dict(each) for each in runs]})


def loss_curve(train: Sequence[Point], held_out: Sequence[Point]) -> str:
    """Return the losses over the steps as SVG; "" for fewer than two points.

    The training's is a line, the evaluation's are dots joined by a dashed line.
    """
    train = [point for point in train if isfinite(point[1])]
    held_out = [point for point in held_out if isfinite(point[1])]
    points = [*train, *held_out]
    if len(points) < 2 or len({step for step, _ in points}) < 2:
        return ""
    left, right = min(p[0] for p in points), max(p[0] for p in points)
    low, high = min(p[1] for p in points), max(p[1] for p in points)
    high = high if high > low else low + 1

    def place(point: Point) -> tuple[float, float]:
        x = _EDGE + (point[0] - left) / (right - left) * (_WIDTH - _EDGE - 8)
        y = 8 + (high - point[1]) / (high - low) * (_HEIGHT - 30)
        return round(x, 1), round(y, 1)

    def line(points: Sequence[Point], colour: str, extra: str) -> str:
        told = " ".join(f"{x},{y}" for x, y in map(place, points))
        return (
            f'<polyline points="{told}" fill="none" stroke="currentColor" '
            f'style="stroke:{colour}" {extra}/>'
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Loss over steps">',
        f"<title>Loss from {loss_text(points[0][1])} to {loss_text(points[-1][1])}</title>",
        f'<path d="M{_EDGE} 8V{_HEIGHT - 22}H{_WIDTH - 8}" fill="none" stroke="currentColor" '
        'stroke-opacity="0.4"/>',
    ]
    if len(train) > 1:
        parts.append(line(train, _BLUE, 'stroke-width="1.5"'))
    if len(held_out) > 1:
        parts.append(line(held_out, _ORANGE, 'stroke-width="1.5" stroke-dasharray="4 3"'))
    parts += [
        f'<circle cx="{x}" cy="{y}" r="3" fill="currentColor" style="fill:{_ORANGE}"/>'
        for x, y in map(place, held_out)
    ]
    label = 'font-size="10" fill="currentColor"'
    parts += [
        f'<text x="2" y="14" {label}>{loss_text(high)}</text>',
        f'<text x="2" y="{_HEIGHT - 22}" {label}>{loss_text(low)}</text>',
        f'<text x="{_EDGE}" y="{_HEIGHT - 6}" {label}>step {left}; line: training, '
        "dots: evaluation</text>",
        f'<text x="{_WIDTH - 8}" y="{_HEIGHT - 6}" text-anchor="end" {label}>{right}</text>',
        "</svg>",
    ]
    return "".join(parts)


def _state(facts: Mapping[str, Any], stable: bool) -> str:
    state = str(facts["state"])
    if state == "running":
        if stable:
            return state
        return f"{_running(facts)}, {facts.get('phase', 'starting')}"
    reason = facts.get("reason")
    return f"{state}, {reason}" if reason else state


def _running(facts: Mapping[str, Any]) -> str:
    return "stopping" if facts.get("stop_asked") else str(facts["state"])


def _same(facts: Mapping[str, Any]) -> list[tuple[object, object]]:
    """Return what is the same in every run of the same job."""
    ended = facts["state"] != "running"
    exports = (facts.get("exports") or []) if ended else []
    made = ", ".join(each["export"] for each in exports if each.get("state") == "done")
    rows: list[tuple[object, object]] = [
        ("Base", facts.get("base")),
        ("Method", facts.get("method")),
        ("Backend", facts.get("backend")),
        ("Rows to train on", count(facts.get("rows"))),
        ("Rows to evaluate on", count(facts.get("eval_rows"))),
    ]
    if ended:
        rows.append(("Steps", count(facts.get("steps") or None)))
    if exports:
        rows.append(("Exports", made or None))
    rows += [
        (f"Not exported: {each['export']}", each.get("reason") or each.get("state"))
        for each in exports
        if each.get("state") != "done"
    ]
    return rows


def _measured(facts: Mapping[str, Any]) -> list[tuple[object, object]]:
    rows: list[tuple[object, object]] = []
    if facts.get("steps"):
        share = percent(facts["step"] / facts["steps"])
        rows.append(("Done", f"{count(facts['step'])} of {count(facts['steps'])} ({share})"))
    train, held_out = facts.get("train_curve") or (), facts.get("eval_curve") or ()
    if train:
        rows.append(("Training loss", loss_span(train)))
    if held_out:
        rows.append(("Evaluation loss", loss_span(held_out)))
    if answers := facts.get("answers"):
        rows.append(("Exactly right", f"{answers['exact']} of {answers['answered']}"))
    if speed := facts.get("tokens_per_s"):
        rows.append(("Speed", f"{speed:,.0f} tokens/s"))
    if facts.get("state") == "running" and facts.get("eta_s") is not None:
        rows.append(("Left", seconds(facts["eta_s"])))
    if facts.get("elapsed_s"):
        rows.append(("Took" if facts.get("state") != "running" else "So far",
                     seconds(facts["elapsed_s"])))  # fmt: skip
    if facts.get("memory"):
        rows.append(("Memory", _memory(facts["memory"], facts.get("estimate"))))
    if version := facts.get("version"):
        rows.append(("Registered as", version))
    return rows


def _memory(used: int, estimate: Sequence[int] | None) -> str:
    text = f"{used / 2**30:.2f} GiB"
    if estimate:
        text += f" (estimated {estimate[0] / 2**30:.2f} to {estimate[1] / 2**30:.2f})"
    return text


def loss_text(value: object) -> str:
    """Return a loss; small ones in powers of ten, what is no number as a dash."""
    if not isinstance(value, int | float) or not isfinite(value):
        return UNKNOWN
    return f"{value:.3f}" if abs(value) >= 0.01 or not value else f"{value:.1e}"


def loss_span(curve: Sequence[Sequence[float]]) -> str:
    """Return the first and the last loss of a curve; "" of none."""
    if len(curve) < 2:
        return loss_text(curve[0][1]) if curve else ""
    return f"{loss_text(curve[0][1])} → {loss_text(curve[-1][1])}"


def prompt_text(prompt: object) -> str:
    """Return a prompt, or the last message of a conversation, as one line."""
    if isinstance(prompt, list) and prompt:
        prompt = prompt[-1].get("content", "")
    return one_line(prompt, 120)


def _tokens_html(title: str, tokens: Sequence[Sequence[Any]], length: int) -> str:
    body = "".join(
        f"<mark>{markup(text)}</mark>" if learnt else markup(text)
        for text, learnt in _joined(tokens)
    )
    more = f"… ({length - len(tokens)} more tokens)" if length > len(tokens) else ""
    return f"<p>{markup(title)}</p>\n<pre>{body}{markup(more)}</pre>"


def _tokens_text(tokens: Sequence[Sequence[Any]], length: int) -> str:
    body = "".join(
        f"{_OPEN}{printable(text)}{_CLOSE}" if learnt else printable(text)
        for text, learnt in _joined(tokens)
    )
    return body + (f"… ({length - len(tokens)} more tokens)" if length > len(tokens) else "")


def _joined(tokens: Sequence[Sequence[Any]]) -> list[tuple[str, bool]]:
    """Join neighbours that are both learnt or both not: a mark for each would hide the text."""
    joined: list[tuple[str, bool]] = []
    for text, learnt in tokens:
        if joined and joined[-1][1] == bool(learnt):
            joined[-1] = (joined[-1][0] + str(text), bool(learnt))
        else:
            joined.append((str(text), bool(learnt)))
    return joined
