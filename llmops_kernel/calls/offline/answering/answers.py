"""Answers questions from what a prompt gives: text, tool results, earlier turns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.answering.extract import (
    Finding,
    find_answer,
    passages_of,
    plain,
    render,
)
from llmops_kernel.calls.offline.answering.rank import SentenceIndex, index_of
from llmops_kernel.calls.offline.answering.spans import shorten
from llmops_kernel.calls.offline.answering.summary import summarise
from llmops_kernel.calls.offline.language.text import sentences, stem

if TYPE_CHECKING:
    from llmops_kernel.calls.offline.draw import Draw
    from llmops_kernel.calls.offline.reading.prompt import Prompt
    from llmops_kernel.calls.offline.reading.tasks import Task


NOT_SAID = "The given text does not say. (offline, extractive)"
CAN = (
    'I answer from text that you give me: put it into the prompt, for example after "Context:". '
    "I can also summarise it, extract values, classify by labels or examples, fill a JSON "
    "schema and "
    "call tools. (offline, extractive)"
)
INTRODUCTION = f"I am an offline extractive model and know nothing by myself. {CAN}"
_SAY = re.compile(r"\b(?:say|reply|answer|respond|return|output|write|state)\b", re.IGNORECASE)
_UNKNOWN = re.compile(
    r"n['\u2019]t\b|\b(?:not|cannot|unknown|unsure|no|without|insufficient|missing|unanswerable"
    r"|lacks?)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"“`]([^\"”`\n]{1,200})[\"”`]|(?<!\w)'([^'\n]{2,200})'(?!\w)")
_DO_NOT_KNOW = re.compile(
    r"say (?:that )?(?:you|i) (?:don't|don\u2019t|do not) know", re.IGNORECASE
)


def _from_results(prompt: Prompt, task: Task, draw: Draw) -> str:
    """Answer from what tools returned; a short result is the answer."""
    text = "\n".join(p.text.strip() for p in prompt.results if p.text.strip())
    if not text:
        return "The tool returned nothing. (offline, extractive)"
    if len(text) <= 240:
        return text
    index = SentenceIndex(prompt.results)
    finding = find_answer(index, prompt.question, most=3, skip=draw.skip, enough=0.1)
    if finding.sentences:
        return render(finding, cite=task.cite)
    return " ".join(plain(sentence) for sentence in summarise(index, 3))


def answer(prompt: Prompt, task: Task, draw: Draw) -> str:
    """Answer the prompt's question in the form the task wants; say so when the text does not."""
    if prompt.results:
        return _from_results(prompt, task, draw)
    finding = find_in_prompt(prompt, most=1 if task.short else task.most, skip=draw.skip)
    if finding is None:
        return INTRODUCTION
    if not finding.sentences:
        refusal = not_said(prompt.instruction)
        if task.think:
            return f"No sentence of the given text speaks of this.\nAnswer: {refusal}"
        return refusal
    assert finding.best is not None
    short = shorten(finding.question, finding.best)
    if task.think:
        quotes = "\n".join(
            f"- {_cited(plain(s), finding, s.passage, task)}" for s in finding.sentences
        )
        final = short if len(short) < len(plain(finding.best)) else render(finding, cite=task.cite)
        return f"The text says:\n{quotes}\nAnswer: {final}"
    if task.short:
        return _cited(short, finding, finding.best.passage, task)
    return render(finding, cite=task.cite)


def _cited(text: str, finding: Finding, passage: int, task: Task) -> str:
    label = finding.index.passages[passage].label
    return f"{text} [{label}]" if task.cite and label and f"[{label}]" not in text else text


def find_in_prompt(prompt: Prompt, *, most: int = 2, skip: int = 0) -> Finding | None:
    """Look for an answer in the given text, then in what was said before; None without either."""
    assumed = _assumed(prompt.instruction)
    tried: Finding | None = None
    earlier_turns = [
        p for p in prompt.memory if p.text.strip() and p.text.strip() not in prompt.question
    ]
    for passages in (prompt.passages, tuple(earlier_turns), passages_of(prompt.subject)):
        if not passages or (
            passages is not prompt.passages
            and prompt.subject == prompt.question
            and not earlier_turns
        ):
            continue
        finding = find_answer(
            index_of(passages), prompt.question, earlier=prompt.earlier, assumed=assumed,
            most=most, skip=skip,
        )  # fmt: skip
        if finding.sentences:
            return finding
        tried = tried or finding
    return tried


def _assumed(instruction: str) -> frozenset[str]:
    """Return the names in the role a system prompt gives, such as the company's."""
    first = instruction[:400]
    return frozenset(
        stem(w.lower()) for w in re.findall(r"(?<=[\w,] )[A-ZÀ-ÖØ-Þ][\w\u2019'-]+", first)
    )


def not_said(instruction: str) -> str:
    """Return the refusal a prompt asks for when the text does not say, or ours."""
    for sentence in sentences(instruction[:20_000])[:200]:
        if not _SAY.search(sentence) or not _UNKNOWN.search(sentence):
            continue
        for match in _QUOTED.finditer(sentence, _SAY.search(sentence).start()):  # type: ignore[union-attr]
            return (match[1] or match[2]).strip()
        if _DO_NOT_KNOW.search(sentence):
            return "I don't know. (offline, extractive)"
    return NOT_SAID
