"""Typed output: asked for by schema, checked, and sent back when it does not fit."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.messages import dump
from llmops_kernel.display.text import one_line, shorten
from llmops_kernel.errors import UsageProblem
from llmops_kernel.prompts.envelope import envelope
from llmops_kernel.prompts.extract import extract_json
from llmops_kernel.prompts.schemas import read_schema
from llmops_kernel.prompts.strict import strict_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydantic import BaseModel, ValidationError

    from llmops_kernel.calls.messages import Message

_MAX_PROBLEMS = 8
_MAX_ERRORS = 500
_MAX_REPLY = 6_000
_MAX_SCHEMA = 8_000


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a reply held.

    Attributes:
        data: An instance of the model class, or JSON data; None when there are problems.
        json: The output as compact JSON, "" when there are problems.
        reasoning: The reasoning that came with it.
        problems: What is wrong, one readable line each; empty when the output is valid.
    """

    data: Any = None
    json: str = ""
    reasoning: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class OutputSchema:
    """A schema for typed output; build one with `of`.

    Attributes:
        name: Its name, as providers take it.
        schema: The JSON schema that output is checked against.
        model: The pydantic model class that checks instead, if it was given as one.
    """

    name: str
    schema: dict[str, Any]
    model: type[BaseModel] | None = None

    @classmethod
    def of(cls, source: Any) -> OutputSchema:
        """Read a pydantic model class, a JSON schema (mapping or text), or a schema file's path.

        Raises:
            UsageProblem: There is no usable schema in it, or it refers to another document.
        """
        return source if isinstance(source, OutputSchema) else cls(*read_schema(source))

    def response_format(self, *, think: bool = False) -> dict[str, Any]:
        """Return the ``response_format`` of a request; strict where the schema has a strict form.

        Args:
            think: Ask for reasoning in a first property, which `parse` takes off again.
        """
        sent = envelope(self.schema, think=think).schema
        strict = strict_schema(sent)
        content = {"name": self.name, "schema": strict or sent, "strict": strict is not None}
        return {"type": "json_schema", "json_schema": content}

    def parse(self, text: str, *, think: bool = False) -> Parsed:
        """Read and check a reply; fences and prose around the JSON are forgiven.

        Raises:
            UsageProblem: The schema itself cannot be followed.
        """
        found = extract_json(text)
        if not found.values:
            return Parsed(problems=(found.problem,))
        sent = envelope(self.schema, think=think)
        failed: Parsed | None = None
        for value in found.values:
            parsed = self._checked(*sent.open(value))
            if not parsed.problems:
                return parsed
            failed = failed or parsed
        assert failed is not None
        return failed

    def repair_messages(
        self, text: str, problems: Sequence[str], *, think: bool = False
    ) -> tuple[Message, ...]:
        """Return the turns that ask for a correction: the invalid reply, and what is wrong."""
        lines = [f"- {problem}" for problem in problems[:_MAX_PROBLEMS]]
        if len(problems) > _MAX_PROBLEMS:
            lines.append(f"- and {len(problems) - _MAX_PROBLEMS} more")
        # Servers that ignore response_format have not shown the model its schema yet.
        schema = dump(envelope(self.schema, think=think).schema)
        told = f"\n\nThe JSON schema:\n{schema}" if len(schema) <= _MAX_SCHEMA else ""
        wrong = "\n".join(lines)
        return (
            {"role": "assistant", "content": shorten(text, _MAX_REPLY).strip() or "(empty)"},
            {
                "role": "user",
                "content": f"Your last reply does not match the JSON schema:\n{wrong}\n\n"
                f"Reply again with the corrected JSON only, without any other text.{told}",
            },
        )

    @cached_property
    def _validator(self) -> Any:
        from jsonschema.validators import Draft202012Validator, validator_for
        from referencing import Registry

        kind: Any = validator_for(self.schema, default=Draft202012Validator)
        # An empty registry: the default one would fetch references from the network.
        return kind(self.schema, registry=Registry(), format_checker=kind.FORMAT_CHECKER)

    def _checked(self, value: Any, reasoning: str) -> Parsed:
        data, problems = self._check(value)
        if problems and (without := self._without_nulls(value)) is not None:
            # In strict mode an optional property is a nullable one: null says it is left out.
            again, still = self._check(without)
            if not still:
                data, problems, value = again, (), without
        if problems:
            return Parsed(reasoning=reasoning, problems=problems)
        return Parsed(data, dump(value), reasoning)

    def _check(self, value: Any) -> tuple[Any, tuple[str, ...]]:
        if self.model is not None:
            return _check_model(self.model, value)
        return value, tuple(_schema_problem(error) for error in self._errors(value))

    def _errors(self, value: Any) -> list[Any]:
        from referencing.exceptions import Unresolvable

        try:
            errors = list(islice(self._validator.iter_errors(value), _MAX_ERRORS))
        except (Unresolvable, RecursionError) as error:
            raise UsageProblem(
                "The output schema cannot be followed",
                detail=one_line(error, 200) or type(error).__name__,
                hint="Its references must lead to parts of it, and not in circles",
            ) from error
        return sorted(errors, key=lambda error: [str(part) for part in error.absolute_path])

    def _without_nulls(self, value: Any) -> Any:
        """Return the value without the nulls that do not fit; None when there are none."""
        paths = {
            tuple(error.absolute_path)
            for error in _nested(self._errors(value))
            if error.instance is None and error.absolute_path
        }
        named = [path for path in paths if isinstance(path[-1], str)]
        if not named:
            return None
        changed = deepcopy(value)
        for path in named:
            parent = changed
            for step in path[:-1]:
                parent = parent[step]
            parent.pop(path[-1], None)
        return changed


def _check_model(model: type[BaseModel], value: Any) -> tuple[Any, tuple[str, ...]]:
    from pydantic import ValidationError

    try:
        # By way of JSON: there a date is a string and a tuple a list, also in strict models.
        return model.model_validate_json(dump(value)), ()
    except ValidationError as error:
        return None, tuple(_model_problems(error))


def _model_problems(error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False, include_context=False):
        given = "" if item["type"] == "missing" else f" (got {one_line(repr(item['input']), 60)})"
        yield f"{_place(item['loc'])}: {one_line(item['msg'], 200)}{given}"


def _schema_problem(error: Any) -> str:
    problem = one_line(error.message, 200)
    if error.context:
        # Of several alternatives, the one the output got furthest with was meant.
        deepest = max(error.context, key=lambda each: len(each.absolute_path))
        problem += f" ({_place(deepest.absolute_path)}: {one_line(deepest.message, 120)})"
    return f"{_place(error.absolute_path)}: {problem}"


def _nested(errors: Iterable[Any]) -> Iterator[Any]:
    for error in errors:
        yield error
        yield from _nested(error.context or ())


def _place(path: Iterable[int | str]) -> str:
    place = ""
    for step in path:
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else str(step)
    return place or "the output"
