"""In what a server that runs differs from what was asked for."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmops_kernel.serve.record import ServerRecord
    from llmops_kernel.serve.servers.wanted import Wanted


def differences(wanted: Wanted, record: ServerRecord) -> tuple[str, ...]:
    """Return in what a running server is not as it was asked for, a phrase each.

    What was left to us (no context, no port, no number of threads) is no wish.

    Args:
        wanted: What was asked for.
        record: The server that runs.
    """
    has = record.start.get("wanted", {})
    ports = [each.url.removesuffix("/v1").rpartition(":")[2] for each in record.replicas]
    pairs: list[tuple[str, Any, Any]] = [
        ("requests at once", record.slots, wanted.slots),
        ("tokens of a request", record.context, wanted.context or record.context),
        ("CPU threads", has.get("threads", 0) or "of our choice",
         wanted.threads or has.get("threads", 0) or "of our choice"),
        ("port", ", ".join(ports), ", ".join(ports) if str(wanted.port) in ("0", *ports)
         else wanted.port),
        ("stops without a call after", _minutes(record.idle_s), _minutes(wanted.idle_s)),
        ("USD per 1M input tokens", _usd(record.usd_input), _usd(wanted.usd_input)),
        ("USD per 1M output tokens", _usd(record.usd_output), _usd(wanted.usd_output)),
        ("further arguments", _words(has.get("extra", ())), _words(wanted.extra)),
    ]  # fmt: skip
    found = [f"{name}: {is_now}, not {asked}" for name, is_now, asked in pairs if is_now != asked]
    if wanted.batching is not None and has.get("batching") != wanted.batching:
        found.append(f"batching: {'not ' if wanted.batching else ''}asked of the engine")
    if wanted.keep and record.owner is not None:
        found.append("it ends with the process that started it")
    elif not wanted.keep and record.owner is None:
        found.append("it does not end with this process")
    if missing := sorted(set(wanted.lora) - {each.name for each in record.adapters}):
        found.append(f"without the adapters {', '.join(missing)}")
    return (*found, *_other_adapters(wanted, record))


def _other_adapters(wanted: Wanted, record: ServerRecord) -> list[str]:
    """Return which adapters are loaded under a name that was asked for another one."""
    from llmops_kernel.serve import adapters

    asked = {
        each: adapters.registered(wanted.lora[each.name]).ref
        for each in record.adapters
        if each.name in wanted.lora
    }
    return [f"adapter {each.name}: {each.ref}, not {ref}" for each, ref in asked.items()
            if ref != each.ref]  # fmt: skip


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds else "never"


def _usd(value: Decimal | float | str) -> str:
    return f"{Decimal(str(value)).normalize():f}"


def _words(values: Any) -> str:
    return " ".join(str(each) for each in values) or "none"
