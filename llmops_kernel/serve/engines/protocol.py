"""What an engine is to us: a command, an address, and what it can do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmops_kernel.serve.models import ServedModel


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do.

    Attributes:
        batches: Whether it works on several requests at once.
        lora: How a request chooses among the adapters that are loaded; "" if none is.
        prefix_cache: Whether it keeps the keys and values of prompts that begin alike.
        tokenize: The path that turns text into token ids; "" if there is none.
        render: The path that renders messages with the chat template; "" if there is none.
        metrics: The path of its metrics; "" if there is none.
        keyed: Whether it asks for a key.
    """

    batches: bool
    lora: str = ""
    prefix_cache: bool = False
    tokenize: str = ""
    render: str = ""
    metrics: str = ""
    keyed: bool = True


@dataclass(frozen=True, slots=True)
class Start:
    """How a server is to be started.

    Attributes:
        model: What it serves.
        port: Where it listens, on 127.0.0.1.
        slots: Requests that are worked on at once.
        context: Tokens of one request, prompt and answer; 0 for the model's own bound.
        key: What callers must show.
        key_file: The file that holds it, readable by the owner only.
        threads: CPU threads; 0 for as many as this process may use.
        batching: Whether to batch where that is a choice; None for the engine's default.
        lora: Adapters by name, for engines that load them at the start.
        gpus: GPUs the model is spread over.
        utilisation: Share of the GPU it may take; None for the engine's default.
        extra: Further arguments, as the engine takes them.
    """

    model: ServedModel
    port: int
    slots: int = 8
    context: int = 0
    key: str = ""
    key_file: Path | None = None
    threads: int = 0
    batching: bool | None = None
    lora: Mapping[str, str] = field(default_factory=dict)
    gpus: int = 1
    utilisation: float | None = None
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run.

    Attributes:
        argv: The program and its arguments; never a key.
        env: Variables beside the person's own.
        model: What the model is called in requests to this server.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    model: str = ""


class Engine(Protocol):
    """A serving engine."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def health(self) -> str:
        """The path that answers 200 once the model is loaded, below the server's root."""

    def capabilities(self, start: Start) -> Capabilities:
        """Return what it can do when it is started like this."""

    def available(self) -> str:
        """Return where its program is; "" if it is not on this machine."""

    def can_serve(self, model: ServedModel) -> str:
        """Return "" if it can, else why not."""

    def command(self, start: Start) -> Command:
        """Return the program that serves.

        Raises:
            LLMOpsError: It is not on this machine, or cannot serve this.
        """
