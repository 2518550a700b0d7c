"""Adapters beside their base in the real llama-server: each is a model of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from make_adapters import OTHERS
from make_served import LEARNT

from llmops_kernel.calls import ChatRequest
from llmops_kernel.cli import main
from llmops_kernel.errors import EngineFailed, UnknownModel, UsageProblem
from llmops_kernel.finetune.registry import Registry, Version
from llmops_kernel.serve.adapters import read_pairs
from llmops_kernel.serve.record import names, read_record
from llmops_kernel.serve.servers.ready import Caller
from llmops_kernel.serve.servers.starting import add_replicas, start_server
from llmops_kernel.serve.servers.stopping import key_of, stop_server
from llmops_kernel.serve.servers.wanted import Wanted
from llmops_kernel.session import Session


@pytest.fixture(scope="module")
def trained(exported: Path, trl_envs: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two adapters of the model that `exported` has made, with other answers."""
    out = tmp_path_factory.mktemp("adapters")
    script = Path(__file__).with_name("make_adapters.py")
    python = Path(trl_envs) / "trl" / "bin" / "python"
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    env |= {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1"}  # fmt: skip
    done = subprocess.run(
        [str(python), str(script), str(exported / "merged"), str(out)],
        capture_output=True, text=True, env=env, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3_000:]
    return out


def register(name: str, folder: Path, base: Version | None) -> Version:
    record = {"config": {"name": name}, "data": {"sha256": "0" * 64}, "task": "chat"}
    if base is None:
        return Registry().register(name, folder, {**record, "base": {"name": "nothing"}})
    more = {"base": base.ref, "base_folder": str(base.path("merged")), "parent": base.ref}
    return Registry().register(name, folder, {**record, **more})


@pytest.fixture
def base(
    exported: Path, trained: Path, llama_server: str, monkeypatch: pytest.MonkeyPatch
) -> Version:
    """The registered base; its adapters ``curt`` and ``kind`` are registered beside it."""
    monkeypatch.setenv("LLMOPS_LLAMA_SERVER", llama_server)
    made = register("tiny", exported, None)
    for name in OTHERS:
        register(name, trained / name, made)
    return made


@pytest.fixture
def session() -> Iterator[Session]:
    with Session(retries=0) as opened:
        yield opened


def ask(session: Session, model: str, question: str, *, stream: bool = False) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": question}],
            "max_tokens": 24, "temperature": 0}  # fmt: skip
    request = ChatRequest.from_body(body)
    if not stream:
        return session.call(request).text
    chunks = session.stream(request)
    return "".join(
        each["choices"][0]["delta"].get("content") or "" for each in chunks if each["choices"]
    )


def answers(session: Session, model: str, *, stream: bool = False) -> dict[str, str]:
    return {each: ask(session, model, each, stream=stream) for each in LEARNT}


def with_both(slots: int = 2, **more: object) -> Wanted:
    return Wanted(slots=slots, context=256, lora={"curt": "curt", "nice": "kind"}, **more)  # type: ignore[arg-type]


def test_each_adapter_is_a_model_and_no_answer_is_anothers(base: Version) -> None:
    made = start_server("tiny", wanted=with_both(slots=1))
    assert made.record.capabilities["lora"]
    assert made.checked["adapter_probes"] >= 2 * len(LEARNT)
    with Session(retries=0, cache={"mode": "off"}) as session:
        # One slot, so that each request finds what another adapter has left in it.
        for _ in range(2):
            for stream in (False, True):
                assert answers(session, "local/tiny", stream=stream) == LEARNT
                assert answers(session, "local/tiny:curt", stream=stream) == OTHERS["curt"]
                assert answers(session, "local/tiny:nice", stream=stream) == OTHERS["kind"]
        assert {"local/tiny", "local/tiny:curt", "local/tiny:nice"} <= set(session.models())
        models = [each.model for each in session.history(100) if each.kind == "settle"]
        assert {each: models.count(each) for each in set(models)} == {
            name: 4 * len(LEARNT) for name in ("local/tiny", "local/tiny:curt", "local/tiny:nice")
        }
        with pytest.raises(UnknownModel):
            ask(session, "local/tiny:kind", "Hello")


