"""The registry: whole versions or none, no pickles, stages, two at once, kills."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from llmops_kernel.errors import StoreError, UsageProblem
from llmops_kernel.finetune.registry import Registry
from llmops_kernel.finetune.registry import contents as contents_of

RECORD: dict[str, Any] = {
    "run_id": "r1",
    "task": "classify",
    "method": "lora",
    "backend": "trl",
    "config": {"task": "classify", "base": "./tiny", "train": {"lr": 1e-3},
               "data": {"path": "a.jsonl", "split_seed": 7}, "limits": {"wall": 60}},
    "data": {"train": 90, "eval": 10, "train_sha256": "t" * 64, "eval_sha256": "e" * 64,
             "dropped": {"repeat": 3}, "personal": {}, "labels": {"fees": 50, "cards": 50}},
    "base": "./tiny",
    "metrics": {"eval_loss": 0.25, "base": {"eval_loss": 3.5}},
    "environment": "torch==2.13.0\ntrl==1.16.0\nours @ https://me:hunter2hunter2@example.test/x\n",
    "exports": [{"export": "merged", "state": "done", "path": "merged"},
                {"export": "awq", "state": "unavailable", "reason": "no GPU"}],
}  # fmt: skip


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    (folder / "merged").mkdir(parents=True)
    (folder / "merged/model.safetensors").write_bytes(b"\x08" + bytes(64))
    (folder / "gguf").mkdir()
    (folder / "gguf/model-q8_0.gguf").write_bytes(b"GGUF" + bytes(20))
    (folder / "gguf/model-q4_0.gguf").write_bytes(b"GGUF" + bytes(10))
    (folder / "gguf/model-f16.gguf").write_bytes(b"GGUF" + bytes(40))
    (folder / "Modelfile").write_text("FROM ./gguf/model-q8_0.gguf\n")
    return folder


def record(**changes: Any) -> dict[str, Any]:
    return {**RECORD, **changes}


def left(registry: Registry) -> list[str]:
    """What lies about besides whole versions."""
    return sorted(
        path.name for path in registry.root.glob("*/*")
        if path.name.startswith(".part-") or (not path.is_dir() and path.name != ".lock")
    )  # fmt: skip


def test_a_version_has_all_its_files(registry: Registry, out: Path) -> None:
    version = registry.register("router", out, RECORD)
    names = {path.relative_to(version.folder).as_posix() for path in version.folder.rglob("*")
             if path.is_file()}  # fmt: skip
    assert names == {
        "merged/model.safetensors", "gguf/model-q8_0.gguf", "gguf/model-q4_0.gguf",
        "gguf/model-f16.gguf", "Modelfile", "config.yaml", "data_manifest.json", "preflight.json",
        "metrics.json", "env.lock", "parity.json", "card.md", "model.json",
    }  # fmt: skip
    assert version.stage == "candidate"
    assert version.json("metrics.json") == RECORD["metrics"]
    assert version.json("data_manifest.json") == RECORD["data"]
    assert version.path("gguf") == version.folder / "gguf/model-q8_0.gguf"
    assert version.path("adapter") is None
    assert registry.get(version.ref) == version
    assert registry.verify("router") == []
    assert left(registry) == []
    assert (out / "Modelfile").is_file()  # what was exported stays where it was


def test_the_same_training_is_the_same_version(registry: Registry, out: Path) -> None:
    first = registry.register("router", out, RECORD)
    moved = json.loads(json.dumps(RECORD))
    moved["base"] = moved["config"]["base"] = "/elsewhere/tiny"
    moved["config"]["data"]["path"] = "/elsewhere/a.jsonl"
    moved["config"]["limits"] = {"wall": 5}
    again = registry.register("router", out, moved)
    assert again.version == first.version
    assert again.existed
    assert not first.existed
    other = registry.register("router", out, record(config={"train": {"lr": 2e-3}}))
    rows = registry.register("router", out, record(data={**RECORD["data"], "train_sha256": "u"}))
    base = registry.register("router", out, record(base="./other"))
    assert len({first.version, other.version, rows.version, base.version}) == 4
    assert [each.order for each in registry.list("router")] == [1, 2, 3, 4]


def test_the_weights_of_the_base_make_the_version(
    registry: Registry, out: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "model.safetensors").write_bytes(b"a")
    one = registry.register("router", out, record(base_folder=str(base)))
    (base / "model.safetensors").write_bytes(b"b")
    other = registry.register("router", out, record(base_folder=str(base)))
    assert one.version != other.version
    assert len(one.base["sha256"]) == 64


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", ".x", "a..b", "x" * 65, "a b", "ü"])
def test_names_that_are_no_folders_are_refused(registry: Registry, out: Path, name: str) -> None:
    with pytest.raises(UsageProblem, match="no name for a model"):
        registry.register(name, out, RECORD)
    with pytest.raises(UsageProblem):
        registry.get(name)
    with pytest.raises(UsageProblem):
        registry.remove(name)


@pytest.mark.parametrize("ref", ["router@..", "router@../x", "router@.lock", "router@.part-1"])
def test_removing_stays_within_the_models(registry: Registry, out: Path, ref: str) -> None:
    version = registry.register("router", out, RECORD)
    (registry.root / "x").mkdir()
    with pytest.raises(UsageProblem):
        registry.remove(ref)
    assert version.folder.is_dir()
    assert (registry.root / "x").is_dir()


def _pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"a": 1}))


def _zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"x")


@pytest.mark.parametrize("name", ["training_args.bin", "x.pt", "x.PKL", "modeling.py", "a/b.ckpt"])
def test_pickles_and_programs_are_refused_by_name(registry: Registry, out: Path, name: str) -> None:
    path = out / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"harmless")
    with pytest.raises(UsageProblem, match="something other than data") as told:
        registry.register("router", out, RECORD)
    assert name in told.value.detail
    assert registry.list() == []


@pytest.mark.parametrize("make", [_pickled, _zipped])
def test_pickles_are_known_under_other_names(registry: Registry, out: Path, make: Any) -> None:
    make(out / "model.safetensors")
    with pytest.raises(UsageProblem, match="something other than data"):
        registry.register("router", out, RECORD)


def test_a_length_that_looks_like_a_pickle_is_none(registry: Registry, out: Path) -> None:
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(0x380)
    data = len(header).to_bytes(8, "little") + header + bytes(4)
    assert data[:2] == pickle.dumps(0, protocol=3)[:2]
    (out / "merged/model.safetensors").write_bytes(data)
    assert registry.verify(registry.register("router", out, RECORD).ref) == []


def test_links_and_pipes_are_refused(registry: Registry, out: Path) -> None:
    (out / "secret.json").symlink_to("/etc/hostname")
    with pytest.raises(UsageProblem, match="something other than data"):
        registry.register("router", out, RECORD)
    (out / "secret.json").unlink()
    os.mkfifo(out / "pipe")
    with pytest.raises(UsageProblem, match="something other than data"):
        registry.register("router", out, RECORD)


def test_nothing_and_nowhere_are_refused(registry: Registry, tmp_path: Path, out: Path) -> None:
    (tmp_path / "empty" / "merged").mkdir(parents=True)
    for folder in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(UsageProblem, match="nothing to register"):
            registry.register("router", folder, RECORD)
    for key in ("config", "data", "base"):
        with pytest.raises(UsageProblem, match="where it comes from"):
            registry.register("router", out, record(**{key: {}}))


def test_secrets_of_the_lock_are_not_kept(registry: Registry, out: Path) -> None:
    version = registry.register("router", out, RECORD)
    for path in version.folder.rglob("*"):
        if path.is_file():
            assert b"hunter2" not in path.read_bytes(), path.name


def test_a_full_disk_leaves_nothing(
    registry: Registry, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        (target / "half").write_bytes(b"x")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(contents_of, "copy_durably", full)
    with pytest.raises(StoreError, match="cannot be kept") as told:
        registry.register("router", out, RECORD)
    assert "No space left" in told.value.detail
    assert registry.list() == []
    assert list(registry.root.glob("*/*")) == []


_REGISTER = """
import json, sys, os, signal
from llmops_kernel.finetune.registry import Registry, contents
record, root, out, kill = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
if kill:
    def die(folder):
        os.kill(os.getpid(), signal.SIGKILL)
    contents.sync = die
