"""Reads the messages of a request into the parts of a prompt."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.language.lexicon import word_set
from llmops_kernel.calls.offline.language.text import sentences
from llmops_kernel.calls.offline.reading.asked import is_instruction, is_request
from llmops_kernel.calls.offline.reading.blocks import Section, role_of, split_sections
from llmops_kernel.calls.offline.reading.examples import (
    Example,
    are_labels,
    asks_to_classify,
    find_labels,
    lists_choices,
    make_example,
    split_examples,
)
from llmops_kernel.calls.offline.reading.flatten import flatten
from llmops_kernel.calls.offline.reading.prompt import Passage, Prompt, message_content

if TYPE_CHECKING:
    from llmops_kernel.calls.messages import Message


# What is read of one request; a longer prompt keeps its beginning and its end.
_LONGEST = 240_000
_TAIL_VERBS = word_set("split break check verify assess count flag suggest decompose give")
_ABOUT_JUDGED = re.compile(
    r"(?:is|are|does|do|which|was|how|has|did)\b[^?]{0,60}\b(?:answers?|responses?|claims?"
    r"|statements?|candidates?"
    r"|summar(?:y|ies)|contexts?|passages?|outputs?|better|faithful|grounded|supported)\b",
    re.IGNORECASE,
)
_ANNOUNCES = re.compile(
    r"\b(?:following|below|this|these|provided|given|next)\b|:\s*$", re.IGNORECASE
)
_FIRST_PERSON = re.compile(r"\b(?:i|my|me|mine)\b", re.IGNORECASE)
_CORRECTION = re.compile(
    r"\b(?:last|previous|earlier|your) (?:reply|response|answer|output)\b[^.\n]{0,80}"
    r"\b(?:not match|not valid|invalid|not parse|failed|errors?|malformed|wrong)\b"
    r"|\b(?:fix|correct) (?:the|your|this|these) (?:json|errors?|output|reply|response)\b",
    re.IGNORECASE,
)
_LABEL_LIST = re.compile(r"([A-Za-z][A-Za-z ]{2,30}):[ \t]")
_INLINE_INPUT = re.compile(
    r"^(?P<head>[^\n:]{6,300}):[ \t]*(?P<rest>[\"“'\u2018]?\S.*)$", re.DOTALL
)


def read_prompt(messages: Sequence[Message]) -> Prompt:
    """Read messages into parts.

    Tool results after the last user message are given text; text after it from the assistant (a
    prefilled answer) is not read.
    """
    task = _without_correction(messages)
    turns = _shortened([(str(m.get("role", "")), message_content(m), m) for m in task])
    last = max((i for i, turn in enumerate(turns) if turn[0] == "user"), default=-1)
    system = "\n\n".join(t[1] for t in turns if t[0] in {"system", "developer"} and t[1].strip())
    user = turns[last][1] if last >= 0 else ""
    reader = PromptReader()
    reader.read(system, from_system=True)
    reader.read_history([(role, text) for role, text, _ in turns[: max(last, 0)]])
    called = _called(messages)
    for role, text, message in turns[last + 1 :]:
        if role in {"tool", "function"}:
            name = message.get("name") or called.get(str(message.get("tool_call_id")))
            reader.results.append(Passage(flatten(text), str(name or "")))
    reader.read(user, from_system=False)
    return reader.prompt(user)


def _without_correction(messages: Sequence[Message]) -> Sequence[Message]:
    """Leave out a rejected reply and the complaint about it: the task is the one before them."""
    while len(messages) >= 3 and messages[-1].get("role") == "user":
        complaint = message_content(messages[-1])[:400]
        if messages[-2].get("role") != "assistant" or not _CORRECTION.search(complaint):
            break
        messages = messages[:-2]
    return messages


def _called(messages: Sequence[Message]) -> dict[str, str]:
    """Return the names of called functions by the ids of their calls."""
    found = {}
    for message in messages:
        calls = message.get("tool_calls") if message.get("role") == "assistant" else None
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, Mapping) else None
            if isinstance(function, Mapping):
                found[str(call.get("id"))] = str(function.get("name") or "")
    return found


def _shortened(turns: list[tuple[str, str, Message]]) -> list[tuple[str, str, Message]]:
    if sum(len(text) for _, text, _ in turns) <= _LONGEST:
        return turns
    each = max(2_000, _LONGEST // max(1, len(turns)))
    half = each // 2
    turns = turns[:20] + turns[-100:] if len(turns) > 120 else turns
    return [
        (role, text if len(text) <= each else f"{text[:half]}\n\n{text[-half:]}", message)
        for role, text, message in turns
    ]


class PromptReader:
    """Collects the parts of a prompt, section by section."""

    def __init__(self) -> None:
        self.instructions: list[str] = []
        self.questions: list[str] = []
        self.marked_questions: list[str] = []
        self.passages: list[Passage] = []
        self.memory: list[Passage] = []
        self.results: list[Passage] = []
        self.subjects: list[str] = []
        self.statements: list[str] = []
        self.candidates: list[Passage] = []
        self.references: list[str] = []
        self.labels: list[str] = []
        self.examples: list[Example] = []
        self.label_head = ""
        self.earlier = ""

    def read(self, text: str, *, from_system: bool) -> None:
        """Read a system prompt or the last user message."""
        examples, rest, waiting, head = split_examples(text)
        if examples:
            outputs = [example.output for example in examples]
            told = "\n".join([*self.instructions, rest])
            if any(e.data is not None for e in examples) or are_labels(outputs, told, head):
                self.examples.extend(examples)
                self.label_head = head
                text = rest
                if waiting:
                    self.subjects.append(waiting)
            elif head in {"a", "answer"}:  # questions and answers are knowledge
                self.passages.extend(Passage(f"{e.text}\n{e.output}") for e in examples)
                text = rest
                if waiting:
                    self.marked_questions.append(waiting)
        sections = split_sections(text)
        if not from_system:
            sections = _release_tail(sections)
        for section in sections:
            self._take(section, from_system=from_system)

    def read_history(self, turns: Sequence[tuple[str, str]]) -> None:
        """Earlier turns are examples when the answers are labels or JSON, else memory."""
        pairs = [
            (asked[1], answered[1])
            for asked, answered in itertools.pairwise(turns)
            if asked[0] == "user" and answered[0] == "assistant" and answered[1].strip()
        ]
        examples = [make_example(text, output) for text, output in pairs]
        told = "\n".join(self.instructions)
        is_json = bool(examples) and all(isinstance(e.data, dict) for e in examples)
        if is_json or are_labels([e.output for e in examples], told):
            self.examples.extend(examples)
            return
        for role, text in turns:
            if role in {"user", "assistant", "tool", "function"} and text.strip():
                self.memory.append(Passage(flatten(text)))
            if role == "user":
                self.earlier = text

    def _take(self, section: Section, *, from_system: bool) -> None:
        text = section.text.strip()
        match section.role:
            case "plain":
                self._take_plain(text, from_system=from_system)
            case "context":
                self.passages.append(Passage(text, section.label))
            case "question":
                self._take_question(text)
            case "subject":
                self.subjects.append(text)
            case "candidate":
                self.candidates.append(Passage(text, section.label))
            case "reference":
                self.references.append(text)
            case "labels":
                self.labels.append(f"{section.head}: {text}" if "\n" not in text else text)
                if section.head in {"options", "choices", "definitions"}:
                    self.instructions.append(text)
            case _:
                self.instructions.append(text)

    def _take_question(self, text: str) -> None:
        """A marked question, less instructions such as "think step by step" beside it."""
        parts = sentences(text)
        told = [p for p in parts if is_instruction(p, from_system=False) and not is_request(p)]
        if told and len(told) < len(parts):
            self.instructions.extend(told)
            text = " ".join(part for part in parts if part not in told)
        self.marked_questions.append(text)

    def _take_plain(self, text: str, *, from_system: bool) -> None:
        told = False
        for paragraph in re.split(r"\n[ \t]*\n", text):
            if not paragraph.strip():
                continue
            inline = None if from_system else _split_inline(paragraph.strip())
            if inline:
                self._take_asked(inline[0])
                self.subjects.append(inline[1])
                continue
            if not from_system and lists_choices(paragraph):
                self.labels.append(paragraph)
                continue
            parts = sentences(paragraph)
            asked = [p for p in parts if is_instruction(p, from_system=from_system)
                     or (not from_system and is_request(p))]  # fmt: skip
            if asked and not from_system:
                told = told or bool(_ANNOUNCES.search(paragraph))
            if not asked and told and not from_system:
                self.passages.append(Passage(paragraph.strip()))
                continue
            described = "\n" in paragraph and any(p.rstrip().endswith(":") for p in asked)
            if described:
                self.labels.append(paragraph)
            facts: list[str] = []
            for part in parts:
                head = _LABEL_LIST.match(part)
                if head is not None and role_of(head[1]) == "labels":
                    self.labels.append(part)
                elif part in asked or (from_system and part.endswith("?")):
                    self._take_asked(part, from_system=from_system)
                else:
                    facts.append(part)
            # What labels mean is no text to answer from.
            meanings = from_system and described and asks_to_classify(paragraph)
            if facts and not meanings:
                self._take_facts("\n".join(facts), from_system=from_system)

    def _take_facts(self, facts: str, *, from_system: bool) -> None:
        if from_system:
            self.passages.append(Passage(facts))
        else:
            self.statements.append(facts)

    def _take_asked(self, part: str, *, from_system: bool = False) -> None:
        if from_system or (is_instruction(part, from_system=False) and not is_request(part)):
            self.instructions.append(part)
        else:
            self.questions.append(part)

    def prompt(self, user: str) -> Prompt:
        """Settle what is a fact, what is the person's situation, and what is asked."""
        statements = "\n".join(self.statements)
        questions = self.marked_questions or self.questions[-3:]
        instruction = "\n".join(self.instructions)
        if self.marked_questions or self.candidates:
            instruction = "\n".join([instruction, *self.questions]).strip()
        has_given = bool(self.passages)
        if statements and not has_given and questions and not _is_situation(statements, questions):
            self.passages.append(Passage(statements))
        elif statements:
            self.memory.append(Passage(statements))
            if not self.marked_questions:
                questions = [*self.statements, *questions]
        question = " ".join(questions).strip() or " ".join(self.subjects).strip()
        return Prompt(
            instruction=instruction,
            question=question or user.strip(),
            passages=tuple(self.passages),
            results=tuple(self.results),
            memory=tuple(self.memory),
            subject="\n".join(self.subjects).strip() or statements,
            candidates=tuple(self.candidates),
            reference="\n".join(self.references),
            label_text="\n".join(self.labels),
            examples=tuple(self.examples),
            label_head=self.label_head,
            turn=user,
            earlier=self.earlier,
        )


