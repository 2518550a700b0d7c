"""What routes are learned from and held against: questions, and which model was right on them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops_kernel.errors import UsageProblem, nearest

# What columns are called where nobody says.
_NAMES: dict[str, tuple[str, ...]] = {
    "text": ("text", "prompt", "question", "user_input", "query"),
    "small_ok": ("small_ok", "small_correct", "small_score"),
    "large_ok": ("large_ok", "large_correct", "large_score"),
    "intent": ("intent", "category", "label"),
    "small_usd": ("small_usd", "small_cost"),
    "large_usd": ("large_usd", "large_cost"),
}
_TRUE, _FALSE = {"true", "yes", "y", "t"}, {"false", "no", "n", "f"}
_MOST_FIELD = 10_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One question.

    Attributes:
        text: The question as a model is asked it.
        small_ok: How good the small model's answer is (0 to 1); None where that is not known.
        large_ok: How good the large model's is.
        intent: What is asked for; "" where that is not known.
        small_usd: What the small model's answer cost, in dollars.
        large_usd: What the large one's did.
    """

    text: str
    small_ok: float | None = None
    large_ok: float | None = None
    intent: str = ""
    small_usd: float | None = None
    large_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Questions, and how many rows held none.

    Attributes:
        rows: The questions.
        left_out: Rows that were not whole, by reason.
    """

    rows: tuple[Row, ...]
    left_out: Mapping[str, int]


def table_of(
    given: Any, *, columns: Mapping[str, str] | None = None, small: str = "", large: str = ""
) -> Table:
    """Read a table.

    Rows have the columns ``text`` and ``small_ok`` (and ``large_ok``, ``small_usd``,
    ``large_usd``), or ``text`` and ``intent``; or they are judged answers, one row for each with
    ``text``, ``model`` and ``score``, of which those of the two models are joined.

    Args:
        given: A CSV, TSV, JSON or JSONL file, rows, or anything with ``to_dict("records")``.
        columns: What columns are called, where they have other names (``text`` to ``prompt``).
        small: The small model's name, to find its judged answers by.
        large: The large model's name, likewise.

    Raises:
        UsageProblem: It cannot be read, a column is missing, or no row is whole.
    """
    rows = _rows(given)
    if not rows:
        raise UsageProblem("There is no row in the table", hint=_HINT)
    named = _columns(rows[0].keys(), columns or {})
    if "small_ok" not in named and {"model", "score"} <= set(rows[0]):
        found, left_out = _joined(rows, named["text"], small, large)
    else:
        if "small_ok" not in named and "intent" not in named:
            raise UsageProblem(
                "The table says neither what the small model got right nor what is asked for",
                detail=f"columns: {', '.join(map(str, rows[0]))}",
                hint=_HINT,
            )
        found, left_out = _plain(rows, named)
    if not found:
        reasons = ", ".join(f"{count} {why}" for why, count in left_out.items())
        raise UsageProblem("No row of the table is whole", detail=reasons, hint=_HINT)
    return Table(tuple(found), left_out)


def columns_of(text: str) -> dict[str, str]:
    """Read ``text=prompt,small_ok=mixtral``: our names for columns, and the table's.

    Raises:
        UsageProblem: It has another form, or one of our names is none.
    """
    named: dict[str, str] = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        ours, equals, theirs = pair.partition("=")
        if not equals or not theirs:
            raise UsageProblem("--columns takes OURS=THEIRS", hint="--columns text=prompt")
        if ours not in _NAMES:
            raise UsageProblem(
                f"{ours!r} is not a column of ours{nearest(ours, _NAMES)}",
                hint=f"Ours are: {', '.join(_NAMES)}",
            )
        named[ours] = theirs
    return named


_HINT = (
    "Rows with text and small_ok (and large_ok), with text and intent, or with text, model and "
    "score; --columns text=prompt,small_ok=... where they have other names"
)


def _columns(known: Iterable[Any], given: Mapping[str, str]) -> dict[str, str]:
    there = [str(name) for name in known]
    named: dict[str, str] = {}
    for ours, names in _NAMES.items():
        if ours in given:
            if given[ours] not in there:
                raise UsageProblem(
                    f"There is no column {given[ours]!r}{nearest(given[ours], there)}",
                    detail=f"columns: {', '.join(there)}",
                )
            named[ours] = given[ours]
        else:
            found = next((name for name in names if name in there), None)
            if found is not None:
                named[ours] = found
    if "text" not in named:
        raise UsageProblem(
            "The table has no column with the questions",
            detail=f"columns: {', '.join(there)}",
            hint=_HINT,
        )
    return named


def _plain(
    rows: list[Mapping[str, Any]], named: Mapping[str, str]
) -> tuple[list[Row], dict[str, int]]:
    found: list[Row] = []
    left_out: dict[str, int] = {}
    for raw in rows:
        text = raw.get(named["text"])
        values = {
            name: _share(raw.get(named[name])) if name in named else None
            for name in ("small_ok", "large_ok")
        }
        intent = raw.get(named["intent"]) if "intent" in named else ""
        why = ""
        if not isinstance(text, str) or not text.strip():
            why = "without a question"
        elif "small_ok" in named and values["small_ok"] is None:
            why = "without a verdict"
        elif "small_ok" not in named and (intent is None or not str(intent).strip()):
            why = "without an intent"
        if why:
            left_out[why] = left_out.get(why, 0) + 1
            continue
        dollars = {
            name: _amount(raw.get(named[name])) if name in named else None
            for name in ("small_usd", "large_usd")
        }
        found.append(Row(str(text), intent=str(intent or "").strip(), **values, **dollars))
    return found, left_out


def _joined(
    rows: list[Mapping[str, Any]], column: str, small: str, large: str
) -> tuple[list[Row], dict[str, int]]:
    """Join judged answers of the two models to one question."""
    scores: dict[str, dict[str, list[float]]] = {}
    left_out: dict[str, int] = {}
    for raw in rows:
        text, model = raw.get(column), str(raw.get("model") or "")
        score = _share(raw.get("score"))
        which = "small" if _means(model, small) else "large" if _means(model, large) else ""
        if not isinstance(text, str) or not text.strip() or score is None or not which:
            why = "of another model" if model and not which else "without question or score"
            left_out[why] = left_out.get(why, 0) + 1
            continue
        scores.setdefault(text, {}).setdefault(which, []).append(score)
    found = []
    for text, of in scores.items():
        if "small" in of:
            found.append(Row(text, _mean(of["small"]), _mean(of.get("large"))))
        else:
            left_out["without an answer of the small model"] = (
                left_out.get("without an answer of the small model", 0) + 1
            )
    return found, left_out


def _means(model: str, wanted: str) -> bool:
    """Whether a recorded name is of the model wanted.

    Providers answer without their own name, and many with the date of a model's version.
    """
    bare = wanted.rpartition("/")[2]
    dated = model.startswith(f"{bare}-") and model[len(bare) + 1 :][:1].isdigit()
    return bool(model and wanted) and (model in (wanted, bare) or dated)


def _mean(values: list[float] | None) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _share(value: Any) -> float | None:
    """Return a verdict as a number between 0 and 1; None if it is none."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _TRUE or word in _FALSE:
            return float(word in _TRUE)
        try:
            value = float(word)
        except ValueError:
            return None
    if isinstance(value, int | float) or hasattr(value, "__float__"):
        number = float(value)
        return number if 0.0 <= number <= 1.0 else None
    return None


