"""The checks that stop a run before hours are spent: exports, disk, templates, labels."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from finetune_rows import spec_text

from llmops_kernel.display.finetune import runs_view, training_view
from llmops_kernel.errors import SettingsError, UsageProblem
from llmops_kernel.finetune import read_spec, resume, start
from llmops_kernel.finetune.export.reference import PROMPTS, prompts_of
from llmops_kernel.finetune.facts import facts_of, live_facts, summary_of
from llmops_kernel.finetune.layout import RunFolder, write_json
from llmops_kernel.finetune.runs import FineTune
from llmops_kernel.finetune.worker import preflight
from llmops_kernel.finetune.worker.checks import Preflight
from llmops_kernel.processes import process_start

if TYPE_CHECKING:
    from pathlib import Path

_LONG = 240.0


def looked_at(base: Path, data: Path, more: str, **options: Any) -> FineTune:
    run = start(read_spec(spec_text(base, data, more=more, **options)), "model",
                only_preflight=True)  # fmt: skip
    run.wait(_LONG)
    return run


def checks_of(run: FineTune) -> dict[str, dict[str, Any]]:
    found = json.loads(run.folder.preflight.read_text())
    return {check["name"]: check for check in found["checks"]}


@pytest.mark.usefixtures("trl")
def test_a_registered_run_without_any_export_it_can_make(random_base: Path, data: Path) -> None:
    """There is no GPU, or not the library: the training would end with nothing to register."""
    more = "export: [awq]\nregister: nothing\npreflight: {on_fail: warn, dry_run_steps: 0}"
    run = looked_at(random_base, data, more)
    check = checks_of(run)["exports"]
    if check["state"] == "ok":
        pytest.skip("AWQ can be made here")
    assert run.outcome["state"] == "refused"
    assert run.outcome["reason"] == "nothing could be registered: no export can be made"
    assert "awq" in run.outcome["detail"]
    # With one that can be made it goes on, and says what will be missing.
    more = more.replace("[awq]", "[awq, merged]")
    run = looked_at(random_base, data, more)
    assert run.outcome["state"] == "checked", run.log()
    assert checks_of(run)["exports"]["state"] == "warn"
    # Without registering, a person may want to see the training all the same.
    more = "export: [awq]\npreflight: {dry_run_steps: 0, on_fail: %s}"
    assert looked_at(random_base, data, more % "stop").outcome["state"] == "refused"
    assert looked_at(random_base, data, more % "warn").outcome["state"] == "checked"


def test_a_modelfile_needs_a_gguf_file() -> None:
    text = "base: x\ndata: {path: x}\nexport: [%s]"
    with pytest.raises(SettingsError) as told:
        read_spec(text % "awq, ollama-modelfile")
    assert "export gguf:q8_0 as well" in told.value.detail
    read_spec(text % "gguf, ollama-modelfile")


@pytest.mark.parametrize(("method", "trainable"), [("full", 10**14), ("lora", 10**14)])
def test_checkpoints_need_room_without_any_export(
    tmp_path: Path, method: str, trainable: int
) -> None:
    job: Any = SimpleNamespace(
        run={"method": method, "export": [], "base": str(tmp_path)},
        folder=SimpleNamespace(path=tmp_path),
    )
    found = Preflight(figures={"trainable": trainable, "parameters": 10**14})
    preflight.check_disk(job, found)
    assert [(each.name, each.state) for each in found.checks] == [("disk", "stop")]
    # Three checkpoints of weights and two moments in 32 bits, and the trained model.
    assert found.figures["disk"]["training"] == 10**14 * (3 * 12 + 4)
    small = Preflight(figures={"trainable": 1_000, "parameters": 10**14 if method == "lora" else 0})
    preflight.check_disk(job, small)
    assert [(each.name, each.state) for each in small.checks] == [("disk", "ok")]


def test_parity_asks_five_prompts_at_least() -> None:
    five = list(PROMPTS)
    assert prompts_of(None) == five
    assert prompts_of(["mine", five[0]]) == ["mine", five[0], *five[1:4]]
    assert len(prompts_of([f"mine {number}" for number in range(9)])) == 9


def test_a_run_that_was_told_to_stop_says_so(tmp_path: Path) -> None:
    """Started by hand, so that it is neither too fast nor too slow to be seen."""
    folder = RunFolder(tmp_path / "router" / "20260101-000000-aaaa")
    folder.path.mkdir(parents=True)
    write_json(folder.run_json, {"spec": {"base": "x"}})
    folder.reserve_outcome()
    write_json(folder.process, {"pid": os.getpid(), "start": process_start(os.getpid())})
    run = FineTune(folder)
    assert training_view(facts_of(run)).text.startswith("Fine-tuning router: running, starting")
    run.stop()
    facts = live_facts(run)
    assert (facts["state"], facts["stop_asked"]) == ("running", True)
    assert training_view(facts_of(run)).text.startswith("Fine-tuning router: stopping, starting")
    assert "stopping" in runs_view([summary_of(run)]).text
    with pytest.raises(UsageProblem, match="stopping and cannot be resumed yet") as told:
        resume(run)
    assert "then resume it" in told.value.hint
    folder.write_outcome({"state": "stopped", "reason": "asked"})
    assert not facts_of(run)["stop_asked"]
    assert "stopped" in runs_view([summary_of(run)]).text
