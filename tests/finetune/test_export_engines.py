"""What other programs do for exports: llama.cpp's quantiser and converter, where they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from export_desk import exported, llama_server, run_beside

from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune import parity
from llmops_kernel.finetune.export import engines, llama

_EXPORT = """
import json, sys
from pathlib import Path
from llmops_kernel.finetune.export.worker import run_exports
base, out, names = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split(",")
run = {"base": str(base), "export": names, "name": "m"}
print(json.dumps(run_exports(run, base, out, lambda event: None)))
"""


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No engine, whatever this machine has."""
    monkeypatch.setenv("LLMOPS_LLAMA_SERVER", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_without_a_quantiser_it_says_what_to_do(nowhere: Path) -> None:
    with pytest.raises(engines.Unavailable, match="K-quants") as told:
        engines.quantiser()
    assert "gguf:q8_0" in told.value.hint
    assert engines.converter() == ""
    assert engines.converter("there") == "there"
    with pytest.raises(engines.Unavailable, match="converter is not at the path"):
        engines.convert(nowhere, nowhere / "m.gguf", str(nowhere))


def test_programs_are_found_beside_the_engine_and_in_its_sources(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = nowhere / "llama.cpp"
    programs = sources / "build" / "bin"
    programs.mkdir(parents=True)
    for path in (programs / "llama-server", programs / "llama-quantize",
                 sources / "convert_hf_to_gguf.py", nowhere / "other.py"):  # fmt: skip
        path.touch()
    (sources / "CMakeLists.txt").touch()
    monkeypatch.setenv("LLMOPS_LLAMA_SERVER", str(programs))  # the folder will do
    assert llama.find_server() == programs / "llama-server"
    assert engines.quantiser() == [str(programs / "llama-quantize")]
    assert engines.converter() == str(sources / "convert_hf_to_gguf.py")
    assert llama.beside_server("other.py") is None  # not beyond the sources
    assert engines.quantiser(str(sources)) == [str(programs / "llama-quantize")]


def test_our_own_build_is_found(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLMOPS_LLAMA_SERVER")
    monkeypatch.setenv("LLMOPS_ENVS", str(nowhere))
    assert llama.find_server() is None
    built = nowhere / "llama-server" / "bin" / "llama-server"
    built.parent.mkdir(parents=True)
    built.touch()
    assert llama.find_server() == built


def test_a_failing_program_is_quoted_and_leaves_no_file(nowhere: Path) -> None:
    script = nowhere / "convert_hf_to_gguf.py"
    script.write_text("import sys; print('bad tokenizer'); sys.exit(3)")
    with pytest.raises(UsageProblem, match="converter refused") as told:
        engines.convert(nowhere, nowhere / "m.gguf", str(script))
    assert told.value.detail == "bad tokenizer"
    assert sorted(path.name for path in nowhere.iterdir()) == ["convert_hf_to_gguf.py"]


def test_k_quants_are_made_and_have_the_same_tokens(tmp_path: Path) -> None:
    server, models = llama_server(), exported()[0]
    if not server.resolve().with_name("llama-quantize").is_file():
        pytest.skip("no llama-quantize beside llama-server")
    said = run_beside(
        "-c", _EXPORT, str(models / "plain"), str(tmp_path), "gguf:q4_k_m,gguf:q6_k",
        LLMOPS_LLAMA_SERVER=str(server),
    )  # fmt: skip
    results = json.loads(said.splitlines()[-1])
    assert [each["state"] for each in results] == ["done", "done"], results
    four, six = (each["bpw"] for each in results)
    assert 4 < four < six < 9
    reference = parity.read_reference(tmp_path / "reference.json")
    found = parity.check_gguf(tmp_path / "gguf/model-q6_k.gguf", reference, server)
    checks = {check.name: check.ok for check in found.checks}
    assert checks["template"]
    assert checks["token_ids"]
    assert checks["double_bos"]
    assert not list((tmp_path / "gguf").glob(".*"))
