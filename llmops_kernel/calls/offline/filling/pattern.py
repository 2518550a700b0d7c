"""A safe reader of regular expressions from JSON schemas.

Patterns come with requests, so they are never run by ``re``: a small one can keep it busy for
years. The common subset is compiled to a non-deterministic automaton, which matches and generates
in time linear in text length times pattern size. Look-around, back-references, word boundaries
and flags are outside the subset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

_MOST_STATES = 1_500
_MOST_REPEATS = 400
_LONGEST = 400
_MOST_WORK = 150_000  # states times characters

Ranges = tuple[tuple[int, int], ...]
_TOP = 0x10FFFF
_DIGITS: Ranges = ((48, 57),)
_SPACES: Ranges = ((32, 32), (9, 13))
_WORDS: Ranges = ((97, 122), (65, 90), (48, 57), (95, 95))
_DOT: Ranges = ((97, 122), (32, 96), (123, _TOP), (0, 9), (11, 31))
_ANY: Ranges = ((97, 122), (0, 96), (123, _TOP))
_CONTROLS = {"n": 10, "t": 9, "r": 13, "f": 12, "v": 11, "0": 0}


class _UnsupportedError(Exception):
    """The pattern is outside the subset, or too large."""


@dataclass(slots=True)
class _State:
    """Where to go: on characters, for nothing, at the start only, at the end only."""

    chars: list[tuple[Ranges, int]] = field(default_factory=list)
    free: list[int] = field(default_factory=list)
    at_start: list[int] = field(default_factory=list)
    at_end: list[int] = field(default_factory=list)


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> Pattern | None:
    """Compile a pattern; None when it is outside the subset or too large."""
    if len(pattern) > 1_000:
        return None
    try:
        return _Compiler(pattern).compile()
    except (_UnsupportedError, RecursionError):
        return None


class Pattern:
    """A compiled pattern with the meaning JSON schema gives it: found anywhere in the text."""

    def __init__(self, states: list[_State], start: int, accept: int) -> None:
        self._states = states
        self._start = start
        self._accept = accept

    def matches(self, text: str) -> bool:
        """Whether the pattern is found in a text of up to 400 characters (longer: False)."""
        if len(text) > min(_LONGEST, _MOST_WORK // len(self._states)):
            return False
        current = self._closure({self._start}, at_start=True, at_end=not text)
        for position, character in enumerate(text):
            code = ord(character)
            reached = {
                target
                for state in current
                for ranges, target in self._states[state].chars
                if any(low <= code <= high for low, high in ranges)
            }
            current = self._closure(reached, at_start=False, at_end=position + 1 == len(text))
            if not current:
                return False
        return self._accept in current

    def example(self, shortest: int = 0, longest: int = _LONGEST) -> str | None:
        """Return a matching text whose length is within bounds, or None if there is none.

        It is the shortest one, with the first character each place allows.
        """
        longest = min(longest, _LONGEST, _MOST_WORK // len(self._states))
        layers: list[dict[int, tuple[int, str]]] = []
        current = self._closure({self._start}, at_start=True, at_end=False)
        for length in range(longest + 1):
            if length >= shortest and self._ends(current, at_start=length == 0):
                return self._walk_back(layers, current, at_start=length == 0)
            step: dict[int, tuple[int, str]] = {}
            for state in sorted(current):
                for ranges, target in self._states[state].chars:
                    if target not in step and ranges:
                        step[target] = (state, chr(ranges[0][0]))
            if not step:
                return None
            layers.append(step)
            current = self._closure(set(step), at_start=False, at_end=False)
        return None

    def _ends(self, current: set[int], *, at_start: bool) -> bool:
        return self._accept in self._closure(set(current), at_start=at_start, at_end=True)

    def _walk_back(
        self, layers: list[dict[int, tuple[int, str]]], final: set[int], *, at_start: bool
    ) -> str:
        """Trace one path backwards through the layers."""
        state = next(
            s for s in sorted(final)
            if self._accept in self._closure({s}, at_start=at_start, at_end=True)
        )  # fmt: skip
        characters: list[str] = []
        for number in range(len(layers) - 1, -1, -1):
            step = layers[number]
            entry = next(
                target for target in sorted(step)
                if state in self._closure({target}, at_start=False, at_end=False)
            )  # fmt: skip
            state, character = step[entry]
            characters.append(character)
        return "".join(reversed(characters))

    def _closure(self, states: set[int], *, at_start: bool, at_end: bool) -> set[int]:
        stack = list(states)
        found = set(states)
        while stack:
            state = self._states[stack.pop()]
            targets = list(state.free)
            if at_start:
                targets += state.at_start
            if at_end:
                targets += state.at_end
            for target in targets:
                if target not in found:
                    found.add(target)
                    stack.append(target)
        return found


class _Compiler:
    """Reads a pattern by recursive descent and builds Thompson's automaton."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._states: list[_State] = []
        self._depth = 0

    def compile(self) -> Pattern:
        start, accept = self._new(), self._new()
        first, last = self._alternatives()
        if self._at != len(self._pattern):
            raise _UnsupportedError
        self._states[start].chars.append((_ANY, start))
        self._states[start].free.append(first)
        self._states[last].free.append(accept)
        self._states[accept].chars.append((_ANY, accept))
        return Pattern(self._states, start, accept)

    def _new(self) -> int:
        if len(self._states) >= _MOST_STATES:
            raise _UnsupportedError
        self._states.append(_State())
        return len(self._states) - 1

    def _peek(self) -> str:
        return self._pattern[self._at] if self._at < len(self._pattern) else ""

    def _next(self) -> str:
        if self._at >= len(self._pattern):
            raise _UnsupportedError
        self._at += 1
        return self._pattern[self._at - 1]

    def _alternatives(self) -> tuple[int, int]:
        self._depth += 1
        if self._depth > 40:
            raise _UnsupportedError
        start, end = self._new(), self._new()
        while True:
            first, last = self._sequence()
            self._states[start].free.append(first)
            self._states[last].free.append(end)
            if self._peek() != "|":
                break
            self._next()
        self._depth -= 1
        return start, end

    def _sequence(self) -> tuple[int, int]:
        start = end = self._new()
        while self._peek() not in {"", "|", ")"}:
            first, last = self._repeated()
            self._states[end].free.append(first)
            end = last
        return start, end

    def _repeated(self) -> tuple[int, int]:
        begin = self._at
        first, last = self._atom()
        finish = self._at
        bounds = self._quantifier()
        if bounds is None:
            return first, last
        least, most = bounds
        start = end = self._new()
        for copy in range(max(least, 1 if most is None else most)):
            if copy:
                self._at = begin
                first, last = self._atom()
                self._at = finish
            if copy >= least:
                self._states[end].free.append(last)  # this copy may be left out
            self._states[end].free.append(first)
            end = last
        if least == 0 and most == 0:
            return start, start
        if most is None:
            self._states[last].free.append(first)
            after = self._new()
            self._states[last].free.append(after)
            if least == 0:
                self._states[start].free.append(after)
            end = after
        self._at = finish
        self._quantifier()
        return start, end

    def _quantifier(self) -> tuple[int, int | None] | None:
        mark = self._peek()
        bounds: tuple[int, int | None] | None = None
        if mark in {"*", "+", "?"}:
            self._next()
            bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}[mark]
        elif mark == "{":
            close = self._pattern.find("}", self._at)
            inside = self._pattern[self._at + 1 : close] if close > 0 else ""
            low, comma, high = inside.partition(",")
            if not (low.isdigit() or (comma and not low)) or not (high.isdigit() or not high):
                return None
            self._at = close + 1
            least = int(low or 0)
            bounds = (least, (int(high) if high else None) if comma else least)
        if bounds is None:
            return None
        if self._peek() in {"?", "+"}:
            self._next()
        if bounds[0] > _MOST_REPEATS or (bounds[1] or 0) > _MOST_REPEATS:
            raise _UnsupportedError
        return bounds

    def _atom(self) -> tuple[int, int]:
        mark = self._next()
        if mark == "(":
            return self._group()
        start, end = self._new(), self._new()
        if mark == "^":
            self._states[start].at_start.append(end)
        elif mark == "$":
            self._states[start].at_end.append(end)
        elif mark == "[":
            self._states[start].chars.append((self._class(), end))
        elif mark == ".":
            self._states[start].chars.append((_DOT, end))
        elif mark == "\\":
            self._escaped(start, end)
        elif mark in {"*", "+", "?"}:
            raise _UnsupportedError
        else:
            self._states[start].chars.append((((ord(mark), ord(mark)),), end))
        return start, end

    def _group(self) -> tuple[int, int]:
        if self._peek() == "?":
            self._next()
            kind = self._next()
            if kind == "P" and self._peek() == "<":
                self._at = self._pattern.find(">", self._at) + 1
            elif kind != ":":
                raise _UnsupportedError
            if self._at == 0:
                raise _UnsupportedError
        inside = self._alternatives()
        if self._next() != ")":
            raise _UnsupportedError
        return inside

    def _escaped(self, start: int, end: int) -> None:
        if self._peek() == "A":
            self._next()
            self._states[start].at_start.append(end)
        elif self._peek() in {"Z", "z"}:
            self._next()
            self._states[start].at_end.append(end)
        else:
            self._states[start].chars.append((self._escape(), end))

    def _escape(self) -> Ranges:
        mark = self._next()
        known = {"d": _DIGITS, "w": _WORDS, "s": _SPACES}
        if mark in known:
            return known[mark]
        if mark in {"D", "W", "S"}:
            return _negate(known[mark.lower()])
        if mark in {"x", "u"}:
            width = 2 if mark == "x" else 4
            digits = self._pattern[self._at : self._at + width]
            self._at += width
            try:
                code = int(digits, 16)
            except ValueError as error:
                raise _UnsupportedError from error
            return ((code, code),)
        code = _CONTROLS.get(mark, ord(mark))
        if mark.isalnum() and mark not in _CONTROLS:
            raise _UnsupportedError
        return ((code, code),)

    def _class(self) -> Ranges:
        negated = self._peek() == "^"
        if negated:
            self._next()
        found: list[tuple[int, int]] = []
        first = True
        while first or self._peek() != "]":
            low = self._class_item()
            first = False
            ahead = self._pattern[self._at : self._at + 2]
            if len(low) == 1 and low[0][0] == low[0][1] and ahead[:1] == "-" and ahead[1:] != "]":
                self._next()
                high = self._class_item()
                found.append((low[0][0], high[0][1]))
                if high[0][1] < low[0][0]:
                    raise _UnsupportedError
            else:
                found.extend(low)
        self._next()
        ranges = tuple(found)
        return _negate(ranges) if negated else ranges

    def _class_item(self) -> Ranges:
        mark = self._next()
        return self._escape() if mark == "\\" else ((ord(mark), ord(mark)),)


def _negate(ranges: Ranges) -> Ranges:
    found: list[tuple[int, int]] = []
    position = 0
    for low, high in sorted(ranges):
        if low > position:
            found.append((position, low - 1))
        position = max(position, high + 1)
    if position <= _TOP:
        found.append((position, _TOP))
    letters = [(max(low, 97), min(high, 122)) for low, high in found if low <= 122 and high >= 97]
    spaces = [(max(low, 32), high) for low, high in found if high >= 32 and low <= 0xD7FF]
    return (*letters, *spaces, *found)
