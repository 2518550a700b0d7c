"""Works out which task a prompt sets, and in which form the answer is wanted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from llmops_kernel.calls.offline.language.text import spelled
from llmops_kernel.calls.offline.reading.examples import (
    Label,
    are_labels,
    asks_to_classify,
    find_labels,
)

if TYPE_CHECKING:
    from llmops_kernel.calls.offline.reading.prompt import Prompt

TaskName = Literal[
    "classify", "verdict", "score", "compare", "summarise", "list", "extract", "rewrite",
    "translate", "generate", "echo", "greet", "answer",
]  # fmt: skip

_THINK = re.compile(
    r"step[- ]by[- ]step|chain[- ]of[- ]thought|show your (?:reasoning|work(?:ing)?|steps)"
    r"|explain your (?:reasoning|answer|choice|decision|verdict)|reason(?:ing)? (?:first"
    r"|before|about|through|out)"
    r"|think (?:carefully|about|through|before|it through|out loud|aloud|first|hard)|(?:with"
    r"|give|include|provide|write|state|add)"
    r" (?:your |a |an |the |brief |short )*(?:reason|reasoning|rationale|justification"
    r"|explanation)s?\b|first .{0,40}\bevidence\b|<thinking>",
    re.IGNORECASE,
)
_SHORT = re.compile(
    r"\b(?:one|a single|1) word\b|\b(?:only|just) (?:with )?(?:the |a )?(?:number|amount"
    r"|name|date|value|figure|price|city|year|person|answer itself)\b"
    r"|as short as possible|short(?:est)? (?:answer|phrase|form)|in a few words"
    r"|at most (?:\w+ )?words|\bspan\b|(?<!from )nothing (?:else|but)"
    r"|without (?:any )?explanation|no explanation|exact phrase",
    re.IGNORECASE,
)
_CITE = re.compile(
    r"\bcit(?:e|es|ed|ing|ations?)\b|\[\d\]|\[n\]|\[id\]|\[source\]"
    r"|with (?:the )?(?:references|sources)"
    r"|refer to the (?:source|document|passage)|(?:name|mention|include|give|add"
    r"|quote) (?:the |your |its )?sources?\b|footnotes?",
    re.IGNORECASE,
)
_COUNT = re.compile(
    r"\b(?P<n>\d{1,2}|an?|one|single|two|three|four|five|six|seven|eight|ten)(?: short"
    r"| concise| brief| key| main| complete)*"
    r"[ -](?:sentences?|bullets?|bullet points?|points?|lines?|takeaways?)\b",
    re.IGNORECASE,
)
_NUMBERS = {"a": 1, "an": 1, "one": 1, "single": 1, "two": 2, "three": 3, "four": 4, "five": 5,
            "six": 6, "seven": 7, "eight": 8, "ten": 10}  # fmt: skip
_PAIRS = (
    ("yes", "no"), ("true", "false"), ("pass", "fail"), ("supported", "unsupported"),
    ("supported", "not supported"), ("correct", "incorrect"), ("relevant", "irrelevant"),
    ("faithful", "unfaithful"), ("valid", "invalid"), ("grounded", "ungrounded"),
    ("consistent", "inconsistent"), ("acceptable", "unacceptable"), ("safe", "unsafe"),
    ("entailment", "contradiction"), ("accept", "reject"),
)  # fmt: skip
_SCORE = re.compile(
    r"\b(?:score|rate|rating|grade|scale"
    r"|mark)s?\b(?P<gap>[^.\n]{0,60}?)\b(?P<low>\d{1,3}(?:\.\d+)?)\s*"
    r"(?:-|\u2013|to|and|\.\.|through|up to)\s*(?P<high>\d{1,3}(?:\.\d+)?)\b",
    re.IGNORECASE,
)
_COMPARE = re.compile(
    r"\bwhich\b[^.?\n]{0,60}\b(?:better|best|prefer|preferred|stronger|worse)\b|\b(?:better"
    r"|best) (?:answer|response)\b"
    r"|\bcompare\b|\bprefer(?:red|ence)?\b|\bpairwise\b|\bwinner\b|\[\[[AB]\]\]",
    re.IGNORECASE,
)
_TASKS: tuple[tuple[TaskName, re.Pattern[str]], ...] = (
    ("translate", re.compile(r"\btranslat", re.IGNORECASE)),
    ("summarise", re.compile((
        r"\bsummar(?:is|iz|y)|\btl;?dr\b|\bsum up\b|\bkey (?:points|takeaways)\b|\bgist\b"
        r"|\bmain (?:idea|points?)\b"
    ), re.IGNORECASE)),
    ("rewrite", re.compile((
        r"\b(?:rewrite|rephrase|paraphrase|reformulate|reword|proofread|simplify|condense"
        r"|improve the (?:text|wording)|standalone question|fix the grammar|make it (?:shorter"
        r"|longer|polite))\b"
    ), re.IGNORECASE)),
    ("extract", re.compile((
        r"^\W*(?:please |now )?(?:extract|pull out|identify|find all|list all the) (?:all "
        r"|every |any |each )?(?:the |their |his |her |its )?[\w ,/&-]+"
    ), re.IGNORECASE)),
    ("list", re.compile((
        r"^\W*(?:please |now )?(?:list|enumerate|name)\b|\blist (?:all|every|the)\b"
        r"|\bas (?:a )?(?:bullet(?:ed)? )?list\b|\bbullet points?\b"
    ), re.IGNORECASE)),
    ("generate", re.compile((
        r"^\W*(?:please |now )?(?:can you |could you )?(?:write|compose|draft|generate|create"
        r"|invent|tell me (?:a|an) (?:joke|story)|make up|brainstorm|code|implement)\b"
    ), re.IGNORECASE)),
)  # fmt: skip
_EXTRACTABLE = re.compile(
    r"\b(?:e-?mails?|phones?|numbers?|amounts?|dates?|names?|ids?|urls?|links?|ibans?"
    r"|prices?|people|persons?|order|reference|"
    r"compan(?:y|ies)|places?|cities|durations?|percentages?|addresses|entities|merchants?"
    r"|customers?|currenc(?:y|ies)|times?)\b",
    re.IGNORECASE,
)
_ECHO = re.compile(
    r"^\W*(?:please )?(?:reply|respond|answer|say|repeat|output|print|return"
    r"|echo)(?: back)?(?: with)?(?: exactly| only| just| the (?:single )?words?| the (?:text"
    r"|string|phrase)| literally| this)*"
    r"(?:\s*:\s*|\s+)(?P<quote>[\"'“`]?)(?P<text>[^\n]{1,200}?)(?P=quote)?[.!]?\s*$",
    re.IGNORECASE,
)
_NOT_ECHOED = re.compile(
    r"\b(?:yes or|question|json|sentence|language|following|label|briefly|letter|the)\b"
    r"|^(?:in|to|as|with|from|me|about|how|what|whether|if|why)\b",
    re.IGNORECASE,
)
_GREETING = re.compile(
    r"^\W*(?:hi|hello|hey|good (?:morning|afternoon|evening|day)|greetings|how are you"
    r"|who are you|what are you|what can you do|"
    r"thanks?(?: you)?|test|ping)\b[^.\n]{0,40}$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Task:
    """A task and the form of its answer.

    Attributes:
        name: The task.
        think: Evidence first, then a line ``Answer: ...``.
        short: Only the amount, name or date that was asked for.
        most: The most sentences, or items.
        bullets: Write items as a list.
        cite: Name the passages that sentences come from.
        labels: What to choose from (classify, compare), or the two words of a verdict.
        low: The lowest score.
        high: The highest score.
    """

    name: TaskName
    think: bool = False
    short: bool = False
    most: int = 2
    bullets: bool = False
    cite: bool = False
    labels: tuple[Label, ...] = ()
    low: float = 1.0
    high: float = 5.0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the labels."""
        return tuple(label.name for label in self.labels)


