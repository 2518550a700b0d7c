"""Splits a prompt's text in the parts people mark: tags, fences, separators and headed sections."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from llmops_kernel.calls.offline.language.lexicon import word_set

Role = Literal[
    "plain", "context", "question", "subject", "candidate", "reference", "instruction", "labels",
    "examples",
]  # fmt: skip

_HEADS: dict[Role, str] = {
    "context": """context|contexts|document|documents|doc|passage|passages|source|sources|text|
        article|background|background information|information|context information|excerpt|excerpts|
        transcript|knowledge|knowledge base|policy|policies|facts|notes|data|reference material|
        content|retrieved context|retrieved contexts|retrieved documents|retrieval context|
        search results|search result|evidence|chunk|chunks|page|story|paragraph|record|records|faq|
        terms|materials|known facts|premise|additional context|new context|given context|
        relevant context|supporting context|contexte|kontext|contexto|contesto|documento|dokument|
        results|observation|tool output|history|chat history|conversation history|conversation|
        previous conversation|node|snippet|snippets""",
    "question": """question|query|user question|user query|q|original question|original query|
        follow up input|follow-up question|latest question|current question|new question|
        customer question|user prompt|frage|pregunta|domanda|pergunta|vraag""",
    "subject": """input|message|customer message|user message|customer|utterance|ticket|tweet|
        review|comment|email|e-mail|customer email|mail|request|complaint|user|post|headline|
        sentence|user input|customer request|support ticket|feedback|letter|subject|body|
        description|user request|customer query|caller|client|now classify|text to classify|
        text to analyse|text to analyze""",
    "candidate": """answer|response|candidate|candidate answer|submission|submitted answer|
        model answer|assistant answer|assistant response|model response|prediction|generated answer|
        generated response|actual output|output|claim|claims|statement|statements|hypothesis|
        proposed answer|completion|ai answer|ai response|assistant|answer to judge|answer to check|
        answer to evaluate|existing answer|user answer|student answer|bot answer|summary|réponse|
        antwort|respuesta|risposta""",
    "reference": """reference|reference answer|expected|expected answer|expected output|
        ground truth|gold|gold answer|correct answer|ideal answer|target|
        expert answer|reference response""",
    "instruction": """instruction|instructions|task|rule|rules|guideline|guidelines|criteria|
        criterion|steps|format|output format|requirements|evaluation criteria|evaluation steps|
        rubric|role|goal|constraints|scoring|system|response format|answer format|objective""",
    "labels": """labels|label set|categories|classes|intents|options|choices|allowed values|
        allowed labels|allowed categories|allowed intents|possible labels|possible categories|
        possible intents|possible values|available labels|available categories|available intents|
        topics|label definitions|category definitions|intent definitions|definitions|valid labels|
        label descriptions|routes|queues|departments|teams""",
    "examples": """example|examples|few-shot examples|demonstrations|sample|samples""",
}
_ROLE_OF: dict[str, Role] = {
    " ".join(head.split()): role for role, heads in _HEADS.items() for head in heads.split("|")
}
_ENDINGS: dict[str, Role] = {
    " answer": "candidate",
    " question": "question",
    " document": "context",
    " documents": "context",
    " message": "subject",
    " examples": "examples",
    " labels": "labels",
}
_TAG_ROLES: dict[str, Role] = {
    "task": "instruction",
    "thinking": "instruction",
    "role": "instruction",
}

_HEAD_LINE = re.compile(
    r"[ \t]*(?:#{1,6}[ \t]+|\*{1,2})?(?P<name>[A-Za-z][A-Za-z -]{0,34}?)"
    r"(?=[ \t]*(?:[:#\[(*\d]|[A-D]\b|is below|$))"
    r"(?:[ \t]*(?P<mark>#?\d{1,4}|\[[^\]\n]{1,40}\]|\([^)\n]{1,60}\)|[A-D](?![A-Za-z])))?"
    r"(?:[ \t]*\((?P<file>[^)\n]{1,60})\))?"
    r"\*{0,2}[ \t]*(?P<colon>:)?\*{0,2}(?P<below>[ \t]+is below[.:]?)?[ \t]*(?P<rest>.*)$"
)
_NUMBERED = re.compile(r"[ \t]*\[(?P<mark>\w[\w.:/-]{0,30})\][ \t:]*(?P<rest>\S.*)$")
_RULE = re.compile(r"[ \t]*(?:-{3,}|={3,}|_{5,}|\*{5,}|#{5,}|~{5,})[ \t]*$")
_TAG = re.compile(r"<(?P<close>/)?(?P<name>[A-Za-z][\w-]{0,40})(?P<attributes>[^<>\n]{0,200})>")
_ATTRIBUTE = re.compile(r"(?:id|index|name|source|title|number|n)\s*=\s*[\"']?([^\"'\s>]{1,60})")
_FENCE = re.compile(r"```[^\n`]{0,40}\n|```|\"\"\"|'''|<<<|>>>")
_HTML = word_set("b i u p br a em strong div span li ul ol table tr td th code pre h1 h2 h3")


@dataclass(frozen=True, slots=True)
class Section:
    """One marked part of a prompt.

    Attributes:
        role: What the part is for; ``plain`` when nothing marks it.
        text: The part's text, without its mark.
        label: The name or number it can be cited by ("3", "fees.md"), or "".
        head: The words of its heading, lower-case ("customer message"), or "".
    """

    role: Role
    text: str
    label: str = ""
    head: str = ""


def split_sections(text: str) -> list[Section]:
    """Split a text in its marked parts, in order; empty parts are left out."""
    sections: list[Section] = []
    for part in _split_tags(text):
        if part.role != "plain" or part.head:
            sections.extend(_inside(part))
            continue
        for block in _split_fences(part.text):
            if block.role == "plain":
                sections.extend(_split_lines(block.text))
            else:
                sections.append(block)
    sections = [section for section in sections if section.text.strip()]
    heads = {section.head for section in sections}
    if "information" in heads and "context" in heads:  # a judge's wording for the claim
        sections = [
            Section("candidate", s.text, s.label, s.head) if s.head == "information" else s
            for s in sections
        ]
    return sections


def role_of(name: str) -> Role | None:
    """Return the role a heading or tag gives to what follows, or None for an unknown name."""
    name = " ".join(re.sub(r"[_-]+", " ", name.lower()).split())
    if name in _ROLE_OF:
        return _ROLE_OF[name]
    name = name.removeprefix("the ").removeprefix("your ").removesuffix(" below")
    return _ROLE_OF.get(name) or next(
        (role for end, role in _ENDINGS.items() if name.endswith(end)), None
    )


def _inside(part: Section) -> list[Section]:
    """Numbered passages and nested documents inside a tagged block become sections of their own."""
    if part.role != "context":
        return [part]
    inner = [
        s if s.role == "context" else Section("context", s.text, s.label, s.head)
        for s in _split_numbered(part)
    ]
    return inner or [part]


def _split_tags(text: str) -> list[Section]:
    """Cut out the outermost ``<name>...</name>`` blocks."""
    if "</" not in text:
        return [Section("plain", text)]
    closes: dict[str, list[int]] = {}
    tags = list(_TAG.finditer(text))
    for match in tags:
        if match["close"]:
            closes.setdefault(match["name"].lower(), []).append(match.start())
    sections: list[Section] = []
    position = 0
    for match in tags:
        name = match["name"].lower()
        if match["close"] or match.start() < position or name in _HTML:
            continue
        ends = closes.get(name)
        while ends and ends[0] < match.end():
            ends.pop(0)
        if not ends:
            continue
        sections.append(Section("plain", text[position : match.start()]))
        body = text[match.end() : ends[0]]
        sections.extend(_tagged(name, match["attributes"], body))
        position = ends[0] + len(name) + 3
    sections.append(Section("plain", text[position:]))
    return sections


def _tagged(name: str, attributes: str, body: str) -> list[Section]:
    role = _TAG_ROLES.get(name) or role_of(name) or role_of(name.rstrip("s0123456789_-"))
    label = _ATTRIBUTE.search(attributes or "")
    if role in {None, "context"} and "</" in body:
        nested = [s for s in _split_tags(body) if s.text.strip()]
        if any(s.role != "plain" for s in nested):
            if role == "context":
                nested = [
                    s if s.role != "plain" else Section("context", s.text, s.label, name)
                    for s in nested
                ]
            return nested
    return [Section(role or "context", body.strip("\n"), label[1] if label else "", name)]


def _split_fences(text: str) -> list[Section]:
    marks = list(_FENCE.finditer(text))
    if len(marks) < 2:
        return [Section("plain", text)]
    sections: list[Section] = []
    position = 0
    index = 0
    while index + 1 < len(marks):
        opening = marks[index]
        wanted = {"<<<": ">>>"}.get(opening.group(), opening.group()[:3])
        closing = next(
            (m for m in marks[index + 1 : index + 9] if m.group().startswith(wanted)), None
        )
        if closing is None or opening.group() == ">>>":
            index += 1
            continue
        before = text[position : opening.start()]
        body = text[opening.end() : closing.start()]
        role, kept = _fence_role(before, body)
        sections.append(Section("plain", kept))
        sections.append(Section(role, body.strip("\n")))
        position = closing.start() + 3
        while index < len(marks) and marks[index].start() < position:
            index += 1
    sections.append(Section("plain", text[position:]))
    return sections


def _fence_role(before: str, body: str) -> tuple[Role, str]:
    """A heading right before a fence names the fence's role."""
    lines = before.rstrip().rsplit("\n", 1)
    match = _HEAD_LINE.match(lines[-1])
    if match and not match["rest"] and (role := role_of(match["name"])):
        return role, lines[0] if len(lines) > 1 else ""
    if body.lstrip()[:1] in "{[" and re.search(r"(?i)json|schema|format", before[-200:]):
        return "instruction", before
    return "context", before


