"""``%trace`` and ``%llmops``."""

import pytest
from IPython.core.formatters import DisplayFormatter

from llmops_kernel import UsageProblem, current_session
from llmops_kernel.magics.results import Doctor, Page, Trace, TraceList


def formats(shell, result):
    return DisplayFormatter(parent=shell).format(result)[0]


def test_without_a_trace(run):
    assert repr(run("%trace").result) == "No trace yet"


def test_the_last_trace(run, shell):
    answer = run("%ask -m sim/gpt-4o hi").result
    trace = run("%trace").result
    assert isinstance(trace, Trace)
    assert trace.root.span.trace_id == answer.trace_id
    assert set(formats(shell, trace)) == {"text/html", "text/plain"}
    assert set(formats(shell, run("%trace --text").result)) == {"text/plain"}


def test_by_id_and_by_its_beginning(run):
    first = run("%ask -m sim/gpt-4o hi").result.trace_id
    run("%ask -m sim/gpt-4o ho")
    assert run(f"%trace {first}").result.root.span.trace_id == first
    assert run(f"%trace {first[:12]}").result.root.span.trace_id == first


def test_a_list(run, shell):
    run("%ask -m sim/gpt-4o hi")
    run("%ask -m sim/gpt-4o ho")
    traces = run("%trace list -n 1").result
    assert isinstance(traces, TraceList)
    assert len(traces) == 1
    assert traces.spans[0].trace_id == current_session().trace().span.trace_id
    assert "Trace" in formats(shell, traces)["text/plain"]


def test_an_unknown_id(run):
    run("%ask -m sim/gpt-4o hi")
    error = run("%trace lst").error_in_exec
    assert type(error) is UsageProblem
    assert str(error) == "There is no trace 'lst' (did you mean 'list'?)"


def test_static_traces_have_no_times_costs_or_ids(run, shell):
    run("%config LLMOps.static = True")
    answer = run("%ask -m sim/gpt-4o hi").result
    for source in ("%trace", "%trace list"):
        for text in formats(shell, run(source).result).values():
            assert answer.trace_id not in text
            assert "$" not in text
            assert " ms" not in text


def test_status(run, shell):
    page = run("%llmops").result
    assert isinstance(page, Page)
    assert page["model"] == "offline/extractive"
    assert page["endpoint"] is None
    run("%config LLMOps.static = True")
    text = formats(shell, run("%llmops status").result)["text/plain"]
    assert current_session().settings.store not in text
    assert "offline/extractive" in text


def test_the_endpoint_is_started_and_its_token_not_shown(run, shell):
    page = run("%llmops endpoint").result
    info = current_session().endpoint()
    assert page["base_url"] == info.base_url
    for text in formats(shell, page).values():
        assert info.token not in text
    run("%config LLMOps.static = True")
    assert info.base_url not in repr(run("%llmops endpoint").result)


def test_doctor(run):
    doctor = run("%llmops doctor").result
    assert isinstance(doctor, Doctor)
    assert doctor.checks
    assert doctor.ok == all(each.state != "fail" for each in doctor.checks)


@pytest.mark.parametrize("verb", ["version", "status"])
def test_quiet(run, verb):
    assert run(f"%llmops {verb} -q -o page").result is None