def read_task(prompt: Prompt) -> Task:
    """Work out the task of a prompt."""
    marked = bool(prompt.candidates) or prompt.question == prompt.subject
    told = prompt.instruction if marked else f"{prompt.instruction}\n{prompt.question}"
    told = told[:8_000]
    lowered = told.lower()
    form: dict[str, Any] = {
        "think": _hinted(_THINK, told, lowered),
        "short": _hinted(_SHORT, told, lowered),
        "cite": any(p.label for p in prompt.passages) and bool(_CITE.search(prompt.instruction)),
        "bullets": "bullet" in lowered or " list" in lowered or lowered.startswith("list"),
    }
    count = _COUNT.search(told)
    number = count["n"].lower() if count else ""
    wanted = _NUMBERS.get(number) or (int(number) if number.isdigit() else 0)
    judged = _judging(prompt, told, lowered)
    if judged is not None:
        name, labels, low, high = judged
        return Task(name, **form, labels=labels, low=low, high=high)
    labels = _labels(prompt, told)
    if labels:
        return Task("classify", **form, labels=labels)
    name = _plain_task(prompt, told)
    most = min(20, wanted) or (3 if name == "summarise" else 12 if name == "list" else 2)
    if name == "answer" and re.search(
        r"\b(?:in detail|detailed|comprehensive|thorough)", told, re.IGNORECASE
    ):
        most = 4
    return Task(name, **form, most=most)