class _Lines:
    """Collects lines in sections while a text is read from top to bottom."""

    def __init__(self) -> None:
        self.sections: list[Section] = []
        self._lines: list[str] = []
        self.role: Role = "plain"
        self._label = ""
        self._head = ""

    def start(self, role: Role, label: str = "", head: str = "") -> None:
        body = "\n".join(self._lines).strip("\n")
        if body.strip():
            self.sections.append(Section(self.role, body, self._label, self._head))
        self._lines = []
        self.role, self._label, self._head = role, label, head

    def add(self, line: str) -> None:
        self._lines.append(line)

    @property
    def empty(self) -> bool:
        return not any(line.strip() for line in self._lines)


def _split_lines(text: str) -> list[Section]:
    out = _Lines()
    ruled = False  # between two rules of dashes
    for line in text.split("\n"):
        if _RULE.match(line):
            if out.role == "plain" or out.empty:
                out.start("context" if not ruled else "plain")
            elif ruled:
                out.start("plain")
            ruled = not ruled
            continue
        numbered = _NUMBERED.match(line)
        if numbered and out.role in {"plain", "context"}:
            out.start("context", numbered["mark"])
            out.add(numbered["rest"])
            continue
        head = _read_head(line)
        if head is not None and not (ruled and head[0] in {"instruction", "subject"}):
            out.start(*head[:3])
            if head[3].strip():
                out.add(head[3])
            continue
        if not line.strip() and out.role in {"question", "instruction"} and not out.empty:
            out.start("plain")
        out.add(line)
    out.start("plain")
    return out.sections


