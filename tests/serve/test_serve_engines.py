"""Which engine, which command: never a key on it, never an unbounded batcher."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llmops_kernel.errors import EngineFailed, MissingEnvironment, UsageProblem
from llmops_kernel.finetune.registry import Registry
from llmops_kernel.serve.engines import Start, choose_engine, engine_named
from llmops_kernel.serve.models import ServedModel, find_model
from llmops_kernel.serve.record import names, read_record
from llmops_kernel.serve.servers.attaching import attach, ollama_modelfile, start_ollama
from llmops_kernel.serve.servers.process import free_port
from llmops_kernel.serve.servers.ready import Caller
from llmops_kernel.serve.servers.starting import start_server
from llmops_kernel.serve.servers.stopping import key_of, look, stop_server
from llmops_kernel.serve.servers.wanted import Wanted

KEY = "sk-local-secret"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of exports, as the registry keeps them."""
    out = tmp_path / "exports"
    (out / "merged").mkdir(parents=True)
    (out / "gguf").mkdir()
    (out / "merged" / "config.json").write_text('{"max_position_embeddings": 2048}')
    (out / "merged" / "model.safetensors").write_bytes(b"weights")
    for name in ("f16", "q8_0", "q4_0"):
        (out / "gguf" / f"model-{name}.gguf").write_bytes(b"GGUF" + name.encode())
    (out / "reference.json").write_text('{"prompts": []}')
    (out / "Modelfile").write_text("FROM ./gguf/model-q8_0.gguf\n")
    return out


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A program on an otherwise empty path."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    monkeypatch.setenv("PATH", str(bin_))
    for name in ("LLMOPS_LLAMA_SERVER", "LLMOPS_ENVS", "LLMOPS_VLLM"):
        monkeypatch.delenv(name, raising=False)

    def make(name: str, script: str = "#!/bin/sh\nexit 0\n") -> Path:
        path = bin_ / name
        path.write_text(script)
        path.chmod(0o755)
        return path

    return make


def start(model: ServedModel, **changes: object) -> Start:
    values = {"model": model, "port": 9_999, "slots": 4, "context": 2_048, "key": KEY,
              "key_file": Path("/keys/key"), "threads": 2, **changes}  # fmt: skip
    return Start(**values)  # type: ignore[arg-type]


def test_a_folder_of_exports_has_every_form(folder: Path) -> None:
    model = find_model(str(folder))
    assert model.name == "exports"
    assert model.folder == folder / "merged"
    assert model.gguf == folder / "gguf" / "model-q8_0.gguf"
    assert model.reference == folder / "reference.json"
    assert model.modelfile == folder / "Modelfile"
    assert model.context() == 2_048
    one = find_model(str(folder / "gguf" / "model-f16.gguf"))
    assert (one.name, one.folder) == ("exports", None)
    assert one.reference == folder / "reference.json"


def test_identity_follows_the_weights(folder: Path) -> None:
    model = find_model(str(folder))
    before = model.identity("llama-server 2048")
    assert before == find_model(str(folder)).identity("llama-server 2048")
    assert before != model.identity("transformers 2048")
    (folder / "gguf" / "model-q8_0.gguf").write_bytes(b"GGUF, trained longer")
    assert before != find_model(str(folder)).identity("llama-server 2048")


def test_a_registered_model_is_found_by_name(folder: Path) -> None:
    record = {"config": {"a": 1}, "data": {"sha256": "0" * 64},
              "base": {"name": "tiny", "sha256": "1" * 64}}  # fmt: skip
    version = Registry().register("intents", folder, record)
    for asked in ("intents", version.ref):
        model = find_model(asked)
        assert model.name == "intents"
        assert model.gguf == version.folder / "gguf" / "model-q8_0.gguf"
        assert model.reference == version.folder / "reference.json"
    with pytest.raises(UsageProblem):
        find_model("intents@ffff")


def test_llama_server_reads_the_key_from_a_file(
    folder: Path, programs: Callable[[str], Path]
) -> None:
    program = programs("llama-server")
    command = engine_named("llama.cpp").command(start(find_model(str(folder))))
    line = " ".join(command.argv)
    assert command.argv[0] == str(program)
    assert "--api-key-file /keys/key" in line
    assert KEY not in line
    assert KEY not in command.env.values()
    assert "--host 127.0.0.1 --port 9999" in line
    assert "--parallel 4 --ctx-size 8192" in line  # the context of all slots together
    assert "--metrics" in line
    assert command.model == "exports"


def test_without_llama_server_the_way_to_one_is_named(
    folder: Path, programs: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineFailed) as caught:
        engine_named("llama-server").command(start(find_model(str(folder))))
    assert "llmops serve build llama-server" in caught.value.hint
    monkeypatch.setenv("LLMOPS_LLAMA_SERVER", str(folder / "nothing"))
    with pytest.raises(UsageProblem, match="LLMOPS_LLAMA_SERVER"):
        engine_named("llama-server").available()