def _amount(value: Any) -> float | None:
    try:
        number = float(str(value).removeprefix("$"))
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _rows(given: Any) -> list[Mapping[str, Any]]:
    if isinstance(given, str | Path):
        return _file(Path(given).expanduser())
    if hasattr(given, "to_dict") and hasattr(given, "columns"):
        given = given.to_dict("records")
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise UsageProblem("This is no table", detail=type(given).__name__, hint=_HINT)
    rows = list(given)
    if not all(isinstance(row, Mapping) for row in rows):
        raise UsageProblem("This is no table", detail="a row is no mapping", hint=_HINT)
    return rows


def _file(path: Path) -> list[Mapping[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(
            "The table cannot be read", detail=f"{path}: {error}", hint="Save it as UTF-8"
        ) from error
    kind = path.suffix.lower()
    try:
        if kind in (".csv", ".tsv"):
            old = csv.field_size_limit(_MOST_FIELD)
            try:
                lines = text.splitlines(keepends=True)
                return list(csv.DictReader(lines, delimiter="\t" if kind == ".tsv" else ","))
            finally:
                csv.field_size_limit(old)
        if kind == ".json":
            rows = json.loads(text)
        else:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (csv.Error, ValueError) as error:
        raise UsageProblem("The table is not well formed", detail=f"{path}: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageProblem("The table is no list of objects", detail=str(path), hint=_HINT)
    return rows
