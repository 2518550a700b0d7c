"""What a GGUF file says of its model, read from its head without the weights.

The form is that of the GGUF specification (ggml, docs/gguf.md), versions 2 and 3: magic, version,
number of tensors, number of facts, then each fact as key, type and value; all little-endian.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC, _VERSIONS = b"GGUF", (2, 3)
# Types by number: how many bytes a value takes, and how whole numbers are read.
_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_WHOLE = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 10: "<Q", 11: "<q"}
_STRING, _ARRAY = 8, 9
# Bounds on what a damaged file can make us read.
_MOST_FACTS, _MOST_KEY, _MOST_ITEMS = 65_536, 65_535, 16_777_216
_ARCHITECTURE, _CONTEXT = "general.architecture", ".context_length"


def context_length(path: Path) -> int:
    """Return the tokens that a GGUF file's model was made for; 0 where the file does not say.

    Args:
        path: The file.
    """
    try:
        with path.open("rb") as file:
            return _context(file)
    except (OSError, ValueError, struct.error):
        return 0


def _context(file: BinaryIO) -> int:
    if file.read(4) != _MAGIC or _number(file, "<I") not in _VERSIONS:
        raise ValueError("no GGUF file of a version that is known")
    _number(file, "<Q")  # tensors
    facts = _number(file, "<Q")
    architecture, lengths = "", dict[str, int]()
    for _ in range(min(facts, _MOST_FACTS)):
        key = _text(file)
        kind = _number(file, "<I")
        if key == _ARCHITECTURE and kind == _STRING:
            architecture = _text(file)
        elif key.endswith(_CONTEXT) and kind in _WHOLE:
            lengths[key.removesuffix(_CONTEXT)] = _number(file, _WHOLE[kind])
        else:
            _pass(file, kind)
        # The facts after it are the tokenizer's, and long.
        if architecture in lengths:
            return max(0, lengths[architecture])
    return 0


def _pass(file: BinaryIO, kind: int) -> None:
    """Go past a value."""
    if kind == _STRING:
        _skip(file, _number(file, "<Q"))
    elif kind == _ARRAY:
        items, count = _number(file, "<I"), _number(file, "<Q")
        if count > _MOST_ITEMS or items == _ARRAY:
            raise ValueError("an array that is too long, or of arrays")
        if items in _BYTES:
            _skip(file, _BYTES[items] * count)
        else:
            for _ in range(count):
                _pass(file, items)
    elif kind in _BYTES:
        _skip(file, _BYTES[kind])
    else:
        raise ValueError("a type that is not known")


def _skip(file: BinaryIO, size: int) -> None:
    if size >= 2**62:
        raise ValueError("a length that cannot be")
    file.seek(size, 1)


def _text(file: BinaryIO) -> str:
    size = _number(file, "<Q")
    if size > _MOST_KEY:
        raise ValueError("a name that is too long")
    return file.read(size).decode("utf-8")


def _number(file: BinaryIO, form: str) -> int:
    found: int = struct.unpack(form, file.read(struct.calcsize(form)))[0]
    return found
