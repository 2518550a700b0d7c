"""Reading the schema of typed output, from whatever describes it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from pydantic import BaseModel

_HINT = "Give a pydantic model class, a JSON schema, or the path of a JSON schema file"
_UNNAMED = re.compile(r"[^A-Za-z0-9_-]+")


def read_schema(source: Any) -> tuple[str, dict[str, Any], type[BaseModel] | None]:
    """Return the name, the JSON schema and the model class (None without one) of a source.

    Args:
        source: A pydantic model class, a JSON schema as a mapping or as text, or a file's path.

    Raises:
        UsageProblem: There is no usable schema in it.
    """
    if isinstance(source, type):
        return _of_model(source)
    default = "output"
    if isinstance(source, Path) or (
        isinstance(source, str) and not source.lstrip().startswith("{")
    ):
        path = Path(source).expanduser()
        default = path.stem.removesuffix(".schema")
        source = _read_file(path)
    if isinstance(source, str):
        source = _load(source, "The output schema")
    if not isinstance(source, Mapping) or not source:
        raise UsageProblem("The output schema is no JSON schema", hint=_HINT)
    schema = _plain(source)
    if "properties" in schema:
        schema.setdefault("type", "object")  # what everybody means who leaves it out
    _check(schema)
    return _name(schema.get("title"), default), schema, None


def references(node: Any) -> Iterator[str]:
    """Yield every reference in a schema."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in ("$ref", "$dynamicRef") and isinstance(value, str):
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from references(item)


def _of_model(source: type) -> tuple[str, dict[str, Any], type[BaseModel] | None]:
    from pydantic import BaseModel
    from pydantic.errors import PydanticUserError

    if not issubclass(source, BaseModel):
        raise UsageProblem(f"{source.__name__} is no pydantic model class", hint=_HINT)
    try:
        schema = source.model_json_schema()
    except PydanticUserError as error:
        raise UsageProblem(
            f"{source.__name__} has no JSON schema",
            detail=error.message.splitlines()[0],
            hint="Use field types that JSON can hold",
        ) from error
    return _name(source.__name__, "output"), schema, source


def _read_file(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageProblem(
            "The output schema's file cannot be read",
            detail=f"{str(path)[:200]}: {getattr(error, 'strerror', None) or error}",
            hint=_HINT,
        ) from error
    return _load(text, f"The output schema in {path.name}")


def _load(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageProblem(f"{what} is not valid JSON", detail=str(error), hint=_HINT) from error


def _plain(source: Mapping[Any, Any]) -> dict[str, Any]:
    """Copy a schema as JSON data, so that nobody changes it afterwards."""
    try:
        copied = json.loads(json.dumps(dict(source), default=_as_dict))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageProblem(
            "The output schema is no JSON schema", detail=str(error), hint=_HINT
        ) from error
    assert isinstance(copied, dict)
    return copied


def _as_dict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} is no JSON value")


def _check(schema: dict[str, Any]) -> None:
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for

    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        raise UsageProblem(
            "The output schema is no JSON schema",
            detail=f"{error.json_path}: {error.message[:200]}",
            hint=_HINT,
        ) from error
    except RecursionError as error:
        raise UsageProblem("The output schema is nested too deeply") from error
    for target in references(schema):
        if not target.startswith("#"):
            # Following it would read whatever file or server a schema names.
            raise UsageProblem(
                "The output schema refers to another document",
                detail=target[:200],
                hint="Put what it refers to in $defs",
            )
        if target.startswith("#/") and not _resolves(schema, target):
            raise UsageProblem(
                "The output schema refers to a part it does not have", detail=target[:200]
            )


def _resolves(schema: Any, target: str) -> bool:
    node = schema
    for part in target.removeprefix("#/").split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        else:
            return False
    return True


def _name(title: Any, default: str) -> str:
    """Return a name as providers take it: up to 64 letters, digits, ``_`` and ``-``."""
    text = title if isinstance(title, str) else default
    return _UNNAMED.sub("_", text).strip("_")[:64] or "output"