print(Registry(root).register("router", out, record).ref)
"""


def _register(registry: Registry, out: Path, *, kill: bool) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _REGISTER, json.dumps(RECORD), str(registry.root), str(out),
         "kill" if kill else ""],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_kill_while_registering_leaves_no_half_version(registry: Registry, out: Path) -> None:
    assert _register(registry, out, kill=True).returncode == -signal.SIGKILL
    assert registry.list() == []
    parts = left(registry)
    assert len(parts) == 1
    old = registry.root / "router" / parts[0]
    os.utime(old, (0, 0))
    version = registry.register("router", out, RECORD)
    assert [each.ref for each in registry.list()] == [version.ref]
    assert left(registry) == []  # what the killed one left is gone


def test_two_processes_register_the_same_training_once(registry: Registry, out: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: _register(registry, out, kill=False), range(4)))
    assert [each.returncode for each in done] == [0] * 4, done[0].stderr
    assert len({each.stdout for each in done}) == 1
    assert len(registry.list()) == 1
    assert registry.verify("router") == []
    assert left(registry) == []


def test_one_version_serves(registry: Registry, out: Path) -> None:
    one = registry.register("router", out, RECORD)
    two = registry.register("router", out, record(base="./other"))
    assert registry.get("router").version == two.version  # the newest, as none serves
    assert registry.promote(one.ref).stage == "serving"
    assert registry.get("router").version == one.version
    assert registry.promote(two.ref).stage == "serving"
    assert registry.get(one.ref).stage == "retired"
    assert registry.get("router@serving").version == two.version
    with pytest.raises(UsageProblem, match="serves"):
        registry.remove(two.ref)
    assert registry.retire(two.ref).stage == "retired"
    assert registry.remove(two.ref) == two.ref
    assert [each.ref for each in registry.list()] == [one.ref]
    registry.remove(one.ref)
    assert registry.names() == []


def test_references_are_short_and_clear(registry: Registry, out: Path) -> None:
    version = registry.register("router", out, RECORD)
    assert registry.get(f"router@{version.version[:4]}") == version
    with pytest.raises(UsageProblem, match=r"no model 'ruter' \(did you mean 'router'\?\)"):
        registry.get("ruter")
    with pytest.raises(UsageProblem, match="has no version"):
        registry.get("router@zzzz")
    with pytest.raises(UsageProblem, match=r"no stage 'servin' \(did you mean 'serving'\?\)"):
        registry.promote("router", "servin")  # type: ignore[arg-type]
    with pytest.raises(UsageProblem, match="which version"):
        registry.remove("router")


def test_changed_files_are_found_and_not_served(registry: Registry, out: Path) -> None:
    version = registry.register("router", out, RECORD)
    (version.folder / "merged/model.safetensors").write_bytes(b"other")
    (version.folder / "added.txt").write_text("x")
    (version.folder / "Modelfile").unlink()
    assert registry.verify("router") == [
        "Modelfile is missing", "added.txt was added", "merged/model.safetensors was changed",
    ]  # fmt: skip
    with pytest.raises(StoreError, match="damaged"):
        registry.promote(version.ref)


def test_a_damaged_version_is_told_and_can_be_removed(registry: Registry, out: Path) -> None:
    version = registry.register("router", out, RECORD)
    (version.folder / "model.json").write_text("{")
    assert registry.list() == []
    with pytest.raises(StoreError, match="damaged"):
        registry.register("router", out, RECORD)
    assert registry.remove(version.ref) == version.ref
    assert not registry.register("router", out, RECORD).existed


def test_parity_is_attached_later(registry: Registry, out: Path) -> None:
    version = registry.register("router", out, RECORD)
    assert "not compared" in version.card
    found = {"ok": False, "results": [{"file": "a.gguf", "first_difference": "template: <b>|x"}]}
    later = registry.attach_parity(version.ref, found)
    assert later.json("parity.json") == found
    assert "**differs**, a.gguf template: &lt;b>\\|x" in later.card
    assert registry.verify(version.ref) == []


def test_the_card_tells_what_was_measured_and_what_was_not(registry: Registry, out: Path) -> None:
    card = registry.register("router", out, RECORD).card
    for line in (
        "| Rows to train on | 90 |", "| Left out | 3 repeat |", "| eval_loss | 0.25 |",
        "| base eval_loss | 3.5 |", "| Classes | 2 |", "| torch | 2.13.0 |",
        "| awq | unavailable: no GPU |", "Measured on: not recorded", "| Method | lora |",
    ):  # fmt: skip
        assert line in card, line
    measured = record(device="NVIDIA L4", measured_at="2026-11-23", licence="MIT",
                      limits=["English only"], base="./b")  # fmt: skip
    card = registry.register("router", out, measured).card
    assert "Measured on: NVIDIA L4, 2026-11-23" in card
    assert "- English only" in card
    assert "\nMIT\n" in card
