"""Journal, folder, progress and quotas: what two environments tell each other through."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llmops_kernel.finetune.events import Journal, Tail
from llmops_kernel.finetune.layout import RunFolder, write_json
from llmops_kernel.finetune.progress import Progress
from llmops_kernel.finetune.quota import cpu_quota, memory_quota, oom_kills
from llmops_kernel.processes import process_start


def test_events_are_read_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = Tail(path)
    assert tail.read() == []
    journal = Journal(path)
    journal.emit({"event": "step", "step": 1, "loss": math.nan, "more": [math.inf]})
    assert [e["step"] for e in tail.read()] == [1]
    assert tail.read() == []
    journal.emit({"event": "step", "step": 2})
    journal.close()
    with path.open("ab") as file:
        file.write(b'{"event": "step", "st')  # a process that was killed within its line
    assert [e["step"] for e in tail.read()] == [2]
    again = Journal(path)
    again.emit({"event": "step", "step": 3})
    assert [e["step"] for e in tail.read()] == [3]
    for line in path.read_text().splitlines():
        assert "NaN" not in line


def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from llmops_kernel.finetune.events import Journal\n"
        "j = Journal(Path(sys.argv[1]))\n"
        "for n in range(300): j.emit({'event': 'x', 'who': sys.argv[2], 'text': 'y' * 200})\n"
    )
    path = tmp_path / "events.jsonl"
    started = [subprocess.Popen([sys.executable, "-c", code, str(path), who]) for who in ("a", "b")]
    assert [each.wait(60) for each in started] == [0, 0]
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert [sum(e["who"] == who for e in found) for who in ("a", "b")] == [300, 300]


def test_the_outcome_has_its_room(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read_outcome() is None
    folder.reserve_outcome()
    assert folder.read_outcome() is None
    size = folder.outcome.stat().st_size
    folder.write_outcome({"state": "failed", "reason": "disk full"})
    assert folder.read_outcome() == {"state": "failed", "reason": "disk full"}
    assert folder.outcome.stat().st_size == size
    folder.write_outcome({"state": "failed", "detail": "x" * 20_000})
    told = folder.read_outcome()
    assert told is not None
    assert told["state"] == "failed"
    assert folder.outcome.stat().st_size == size


def test_only_whole_checkpoints_count(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.checkpoint() is None
    for name, whole in (("checkpoint-9", True), ("checkpoint-10", True), ("checkpoint-20", False),
                        ("checkpoint-x", True)):  # fmt: skip
        (folder.checkpoints / name).mkdir(parents=True)
        if whole:
            (folder.checkpoints / name / "trainer_state.json").touch()
    found = folder.checkpoint()
    assert found is not None
    assert found.name == "checkpoint-10"


def test_json_is_written_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": "ä"})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "ä"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_process_is_told_by_number_and_start() -> None:
    assert process_start(os.getpid()) == process_start(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert process_start(child.pid) is None


def test_progress_of_a_run_that_was_resumed() -> None:
    progress = Progress()
    progress.add(
        [
            {"event": "begin", "at": 10.0},
            {"event": "preflight", "checks": [], "verdict": "ok",
             "estimate": {"low": 5, "high": 9}},
            {"event": "eval", "step": 0, "loss": 5.0},
            {"event": "train", "steps": 100, "from_step": 0},
            *({"event": "step", "step": n, "loss": 5.0 - n / 30, "tokens": n * 10, "memory": n}
              for n in range(10, 70, 10)),
            {"event": "eval", "step": 50, "loss": 3.0},
            {"event": "sample", "step": 50, "prompt": "Hi", "text": "Ho"},
            {"event": "error", "reason": "disk full", "at": 22.0},
        ]
    )  # fmt: skip
    assert (progress.step, progress.steps, progress.share) == (60, 100, 0.6)
    assert progress.estimate == (5, 9)
    assert progress.memory == 60
    assert progress.error is not None
    progress.add(
        [
            {"event": "begin", "at": 50.0},
            {"event": "train", "steps": 100, "from_step": 40},
            {"event": "step", "step": 50, "loss": 3.3, "at": 60.0},
        ]
    )
    assert [step for step, _ in progress.train_loss] == [10, 20, 30, 40, 50]
    assert [step for step, _ in progress.eval_loss] == [0]
    assert (progress.step, progress.resumed, progress.error) == (50, 40, None)
    assert progress.elapsed_s == 22.0  # 12 and 10; what lies between was no work
    progress.add([{"event": "nothing known"}, {"event": "step"}, {"event": "done"}])
    assert progress.phase == "done"


@pytest.mark.parametrize(
    ("files", "cpus"),
    [({"cpu.max": "150000 100000"}, 1), ({"cpu.max": "max 100000"}, None),
     ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
     ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
     ({"cpu.max": "10000 100000"}, 1), ({"cpu.max": "nonsense"}, None), ({}, None)],
)  # fmt: skip
def test_the_quota_bounds_threads(tmp_path: Path, files: dict[str, str], cpus: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert cpu_quota(tmp_path) == (cpus or len(os.sched_getaffinity(0)))


def test_memory_is_the_groups_where_it_has_less(tmp_path: Path) -> None:
    machine = memory_quota(tmp_path)
    (tmp_path / "memory.max").write_text("1000000\n")
    assert memory_quota(tmp_path) == 1_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_quota(tmp_path) == machine
    (tmp_path / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    assert oom_kills(tmp_path) == 2


def test_the_worker_needs_nothing_of_ours_beside_the_standard_library() -> None:
    """Its modules must be found in an environment that has none of our packages."""
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] not in sys.stdlib_module_names | {'llmops_kernel'}:\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import pkgutil, importlib, llmops_kernel.finetune.worker as room\n"
        "import llmops_kernel.finetune.export.worker\n"
        "for each in pkgutil.iter_modules(room.__path__):\n"
        "    importlib.import_module(f'{room.__name__}.{each.name}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
