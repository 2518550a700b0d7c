"""What a live view shows of a training: texts and shares, made where they can be tested."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from llmops_kernel.display.finetune import loss_span, prompt_text
from llmops_kernel.display.mime import jsonable
from llmops_kernel.display.money import UNKNOWN, count, dollars, percent, seconds
from llmops_kernel.display.text import one_line, printable, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_POINTS = 400  # of a curve; a screen shows no more
_SAMPLE = 600  # characters
_LINE = 300
_MARGIN = 1.15  # how far the scale of the memory goes beyond what is on it
_TONES = {"running": "running", "done": "good", "checked": "good", "written": "good",
          "stopped": "warn", "rejected": "warn", "interrupted": "warn"}  # fmt: skip
_RESUMABLE = ("stopped", "interrupted", "failed")
_UNTRAINED = ("starting", "pre-flight")
_BLOCKED = (
    "The kernel has not answered: this front end cannot reach it while a cell runs. Interrupt the "
    "cell (■) instead: that stops the training too, with a checkpoint."
)
_BUSY = (
    "The kernel has not answered yet: it may be busy with a cell, and hears this when that ends. "
    "In a terminal, llmops finetune stop {name} stops the training at once."
)


def training_state(facts: Mapping[str, Any], *, blocking: bool = False) -> dict[str, Any]:
    """Return what is shown of a run, as texts and shares.

    Args:
        facts: As for `training_view`, and ``preflight``, ``epoch``, ``cost`` (``usd``,
            ``whole_usd``, ``hour_usd``), ``stop_asked`` (whether it was told to stop).
        blocking: Whether a cell waits for the run.
    """
    running = facts["state"] == "running"
    stopping = running and bool(facts.get("stop_asked"))
    step, steps = int(facts.get("step") or 0), int(facts.get("steps") or 0)
    share = min(step / steps, 1.0) if steps else None
    left = facts.get("eta_s") if running and facts.get("phase") == "training" else None
    return {
        "run": f"{facts['name']}/{facts['run_id']}",
        "name": one_line(facts["name"]),
        "tone": "warn" if stopping else _TONES.get(facts["state"], "bad"),
        "headline": _headline(facts, stopping),
        "share": share,
        "done": ""
        if share is None
        else f"Step {count(step)} of {count(steps)} ({percent(share)})",
        "left": "" if left is None or stopping else f"about {_rounded(left)} left",
        "figures": [[name, value] for name, value in _figures(facts) if value],
        "memory": _memory(int(facts.get("memory") or 0), facts.get("estimate")),
        "sample": _sample(facts.get("sample")),
        "preflight": _preflight(facts.get("preflight")),
        "told": _told(facts, running=running),
        "stop": _stop(facts, step, blocking=blocking) if running else None,
        "stopping": stopping,
    }  # fmt: skip


def training_curves(facts: Mapping[str, Any]) -> dict[str, list[list[float]]]:
    """Return the losses over the steps: finite ones, thinned to what a screen can show."""
    return {
        "train": _thinned(facts.get("train_curve") or ()),
        "eval": _thinned(facts.get("eval_curve") or ()),
    }


def _headline(facts: Mapping[str, Any], stopping: bool) -> str:
    if stopping:
        return "stopping"
    if facts["state"] == "running":
        return one_line(facts.get("phase") or "starting")
    reason = facts.get("reason")
    return one_line(f"{facts['state']}: {reason}" if reason else facts["state"], _LINE)


def _figures(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    running = facts["state"] == "running"
    answers = facts.get("answers")
    epoch, speed = facts.get("epoch"), facts.get("tokens_per_s")
    took = facts.get("elapsed_s")
    return [
        ("Training loss", loss_span(facts.get("train_curve") or ())),
        ("Evaluation loss", loss_span(facts.get("eval_curve") or ())),
        ("Exactly right", f"{answers['exact']} of {answers['answered']}" if answers else ""),
        ("Epoch", f"{epoch:.2f}" if epoch else ""),
        ("Speed", f"{speed:,.0f} tokens/s" if speed else ""),
        ("So far" if running else "Took", seconds(took) if took else ""),
        ("Cost", _cost(facts.get("cost"), running=running)),
        ("Method", ", ".join(one_line(facts[k]) for k in ("method", "backend") if facts.get(k))),
        ("Registered as", one_line(facts.get("version") or "")),
    ]


def _cost(cost: Mapping[str, Any] | None, *, running: bool) -> str:
    if not cost:
        return ""
    if not cost.get("hour_usd"):
        return "$0 on this machine"
    told = f"{dollars(cost['usd'])}{' so far' if running else ''}"
    if running and cost.get("whole_usd"):
        told += f", about {dollars(cost['whole_usd'])} in all"
    return told


def _memory(used: int, estimate: Sequence[int] | None) -> dict[str, Any] | None:
    """Return the bar: what is used and the range that was estimated, as shares of its length."""
    if not used:
        return None
    low, high = estimate or (0, 0)
    top = max(used, high) * _MARGIN
    text = f"{used / 2**30:.2f} GiB"
    if high:
        where = "above" if used > high else "below" if used < low else "within"
        text += f", {where} the estimate of {low / 2**30:.2f} to {high / 2**30:.2f}"
    return {
        "used": used / top, "low": low / top, "high": high / top, "text": text,
        "over": bool(high) and used > high,
    }  # fmt: skip


def _sample(sample: Mapping[str, Any] | None) -> dict[str, str] | None:
    if not sample:
        return None
    return {
        "title": f"After step {sample['step']}, asked: {prompt_text(sample['prompt'])}",
        "text": shorten(printable(sample["text"]), _SAMPLE) or "(nothing)",
    }


def _preflight(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the verdict, and the checks that are not well."""
    if not found:
        return None
    checks = found.get("checks", [])
    failing = [
        {name: one_line(each.get(name) or "", _LINE)
         for name in ("name", "state", "said", "detail", "hint")}
        for each in checks if each.get("state") != "ok"
    ]  # fmt: skip
    well = f"{len(checks) - len(failing)} of {len(checks)} checks are well"
    return {"verdict": str(found.get("verdict", UNKNOWN)), "text": well, "checks": failing}


