"""From YAML to the schema: every mistake named with its key and its line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from llmops_kernel.errors import MissingExtra, SettingsError, UsageProblem, nearest
from llmops_kernel.finetune.spec.model import FineTuneSpec
from llmops_kernel.guard import Secrets, looks_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST = 1_000_000  # characters of a specification
_DEEPEST = 12
_MOST_NODES = 5_000  # anchors could make thousands out of a few lines
_HINT = "%%finetune --help shows an example"

Place = tuple[str | int, ...]


def read_spec_file(path: str | Path) -> FineTuneSpec:
    """Read a specification from a file.

    Raises:
        UsageProblem: The file cannot be read, or is no YAML.
        SettingsError: A name or a value in it is wrong.
    """
    file = Path(path).expanduser()
    try:
        if file.stat().st_size > _LARGEST:
            raise UsageProblem("The specification is too long", detail=str(file))
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem("The specification cannot be read", detail=f"{file}: {error}") from error
    return read_spec(text)


def read_spec(text: str, *, first_line: int = 1) -> FineTuneSpec:
    """Read a specification.

    Args:
        text: YAML.
        first_line: Number of its first line, for messages (2 within a cell).

    Raises:
        UsageProblem: It is no YAML, has a key twice, or holds a secret.
        SettingsError: A name or a value is wrong; the message names the key, the detail its line.
    """
    values, lines = _parsed(text, first_line)
    _refuse_secrets(values, lines)
    try:
        return FineTuneSpec.model_validate(values)
    except ValidationError as error:
        raise _explained(error, lines) from error


def _parsed(text: str, first_line: int) -> tuple[dict[str, Any], dict[Place, int]]:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingExtra("finetune", "pyyaml") from error
    if len(text) > _LARGEST:
        raise UsageProblem("The specification is too long", hint=_HINT)
    lines: dict[Place, int] = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            raise UsageProblem("The specification is empty", hint=_HINT)
        for place, line in _places(node, (), first_line):
            lines[place] = line
            if len(lines) > _MOST_NODES:
                raise UsageProblem("The specification has too many values", hint=_HINT)
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + first_line}: " if mark is not None else ""
        told = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UsageProblem("The specification is no YAML", detail=f"{where}{told}") from error
    if not isinstance(values, dict):
        raise UsageProblem(
            "The specification must be names with values", hint=f"base: ./models/small; {_HINT}"
        )
    return values, lines


def _places(node: Any, place: Place, first_line: int) -> Iterator[tuple[Place, int]]:
    """Yield the line of every key and item; a key that stands twice is refused."""
    if len(place) > _DEEPEST:
        raise UsageProblem("The specification is nested too deeply", hint=_HINT)
    yield place, node.start_mark.line + first_line
    if node.id == "mapping":
        seen: set[str] = set()
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + first_line
            if name in seen:
                raise UsageProblem(f"{_dotted((*place, name))} stands twice", detail=f"line {line}")
            seen.add(name)
            yield from _places(value, (*place, name), first_line)
            yield (*place, name), line
    elif node.id == "sequence":
        for number, value in enumerate(node.value):
            yield from _places(value, (*place, number), first_line)


def _refuse_secrets(values: dict[str, Any], lines: dict[Place, int]) -> None:
    secrets = Secrets()
    for place, value in _leaves(values, ()):
        name = next((str(part) for part in reversed(place) if isinstance(part, str)), "")
        shaped = isinstance(value, str) and secrets.redact(value) != value
        named = looks_secret(name) and value not in (None, "", False)
        if shaped or named:
            raise UsageProblem(
                f"{_dotted(place)} holds a secret",
                detail=f"line {lines.get(place, 1)}",
                hint="Put keys into the environment (HF_TOKEN); a specification is kept and shown",
            )


def _leaves(value: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, (*place, str(key)))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _leaves(each, (*place, number))
    else:
        yield place, value


def _explained(error: ValidationError, lines: dict[Place, int]) -> SettingsError:
    # A name that is not known says more than what is missing because it was misspelt.
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    place = tuple(first["loc"])
    line = _line(place, lines)
    if first["type"] == "extra_forbidden":
        known = _known_names(place[:-1])
        return SettingsError(
            f"{_dotted(place)} is not a name here{nearest(str(place[-1]), known)}",
            detail=line,
            hint=f"Known are {', '.join(known)}" if known else _HINT,
        )
    if first["type"] == "missing":
        return SettingsError(f"{_dotted(place)} is missing", detail=line, hint=_HINT)
    shown = _dotted(_named(place))
    said = first["msg"].removeprefix("Value error, ")
    got = first["input"]
    given = f" (got {got!r})"[:120] if isinstance(got, str | int | float | bool | None) else ""
    return SettingsError(
        f"{shown} has a wrong value" if shown else "The specification contradicts itself",
        detail=f"{line}{': ' if line else ''}{said}{given}",
        hint=_choices_hint(first),
    )


def _named(place: Place) -> Place:
    """Return a place without the tags that pydantic adds for alternatives of a type."""
    kept: list[str | int] = []
    for part in place:
        if isinstance(part, str) and kept and not _is_field((*kept, part)):
            break
        kept.append(part)
    return tuple(kept)


def _is_field(place: Place) -> bool:
    return str(place[-1]) in _known_names(tuple(place[:-1]))


def _choices_hint(first: Any) -> str:
    expected = first.get("ctx", {}).get("expected")
    return f"Give {expected}" if expected else _HINT


def _line(place: Place, lines: dict[Place, int]) -> str:
    for end in range(len(place), 0, -1):
        if place[:end] in lines:
            return f"line {lines[place[:end]]}"
    return ""


def _known_names(place: Place) -> list[str]:
    """Return the names that may stand at a place of the specification."""
    model: Any = FineTuneSpec
    for part in place:
        field = next(
            (f for n, f in model.model_fields.items() if (f.alias or n) == part),
            None,
        )
        if field is None:
            return []
        kinds = [field.annotation, *get_args(field.annotation)]
        model = next(
            (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)),
            None,
        )
        if model is None:
            return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _dotted(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text
