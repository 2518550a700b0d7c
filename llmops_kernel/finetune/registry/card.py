"""The model card: what a version is, in Markdown, written from its record alone.

The parts follow Mitchell et al., "Model Cards for Model Reporting" (2019), as far as a record can
fill them. What was not measured is said to be so, never guessed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NOTHING = "not recorded"
_LIMITS = (
    "Its figures hold for rows like the ones it was evaluated on, and for nothing else.",
    "It was trained for one task; answers to anything else mean nothing.",
)


def card_of(facts: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """Return the card of a version.

    Args:
        facts: ``name``, ``version``, ``created``, ``task``, ``parent`` and ``base``.
        record: What `Registry.register` was given.
    """
    parts = [
        f"# {_text(facts['name'])} {facts['version']}",
        _what(facts, record),
        _section("Data", _data(record.get("data") or {})),
        _section("Figures", _figures(record)),
        _section("Checks before training", _checks(record)),
        _section("Files", _files(record)),
        _section("Environment", _environment(record)),
        _section("Licence", [_text(record.get("licence") or
                                   f"{_NOTHING}; the base's licence applies")]),
        _section("Limits", [f"- {_text(each)}" for each in (*(record.get("limits") or ()),
                                                           *_LIMITS)]),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _what(facts: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    base = facts.get("base") or {}
    lines = [
        ("Task", facts.get("task") or _NOTHING),
        ("Base", base.get("name") or _NOTHING),
        ("Base, SHA-256", _short(base.get("sha256"))),
        ("Parent", facts.get("parent") or "none"),
        ("Method", record.get("method") or _NOTHING),
        ("Backend", record.get("backend") or _NOTHING),
        ("Run", record.get("run_id") or _NOTHING),
        ("Registered", facts.get("created")),
    ]
    return _table(lines)


def _data(data: Mapping[str, Any]) -> list[str]:
    dropped = data.get("dropped") or {}
    personal = data.get("personal") or {}
    lines: list[tuple[str, Any]] = [
        ("Rows to train on", _count(data.get("train"))),
        ("Rows to evaluate on", _count(data.get("eval"))),
        ("Left out", ", ".join(f"{n} {why}" for why, n in dropped.items()) or "none"),
        ("Train, SHA-256", _short(data.get("train_sha256") or data.get("sha256"))),
        ("Evaluation, SHA-256", _short(data.get("eval_sha256"))),
        ("Personal data", ", ".join(f"{n} {kind}" for kind, n in personal.items())
         or "none found"),
    ]  # fmt: skip
    if personal:
        lines.append(("What was done about it", data.get("personal_policy") or _NOTHING))
    if labels := data.get("labels"):
        lines.append(("Classes", f"{len(labels)}"))
    return [_table(lines)]


def _figures(record: Mapping[str, Any]) -> list[str]:
    metrics = dict(_flat(record.get("metrics") or {}))
    rows = [(name, _figure(value)) for name, value in metrics.items()]
    device = record.get("device") or metrics.get("device") or _NOTHING
    measured = record.get("measured_at")
    told = f"Measured on: {_text(device)}" + (f", {_text(measured)}" if measured else "")
    gate = record.get("gate")
    lines = [_table(rows) if rows else "None.", told]
    if isinstance(gate, dict):
        lines.append("Gate: " + ", ".join(f"{_text(k)} {_text(v)}" for k, v in gate.items()))
    return lines


def _checks(record: Mapping[str, Any]) -> list[str]:
    checks = record.get("preflight") or ()
    rows = [(each.get("name"), each.get("outcome")) for each in checks]
    return [_table(rows) if rows else f"{_NOTHING.capitalize()}."]


def _files(record: Mapping[str, Any]) -> list[str]:
    rows = []
    for each in record.get("exports") or ():
        what = each.get("path") if each.get("state") == "done" else each.get("reason")
        rows.append((each.get("export"), f"{each.get('state')}: {what or ''}"))
        if (apart := each.get("max_logit_difference")) is not None:
            rows.append(("adapter and merged weights", f"logits differ by at most {apart:.2g}"))
    parity = record.get("parity") or {}
    ok = parity.get("ok")
    told = "Parity with an engine: "
    if ok is None:
        told += _text(parity.get("reason") or "not compared")
    elif ok:
        told += "the same tokens and the same greedy answers"
        engines = {_text(each.get("engine")) for each in parity.get("results") or ()}
        told += f" ({', '.join(sorted(engines))})" if engines else ""
    else:
        told += f"**differs**, {_text(_first_difference(parity))}"
    return [*([_table(rows)] if rows else []), told]


def _first_difference(parity: Mapping[str, Any]) -> str:
    for each in (parity, *(parity.get("results") or ())):
        if told := each.get("first_difference"):
            return f"{each.get('file', '')} {told}".strip()
    return "see parity.json"


def _environment(record: Mapping[str, Any]) -> list[str]:
    packages = record.get("packages") or {}
    rows = [*packages.items(), ("Lock, SHA-256", _short(record.get("lock")))]
    return [_table(rows)]


def _section(title: str, lines: Iterable[str]) -> str:
    return (
        "\n\n".join([f"## {title}", "\n\n".join(lines)])
        .replace("\n\n- ", "\n- ")
        .replace(f"## {title}\n- ", f"## {title}\n\n- ")
    )


def _table(rows: Iterable[tuple[Any, Any]]) -> str:
    lines = ["| | |", "|---|---|"]
    lines += [f"| {_text(name)} | {_text(value)} |" for name, value in rows]
    return "\n".join(lines)


def _flat(values: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key} ")
        elif not isinstance(value, list):
            yield f"{before}{key}", value


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _text(value)


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else _NOTHING


def _short(digest: Any) -> str:
    return f"`{str(digest)[:16]}`" if digest else _NOTHING


def _text(value: Any) -> str:
    """Return a value on one line that cannot break out of a table cell or into HTML."""
    text = " ".join(str(value).split())
    text = re.sub(r"[\x00-\x1f\x7f]", "", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
