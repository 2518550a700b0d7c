"""%serve in a real shell, with an engine that behaves as it is told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from llmops_kernel.magics.serve_results import BenchPage, PlanPage, ServerList, ServerPage
from llmops_kernel.serve.record import names

_LIAR = Path(__file__).parents[1] / "serve" / "lying_server.py"


@pytest.fixture
def model(workplace, monkeypatch):
    """A model for the engine llama-server, which is the liar at its best."""
    program = workplace / "llama-server"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{_LIAR}" good "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("LLMOPS_LLAMA_SERVER", str(program))
    (workplace / "faq.gguf").write_bytes(b"GGUF")
    return "./faq.gguf"


def test_from_start_to_stop(run, shell, model):
    started = run(f"%serve {model} --slots 2 -o server")
    assert started.success, started.stdout
    assert isinstance(started.result, ServerPage)
    assert started.result.model == "local/faq"
    assert shell.user_ns["server"] is started.result
    assert "local/faq is ready" in repr(started.result)
    again = run(f"%serve start {model}")
    assert "runs already" in repr(again.result)
    listed = run("%serve")
    assert isinstance(listed.result, ServerList)
    assert [each["state"] for each in listed.result] == ["ready"]
    asked = run("%ask -m local/faq What is the fee?")
    assert "two dollars" in repr(asked.result)
    bench = run("%serve bench faq --clients 1,2 --requests 4")
    assert isinstance(bench.result, BenchPage)
    assert bench.result.test.row(clients=2).completeness == 1
    assert len(run("%serve scale faq 2").result.servers[0]["urls"]) == 2
    adapters = run("%serve lora faq").result
    assert repr(adapters) == "local/faq has no adapters"
    assert adapters.models == ()
    refused = run("%serve lora faq --load tone")
    assert "takes adapters at its start only" in refused.stdout + refused.stderr
    assert run("%serve health local/faq").result.servers[0]["answering"] == 2
    assert "lying server" in repr(run("%serve logs faq").result)
    assert repr(run("%serve stop faq").result) == "Stopped local/faq"
    assert names() == []


def test_a_server_ends_with_the_session_unless_it_is_kept(run, shell, model):
    from llmops_kernel.serve.servers import stop_server
    from llmops_kernel.session import current_session

    run(f"%serve {model} --as mine")
    run(f"%serve {model} --as kept --keep")
    assert names() == ["kept", "mine"]
    current_session().close()
    assert names() == ["kept"]
    stop_server("kept")


def test_saved_outputs_hold_no_ports_and_times(run, shell, model, monkeypatch):
    monkeypatch.setenv("LLMOPS_STATIC", "1")
    shown = [run(f"%serve {model}").result, run("%serve list").result]
    for each in shown:
        for text in each._repr_mimebundle_()[0].values():
            assert "127.0.0.1" not in text
            assert "MiB" not in text
            assert "Ready after" not in text
    assert shown[1]._repr_mimebundle_()[1]["llmops"]["servers"][0]["urls"]  # figures, in metadata


def test_a_plan_is_a_result(run):
    page = run("%serve plan --model llama-3.1-8b --gpu H100 --ctx 16000 --utilisation 0.9").result
    assert isinstance(page, PlanPage)
    assert page.fits
    assert page.figures["weights_gib"] == pytest.approx(14.958)
    data, metadata = page._repr_mimebundle_()
    assert "<caption>" in data["text/html"]
    assert metadata["llmops"]["kv_pool_gib"]["low"] < 51.38


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%serve lst", "did you mean 'list'"),
        ("%serve nothing-there", "neither a file nor a registered model"),
        ("%serve start", "What shall be served"),
        ("%serve stop nobody", "No server local/nobody runs"),
        ("%serve bench", "What shall be measured"),
        ("%serve bench --clients 0 nobody", "--clients takes numbers above zero"),
        ("%serve start x --slotz 3", "did you mean '--slots'"),
        ("%serve plan --model llama-3.1-8b", "--gpu"),
        ("%serve plan --model lama-3.1-8b --gpu H100", "did you mean 'llama-3.1-8b'"),
        ("%serve scale nobody two", "does not take 'two'"),
        ("%serve x --usd-per-hour 2", "becomes one per token"),
        ("%%serve faq\ntext", "has no cell form"),
    ],
)
def test_wrong_lines_are_told_in_words(run, line, said):
    result = run(line)
    assert not result.success
    error = result.error_in_exec or result.error_before_exec
    assert said in error.sentence()


def test_an_hours_price_becomes_a_tokens(run, model):
    run(f"%serve {model} --usd-per-hour 3.6 --throughput 1000")
    [server] = run("%serve").result
    assert float(server["usd_output"]) == pytest.approx(1.0)
    run("%serve stop faq")
