"""Fences: the text under test goes to a judge as data that cannot end its own fence."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Part = tuple[str, str] | tuple[str, str, str]  # name, text and, for one of several, its id


def fenced(parts: Iterable[Part]) -> str:
    """Return parts as marked blocks: ``<context-31415926 id="p1">...</context-31415926>``.

    The mark is a hash of all that it encloses, so that no text can hold its own closing mark, and
    the same sample still makes the same request (which an exact cache and a journal rely on).
    """
    given = list(parts)
    joined = "\0".join("\0".join(part) for part in given)
    seen = hashlib.sha256(joined.encode("utf-8", "surrogatepass")).digest()
    mark = f"{int.from_bytes(seen[:8], 'big') % 10**8:08d}"
    blocks = []
    for name, text, *label in given:
        known_by = f' id="{label[0]}"' if label else ""
        blocks.append(f"<{name}-{mark}{known_by}>\n{text.strip()}\n</{name}-{mark}>")
    return "\n\n".join(blocks)
