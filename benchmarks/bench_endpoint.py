"""What a request costs at ``llmops gateway``, beside the upstream alone and LiteLLM's proxy.

All servers are single processes in front of the same loopback stub, measured in interleaved
rounds. The gateway checks three caps, the loop breaker and the token, and writes its ledger and
trace to SQLite; LiteLLM runs without a database, so without any budget that outlives it. CPU is
that of the server's process; throughput shares the machine with the load generator and the stub.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import _measure as measure
import _servers
import make_env

_SETTLE_S = 0.3  # what a server writes a moment after its last answer is its work, too


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of load, and how many requests each server gets of it."""

    concurrency: int
    stream: bool
    requests: int
    requests_litellm: int

    @property
    def label(self) -> str:
        """The name of the case in the table."""
        return f"{self.concurrency}{' streams' if self.stream else ''}"


CASES = (
    Case(1, False, 600, 60),
    Case(16, False, 1_600, 160),
    Case(64, False, 1_600, 192),
    Case(16, True, 480, 96),
)


@dataclass(slots=True)
class Measured:
    """The figures of one server in one case, one value per round."""

    cpu_ms: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)


def send(server: _servers.Server, case: Case, requests: int) -> tuple[float, list[float]]:
    """Run the load generator; return the seconds it took and the milliseconds per request."""
    command = [
        sys.executable, str(_servers.HERE / "_load.py"), "--url", server.url, "--key", server.key,
        "--model", server.model, "--requests", str(requests), "--concurrency",
        str(case.concurrency), *(["--stream"] if case.stream else []),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"the load on {server.name} failed: {done.stderr[-1_000:]}")
    told = json.loads(done.stdout)
    return told["seconds"], told["ms"]


def measure_once(server: _servers.Server, case: Case, requests: int, into: Measured) -> None:
    before = measure.process_cpu_s(server.pid)
    seconds, ms = send(server, case, requests)
    time.sleep(_SETTLE_S)
    spent = measure.process_cpu_s(server.pid) - before
    into.cpu_ms.append(spent * 1_000 / requests)
    into.rate.append(requests / seconds)
    into.p50_ms.append(measure.percentile(ms, 0.5))
    into.p99_ms.append(measure.percentile(ms, 0.99))


def add_rows(
    report: measure.Report,
    measured: dict[tuple[str, Case], Measured],
    servers: list[_servers.Server],
    cases: list[Case],
) -> None:
    for case in cases:
        stub = measured["stub", case]
        for server in servers:
            figures = measured[server.name, case]
            shares = [mine / direct for mine, direct in zip(figures.rate, stub.rate, strict=True)]
            report.add(
                **{
                    "concurrency": case.label,
                    "server": server.name,
                    "CPU ms/request": measure.Figure.of(figures.cpu_ms),
                    "requests/s": measure.Figure.of(figures.rate),
                    "of the stub's": measure.Figure.of(shares),
                    "p50 ms": measure.Figure.of(figures.p50_ms),
                    "p99 ms": measure.Figure.of(figures.p99_ms),
                }
            )


def add_targets(
    report: measure.Report, measured: dict[tuple[str, Case], Measured], cases: list[Case]
) -> None:
    for case in cases:
        if case.stream:  # the targets are about whole answers
            continue
        ours = measured["llmops gateway", case]
        where = f"at concurrency {case.concurrency}"
        cpu = measure.Figure.of(ours.cpu_ms).median
        report.targets.append(measure.Target(f"gateway {where}", 1.0, cpu, "ms of CPU a request"))
        if theirs := measured.get(("LiteLLM proxy", case)):
            ratios = [a / b for a, b in zip(ours.rate, theirs.rate, strict=True)]
            ratio = measure.Figure.of(ratios).median
            report.targets.append(
                measure.Target(
                    f"gateway {where}", 20, ratio, "times LiteLLM's throughput", at_least=True
                )
            )


def main() -> None:
    parser = measure.arguments(str(__doc__).partition("\n")[0])
    parser.add_argument("--no-peer", action="store_true", help="leave LiteLLM out")
    options = parser.parse_args()
    rounds, scale = (2, 5) if options.quick else (5, 1)
    python = None if options.no_peer else make_env.make()
    report = measure.Report(
        "endpoint",
        "CPU and throughput of the gateway in front of a loopback stub",
        ("concurrency", "server", "CPU ms/request", "requests/s", "of the stub's", "p50 ms",
         "p99 ms"),
        ("aiohttp", "genai-prices"),
        {"rounds": rounds, "scale": 1 / scale},
        peers={"litellm": make_env.installed(python)} if python else {},
    )  # fmt: skip
    cases = list(CASES)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(_servers.stub())
        servers = [upstream, stack.enter_context(_servers.gateway(upstream, folder))]
        if python:
            servers.append(stack.enter_context(_servers.litellm(upstream, folder, python)))
        measured = {(server.name, case): Measured() for server in servers for case in cases}
        for server in servers:  # connections, caches, lazy imports
            for case in cases:
                send(server, case, 2 * case.concurrency)
        for _ in range(rounds):
            for case in cases:
                for server in servers:
                    peer = server.name == "LiteLLM proxy"
                    requests = case.requests_litellm if peer else case.requests
                    requests = max(requests // scale, case.concurrency)
                    measure_once(server, case, requests, measured[server.name, case])
        add_rows(report, measured, servers, cases)
        add_targets(report, measured, cases)
    report.finish(options)


if __name__ == "__main__":
    main()
