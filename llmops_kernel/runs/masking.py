"""Keeping secrets and widgets out of saved notebooks."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmops_kernel.guard.secrets import Secrets

MASK = "***"
_LONG_ENOUGH = 12
_WIDGETS = ("application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json")
# Base64 is not text: a pattern that fits by chance would break the picture.
_BINARY = re.compile(r"^(image/(?!svg)|audio/|video/|font/|application/(pdf|octet-stream|zip))")
_DATA_URI = re.compile(r"(data:[\w.+/-]*;base64,[A-Za-z0-9+/=\s]+)")


def mask_parameters(parameters: Mapping[str, Any], secrets: Secrets) -> dict[str, Any]:
    """Return parameters as they may be saved.

    A value whose name looks like a secret's becomes ``"***"`` and is registered, so that it is
    redacted wherever it turns up; other texts lose what is shaped like a key.
    """
    for value in secret_values(parameters, secrets):  # all, before the first text is redacted
        # The forms in which outputs show a value, beyond those that every secret has.
        for form in (value, repr(value)[1:-1], html.escape(value)):
            secrets.register(form)
    return {name: _mask(name, value, secrets) for name, value in parameters.items()}


def secret_values(parameters: Mapping[str, Any], secrets: Secrets) -> list[str]:
    """Return the texts among parameters whose name, or a name above them, is a secret's."""
    found: list[str] = []

    def walk(value: Any, *, secret: bool) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                walk(inner, secret=secret or secrets.looks_secret(str(name)))
        elif isinstance(value, list | tuple):
            for inner in value:
                walk(inner, secret=secret)
        elif secret and isinstance(value, str) and value:
            found.append(value)

    walk(parameters, secret=False)
    return found


def _mask(name: str, value: Any, secrets: Secrets) -> Any:
    if secrets.looks_secret(name) and value not in (None, ""):
        return MASK
    if isinstance(value, Mapping):
        return {key: _mask(str(key), inner, secrets) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_mask("", inner, secrets) for inner in value]
    return secrets.redact(value) if isinstance(value, str) else value


def register_environment(environ: Mapping[str, str], secrets: Secrets) -> None:
    """Remember the variables that look like secrets: a notebook may print its environment.

    Short values stay out. ``POSTGRES_PASSWORD=postgres`` would cut holes in ordinary text.
    """
    for name, value in environ.items():
        if secrets.looks_secret(name) and len(value) >= _LONG_ENOUGH:
            secrets.register(value)


def clean_message(content: Any, secrets: Secrets) -> Any:
    """Return a kernel message's content, or a notebook output, without secrets and widgets."""
    if isinstance(content, str):
        return _redact_text(content, secrets)
    if isinstance(content, Mapping):
        return {
            key: _clean_bundle(value, secrets)
            if key == "data" and isinstance(value, Mapping)
            else clean_message(value, secrets)
            for key, value in content.items()
        }
    if isinstance(content, list | tuple):
        return [clean_message(item, secrets) for item in content]
    return content


def _clean_bundle(bundle: Mapping[str, Any], secrets: Secrets) -> dict[str, Any]:
    """Clean a mime bundle; GitHub and untrusted notebooks show the fallback of a widget."""
    kept = {
        mime: value if _BINARY.match(mime) else clean_message(value, secrets)
        for mime, value in bundle.items()
        if mime not in _WIDGETS
    }
    if bundle and not kept:
        kept["text/plain"] = ""
    return kept


def _redact_text(text: str, secrets: Secrets) -> str:
    if ";base64," not in text:
        return secrets.redact(text)
    # Every second part is a data URI, see the group in the pattern.
    parts = _DATA_URI.split(text)
    return "".join(part if index % 2 else secrets.redact(part) for index, part in enumerate(parts))


def clean_outputs(cell: Any, secrets: Secrets) -> None:
    """Clean a code cell's outputs in place.

    A stream arrives in pieces, and a secret may be cut in two: neighbouring pieces are read as one
    text. When that text holds a secret it moves to the first piece, and the others stay behind
    empty, because displays are updated by their position.
    """
    pieces: list[Any] = []
    for output in [*cell.get("outputs", []), None]:
        same = (
            pieces
            and output is not None
            and output.output_type == "stream"
            and output.name == pieces[0].name
        )
        if not same:
            _clean_stream(pieces, secrets)
            pieces = []
        if output is None:
            break
        if output.output_type == "stream":
            pieces.append(output)
        else:
            for key, value in dict(output).items():
                if key != "output_type":
                    output[key] = clean_message({key: value}, secrets)[key]


def _clean_stream(pieces: list[Any], secrets: Secrets) -> None:
    if not pieces:
        return
    text = "".join(_text(piece) for piece in pieces)
    clean = secrets.redact(text)
    if clean != text:
        pieces[0].text = clean
        for piece in pieces[1:]:
            piece.text = ""


def _text(output: Any) -> str:
    return "".join(output.text)  # a string, or in older files a list of lines


def join_streams(cell: Any) -> None:
    """Join neighbouring pieces of one stream, as JupyterLab does; only once no display changes."""
    joined: list[Any] = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            if not output.text:
                continue
            last = joined[-1] if joined else None
            if last is not None and last.output_type == "stream" and last.name == output.name:
                last.text = _text(last) + _text(output)
                continue
        joined.append(output)
    cell.outputs = joined


def strip_widgets(notebook: Any) -> None:
    """Remove the widget state that an earlier save left in a notebook's metadata."""
    notebook.metadata.pop("widgets", None)
