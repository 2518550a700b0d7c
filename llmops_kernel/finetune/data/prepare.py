"""From a source to the files a run trains and evaluates on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune.data.alike import Alike
from llmops_kernel.finetune.data.forms import form_of, row_of
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
    for line, fields in sources:
        try:
            if known == "auto":
                known = form_of(fields)
            made = row_of(
                fields, line, known, task=spec.task, columns=data.columns, group=data.group
            )
            rows.append(made)
        except WrongRow as wrong:
            problems.append(Problem(line, wrong.reason, "", wrong.detail))
    return rows, form if form == "traces" else known


def _scanned(
    rows: list[Row], data: DataSpec, problems: list[Problem], personal: Counter[str]
) -> list[Row]:
    """Leave out rows with secrets; find personal data and do what was asked about it."""
    secrets, kept = Secrets(), []
    for row in rows:
        text = row.text
        if secrets.redact(text) != text:
            problems.append(Problem(row.line, "the row holds a secret"))
            continue
        _, found = mask_personal(text)
        personal.update(found)
        if found and data.personal == "drop":
            problems.append(Problem(row.line, "the row holds personal data"))
        elif found and data.personal == "mask":
            kept.append(row.with_texts(lambda each: mask_personal(each)[0]))
        else:
            kept.append(row)
    return kept


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
    told = "; ".join(f"{number} x {reason}" for reason, number in counts)
    return UsageProblem(
        "No row is left to train on",
        detail=told,
        hint="Look at data.path and data.format (messages, prompt-completion, csv, ...)",
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
