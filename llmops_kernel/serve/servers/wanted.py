"""How a model shall be served, and what came of it; written down so that a replica can follow."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.serve.engines import engine_named
from llmops_kernel.serve.models import ServedModel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from llmops_kernel.serve.engines import Engine
    from llmops_kernel.serve.record import ServerRecord

_WAIT_S = 180.0
# What a further replica takes over. A port is no part of it: each replica has its own.
_KEPT = ("slots", "context", "threads", "batching", "wait_s", "lora")


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a model shall be served.

    Attributes:
        slots: Requests at once.
        context: Tokens of one request; 0 for the model's own bound, at most 4,096.
        port: The port; 0 for any free one.
        threads: CPU threads; 0 for as many as this process may use.
        batching: Whether to batch where that is a choice; None for the engine's default.
        keep: Whether it outlives this process.
        idle_s: Seconds without a call after which it is stopped; 0 for never.
        wait_s: Seconds it may take until it answers.
        parity: Whether to compare its answers with the trained model's.
        usd_input: USD for 1M input tokens; 0 for none.
        usd_output: USD for 1M output tokens; 0 for none.
        lora: Adapters by name: registered versions, or the files of those that were found.
        extra: Further arguments for the engine.
    """

    slots: int = 8
    context: int = 0
    port: int = 0
    threads: int = 0
    batching: bool | None = None
    keep: bool = False
    idle_s: float = 0.0
    wait_s: float = _WAIT_S
    parity: bool = True
    usd_input: Decimal | float = 0
    usd_output: Decimal | float = 0
    lora: Mapping[str, str] = field(default_factory=dict)
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.slots < 1 or self.context < 0 or self.threads < 0:
            raise UsageProblem("Slots must be at least 1, context and threads at least 0")
        if self.wait_s <= 0 or self.idle_s < 0:
            raise UsageProblem("A wait must be above zero, an idle time at least zero")
        if self.usd_input < 0 or self.usd_output < 0:
            raise UsageProblem("A price must be at least zero")


@dataclass(frozen=True, slots=True)
class Started:
    """A server that has answered.

    Attributes:
        record: The server.
        fresh: Whether it was started now; it may have run already.
        checked: What was compared with the trained model; see `check_answers`.
        differs: In what one that ran already is not as it was asked for; see `differences`.
    """

    record: ServerRecord
    fresh: bool
    checked: dict[str, int]
    differs: tuple[str, ...] = ()


def written_down(model: ServedModel, wanted: Wanted) -> dict[str, Any]:
    """Return what a further replica needs to know, as JSON-like values; see `read_back`."""
    portable = {key: None if value is None else str(value) for key, value in asdict(model).items()}
    kept = {name: getattr(wanted, name) for name in _KEPT}
    return {"model": portable, "wanted": {**kept, "extra": list(wanted.extra)}}


def read_back(record: ServerRecord) -> tuple[ServedModel, Engine, Wanted]:
    """Return what `written_down` has put into a server's record."""

    def path(value: str | None) -> Path | None:
        return None if value is None else Path(value)

    said = record.start["model"]
    model = ServedModel(
        said["name"],
        path(said["folder"]),
        path(said["gguf"]),
        path(said["reference"]),
        path(said["modelfile"]),
        said["remote"],
    )
    wanted = dict(record.start["wanted"])
    return model, engine_named(record.engine), Wanted(**{**wanted, "extra": tuple(wanted["extra"])})
