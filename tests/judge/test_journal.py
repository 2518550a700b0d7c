import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stub_judge import StubJudge

from llmops_kernel.errors import StoreError
from llmops_kernel.judge.journal import Journal, journal_key
from llmops_kernel.judge.judges import judge_of
from llmops_kernel.judge.metrics import Criteria, metrics_of
from llmops_kernel.judge.runner import run
from llmops_kernel.judge.samples import Sample
from llmops_kernel.judge.scores import Score, Verdict
from llmops_kernel.session import Session

SCORE = Score(
    "s1", "faithfulness[ragas]", "j", 0.5, verdicts=(Verdict("x", "supported", "y"),),
    reason="half a surrogate: \ud83d", calls=2, usd_nano=7, simulated=True, fingerprint="f",
    detail={"a": 1},
)  # fmt: skip


def test_a_score_comes_back_whole_for_any_sample(tmp_path):
    path = tmp_path / "deep" / "journal.jsonl"
    with Journal(path) as journal:
        journal.add("k", [SCORE])
    with Journal(path) as journal:
        assert journal.scores("k", "s1") == [SCORE]
        assert journal.scores("k", "s2")[0].sample_id == "s2"
        assert journal.scores("other", "s1") is None
        assert journal.notes == []


@pytest.mark.parametrize("reason", ["budget", "error"])
def test_what_was_only_suffered_is_tried_again(tmp_path, reason):
    with Journal(tmp_path / "j") as journal:
        journal.add("k", [Score("1", "m", "j", unscored=reason)])
        assert len(journal) == 0


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_last_line_is_dropped_and_noted(tmp_path, cut):
    path = tmp_path / "j"
    with Journal(path) as journal:
        journal.add("a", [SCORE])
        journal.add("b", [SCORE])
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path) as journal:
        assert ("a" in journal, "b" in journal) == (True, False)
        assert "torn" in journal.notes[0]
        journal.add("c", [SCORE])
    with Journal(path) as journal:
        assert ("a" in journal, "c" in journal, journal.notes) == (True, True, [])


def test_lines_of_others_are_left_alone(tmp_path):
    path = tmp_path / "j"
    path.write_text('{"v": 99}\nnot json\n')
    with Journal(path) as journal:
        assert "2 lines could not be read" in journal.notes[0]
    assert path.read_text().startswith('{"v": 99}\nnot json\n')


def test_a_folder_is_no_journal(tmp_path):
    with pytest.raises(StoreError):
        Journal(tmp_path)


def test_every_part_of_a_key_counts():
    given = ("sample", "metric", "v1", "judge", {"temperature": 0}, 0)
    others = [
        tuple("x" if at == number else each for at, each in enumerate(given))
        for number in (0, 1, 2, 3)
    ]
    others += [(*given[:4], {"temperature": 1}, 0), (*given[:5], 1)]
    keys = {journal_key(*each) for each in [given, *others]}
    assert len(keys) == 1 + len(others)


def test_a_second_run_pays_nothing_and_says_the_same(tmp_path):
    samples = [Sample(f"s{n}", "?", f"Answer {n}.", (f"x{n}",)) for n in range(10)]
    metrics = [*metrics_of(["faithfulness", "triad"]), Criteria("Short.", "short")]
    with StubJudge() as stub, Session(**stub.settings()) as session:
        judge = judge_of(session)
        first = run(samples, metrics, judge, journal=tmp_path / "j")
        asked = len(stub.bodies)
        again = run(samples, metrics, judge, journal=tmp_path / "j")
        assert len(stub.bodies) == asked == first.calls
        assert (again.calls, again.usd_nano) == (0, 0)
        assert again.scores == first.scores
        renamed = [Sample(f"t{n}", "?", f"Answer {n}.", (f"x{n}",)) for n in range(10)]
        assert run(renamed, metrics, judge, journal=tmp_path / "j").calls == 0
        changed = [*metrics_of(["faithfulness"]), Criteria("Long.", "short")]
        assert run(samples, changed, judge, journal=tmp_path / "j").calls == 11  # steps, too


def test_what_a_judge_could_not_say_is_not_paid_for_again(tmp_path):
    with StubJudge(lambda _: "prose") as stub, Session(**stub.settings()) as session:
        for calls in (2, 0):
            result = run(
                [Sample("1", "?", "A.")], metrics_of(["answer_relevance"]), judge_of(session),
                journal=tmp_path / "j",
            )  # fmt: skip
            assert (result.scores[0].unscored, result.calls) == ("parse", calls)


@pytest.mark.faults
def test_a_killed_run_goes_on_without_paying_twice(tmp_path):
    count, journal = 60, tmp_path / "j"
    here = Path(__file__).parent
    with StubJudge(delay=0.05) as stub:
        command = [sys.executable, here / "killed_run.py", str(stub.port), str(journal), str(count)]
        env = {**os.environ, "LLMOPS_HOME": str(tmp_path / "home")}
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while len(stub.bodies) < count // 3:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        time.sleep(0.2)  # what was on its way arrives
        before = len(stub.bodies)
        assert before < count
        known = [json.loads(line) for line in journal.read_bytes().splitlines(keepends=True)
                 if line.endswith(b"\n")]  # fmt: skip
        assert before - 4 <= len(known) <= before  # at most the calls in flight are lost
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, timeout=60, check=True)
    calls, resumed, scored, *ids = done.stdout.decode().split()
    assert int(resumed) == len(known)
    assert int(calls) == count - len(known)
    assert len(stub.bodies) <= count + 4
    assert int(scored) == count
    assert ids == [f"s{n}" for n in range(count)]


@pytest.mark.faults
def test_an_interrupt_ends_calls_in_flight_and_keeps_the_journal(tmp_path):
    journal = tmp_path / "j"
    with StubJudge(delay=0.0) as stub:
        command = [sys.executable, Path(__file__).with_name("killed_run.py"), str(stub.port),
                   str(journal), "400"]  # fmt: skip
        env = {**os.environ, "LLMOPS_HOME": str(tmp_path / "home")}
        process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while len(stub.bodies) < 20:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        stub.delay = 300.0  # the next calls hang
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode != 0
    assert b"KeyboardInterrupt" in told
    assert journal.read_bytes().count(b"\n") >= 16