def test_the_cache_never_answers_for_another_adapter(base: Version, session: Session) -> None:
    start_server("tiny", wanted=with_both())
    first = {name: answers(session, f"local/{name}") for name in ("tiny", "tiny:curt", "tiny:nice")}
    again = {name: answers(session, f"local/{name}") for name in ("tiny", "tiny:curt", "tiny:nice")}
    assert first == again == {"tiny": LEARNT, "tiny:curt": OTHERS["curt"],
                              "tiny:nice": OTHERS["kind"]}  # fmt: skip
    settled = [each for each in session.history(100) if each.kind == "settle"]
    assert len(settled) == 3 * len(LEARNT)  # each once: the second time the cache answered
    stop_server("tiny")
    # The other way round: the same name is another adapter now, and the same number too.
    start_server("tiny", wanted=Wanted(slots=2, context=256, lora={"curt": "kind"}))
    assert answers(session, "local/tiny:curt") == OTHERS["kind"]
    body = {"model": "local/tiny", "messages": [{"role": "user", "content": [*LEARNT][0]}],
            "max_tokens": 24, "temperature": 0, "lora": [{"id": 0, "scale": 1.0}]}  # fmt: skip
    assert session.call(ChatRequest.from_body(body)).text == OTHERS["kind"][[*LEARNT][0]]
    stop_server("tiny")
    start_server("tiny", wanted=Wanted(slots=2, context=256, lora={"curt": "curt"}))
    assert session.call(ChatRequest.from_body(body)).text == OTHERS["curt"][[*LEARNT][0]]


def test_what_others_set_while_it_runs_does_not_reach_the_base(
    base: Version, session: Session
) -> None:
    record = start_server("tiny", wanted=with_both()).record
    caller = Caller(record.replicas[0].url, key_of(record))
    caller.post("/lora-adapters", [{"id": 0, "scale": 1.0}, {"id": 1, "scale": 0.0}])  # type: ignore[arg-type]
    assert answers(session, "local/tiny") == LEARNT
    assert answers(session, "local/tiny:nice") == OTHERS["kind"]


def test_a_further_replica_has_them_too(base: Version) -> None:
    start_server("tiny", wanted=with_both())
    record = add_replicas("tiny", 2)
    os.killpg(record.replicas[0].process.pid, 9)  # type: ignore[union-attr]
    with Session(retries=0, cache={"mode": "off"}) as session:
        assert answers(session, "local/tiny:curt") == OTHERS["curt"]
        assert answers(session, "local/tiny") == LEARNT


def test_tokens_of_an_adapter_have_the_servers_price(base: Version, session: Session) -> None:
    start_server("tiny", wanted=with_both(usd_output=2.0))
    assert ask(session, "local/tiny:curt", [*LEARNT][0]) == "No. 1"
    [event] = [each for each in session.history(4) if each.kind == "settle"]
    assert event.model == "local/tiny:curt"
    session.store.flush()
    root = session.trace()
    assert root is not None
    assert "local/tiny:curt" in repr(root)
    assert event.spent_nano > 0


def test_an_adapter_of_another_base_is_refused(
    base: Version, exported: Path, trained: Path, tmp_path: Path
) -> None:
    import shutil

    other = tmp_path / "other"
    shutil.copytree(exported, other)
    config = json.loads((other / "merged" / "config.json").read_text())
    (other / "merged" / "config.json").write_text(json.dumps({**config, "rope_theta": 9.0}))
    for served in (str(other), str(exported / "gguf" / "model-q8_0.gguf")):
        with pytest.raises(UsageProblem, match="trained on another base") as caught:
            start_server(served, name="other", wanted=with_both())
        assert "curt@" in caught.value.detail
    assert names() == []


