"""Rows and specifications that the tests of this room share."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune import prepare, read_spec

if TYPE_CHECKING:
    from pathlib import Path

LABELS = {
    "card": ["block", "freeze", "stop", "cancel"],
    "transfer": ["send", "wire", "move", "transfer"],
    "loan": ["borrow", "finance", "mortgage", "lend"],
}


def rows(count: int = 120, seed: int = 1) -> list[dict[str, Any]]:
    """Return requests with their area, all different."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        label = draw.choice(list(LABELS))
        word = draw.choice(LABELS[label])
        tail = draw.choice(["now", "today", "soon", "for me", "quickly", "at once"])
        thing = "".join(draw.choice("abcdefghijklmnop") for _ in range(draw.randint(2, 9)))
        asked = f"Please {word} {thing} {tail} {chr(97 + number % 26)}{chr(97 + number // 26)}"
        made.append(
            {
                "messages": [
                    {"role": "user", "content": asked},
                    {"role": "assistant", "content": label},
                ]
            }
        )
    return made


def write_rows(path: Path, made: list[dict[str, Any]] | None = None) -> Path:
    """Write rows as JSONL."""
    made = rows() if made is None else made
    path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    return path


def spec_text(base: Path, data: Path, *, method: str = "full", more: str = "") -> str:
    """Return a specification of a training of seconds."""
    train = "" if "train:" in more else "train: {epochs: 8, lr: 3.0e-3}\n"
    return (
        f"task: classify\nbase: {base}\nmethod: {method}\nbackend: {{threads: 1}}\n"
        f"{'' if 'data:' in more else f'data: {{path: {data}}}'}\n{train}{more}\n"
    )


def prepared(folder: Path, made: list[Any], **data: Any) -> tuple[Any, list[Any], list[Any]]:
    """Write rows, prepare them, and return manifest, training and evaluation rows."""
    source = folder / "source.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in made))
    task = data.pop("task", "chat")
    asked = json.dumps({"path": str(source), **data})
    spec = read_spec(f"base: x\ntask: {task}\ndata: {asked}")
    manifest = prepare(spec, folder / "data")

    def read(name: str) -> list[Any]:
        path = folder / "data" / f"{name}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    return manifest, read("train"), read("eval")
