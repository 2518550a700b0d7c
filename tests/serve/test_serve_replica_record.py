"""What a server's record keeps of a start, for a replica that follows later."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from llmops_kernel.serve.models import ServedModel
from llmops_kernel.serve.record import Process, Replica, ServerRecord, read_record, write_record
from llmops_kernel.serve.servers import process as processes
from llmops_kernel.serve.servers.wanted import Wanted, read_back, written_down


def _record(model: ServedModel, wanted: Wanted) -> ServerRecord:
    return ServerRecord("small", "llama-server", "small", "small.gguf", "0" * 12, (),
                        start=written_down(model, wanted))  # fmt: skip


def test_a_replica_is_started_as_the_first_was(tmp_path: Path) -> None:
    model = ServedModel("small", None, tmp_path / "small.gguf", None, None, "")
    wanted = Wanted(slots=3, context=512, threads=2, batching=True, wait_s=9.0, extra=("--a", "1"))
    write_record(_record(model, wanted))
    found, engine, again = read_back(read_record("small"))  # through the file, as JSON
    assert found == model
    assert engine.name == "llama-server"
    assert again == wanted


def test_a_replica_takes_no_port_owner_or_price_over(tmp_path: Path) -> None:
    model = ServedModel("small", tmp_path, None, tmp_path / "reference.json", None, "")
    wanted = Wanted(port=8123, keep=True, idle_s=60.0, usd_input=1, usd_output=2)
    found, _, again = read_back(_record(model, wanted))
    assert found == model
    assert again == replace(wanted, port=0, keep=False, idle_s=0.0, usd_input=0, usd_output=0)
    assert "8123" not in json.dumps(_record(model, wanted).start)


def test_living_replicas_are_those_whose_process_runs() -> None:
    me = Replica("http://127.0.0.1:1/v1", processes.this_process())
    before = Replica("http://127.0.0.1:2/v1", Process(me.process.pid, 1.0))  # type: ignore[union-attr]
    theirs = Replica("http://127.0.0.1:3/v1")
    assert processes.living((me, before, theirs)) == [me]