def _told(facts: Mapping[str, Any], *, running: bool) -> list[str]:
    """Return what there is to say at the end: why, what to do, how to go on."""
    if running:
        return []
    # The hint of a run that can go on says so in words; here the line to run stands beside it.
    goes_on = facts["state"] in _RESUMABLE
    hint = str(facts.get("hint") or "")
    lines = [str(facts.get("detail") or ""), "" if goes_on and "resume" in hint else hint]
    if goes_on:
        lines.append(f"To go on from the last checkpoint: %finetune resume {facts['name']}")
    return [one_line(each, _LINE) for each in lines if each]


def _stop(facts: Mapping[str, Any], step: int, *, blocking: bool) -> dict[str, str]:
    """Return what the button asks before it stops the run, and says if nobody answers."""
    if facts.get("phase") in _UNTRAINED or not step:
        does = "Nothing was trained yet, so there is no checkpoint to write."
    elif facts.get("phase") == "training":
        does = "It finishes the step and writes a checkpoint first, so it can be resumed."
    else:
        does = "The training itself is done; what is being written has three minutes to end."
    silent = _BLOCKED if blocking else _BUSY.format(name=one_line(facts["name"]))
    return {"ask": f"Stop this run? {does}", "silent": silent}


def _rounded(left: float) -> str:
    """Return a time that is a guess, without the digits that are none."""
    return f"{round(left)} s" if left < 59.5 else seconds(round(left))


def _thinned(curve: Sequence[Sequence[float]]) -> list[list[float]]:
    points = [[step, loss] for step, loss in curve if isfinite(step) and isfinite(loss)]
    if len(points) > _POINTS:
        # The mean of neighbours: picking every n-th would show noise as if it were the course.
        first, *between, last = points
        size = -(-len(between) // (_POINTS - 2))
        groups = [between[at : at + size] for at in range(0, len(between), size)]
        means = [[group[-1][0], sum(p[1] for p in group) / len(group)] for group in groups]
        points = [first, *means, last]
    thin: list[list[float]] = jsonable(points)
    return thin