def _is_situation(statements: str, questions: Sequence[str]) -> bool:
    """Whether statements tell what happened to the person, rather than facts to answer from."""
    personal = len(_FIRST_PERSON.findall(statements)) * 12 > len(statements.split())
    return personal and not any(_FIRST_PERSON.search(question) for question in questions)


def _split_inline(paragraph: str) -> tuple[str, str] | None:
    """Split ``Classify this message: I lost my card``."""
    match = _INLINE_INPUT.match(paragraph)
    if match is None or not is_instruction(match["head"], from_system=True):
        return None
    rest = match["rest"].strip()
    listed = f"{match['head']}: {rest.splitlines()[0]}"
    if asks_to_classify(match["head"]) and len(find_labels(listed)) > 1:
        return None  # a list of labels, not the text
    return match["head"], rest.strip('"“”')


def _release_tail(sections: list[Section]) -> list[Section]:
    """Instructions that follow the last marked part on lines of their own are not part of it."""
    if not sections or sections[-1].role in {"plain", "instruction", "labels", "examples"}:
        return sections
    last = sections[-1]
    lines = last.text.rstrip().split("\n")
    tail: list[str] = []
    while len(lines) > 1 and len(tail) < 8:
        line = lines[-1].strip()
        told = is_instruction(line, from_system=False) or _ABOUT_JUDGED.match(line)
        if line and not (told or line.split(" ")[0].lower() in _TAIL_VERBS):
            break
        tail.insert(0, lines.pop())
    if not any(line.strip() for line in tail):
        return sections
    kept = Section(last.role, "\n".join(lines), last.label, last.head)
    return [*sections[:-1], kept, Section("instruction", "\n".join(tail).strip())]