def _hinted(pattern: re.Pattern[str], text: str, lowered: str) -> bool:
    """Search, but only where one of the pattern's words can be: most prompts hold none."""
    return any(hint in lowered for hint in _HINTS[pattern]) and bool(pattern.search(text))


_HINTS = {
    _THINK: (
        "step",
        "reason",
        "explain",
        "think",
        "justif",
        "rational",
        "evidence",
        "chain",
        "show your",
    ),
    _SHORT: ("only", "just", " word", "short", "span", "nothing", "explanation", "exact"),
}


def _judging(
    prompt: Prompt, told: str, lowered: str
) -> tuple[TaskName, tuple[Label, ...], float, float] | None:
    if len(prompt.candidates) >= 2 and _COMPARE.search(told):
        names = [c.label or str(i + 1) for i, c in enumerate(prompt.candidates)]
        return "compare", tuple(Label(name) for name in names), 0.0, 1.0
    scored = any(hint in lowered for hint in ("score", "rat", "grade", "scale", "mark"))
    given = prompt.candidates or prompt.subject or prompt.passages
    score = _SCORE.search(told) if scored and given else None
    if score is not None and float(score["high"]) > float(score["low"]):
        return "score", (), float(score["low"]), float(score["high"])
    words = _verdict_words(told, lowered)
    if words is not None:
        return "verdict", tuple(Label(word) for word in words), 0.0, 1.0
    return None


def _verdict_words(told: str, lowered: str) -> tuple[str, ...] | None:
    """Find the two words a verdict is given in, as they are written in the prompt."""
    for good, bad in _PAIRS:
        if good not in lowered or bad not in lowered:
            continue
        pair = re.search(
            rf"\b({good})\b[\"'”\u2019`*]*(?: or |/|, | \| | and | if .{{0,80}}?)(?:with |say "
            rf"|answer )?[\"'“\u2018`*]*({bad})\b",
            told,
            re.IGNORECASE,
        )
        if pair is None:
            pair = re.search(
                rf"\b({bad})\b[\"'”\u2019`*]*(?: or |/|, | \| )[\"'“\u2018`*]*({good})\b",
                told,
                re.IGNORECASE,
            )
            if pair is not None:
                return _with_unsure((pair[2], pair[1]), told, pair.end())
        else:
            return _with_unsure((pair[1], pair[2]), told, pair.end())
    return None


def _with_unsure(words: tuple[str, str], told: str, end: int) -> tuple[str, ...]:
    third = re.match(
            r"[\"'”\u2019`*]*(?:,? or |/|, (?:or )?)[\"'“\u2018`*]*"
            r"(unknown|unsure|unclear|idk|neutral|not mentioned|maybe|partial(?:ly supported)?)\b",
        told[end : end + 60], re.IGNORECASE,
    )  # fmt: skip
    return (*words, third[1]) if third else words


def _labels(prompt: Prompt, told: str) -> tuple[Label, ...]:
    outputs = [e.output for e in prompt.examples if e.data is None]
    shown = bool(outputs) and are_labels(outputs, told, prompt.label_head)
    asked = asks_to_classify(told)
    if not shown and not asked and not prompt.label_text:
        return ()
    label_text = prompt.label_text if asked or shown or not _is_context(prompt.label_text) else ""
    described = find_labels(f"{label_text}\n{told}")
    if not shown:
        return tuple(described) if len(described) >= 2 and (asked or label_text) else ()
    given = {spelled(output): output for output in outputs}
    names = [given.get(spelled(label.name), label.name) for label in described]
    names += [output for output in dict.fromkeys(outputs) if output not in names]
    if len(names) < 2:
        return ()
    return tuple(find_labels(f"{label_text}\n{told}", names))


def _is_context(text: str) -> bool:
    return len(text) > 2_000


def _plain_task(prompt: Prompt, told: str) -> TaskName:
    turn = prompt.turn.strip()
    if len(turn) < 260 and not prompt.passages:
        echo = _ECHO.match(turn)
        if echo and not _NOT_ECHOED.search(echo["text"]) and len(echo["text"].split()) <= 12:
            return "echo"
    if len(turn) < 60 and _GREETING.match(turn):
        return "greet"
    # What the person asks counts before what the system prompt says in general.
    for text in (prompt.question if prompt.question != prompt.subject else "", told):
        for name, pattern in _TASKS:
            if not pattern.search(text[:2_000]):
                continue
            if name == "extract" and not _EXTRACTABLE.search(text):
                continue
            if (
                name in {"list", "generate"}
                and text is told
                and prompt.question
                and text != prompt.question
            ):
                continue
            return name
    return "answer"


def echoed(turn: str) -> str:
    """Return the text an echo prompt wants back."""
    match = _ECHO.match(turn.strip())
    return match["text"].strip() if match else ""