@pytest.mark.parametrize(
    ("lora", "said"),
    [
        ({"x": "nobody"}, "No adapter 'nobody' is registered"),
        ({"x": "tiny"}, "trained on another base"),
    ],
)
def test_what_is_no_adapter_is_refused(base: Version, lora: dict[str, str], said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        start_server("tiny", wanted=Wanted(lora=lora))
    assert names() == []


def test_an_adapter_that_answers_otherwise_gets_no_traffic(base: Version) -> None:
    version = Registry().get("curt")
    told = version.folder / "reference.json"
    reference = json.loads(told.read_text())
    reference["prompts"][0]["answer"] = "Something else."
    told.write_text(json.dumps(reference))
    with pytest.raises(EngineFailed, match="answers otherwise") as caught:
        start_server("tiny", wanted=with_both())
    assert "adapter curt" in caught.value.detail
    assert names() == []


def test_another_adapter_under_a_name_that_runs_is_told(base: Version) -> None:
    first = start_server("tiny", wanted=with_both())
    again = start_server("tiny", wanted=with_both())
    assert not again.fresh
    assert again.differs == ()
    swapped = replace(with_both(), lora={"curt": "kind"})
    told = start_server("tiny", wanted=swapped).differs
    curt, kind = (Registry().get(name).ref for name in ("curt", "kind"))
    assert told == (f"adapter curt: {curt}, not {kind}",)
    assert first.record.adapter("curt").ref == curt  # type: ignore[union-attr]


def test_without_adapters_it_claims_none(base: Version) -> None:
    record = start_server("tiny", wanted=Wanted(slots=1, context=256)).record
    assert record.capabilities["lora"] == ""
    assert record.adapters == ()
    assert record.file_type == "q8_0"


def test_the_command_line(base: Version, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--slots", "2", "--ctx", "256", "--lora", "curt", "--lora", "nice=kind", "--json"]
    assert main(["serve", "start", "tiny", *flags]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in told["adapters"]] == ["curt", "nice"]
    assert main(["serve", "lora", "local/tiny", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["adapters"]
    assert [(each["name"], each["loaded"]) for each in listed] == [("curt", True), ("nice", True)]
    assert "path" not in listed[0]
    assert main(["serve", "lora", "tiny"]) == 0
    assert "local/tiny:nice" in capsys.readouterr().out
    asked = ["ask", "-m", "local/tiny:curt", [*LEARNT][0], "--max-tokens", "16"]
    assert main([*asked, "--temperature", "0"]) == 0
    assert "No. 1" in capsys.readouterr().out
    assert main(["ask", "-m", "local/tiny:cutr", "Hello"]) != 0
    said = capsys.readouterr().err
    assert "has no adapter 'cutr'" in said
    assert "%serve lora tiny" in said
    bench = ["serve", "bench", "tiny:curt", "--clients", "1", "--requests", "4"]
    assert main([*bench, "--max-tokens", "8", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["target"] == "local/tiny:curt"
    assert found["server"]["file_type"] == "q8_0"
    assert found["server"]["ready_s"] > 0
    # The second pass reads one token of each prompt again at most, the first almost all it shares.
    prefix = found["prefix"]
    assert 0 < prefix["cached_first"] < prefix["cached_second"] < prefix["prompt_tokens"]
    assert found["rows"][0]["prompt_tokens"] > found["rows"][0]["cached_prompt_tokens"] > 0
    assert main([*bench, "--max-tokens", "8"]) == 0
    assert "that begin alike it had kept" in capsys.readouterr().out
    assert main(["serve", "list"]) == 0
    listed_text = capsys.readouterr().out
    assert "local/tiny:curt" in listed_text
    assert "q8_0" in listed_text
    assert main(["serve", "lora", "tiny", "--load", "kind"]) == 1
    assert "takes adapters at its start only" in capsys.readouterr().err
    assert len(read_record("tiny").adapters) == 2


def test_names_and_references_are_read_from_flags() -> None:
    assert read_pairs(["area@1a2b", "x=kind@9"]) == {"area": "area@1a2b", "x": "kind@9"}
    for wrong in (["a=b", "a=c"], ["x="], ["a b=c"], ["x:y=c"]):
        with pytest.raises(UsageProblem):
            read_pairs(wrong)
