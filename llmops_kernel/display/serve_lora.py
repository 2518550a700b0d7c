"""The adapters that a server has loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.display.mime import View, view
from llmops_kernel.display.money import UNKNOWN
from llmops_kernel.display.table import table
from llmops_kernel.display.text import markup, printable

if TYPE_CHECKING:
    from collections.abc import Mapping


def adapters_view(server: Mapping[str, Any]) -> View:
    """Build the list of a server's adapters.

    Args:
        server: ``name``, ``engine``, ``adapters`` (each with ``name``, ``ref`` and ``loaded``:
            whether the engine says that it has it; None where it does not tell).
    """
    said = {True: "yes", False: "no", None: UNKNOWN}
    rows = [
        (f"local/{server['name']}:{each['name']}", each["ref"], said[each["loaded"]])
        for each in server["adapters"]
    ]
    if not rows:
        text = f"local/{server['name']} has no adapters"
        return view(f"<p>{markup(text)}</p>", printable(text), server)
    caption = f"Adapters of local/{server['name']}"
    html, plain = table(("Model", "Adapter", "The engine has it"), rows, caption)
    return view(html, plain, server)
