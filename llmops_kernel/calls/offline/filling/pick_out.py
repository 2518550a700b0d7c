"""Picks named values out of text: "extract the dates and amounts"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.answering.answers import not_said
from llmops_kernel.calls.offline.filling.kinds import kinds_for
from llmops_kernel.calls.offline.filling.material import Material
from llmops_kernel.calls.offline.filling.place import Target
from llmops_kernel.calls.offline.filling.strings import string_for

if TYPE_CHECKING:
    from llmops_kernel.calls.offline.reading.prompt import Prompt


def pick_out(prompt: Prompt) -> str:
    """Extract the values an instruction names, one line each when there are several."""
    asked = (
        prompt.question
        if re.match(r"(?i)\W*(?:please )?(?:extract|identify|find|pull|list)", prompt.question)
        else prompt.instruction
    )
    match = re.search(
        (
            r"(?i)\b(?:extract|pull out|identify|find all|list all)\s+(.{3,200}?)(?:\s(?:from|in"
            r"|out of|mentioned|of the)\b|[.:\n]|$)"
        ),
        asked,
    )
    if match is None:
        return ""
    names = [n.strip() for n in re.split(r",\s*(?:and\s+)?|\s+and\s+", match[1]) if n.strip()]
    names = [
        re.sub(r"(?i)^(?:all|every|any|each|the|their|his|her|its|customer's)\s+", "", n)
        for n in names
    ]
    text = "\n".join(p for p in (prompt.subject, prompt.given) if p) or prompt.question
    material = Material(text, prompt)
    lines = [(name, _values_named(name, material)) for name in names[:12]]
    if all(not value for _, value in lines):
        return not_said(prompt.instruction)
    if len(lines) == 1:
        return lines[0][1]
    return "\n".join(f"{name}: {value or 'not given'}" for name, value in lines)


def _values_named(name: str, material: Material) -> str:
    singular = (
        re.sub(r"(?<=\w)(?:es|s)$", "", name)
        if name.endswith(("sses", "dates", "names", "ids", "s"))
        else name
    )
    kinds = kinds_for(Target(singular)) or kinds_for(Target(name))
    if name.endswith("s") and kinds:
        found = dict.fromkeys(v.text for v in material.of_kinds(kinds[:1])) or dict.fromkeys(
            v.text for v in material.of_kinds(kinds)
        )
        return ", ".join(found)
    return string_for(Target(name), material)[0] or ""
