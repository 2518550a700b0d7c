"""Few-shot examples and allowed labels, as people write them in prompts."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.offline.language.lexicon import (
    NEGATIVE_VERDICTS,
    POSITIVE_VERDICTS,
    UNSURE_VERDICTS,
    word_set,
)
from llmops_kernel.calls.offline.language.text import name_words, stem, words

if TYPE_CHECKING:
    from collections.abc import Sequence

_OUTPUT_HEADS = word_set("""
    label labels output category intent sentiment class answer a topic tag tags route result
    classification response emotion priority department queue team target action type decision
    verdict score rating json language tone severity status product reply urgency assistant
    """)
_LABEL_HEADS = _OUTPUT_HEADS - {"answer", "a", "output", "response", "result", "reply", "assistant"}
_KEYED = re.compile(
    r"[ \t]*(?:\d{1,3}[.)][ \t]*)?[*\"]{0,2}([A-Za-z][A-Za-z ]{0,24}?)"
    r"(?:[ \t]*#?\d{1,3})?[*\"]{0,2}"
    r"[ \t]*:[*\"]{0,2}[ \t]*(.*)$"
)
_ARROW = re.compile(r"[ \t]*(?:[-*•][ \t]+|\d{1,3}[.)][ \t]+)?(.*?)[ \t]*(?:->|=>|→|⇒)[ \t]*(.*)$")
_CLASSIFY = re.compile(
    r"classif|categori[sz]|\blabel|\bintents?\b|sentiment|\bcategory\b|\bclass\b|\btag the\b"
    r"|\broute\b"
    r"|\btriage\b|one of|choose (?:one|from|between)|pick (?:one|from)|select (?:one|from)",
    re.IGNORECASE,
)
_LIST_HEAD = re.compile(
    r"\b(?:one of(?: the(?: following)?| these)?(?: \w+){0,3}?|labels?|categor(?:y|ies)"
    r"|class(?:es)?"
    r"|intents?|options?|choices?|values|sentiments?|topics?|queues?|departments?|teams?|routes?"
    r"|either|between|into|as|from the list|among|whether(?: \w+){1,5}? (?:is|are)"
    r"|department|team|queue)"
    r"(?: are| is| as)?(?=[ \t:(\[])",
    re.IGNORECASE,
)
_LIST = re.compile(r"[ \t]*(?P<mark>:\s{0,3}\[?|\(|\[)?[ \t]*(?P<list>[^.\n?;:]{3,400})")
_BULLET = re.compile(r"[ \t]*(?:[-*•]|\d{1,3}[.)])[ \t]+(.*)$")
_CHOICE = re.compile(r"[ \t]*\(?([A-H])[).:][ \t]+(.+)$")
_DESCRIBED = re.compile(
    r"[*`\"']{0,2}(?P<name>[\w/&-]+(?: [\w/&-]+){0,4}?)[*`\"']{0,2}"
    r"[ \t]*(?::|=|[ \t][-\u2013—][ \t]|[ \t]means[ \t]|\((?=[^)]*\)\s*$))[ \t]*(?P<text>.+)$"
)
_VERDICTS = POSITIVE_VERDICTS | NEGATIVE_VERDICTS | UNSURE_VERDICTS
_ANSWER_LINE = re.compile(r"[ \t*#]*(?:final )?answer[ \t*]*:[ \t*]*(\S.*?)[ \t*]*$", re.IGNORECASE)
_IDENTIFIER = re.compile(r"[A-Za-z][\w-]*$")


@dataclass(frozen=True, slots=True)
class Example:
    """One demonstration.

    Attributes:
        text: The input.
        output: The output; only what follows ``Answer:`` when it has such a line.
        data: The output's JSON, when it is an object or a list.
        marked: Whether the output has a line ``Answer:``.
    """

    text: str
    output: str
    data: Any = None
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """An allowed answer, as it has to be written, and what the prompt says it stands for."""

    name: str
    description: str = ""


def make_example(text: str, output: str) -> Example:
    """Build an example, reading JSON outputs and answers that follow their reasoning."""
    output = output.strip()
    last = _ANSWER_LINE.match(output[output.rfind("\n") + 1 :])
    if last is not None:
        output = last[1]
    data = None
    if output[:1] in "{[":
        try:
            data = json.loads(output)
        except (ValueError, RecursionError):
            data = None
    return Example(text.strip(), output, data, last is not None)


def lists_choices(paragraph: str) -> bool:
    """Whether a paragraph lists lettered answers, ``A) ...``."""
    return sum(_CHOICE.match(line) is not None for line in paragraph.split("\n")[:40]) >= 2


def asks_to_classify(instruction: str) -> bool:
    """Whether an instruction asks for one of several labels."""
    return bool(_CLASSIFY.search(instruction))


def are_labels(outputs: Sequence[str], instruction: str = "", head: str = "") -> bool:
    """Whether the outputs of examples are labels, rather than answers of their own."""
    if not outputs or not all(_is_short(output) for output in outputs):
        return False
    if head in _LABEL_HEADS or asks_to_classify(instruction):
        return True
    if len(outputs) >= 3 and len(set(outputs)) < len(outputs):
        return True
    if all(out.lower().strip(".") in _VERDICTS for out in outputs):
        return True
    return all(_IDENTIFIER.match(out) and (out.islower() or "_" in out) for out in outputs)


def _is_short(output: str) -> bool:
    return len(output) <= 60 and "\n" not in output and len(output.split()) <= 6


def split_examples(text: str) -> tuple[list[Example], str, str | None, str]:
    """Cut demonstrations out of a text.

    Returns:
        The examples, the text without them, the open input that waits for its output (None when
        there is none), and the head that outputs stand under ("label").
    """
    if ":" in text:
        found = _keyed_examples(text)
        if found is not None:
            return found
    if any(arrow in text for arrow in ("->", "=>", "→", "⇒")):
        found = _arrow_examples(text)
        if found is not None:
            return found
    return [], text, None, ""


def _keyed_examples(text: str) -> tuple[list[Example], str, str | None, str] | None:
    lines = text.split("\n")
    keyed = [(i, m[1].lower().strip(), m[2]) for i, line in enumerate(lines)
             if len(line) < 2_000 and (m := _KEYED.match(line))]  # fmt: skip
    pairs = Counter(
        (first[1], second[1])
        for first, second in itertools.pairwise(keyed)
        if first[1] != second[1] and second[1].split(" ")[-1] in _OUTPUT_HEADS
    )
    if not pairs:
        return None
    (first, second), count = pairs.most_common(1)[0]
    if count < 2:
        return None
    leading = Counter(a[1] for a, b in itertools.pairwise(keyed) if b[1] == first)
    lead, times = leading.most_common(1)[0] if leading else ("", 0)
    if times >= count and lead not in {first, second}:
        return _records(lines, keyed, lead, second)
    examples: list[Example] = []
    used: set[int] = set()
    waiting: str | None = None
    for here, after in zip(keyed, [*keyed[1:], (len(lines), "", "")], strict=True):
        index, name, rest = here
        end = after[0]
        if name == first:
            waiting = "\n".join([rest, *lines[index + 1 : end]]).strip()
            used.update(range(index, end))
        elif name == second and waiting is not None:
            body_end = next((i for i in range(index + 1, end) if not lines[i].strip()), end)
            output = "\n".join([rest, *lines[index + 1 : body_end]]).strip()
            used.update(range(index, body_end))
            if output:
                examples.append(make_example(waiting, output))
                waiting = None
    kept = "\n".join(line for i, line in enumerate(lines) if i not in used)
    return (examples, kept, waiting, second.split(" ")[-1]) if examples else None


def _records(
    lines: list[str], keyed: list[tuple[int, str, str]], lead: str, second: str
) -> tuple[list[Example], str, str | None, str] | None:
    """Read examples whose input has several headed parts; the parts keep their heads."""
    examples: list[Example] = []
    used: set[int] = set()
    begin: int | None = None
    for here, after in zip(keyed, [*keyed[1:], (len(lines), "", "")], strict=True):
        index, name, rest = here
        if name == lead:
            begin = index
        elif name == second and begin is not None:
            end = next((i for i in range(index + 1, after[0]) if not lines[i].strip()), after[0])
            output = "\n".join([rest, *lines[index + 1 : end]]).strip()
            if output:
                examples.append(make_example("\n".join(lines[begin:index]), output))
                used.update(range(begin, end))
                begin = None
    kept = "\n".join(line for i, line in enumerate(lines) if i not in used)
    return (examples, kept, None, second.split(" ")[-1]) if examples else None


def _arrow_examples(text: str) -> tuple[list[Example], str, str | None, str] | None:
    examples: list[Example] = []
    kept: list[str] = []
    waiting: str | None = None
    for line in text.split("\n"):
        match = _ARROW.match(line) if len(line) < 2_000 else None
        if match is None or not match[1].strip(" \"'"):
            kept.append(line)
        elif match[2].strip():
            examples.append(make_example(match[1].strip(" \"'"), match[2].strip(" \"'")))
        else:
            waiting = match[1].strip(" \"'")
    if len(examples) + (waiting is not None) < 2 or not examples:
        return None
    return examples, "\n".join(kept), waiting, "label"


def find_labels(text: str, known: Sequence[str] = ()) -> list[Label]:
    """Find the allowed labels and their descriptions in an instruction.

    Args:
        text: Instructions and label sections.
        known: Labels known from examples or a schema; only descriptions are looked for then.
    """
    lines = text.split("\n")[:600]
    described = _described(lines)
    if known:
        by_name = {_plain(label.name): label.description for label in described}
        return [Label(name, by_name.get(_plain(name), "")) for name in known]
    if labels := _from_lists(text, described):
        return labels
    choices = [m for line in lines if (m := _CHOICE.match(line))]
    if len(choices) >= 2:
        return [Label(m[1], m[2].strip()) for m in choices]
    return described if len(described) >= 2 else _bare_bullets(lines)


def _plain(name: str) -> str:
    return " ".join(name_words(name))


def _described(lines: list[str]) -> list[Label]:
    found: list[Label] = []
    for line in lines:
        if len(line) > 800:
            continue
        bullet = _BULLET.match(line)
        match = _DESCRIBED.match(bullet[1] if bullet else line.strip())
        if match is None or not (bullet or _IDENTIFIER.match(match["name"])):
            continue
        found.append(Label(match["name"].strip(), match["text"].strip().rstrip(")")))
    return found


def _bare_bullets(lines: list[str]) -> list[Label]:
    """Bullets of one or a few words under a line that ends in a colon are labels."""
    for index, line in enumerate(lines):
        if not line.rstrip().endswith(":"):
            continue
        names = []
        for following in lines[index + 1 :]:
            bullet = _BULLET.match(following)
            if bullet is None or not _is_short(bullet[1]):
                break
            names.append(bullet[1].strip(" `\"'*."))
        if len(names) >= 2:
            return [Label(name) for name in names]
    return []


def _from_lists(text: str, described: list[Label]) -> list[Label]:
    """Read ``one of: a, b or c``, ``Labels: [a, b]``, ``either x or y``."""
    best: list[str] = []
    for head in _LIST_HEAD.finditer(text[:20_000]):
        match = _LIST.match(text, head.end())
        if match is None:
            continue
        names = _split_list(match["list"])
        if match["mark"] is None and len(names) > 1:
            # Without a mark the list runs into the sentence: its members are single words.
            names[-1] = names[-1].split(" ")[0].strip(",")
            names[0] = names[0].split(" ")[-1] if " " in names[0] else names[0]
            if any(" " in name for name in names):
                continue
        if len(names) >= 2 and all(_is_short(name) for name in names) and len(names) > len(best):
            best = names
    by_name = {_plain(label.name): label.description for label in described}
    if len(best) < 2 or (len(described) > len(best) and not set(map(_plain, best)) <= set(by_name)):
        return []
    return [Label(name, by_name.get(_plain(name), "")) for name in dict.fromkeys(best)]


def _split_list(text: str) -> list[str]:
    text = re.split(r"[\])}]", text, maxsplit=1)[0]
    text = re.sub(r"^\s*(?:one of|either|from|among)(?: the following)?\s+", "", text)
    parts = re.split(r"\s*[,|/]\s*(?:and\s+|or\s+)?|\s+(?:and|or)\s+", text)
    return [name for part in parts if (name := part.strip(" `\"'*.()[]{}<>\t"))]


def label_stems(label: Label) -> list[str]:
    """Return the stems of a label's name and description."""
    return [stem(w) for w in name_words(label.name)] + [stem(w) for w in words(label.description)]