def test_transformers_never_batches_without_bounds(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, engine = find_model(str(folder)), engine_named("transformers")
    monkeypatch.setenv("LLMOPS_ENVS", str(tmp_path / "envs"))
    with pytest.raises(MissingEnvironment):
        engine.command(start(model))
    python = tmp_path / "envs" / "trl" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    (tmp_path / "envs" / "trl" / "llmops-made").write_text("x\n")
    plain = engine.command(start(model))
    assert "--continuous-batching" not in plain.argv
    assert plain.env["HF_HUB_OFFLINE"] == "1"
    assert plain.model == str(folder / "merged")
    batching = engine.command(start(model, batching=True)).argv
    bound = batching[batching.index("--cb-num-blocks") + 1]
    assert "--continuous-batching" in batching
    assert int(bound) * 32 == 4 * 2_048
    assert not engine.capabilities(start(model)).batches
    assert engine.capabilities(start(model, batching=True)).batches


def test_the_command_of_vllm(folder: Path, programs: Callable[[str], Path]) -> None:
    engine, model = engine_named("vllm"), find_model(str(folder))
    with pytest.raises(EngineFailed, match="no vllm"):
        engine.command(start(model))
    programs("vllm")
    asked = start(model, gpus=2, utilisation=0.9, lora={"tone": "/adapters/tone"})
    command = engine.command(asked)
    line = " ".join(command.argv[1:])
    assert line == (
        f"serve {folder / 'merged'} --host 127.0.0.1 --port 9999 --served-model-name exports "
        "--max-num-seqs 4 --enable-prefix-caching --max-model-len 2048 "
        "--gpu-memory-utilization 0.9 --tensor-parallel-size 2 "
        "--enable-lora --lora-modules tone=/adapters/tone"
    )
    assert command.env["VLLM_API_KEY"] == KEY
    assert KEY not in line
    assert command.env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    with pytest.raises(UsageProblem, match="vllm cannot serve"):
        choose_engine(find_model(str(folder / "gguf" / "model-f16.gguf")), "vllm")


def test_auto_takes_what_is_there(folder: Path, programs: Callable[[str], Path]) -> None:
    model = find_model(str(folder))
    with pytest.raises(EngineFailed, match="No engine on this machine"):
        choose_engine(model)
    programs("llama-server")
    assert choose_engine(model).name == "llama-server"
    programs("vllm")
    assert choose_engine(model).name == "vllm"
    gguf = find_model(str(folder / "gguf" / "model-f16.gguf"))
    assert choose_engine(gguf).name == "llama-server"
    with pytest.raises(UsageProblem, match="did you mean 'llama-server'"):
        choose_engine(model, "lama-server")


def test_ollama_gets_the_modelfile_and_is_attached(
    folder: Path,
    tmp_path: Path,
    programs: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = find_model(str(folder))
    with pytest.raises(EngineFailed, match="Ollama does not run"):
        start_ollama(model, url="http://127.0.0.1:9/v1")
    port = free_port()
    # A server with Ollama's paths; it knows the model under the name it is created by.
    liar = [sys.executable, str(Path(__file__).with_name("lying_server.py")), "good",
            "--host", "127.0.0.1", "--port", str(port), "--alias", "exports"]  # fmt: skip
    with subprocess.Popen(liar, stdout=subprocess.DEVNULL) as running:
        url = f"http://127.0.0.1:{port}/v1"
        while not Caller(url).healthy("/api/version"):
            assert running.poll() is None
        with pytest.raises(EngineFailed, match="ollama is not on the path"):
            start_ollama(model, url=url)
        program = programs("ollama", "#!/bin/sh\necho 'Error: no such base' >&2\nexit 1\n")
        with pytest.raises(EngineFailed, match="Ollama refused") as caught:
            start_ollama(model, url=url)
        assert caught.value.detail == "Error: no such base"
        assert names() == []
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\nexit 0\n')
        made = start_ollama(model, url=url)
        assert (made.record.engine, made.record.model) == ("ollama", "exports")
        said = (tmp_path / "said").read_text()
        assert said == f"create exports -f {folder / 'Modelfile'}\n"
        stop_server("exports")
        running.kill()
    plain = ollama_modelfile(ServedModel("bare", gguf=model.gguf))
    assert plain.read_text() == f"FROM {model.gguf}\n"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://127.0.0.1/v1", "begins with"),
        ("http://gpu.example.com/v1", "https only"),
        ("https://me:secret@gpu.example.com/v1", "no user"),
        ("https://gpu.example.com/v1?key=secret", "no user"),
        ("nonsense", "begins with"),
    ],
)
def test_urls_that_are_refused(url: str, said: str) -> None:
    with pytest.raises(UsageProblem, match=said) as caught:
        attach("mine", url)
    assert "secret" not in caught.value.sentence()


def test_attaching_asks_first(liar: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineFailed, match="No server answers there"):
        attach("mine", "http://127.0.0.1:9", model="m")
    record = start_server(str(liar()), wanted=Wanted(wait_s=20.0)).record
    monkeypatch.setenv("ITS_KEY", key_of(record))
    root = record.replicas[0].url.removesuffix("/v1")
    with pytest.raises(UsageProblem, match="has no model 'modell'"):
        attach("mine", root, model="modell", key_env="ITS_KEY")
    made = attach("mine", root, key_env="ITS_KEY", wanted=Wanted(usd_input=1, usd_output=2))
    assert made.record.replicas[0].url == record.replicas[0].url
    assert read_record("mine").usd_output == "2"
    with pytest.raises(UsageProblem, match="runs already"):
        attach("mine", root, key_env="ITS_KEY")
    assert look("mine").state == "ready"
    stop_server("model")
    assert look("mine").state == "dead"


def test_redirects_are_not_followed(liar: Callable[..., Path]) -> None:
    """A key must not travel to where another server points."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    asked: list[str] = []

    class Points(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Points) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        caller = Caller(f"http://127.0.0.1:{server.server_port}/v1", KEY)
        assert not caller.healthy("/health")
        server.shutdown()
        thread.join()
    assert asked == ["/health"]
