"""Writes the text of a reply: one function per task."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.answering.answers import (
    CAN,
    INTRODUCTION,
    answer,
    find_in_prompt,
    not_said,
)
from llmops_kernel.calls.offline.answering.classify import choose
from llmops_kernel.calls.offline.answering.extract import (
    passages_of,
    plain,
    relevant_items,
    render,
)
from llmops_kernel.calls.offline.answering.questions import read_question
from llmops_kernel.calls.offline.answering.rank import SentenceIndex, index_of
from llmops_kernel.calls.offline.answering.summary import summarise
from llmops_kernel.calls.offline.answering.verdict import aspect_of, compare, judge, word_for
from llmops_kernel.calls.offline.filling.pick_out import pick_out
from llmops_kernel.calls.offline.language.lexicon import word_set
from llmops_kernel.calls.offline.language.text import content_stems, sentences, stem, words
from llmops_kernel.calls.offline.reading.tasks import Task, echoed

if TYPE_CHECKING:
    from llmops_kernel.calls.offline.draw import Draw
    from llmops_kernel.calls.offline.reading.prompt import Prompt

_CANNOT = {
    "translate": (
        "I cannot translate: I am an offline extractive model that only selects from given text. "
        "(offline, extractive)"
    ),
    "rewrite": (
        "I cannot put text into other words: I only select from it. Its main sentences are: "
        "{summary} (offline, extractive)"
    ),
    "generate": (
        "I cannot write new text: I am an offline extractive model that only selects from given "
        "text. {can}"
    ),
}


def write_text(prompt: Prompt, task: Task, draw: Draw) -> str:
    """Write the reply to a prompt.

    Args:
        prompt: The prompt's parts.
        task: What is asked, and in which form.
        draw: Which variant to write.
    """
    match task.name:
        case "classify":
            return _classify(prompt, task, draw)
        case "verdict" | "score":
            return _judge(prompt, task)
        case "compare":
            return _compare(prompt, task)
        case "summarise":
            return _summarise(prompt, task, draw)
        case "list":
            return _list(prompt, task, draw)
        case "extract":
            return pick_out(prompt) or answer(prompt, task, draw)
        case "rewrite":
            return _rewrite(prompt)
        case "translate":
            return _CANNOT["translate"]
        case "generate":
            return _generate(prompt, task, draw)
        case "echo":
            return echoed(prompt.turn)
        case "greet":
            return f"Hello. {INTRODUCTION}"
        case _:
            return answer(prompt, task, draw)


def _classify(prompt: Prompt, task: Task, draw: Draw) -> str:
    text = prompt.subject if prompt.subject else prompt.question
    if prompt.passages and not prompt.subject:
        text = prompt.given if _points_at_given(prompt) else f"{prompt.question}\n{prompt.given}"
    if all(len(label.name) == 1 and label.description for label in task.labels):
        finding = find_in_prompt(prompt, most=1)
        text = render(finding) if finding is not None and finding.sentences else prompt.question
    examples = [e for e in prompt.examples if e.data is None]
    choice = draw.vary(choose(text, task.labels, examples, by_sentence=task.think))
    if not task.think:
        return f"Answer: {choice.label}" if any(e.marked for e in examples) else choice.label
    lines = []
    telling = _most_telling(text, choice.shared)
    if telling:
        lines.append(f'The message says: "{telling}"')
    if choice.shared:
        lines.append(f"Words that speak for {choice.label}: {', '.join(choice.shared)}.")
    if choice.nearest is not None:
        lines.append(f'The nearest example is "{_clipped(choice.nearest.text)}".')
    return "\n".join(
        [
            *(lines or ["Nothing in the text speaks for one label in particular."]),
            f"Answer: {choice.label}",
        ]
    )


def _points_at_given(prompt: Prompt) -> bool:
    return (
        not re.search(r"[?]\s*$", prompt.question)
        or len(prompt.question.split()) < 8
        or prompt.question == prompt.turn
    )


def _most_telling(text: str, shared: tuple[str, ...]) -> str:
    best, most = "", 0
    for sentence in sentences(text[:4_000]):
        hits = len(set(words(sentence)) & set(shared))
        if hits > most:
            best, most = sentence, hits
    return _clipped(best)


def _clipped(text: str, most: int = 160) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _judge(prompt: Prompt, task: Task) -> str:
    wording = prompt.instruction or prompt.question
    verdict = judge(prompt, aspect_of(wording, prompt))
    if task.name == "score":
        value = task.low + verdict.score * (task.high - task.low)
        fractional = task.high - task.low <= 1
        word = f"{value:.2f}".rstrip("0").rstrip(".") if fractional else str(round(value))
    else:
        word = word_for(verdict, task.names) or (task.names[0] if verdict.holds else task.names[1])
    if f"[[{word}]]" in wording:
        word = f"[[{word}]]"
    return f"{verdict.reason}\nAnswer: {word}" if task.think else word


def _compare(prompt: Prompt, task: Task) -> str:
    scores = compare(prompt, prompt.candidates)
    best = max(range(len(scores)), key=lambda i: (scores[i], -i))
    others = [score for i, score in enumerate(scores) if i != best]
    tie = re.search(r"\b(tie|equal|both|draw)\b", prompt.instruction, re.IGNORECASE)
    close = others and scores[best] - max(others) < 0.05
    word = tie[1] if tie and close else task.names[best]
    for wrapped in (f"[[{word}]]", f"[[{word[:1].upper()}]]"):
        if wrapped in prompt.instruction:
            word = wrapped
            break
    if not task.think:
        return word
    why = (
        "They agree equally well with what was given."
        if close
        else f"{task.names[best]} agrees better with the question and the given text."
    )
    return f"{why}\nAnswer: {word}"


def _source(prompt: Prompt) -> SentenceIndex:
    passages = prompt.passages or passages_of(prompt.subject) or prompt.memory
    return index_of(passages)


def _summarise(prompt: Prompt, task: Task, draw: Draw) -> str:
    index = _source(prompt)
    if not index.sentences:
        return INTRODUCTION
    focus = [one for one in content_stems(prompt.question[:300]) if one not in _SUMMARY_WORDS]
    found = summarise(index, task.most, focus, skip=draw.skip)
    if task.bullets:
        return "\n".join(f"- {plain(sentence)}" for sentence in found)
    return " ".join(plain(sentence) for sentence in found)


_SUMMARY_WORDS = frozenset(
    stem(w)
    for w in word_set(
        "summarise summarize summary short brief sentence sentences points key main text "
        "bullet three two"
    )
)


def _list(prompt: Prompt, task: Task, draw: Draw) -> str:
    index = _source(prompt)
    if not index.sentences:
        return INTRODUCTION
    found = relevant_items(index, read_question(prompt.question, "", _LISTED), task.most)
    found = found[draw.skip :] or found
    if not found:
        return not_said(prompt.instruction)
    return "\n".join(f"- {plain(sentence)}" for sentence in found)


_LISTED = frozenset(stem(w) for w in word_set("list enumerate name bullet points items all"))


def _rewrite(prompt: Prompt) -> str:
    told = f"{prompt.instruction} {prompt.turn[:400]}".lower()
    if "question" in told and prompt.question and "?" in prompt.question:
        asked = [s for s in sentences(prompt.question) if s.rstrip().endswith("?")]
        return asked[-1] if asked else prompt.question  # a question stands by itself already
    index = _source(prompt)
    if not index.sentences:
        return INTRODUCTION
    summary = " ".join(f'"{plain(s)}"' for s in summarise(index, 2))
    return _CANNOT["rewrite"].format(summary=summary)


_CREATIVE = re.compile(
    (
        r"\b(?:poem|story|joke|song|haiku|essay|code|function|script|program|sql|slogan|limerick"
        r"|tweet|lyrics|regex)\b"
    ),
    re.IGNORECASE,
)


def _generate(prompt: Prompt, task: Task, draw: Draw) -> str:
    if _CREATIVE.search(prompt.turn[:400]):
        return _CANNOT["generate"].format(can=CAN)
    finding = find_in_prompt(prompt, most=task.most, skip=draw.skip)
    if finding is not None and finding.sentences:
        return render(finding, cite=task.cite)
    return _CANNOT["generate"].format(can=CAN)
