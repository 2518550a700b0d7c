"""Filling names into prompts, without format strings and without evaluation.

A prompt's text is typed by a person and full of braces: JSON, dictionaries, format specifications,
LaTeX. So only ``{name}``, ``{name.attr}``, ``{name[0]}`` and ``{name["key"]}`` are looked up, and
only where the name is bound; everything else stays as it was typed. ``{{`` stands for one brace,
and so does the ``}}`` that closes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FIELD = re.compile(
    r"""\{
    (?P<root>[^\W\d]\w*)
    (?P<path>(?:
        \.[^\W\d]\w*
      | \[(?:-?\d{1,9}|"[^"\\\n]{0,200}"|'[^'\\\n]{0,200}')\]
    )*)
    \}""",
    re.VERBOSE,
)
_STEP = re.compile(r"""\.(?P<attr>\w+)|\[(?:(?P<index>-?\d+)|["'](?P<key>[^\]]*)["'])\]""")
_BRACE = re.compile(r"[{}]")
_MAX_INSERTED = 400_000  # characters, about 100,000 tokens


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a filled prompt.

    Attributes:
        text: What is sent.
        source: The expression it was filled in for (``customer.name``); "" for what was typed.
    """

    text: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Interpolated:
    """A filled prompt.

    Attributes:
        text: What is sent.
        segments: The same in pieces, so that data can be told from instructions.
        missing: Expressions that look like names to fill in and could not be: a lone name that is
            not bound, or an attribute, index or key that its value does not have. They stay in the
            text as they were typed.
        cut: Expressions whose value was too long and was cut, with a note at the place.
    """

    text: str
    segments: tuple[Segment, ...]
    missing: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()


def interpolate(
    text: str, names: Mapping[str, Any], *, max_inserted: int = _MAX_INSERTED
) -> Interpolated:
    """Fill the names of a mapping into a text.

    A value is filled in as its ``str``, once: braces in it mean nothing. Names that begin with an
    underscore are never looked up. Nothing is evaluated or called, beyond the attributes and items
    that are named.

    Args:
        text: The prompt as typed.
        names: What the names stand for.
        max_inserted: How many characters all values together may add.
    """
    segments: list[Segment] = []
    missing: list[str] = []
    cut: list[str] = []
    left = max_inserted
    for typed, root, path in _scan(text):
        if not root:
            segments.append(Segment(typed))
            continue
        source = root + path
        value = _look_up(names, root, path)
        if value is None:
            if root in names or not path:
                missing.append(source)
            segments.append(Segment(typed))
            continue
        if len(value) > left:
            cut.append(source)
            value = f"{value[:left]}… ({len(value) - left:,} more characters left out)"
        left -= min(len(value), left)
        segments.append(Segment(value, source))
    merged = tuple(_merged(segments))
    return Interpolated(
        "".join(segment.text for segment in merged),
        merged,
        tuple(dict.fromkeys(missing)),
        tuple(dict.fromkeys(cut)),
    )


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt with names to fill in, for use in code, where a missing value is an error."""

    text: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names the text mentions, in order of their first place."""
        found = (root for _, root, _ in _scan(self.text) if root and not root.startswith("_"))
        return tuple(dict.fromkeys(found))

    def fill(self, **values: Any) -> str:
        """Return the text with the values filled in.

        Raises:
            UsageProblem: A lone name has no value, a value lacks what is asked of it, or a value
                is given for a name the text does not mention.
        """
        names = self.names
        for given in values:
            if given not in names:
                raise UsageProblem(
                    f"The template does not mention {given!r}{nearest(given, names)}",
                    hint=f"It mentions: {', '.join(names) or 'no names'}",
                )
        filled = interpolate(self.text, values)
        if filled.missing:
            raise UsageProblem(
                f"The template has no value for {{{filled.missing[0]}}}",
                hint="Give it as an argument, or write {{ }} for braces that are meant as such",
            )
        if filled.cut:
            raise UsageProblem(f"The value of {{{filled.cut[0]}}} is too long for a prompt")
        return filled.text


def _scan(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield pieces: the text as typed, and root and path where it is a field ("" elsewhere)."""
    opened: list[bool] = []  # for each open brace, whether it was written twice
    position = 0
    while found := _BRACE.search(text, position):
        start = found.start()
        if start > position:
            yield text[position:start], "", ""
        position = start + 1
        if text[start] == "}":
            if opened and opened.pop() and text.startswith("}}", start):
                position += 1
            yield "}", "", ""
        elif text.startswith("{{", start):
            position += 1
            opened.append(True)
            yield "{", "", ""
        elif match := _FIELD.match(text, start):
            position = match.end()
            yield match.group(), match["root"], match["path"]
        else:
            opened.append(False)
            yield "{", "", ""
    if position < len(text):
        yield text[position:], "", ""


def _look_up(names: Mapping[str, Any], root: str, path: str) -> str | None:
    """Return a value as text; None when there is none."""
    if root.startswith("_") or root not in names:
        return None
    try:
        value = names[root]
        for step in _STEP.finditer(path):
            if attr := step["attr"]:
                if attr.startswith("_"):
                    return None
                value = getattr(value, attr)
            elif step["index"] is not None:
                value = value[int(step["index"])]
            else:
                value = value[step["key"]]
        return str(value)
    except Exception:  # noqa: BLE001 - anybody's __getattr__, __getitem__ or __str__
        return None


def _merged(segments: list[Segment]) -> Iterator[Segment]:
    typed: list[str] = []
    for segment in segments:
        if not segment.source:
            typed.append(segment.text)
            continue
        if typed:
            yield Segment("".join(typed))
            typed = []
        yield segment
    if typed:
        yield Segment("".join(typed))
