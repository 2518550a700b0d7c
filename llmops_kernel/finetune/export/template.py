"""Chat templates at serving time: without training marks, and as Ollama's TEMPLATE.

Text work alone: whoever calls hands in the function that renders, so this imports no engine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Message = dict[str, str]
# Renders as the model's own template does: (messages, add_generation_prompt) -> text.
Render: TypeAlias = "Callable[[Sequence[Message], bool], str]"

_TAGS = (
    (re.compile(r"\{%([-+]?)\s*generation\s*([-+]?)%\}"), "if true"),
    (re.compile(r"\{%([-+]?)\s*endgeneration\s*([-+]?)%\}"), "endif"),
)
# A mark that gives a family away; the family is only a name, the mapping is derived.
_FAMILIES = {
    "<|im_start|>": "ChatML",
    "<|start_header_id|>": "Llama 3",
    "<start_of_turn>": "Gemma",
    "[INST]": "Mistral",
    "<|user|>": "Zephyr",
}
_ROLES = ("system", "user", "assistant")
# Contents that no template holds, to find where contents are put.
_MARK = {"system": "Qz7sYs9Zq", "user": "Qz7uSr9Zq", "assistant": "Qz7aSt9Zq"}
_WHAT_ELSE = "Serve the GGUF with llama-server, which renders the model's own template"


def for_serving(template: str) -> str:
    """Return a chat template without ``{% generation %}`` tags, which only training knows.

    A block that is always true takes their place: dropping a tag would also drop the whitespace
    control and the line break that hang on it, and so change the text.
    """
    for tag, block in _TAGS:
        template = tag.sub(lambda found, block=block: f"{{%{found[1]} {block} {found[2]}%}}",  # type: ignore[misc]
                           template)  # fmt: skip
    return template


@dataclass(frozen=True, slots=True)
class Turns:
    """A chat format in which each message is put between two fixed texts.

    Attributes:
        family: The name it goes by, or "custom".
        around: The texts before and after the content, by role; "system" only where it is known.
        start: What stands before the first message.
        cue: What makes the model answer.
    """

    family: str
    around: dict[str, tuple[str, str]]
    start: str
    cue: str

    def render(self, messages: Sequence[Message]) -> str:
        """Return messages as the format has them, with the cue at the end."""
        parts = [self.start]
        for message in messages:
            before, after = self.around[message["role"]]
            parts.append(f"{before}{message['content']}{after}")
        return "".join([*parts, self.cue])


def turns_of(render: Render) -> Turns:
    """Derive the fixed texts of a chat template, and check that they are all there is to it.

    Args:
        render: Renders messages as the model's own template does.

    Raises:
        UsageProblem: The template does more than put messages between fixed texts (it moves the
            system message, adds one of its own, refuses roles, ...).
    """
    user, assistant, system = (_message(role) for role in ("user", "assistant", "system"))
    try:
        once = render([user], False)
        cue = _after(render([user], True), once)
        start, before, after = _split(
            once, render([user, assistant, user], False), render([user, assistant], False)
        )
        answered = _after(render([user, assistant], False), once)
        if _MARK["assistant"] not in answered:
            raise _NotTurns("it leaves answers out")
    except _NotTurns as error:
        raise _refusal(str(error)) from None
    except Exception as error:
        raise _refusal(f"it refuses a plain conversation: {error}") from error
    around = {"user": (before, after), "assistant": _halves(answered, "assistant")}
    try:
        first = render([system, user], False)
    except Exception:  # noqa: BLE001 - a template that refuses system messages is in order
        first = ""
    last = f"{before}{_MARK['user']}{after}"
    if first and not (first.startswith(start) and first.endswith(last)):
        raise _refusal("what stands around the first turn changes with a system message")
    if _MARK["system"] in first:
        around["system"] = _halves(first[len(start) : len(first) - len(last)], "system")
    return _checked(Turns(_family(once), around, start, cue), render)


def modelfile(turns: Turns, gguf: str, stops: Sequence[str]) -> str:
    """Return an Ollama Modelfile.

    Args:
        turns: The chat format.
        gguf: The weights, as a path beside the Modelfile.
        stops: Texts at which an answer ends.

    Raises:
        UsageProblem: The format holds what a Modelfile cannot write.
    """
    texts = [turns.start, turns.cue, *(text for pair in turns.around.values() for text in pair)]
    if any("{{" in text or '"""' in text for text in texts):
        raise _refusal('it holds "{{" or three quotation marks')
    branches: list[str] = []
    for role in _ROLES:
        if role in turns.around:
            before, after = turns.around[role]
            word = "if" if not branches else "else if"
            branches.append(f'{{{{ {word} eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{after}')
    body = "".join(branches)
    template = f"{turns.start}{{{{ range .Messages }}}}{body}{{{{ end }}}}{{{{ end }}}}{turns.cue}"
    lines = [f"FROM ./{gguf}", f'TEMPLATE """{template}"""']
    lines += [f"PARAMETER stop {_quoted(each)}" for each in dict.fromkeys(stops) if each]
    return "\n".join([*lines, "PARAMETER temperature 0", ""])


class _NotTurns(Exception):
    """The rendered texts do not fall into fixed parts."""


def _message(role: str) -> Message:
    return {"role": role, "content": _MARK[role]}


def _after(longer: str, shorter: str) -> str:
    if not longer.startswith(shorter):
        raise _NotTurns("what stands before changes with what follows")
    return longer[len(shorter) :]


def _split(once: str, thrice: str, twice: str) -> tuple[str, str, str]:
    """Return the start, and the texts before and after what a user says."""
    again = _after(thrice, twice)  # the same turn, where it is not the first
    if not once.endswith(again):
        raise _NotTurns("later turns look unlike the first")
    before, after = _halves(again, "user")
    return once[: len(once) - len(again)], before, after


def _halves(text: str, role: str) -> tuple[str, str]:
    parts = text.split(_MARK[role])
    if len(parts) != 2:
        raise _NotTurns(f"what the {role} says is not there exactly once")
    return parts[0], parts[1]


def _checked(turns: Turns, render: Render) -> Turns:
    """Compare with the template itself on conversations of other shapes."""
    user, assistant = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}
    cases = [[user], [user, assistant, user], [user, assistant, user, assistant, user]]
    if "system" in turns.around:
        cases += [[{"role": "system", "content": "Be brief."}, *case] for case in cases]
    for case in cases:
        if render(case, True) != turns.render(case):
            raise _refusal("longer conversations look unlike short ones")
    return turns


def _family(text: str) -> str:
    return next((name for mark, name in _FAMILIES.items() if mark in text), "custom")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _refusal(why: str) -> UsageProblem:
    return UsageProblem(
        "The chat template has no form that a Modelfile can write", detail=why, hint=_WHAT_ELSE
    )
