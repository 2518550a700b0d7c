"""Plans of a model's memory, the servers there are, and what a load test found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.display.mime import View, view
from llmops_kernel.display.money import UNKNOWN, count, seconds
from llmops_kernel.display.table import table
from llmops_kernel.display.text import markup, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MEMORY = (
    ("weights_gib", "Weights"),
    ("activations_gib", "Activation peak"),
    ("other_gib", "Driver and libraries"),
    ("kv_pool_gib", "Left for keys and values"),
    ("kv_needed_gib", "Keys and values needed"),
    ("kv_gib_per_sequence", "Keys and values of one sequence"),
)

_ABLE = {
    "batches": "batch",
    "prefix_cache": "keep prompts that begin alike",
    "lora": "switch adapters with each request",
    "tokenize": "show tokens",
    "metrics": "show metrics",
}


def plan_view(plan: Mapping[str, Any]) -> View:
    """Build a plan: where the memory goes, whether it fits, and the dollars.

    Args:
        plan: The plan as JSON: each figure a number, or ``{low, high, anchor}``.
    """
    spread = "" if plan["gpus"] == 1 else f", each of {plan['gpus']} GPUs"
    title = (
        f"{plan['model']} ({plan['dtype']}) in {plan['engine']} on {plan['gpu']} "
        f"({plan['gpu_gib']:.2f} GiB, {plan['utilisation']:.0%} used{spread})"
    )
    rows = [(name, _figure(plan[key], "GiB"), _anchor(plan[key])) for key, name in _MEMORY]
    rows.append(("Tokens of keys and values", _figure(plan["kv_tokens"], "", 0), ""))
    rows.append(("Sequences at once", _figure(plan["max_concurrency"], "", 0), ""))
    rows += _money_rows(plan)
    rows += _training_rows(plan.get("training"))
    html, plain = table(("Figure", "Value", "Leans on"), rows, title)
    told = "".join(f" {each}." for each in plan.get("warnings", ()))
    verdict = f"{'Fits' if plan['fits'] else 'Does not fit'}. {plan['reason']}.{told}"
    return view(f"{html}\n<p>{markup(verdict)}</p>", f"{plain}\n\n{printable(verdict)}", plan)


def _money_rows(plan: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    for key, name, digits in (
        ("output_tokens_per_second", "Output tokens a second", 0),
        ("usd_per_hour", "USD an hour", 2),
        ("usd_per_1m_output_tokens", "USD for 1M output tokens", 4),
    ):
        if key in plan:
            rows.append((name, _figure(plan[key], "", digits), _anchor(plan[key])))
    if versus := plan.get("versus"):
        needed, most = versus["break_even_requests_per_day"], versus["capacity_requests_per_day"]
        rows.append((f"{versus['model']}, USD a request", versus["api_usd_per_request"], ""))
        rows.append(("Break-even, requests a day", _figure(needed, "", 0), _anchor(needed)))
        rows.append(("Capacity, requests a day", _figure(most, "", 0), _anchor(most)))
        rows.append(("Pays", "yes" if versus["pays"] else "no: above its capacity", ""))
    return rows


def _training_rows(training: Mapping[str, Any] | None) -> list[tuple[str, str, str]]:
    if not training:
        return []
    title = f"Training ({training['method']}, {training['tokens']:,} tokens a batch)"
    return [
        (title, _figure(training["total_gib"], "GiB"), _anchor(training["total_gib"])),
        ("One more token of training", _figure(training["mb_per_token"], "MB"), ""),
    ]


def _figure(value: Any, unit: str, digits: int = 2) -> str:
    tail = f" {unit}" if unit else ""
    if isinstance(value, dict):
        return f"{value['low']:,.{digits}f} to {value['high']:,.{digits}f}{tail}"
    return f"{value:,.{digits}f}{tail}"


def _anchor(value: Any) -> str:
    return value["anchor"] if isinstance(value, dict) else ""


def servers_view(servers: Sequence[Mapping[str, Any]], *, stable: bool = False) -> View:
    """Build the list of servers.

    Args:
        servers: ``name``, ``engine``, ``model``, ``state``, ``replicas``, ``usd_per_1m``, ``rss``
            (bytes), ``urls``; where known ``file_type`` (how its weights are stored),
            ``adapters`` and ``ready_s``.
        stable: Leave out addresses, memory and times, which differ between runs.
    """
    columns = ["Model", "Engine", "Serves", "Weights", "State", "Replicas", "USD per 1M tokens"]
    rows = []
    for each in servers:
        row: list[object] = [
            f"local/{each['name']}",
            each["engine"],
            each["model"],
            each.get("file_type") or UNKNOWN,
            each["state"],
            count(each["replicas"]),
            each["usd_per_1m"],
        ]
        if not stable:
            rss = each.get("rss")
            row.append(UNKNOWN if rss is None else f"{rss / 2**20:,.0f} MiB")
            row.append(seconds(each.get("ready_s") or None))
            row.append(", ".join(each["urls"]))
        rows.append(row)
        rows += [_adapter_row(each["name"], one, len(row)) for one in each.get("adapters") or ()]
    if not stable:
        columns += ["Memory", "Cold start", "Address"]
    html, plain = table(columns, rows, "Servers")
    return view(html, plain, {"servers": [dict(each) for each in servers]})


def _adapter_row(server: str, adapter: Mapping[str, Any], cells: int) -> list[object]:
    row: list[object] = [f"local/{server}:{adapter['name']}", "", f"adapter {adapter['ref']}"]
    return row + [""] * (cells - len(row))


def started_view(server: Mapping[str, Any], *, stable: bool = False) -> View:
    """Build what is said of a server that has answered.

    Args:
        server: As in `servers_view`, with ``fresh``, ``checked`` and ``differs``.
        stable: Leave out address, memory and times.
    """
    name, checked = server["name"], server.get("checked") or {}
    verb = "is ready" if server.get("fresh", True) else "runs already"
    rows: list[tuple[str, str]] = [
        ("Engine", str(server["engine"])),
        ("Serves", str(server["model"])),
        ("Requests at once", f"{server['slots']} x {count(server['replicas'])}"),
        ("USD per 1M tokens", str(server["usd_per_1m"])),
    ]
    if server["context"]:
        rows.insert(3, ("Tokens of a request", count(server["context"])))
    if server.get("file_type"):
        rows.insert(2, ("Weights", str(server["file_type"])))
    rows += [
        (f"local/{name}:{x['name']}", f"adapter {x['ref']}") for x in server.get("adapters") or ()
    ]
    able = server.get("capabilities") or {}
    if can := [word for name, word in _ABLE.items() if able.get(name)]:
        rows.append(("The engine can", ", ".join(can)))
    if checked.get("probes"):
        rows.append(("Answers as the trained model's", count(checked["probes"])))
    if checked.get("adapter_probes"):
        rows.append(("Answers of adapters as trained", count(checked["adapter_probes"])))
    if checked.get("tokens"):
        rows.append(("Prompts read as by the trained model", count(checked["tokens"])))
    if not stable:
        rows.append(("Address", ", ".join(server["urls"])))
        if server.get("fresh") and server["ready_s"]:
            rows.append(("Cold start", seconds(server["ready_s"])))
    html, plain = table(("Name", "Value"), rows, f"local/{name} {verb}")
    if differs := server.get("differs"):
        said = f"Not as it was asked for: {'; '.join(differs)}. %serve stop {name} comes first."
        html, plain = f"{html}\n<p>{markup(said)}</p>", f"{plain}\n\n{printable(said)}"
    return view(html, plain, server)


def bench_view(bench: Mapping[str, Any]) -> View:
    """Build what a load test found; one row for each load.

    Args:
        bench: ``target``, ``rows`` (each with ``load``, ``requests``, ``completeness``,
            ``ttft_p50_s``, ``ttft_p95_s``, ``tpot_p50_s``, ``tokens_per_s``, ``requests_per_s``),
            ``notes``; where known ``cached_prompt_tokens`` and ``prompt_tokens`` of a row,
            ``prefix`` and ``server``.
    """
    columns = ("Load", "Requests", "Complete", "TTFT p50", "TTFT p95", "TPOT p50", "Tokens/s",
               "Requests/s", "Prompt cached")  # fmt: skip
    rows = [
        (
            each["load"],
            count(each["requests"]),
            f"{each['completeness']:.1%}",
            seconds(each["ttft_p50_s"]),
            seconds(each["ttft_p95_s"]),
            seconds(each["tpot_p50_s"]),
            f"{each['tokens_per_s']:,.0f}",
            f"{each['requests_per_s']:,.1f}",
            _share(each.get("cached_prompt_tokens"), each.get("prompt_tokens")),
        )
        for each in bench["rows"]
    ]
    html, plain = table(columns, rows, f"Load test of {bench['target']}")
    for note in (*bench["notes"], *_kept_notes(bench)):
        html, plain = f"{html}\n<p>{markup(note)}</p>", f"{plain}\n\n{printable(note)}"
    return view(html, plain, bench)


def _share(part: int | None, whole: int | None) -> str:
    return UNKNOWN if part is None or not whole else f"{part / whole:.0%}"


def _kept_notes(bench: Mapping[str, Any]) -> list[str]:
    """Return what is said of the server: how it started, what it serves, what it keeps."""
    server, prefix = bench.get("server") or {}, bench.get("prefix")
    said = []
    if server.get("ready_s"):
        said.append(f"Cold start {seconds(server['ready_s'])}.")
    if server.get("file_type"):
        said.append(f"Weights stored as {server['file_type']}.")
    if prefix:
        said.append(
            f"Of {prefix['prompt_tokens']:,} prompt tokens that begin alike it had kept "
            f"{prefix['cached_first']:,} in a first pass and {prefix['cached_second']:,} in a "
            "second."
        )
    elif "prefix" in bench:
        said.append("It does not tell how much it keeps of prompts that begin alike.")
    return [" ".join(said)] if said else []