def _read_head(line: str) -> tuple[Role, str, str, str] | None:
    """Read ``Context:``, ``Document 2: ...``, ``## Question`` as (role, label, head, rest)."""
    match = _HEAD_LINE.match(line) if len(line) < 4_000 else _HEAD_LINE.match(line[:4_000])
    if match is None or (role := role_of(match["name"])) is None:
        return None
    rest = match["rest"] if len(line) < 4_000 else line[match.start("rest") :]
    heading = line.lstrip().startswith(("#", "**"))
    if not match["colon"] and not match["below"] and not (heading and not rest.strip()):
        return None
    mark = (match["file"] or match["mark"] or "").strip("[]()# ")
    head = " ".join(match["name"].lower().split())
    return role, mark, f"{head} {mark.lower()}".strip() if role == "candidate" else head, rest


def _split_numbered(part: Section) -> list[Section]:
    if "[" not in part.text and ":" not in part.text:
        return []
    out = _Lines()
    out.start("context", part.label, part.head)
    for line in part.text.split("\n"):
        numbered = _NUMBERED.match(line)
        head = None if numbered else _read_head(line)
        if numbered:
            out.start("context", numbered["mark"], part.head)
            out.add(numbered["rest"])
        elif head is not None and head[0] == "context" and head[1]:
            out.start(*head[:3])
            out.add(head[3])
        else:
            out.add(line)
    out.start("plain")
    return out.sections
