"""From a source to the files a run trains and evaluates on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.finetune.data.alike import Alike
from llmops_kernel.finetune.data.copies import near_copies
from llmops_kernel.finetune.data.forms import UNKNOWN_FORM, form_of, row_of
from llmops_kernel.finetune.data.manifest import Manifest
from llmops_kernel.finetune.data.personal import mask_personal
from llmops_kernel.finetune.data.reading import RECORD, digest_of, rows_in
from llmops_kernel.finetune.data.record import trace_rows
from llmops_kernel.finetune.data.split import split, without_leaks
from llmops_kernel.guard import Secrets
from llmops_kernel.judge.data.dedupe import normalized
from llmops_kernel.judge.data.problems import Problem, WrongRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from llmops_kernel.finetune.data.rows import Row
    from llmops_kernel.finetune.spec.model import DataSpec, FineTuneSpec
    from llmops_kernel.store import Store

_REPEATS = 0.9  # similarity of question and answer from which a row teaches nothing new
_EXAMPLES = 5


def prepare(spec: FineTuneSpec, folder: Path, *, store: Store | None = None) -> Manifest:
    """Read, clean and split the rows, and write ``train.jsonl`` and ``eval.jsonl``.

    Args:
        spec: The job.
        folder: Where the files and ``manifest.json`` are written.
        store: The record, for ``format: traces``.

    Raises:
        UsageProblem: The source cannot be read, or no row is left.
    """
    data = spec.data
    problems: list[Problem] = []
    rows, form = _read(data.path, spec, problems, store)
    if not rows:
        raise _nothing(problems)
    personal: Counter[str] = Counter()
    rows = _scanned(rows, data, problems, personal)
    rows = _without_repeats(rows, data, problems)
    if data.eval_path:
        held_out = _given(spec, problems, personal)
        train, leaks = without_leaks(rows, held_out)
        problems += [Problem(0, "the question is in the evaluation rows")] * leaks
    else:
        train, held_out = split(rows, data.eval_fraction, data.split_seed)
    if not train:
        raise _nothing(problems)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(
        source=data.path,
        source_sha256="" if data.path == RECORD else digest_of(data.path),
        format=form,
        read=len(train) + len(held_out) + len(problems),
        train=len(train),
        eval=len(held_out),
        dropped=dict(Counter(problem.reason for problem in problems).most_common()),
        examples=_lines_of(problems),
        personal=dict(personal),
        personal_policy=data.personal,
        near_copies=len(near_copies(train, held_out)),
        conflicts=_conflicts([*train, *held_out]),
        labels=dict(Counter(row.label for row in train if row.label).most_common()),
        train_sha256=_write(folder / "train.jsonl", train),
        eval_sha256=_write(folder / "eval.jsonl", held_out) if held_out else "",
        split_seed=data.split_seed,
    )
    text = json.dumps(manifest.plain(), ensure_ascii=False, indent=2)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")
    return manifest


def _read(
    path: str, spec: FineTuneSpec, problems: list[Problem], store: Store | None
) -> tuple[list[Row], str]:
    data = spec.data
    form: str = data.format
    if path == RECORD and form == "auto":
        form = "traces"
    if form == "traces":
        sources = trace_rows(path, problems, store=store, limit=data.limit)
    else:
        sources = rows_in(path, problems, limit=data.limit)
    rows: list[Row] = []
    known = "messages" if form == "traces" else form
    seen: dict[str, None] = {}
    for line, fields in sources:
        seen.update(dict.fromkeys(fields))
        try:
            if known == "auto":
                known = form_of(fields, data.columns)
            made = row_of(
                fields, line, known, task=spec.task, columns=data.columns, group=data.group
            )
            rows.append(made)
        except WrongRow as wrong:
            problems.append(Problem(line, wrong.reason, "", wrong.detail))
    _check_names(data, seen, problems, rows)
    return rows, form if form == "traces" else known


def _check_names(
    data: DataSpec, seen: Iterable[str], problems: list[Problem], rows: list[Row]
) -> None:
    """Refuse names of fields that no row has; where no row is left anyway, say so as a reason."""
    known = list(seen)
    asked = {f"data.columns.{what}": name for what, name in data.columns.items()}
    if data.group:
        asked["data.group"] = data.group
    for what, name in asked.items():
        if not known or name in known:
            continue
        told = f"{what} names {name!r}{nearest(name, known)}; the rows have {', '.join(known)}"
        if rows:
            raise UsageProblem(
                "A field that the specification names is in no row",
                detail=told,
                hint="Name the fields as the rows have them, letter by letter",
            )
        problems.insert(0, Problem(0, "a field that is named is in no row", "", told))


def _scanned(
    rows: list[Row], data: DataSpec, problems: list[Problem], personal: Counter[str]
) -> list[Row]:
    """Leave out rows with secrets; find personal data and do what was asked about it."""
    secrets, kept = Secrets(), []
    for row in rows:
        text = row.text
        if any(secrets.redact(each) != each for each in (text, *row.texts())):
            problems.append(Problem(row.line, "the row holds a secret"))
            continue
        found = _personal(row)
        personal.update(found)
        if found and data.personal == "drop":
            problems.append(Problem(row.line, "the row holds personal data"))
        elif found and data.personal == "mask":
            masked = row.with_texts(lambda each: mask_personal(each)[0])
            # What stands partly in one text and partly in another is only found in the whole.
            if _personal(masked):
                problems.append(Problem(row.line, "personal data of the row cannot be masked"))
            else:
                kept.append(masked)
        else:
            kept.append(row)
    return kept


def _personal(row: Row) -> Counter[str]:
    """Return what is found in a row, by kind: in each of its texts, and in their whole."""
    found: Counter[str] = Counter()
    texts = (row.prompt, row.completion) if not row.messages else row.texts()
    for each in texts:
        found.update(mask_personal(each)[1])
    return found | mask_personal(row.text)[1]


def _without_repeats(rows: list[Row], data: DataSpec, problems: list[Problem]) -> list[Row]:
    if data.dedupe is False:
        return rows
    seen: set[str] = set()
    single = []
    for row in rows:
        said = " ".join(row.text.split())
        if said in seen:
            problems.append(Problem(row.line, "the row repeats an earlier one"))
        else:
            seen.add(said)
            single.append(row)
    if data.dedupe == "exact":
        return single
    # With another label or answer a nearly equal question is the most valuable row there is.
    alike, kept = Alike([row.text for row in single], _REPEATS), []
    for place, row in enumerate(single):
        if any(single[other].answer == row.answer for other in alike.near(place)):
            problems.append(Problem(row.line, "the row nearly repeats an earlier one"))
        else:
            alike.add(place)
            kept.append(row)
    return kept


def _given(spec: FineTuneSpec, problems: list[Problem], personal: Counter[str]) -> list[Row]:
    """Return the evaluation rows a person gave, cleaned as the others are."""
    wrong: list[Problem] = []
    rows, _ = _read(str(spec.data.eval_path), spec, wrong, None)
    rows = _scanned(rows, spec.data, wrong, personal)
    if not rows:
        raise UsageProblem(
            "There is no row to evaluate on",
            detail=str(wrong[0]) if wrong else "",
            hint="Look at data.eval_path",
        )
    problems += [Problem(each.line, f"evaluation rows: {each.reason}") for each in wrong]
    return rows


def _nothing(problems: Sequence[Problem]) -> UsageProblem:
    counts = Counter(problem.reason for problem in problems).most_common(3)
    told = [f"{number} x {reason}" for reason, number in counts]
    # The first of each reason tells what was found in place of what was looked for.
    details = [each.detail for each in problems if each.detail and not each.line][:1]
    unknown = next((p for p in problems if p.reason == UNKNOWN_FORM), None)
    hint = "Look at data.path and data.format (messages, prompt-completion, csv, ...)"
    if unknown is not None:
        details.append(f"the fields are {unknown.detail}")
        hint = (
            "Name the fields of question and answer with data.columns: {text: ..., label: ...}, "
            "or the form with data.format"
        )
    return UsageProblem(
        "No row is left to train on",
        detail="; ".join([*details, *told]) or "the source holds no row",
        hint=hint,
    )


def _conflicts(rows: Iterable[Row]) -> int:
    answers: dict[str, set[str]] = {}
    for row in rows:
        if len(row.messages) <= 3:
            answers.setdefault(normalized(row.question), set()).add(normalized(row.answer))
    return sum(len(each) > 1 for each in answers.values())


def _lines_of(problems: Iterable[Problem]) -> dict[str, list[int]]:
    lines: dict[str, list[int]] = {}
    for problem in problems:
        some = lines.setdefault(problem.reason, [])
        if problem.line and len(some) < _EXAMPLES:
            some.append(problem.line)
    return lines


def _write(path: Path, rows: Iterable[Row]) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as out:
        for row in rows:
            # Escaped, because half a surrogate pair is no UTF-8.
            line = json.dumps(row.plain(), ensure_ascii=True).encode() + b"\n"
            digest.update(line)
            out.write(line)
    return digest.hexdigest()
