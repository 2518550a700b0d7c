"""``%judge`` and ``%%judge`` in a real shell, with the offline judge and a simulated model."""

import json

import pytest
from IPython.core.formatters import DisplayFormatter

from llmops_kernel import UsageProblem
from llmops_kernel.calls.reply import Reply
from llmops_kernel.judge import ModelJudge, Sample, dump
from llmops_kernel.magics.judge_results import Comparison, Judgement

CONTEXTS = ["Card replacement costs 5 EUR.", "Refunds are paid within 10 days."]
GOOD = "Card replacement costs 5 EUR."
BAD = "The office in Oslo has a blue door."
SUPPORT = "lexical_support"


def rows(count=30, bad_every=0):
    return [
        {
            "id": f"s{n}",
            "user_input": "What does it cost?",
            "response": BAD if bad_every and n % bad_every == 0 else GOOD,
            "retrieved_contexts": CONTEXTS,
        }
        for n in range(count)
    ]


@pytest.fixture
def data(shell):
    shell.user_ns["good"] = rows()
    shell.user_ns["mixed"] = rows(bad_every=2)
    return shell.user_ns


def shown(shell, result):
    return DisplayFormatter(parent=shell).format(result)


def test_the_offline_judge_says_what_it_is(data, run, shell):
    done = run("%%judge --data good -o now\n")
    result = done.result
    assert isinstance(result, Judgement)
    assert data["now"] is result
    assert "about $" not in done.stdout  # what costs nothing has no price to tell
    assert done.stderr == ""
    assert set(result.means) == {"lexical_support", "entity_consistency", "embedding_relevance"}
    assert result[SUPPORT].low > 0.8
    bundle, metadata = shown(shell, result)
    text = bundle["text/plain"]
    assert "30 samples" in text
    assert "uncalibrated" in text
    assert "Offline heuristic, not an LLM or human judgement." in text
    assert "lexical_support: begin: balanced accuracy 0.87" in text
    assert "<table>" in bundle["text/html"]
    facts = metadata["llmops"]
    assert facts["totals"] == {"calls": 0, "usd_nano": 0, "simulated_nano": 0}
    assert facts["metrics"][0]["mean"]["estimate"] == pytest.approx(result[SUPPORT].estimate)


def test_a_model_with_criteria_and_its_price(data, run, shell):
    cell = (
        "%%judge faithfulness --data good --judge sim/gpt-4o-mini --budget 1\n"
        "# what matters here\n"
        "metrics: answer_relevance, lexical_support\n"
        'tone: "short and friendly"\n'
        "criteria: names the fee\n"
    )
    done = run(cell)
    assert done.success, done.error_in_exec
    assert done.stderr == ""  # notebooks show it in red
    first = done.stdout.splitlines()[0]
    assert first.startswith("30 samples, 152 calls, about $0.")  # steps of two criteria, too
    assert " simulated, at most $" in first
    names = list(done.result.means)
    assert names[:4] == [
        "faithfulness[ragas]",
        "answer_relevance",
        "lexical_support",
        "criteria[tone]",
    ]
    assert names[4].startswith("criteria[")
    bundle, metadata = shown(shell, done.result)
    assert " simulated" in bundle["text/plain"].splitlines()[0]
    took = metadata["llmops"]["run"]
    assert took["simulated"] is True
    assert took["usd_nano"] == done.result.run.usd_nano > 0
    assert metadata["llmops"]["totals"]["usd_nano"] == 0


def test_unscored_samples_are_told_by_reason(data, run, shell):
    data["part"] = [*rows(3), {"id": "x", "user_input": "Why?", "response": "I do not know.",
                               "retrieved_contexts": CONTEXTS},
                    {"id": "y", "user_input": "Why?", "response": GOOD}, {"id": "z"}]  # fmt: skip
    done = run(f"%%judge {SUPPORT} --data part\n")
    text = shown(shell, done.result)[0]["text/plain"]
    assert "1 missing_field, 1 abstained" in text
    assert "1 rows left out" in text
    assert "user_input is missing" in done.stderr


def test_a_cap_ends_the_run_and_says_so(data, run, shell):
    done = run("%%judge faithfulness --data good --judge sim/gpt-4o --budget 0.002\n")
    assert done.success
    (metric,) = done.result.report.metrics
    assert metric.unscored["budget"] > 0
    text = shown(shell, done.result)[0]["text/plain"]
    assert "Ended early: the run's cap of $0.002" in text


def test_a_journal_is_not_paid_for_twice(data, run):
    cell = "%%judge faithfulness --data good --judge sim/gpt-4o --journal j.jsonl\n"
    first = run(cell).result
    assert first.run.calls > 0
    assert "simulated" in repr(first)
    again = run(cell).result
    assert again.run.calls == 0
    assert "30 scores known" in repr(again)
    assert "simulated" not in repr(again)
    assert again.means == first.means


def test_a_baseline_by_name_and_by_file(data, run, shell, workplace):
    run(f"%%judge {SUPPORT} --data good -o before -q\n")
    run("%judge report before --scores before.json -q")
    (workplace / "gate.toml").write_text("min_n = 20\n")
    for baseline in ("before", "before.json"):
        done = run(f"%%judge {SUPPORT} --data mixed --baseline {baseline} --gate gate.toml\n")
        assert done.result.gate.outcome == "regression"
        text = shown(shell, done.result)[0]["text/plain"]
        assert f"This run against {baseline}: regression" in text
        assert "the loss is proved to be more than 0" in text
    same = run(f"%%judge {SUPPORT} --data good --baseline before\n").result
    assert same.gate.outcome == "pass"
    assert "none proved" in repr(same)


def test_compare_takes_results_and_files(data, run, shell, workplace):
    run(f"%%judge {SUPPORT} --data mixed -o now -q\n")
    run(f"%%judge {SUPPORT} --data good -o before -q\n")
    run("%judge report before --scores before.json -q")
    for line in ("%judge compare now before", "%judge compare now before.json"):
        result = run(line).result
        assert isinstance(result, Comparison)
        assert result.gate.metrics[0].delta.high < 0
        assert "worse" in shown(shell, result)[0]["text/plain"]
    assert "better" in repr(run("%judge compare before now").result)


def test_a_report_is_shown_again_and_written(data, run, workplace):
    first = run(f"%%judge {SUPPORT} --data good\n").result
    assert run("%judge").result is first
    assert run("%judge report --html page.html --junit out.xml --scores scores.json").success
    assert (workplace / "page.html").read_text().startswith("<!doctype html>")
    assert "<testcase" in (workplace / "out.xml").read_text()
    assert json.loads((workplace / "scores.json").read_text())["metrics"][SUPPORT]["scored"] == 30


def test_the_last_answer_from_documents(run, shell, workplace):
    (workplace / "fees.md").write_text("# Fees\n\nA replacement card costs $12 on Basic.\n")
    assert run("%rag ingest bank fees.md -q").success
    asked = run("%%rag bank\nWhat does a replacement card cost on Basic?").result
    assert "[1]" in asked.text
    result = run("%judge last").result
    (sample,) = result.dataset
    assert sample.trace_id == asked.trace_id
    assert sample.user_input == "What does a replacement card cost on Basic?"
    assert "[1]" not in sample.response
    assert result["entity_consistency"].estimate == 1.0
    text = shown(shell, result)[0]["text/plain"]
    assert "1 sample" in text
    assert "found" in text
    judged = run("%judge last faithfulness --judge sim/gpt-4o")
    assert judged.stdout.startswith("1 sample, 2 calls, about $0.")
    assert judged.result["faithfulness[ragas]"].estimate == 1.0


def test_data_may_be_a_file_samples_or_a_result(data, run, workplace):
    samples = [Sample(each["id"], "q", each["response"], tuple(CONTEXTS)) for each in rows(5)]
    data["samples"] = samples
    dump(samples, workplace / "answers.jsonl")
    for name in ("samples", "answers.jsonl"):
        assert len(run(f"%%judge {SUPPORT} --data {name} -o now\n").result.dataset) == 5
    assert len(run(f"%%judge {SUPPORT} --data now\n").result.scores) == 5


def test_static_output_is_the_same_each_time(data, run, shell):
    run("%config LLMOps.static = True")
    texts = []
    run("%%judge faithfulness --data mixed --judge sim/gpt-4o -q -o before\n")
    cell = "%%judge faithfulness --data good --judge sim/gpt-4o --baseline before\n"
    for _ in range(2):
        done = run(cell)
        assert isinstance(done.result, Judgement)
        texts.append((done.stdout.splitlines()[0], done.stderr, shown(shell, done.result)[0]))
    assert texts[0] == texts[1]


def test_the_price_of_a_resumed_run_is_that_of_the_rest(data, run, workplace):
    cell = "%%judge answer_relevance --data {} --judge sim/gpt-4o-mini --journal j.jsonl -o now\n"
    samples = [{**row, "response": f"{GOOD} {n}"} for n, row in enumerate(rows(9))]
    data["few"], data["all"] = samples[:4], samples
    assert run(cell.format("few")).stdout.startswith("4 samples, 4 calls, about $0.")
    told = run(cell.format("all")).stdout.splitlines()[0]
    assert told.startswith("9 samples, 5 calls, about $0.")
    assert told.endswith("; the journal has 4 more")
    assert "about $" not in run(cell.format("all")).stdout


def test_a_judge_that_is_given_up_says_how_to_go_on(data, run, shell, workplace):
    async def call(request):
        message = {"role": "assistant", "content": "Lovely."}
        return Reply("1", request.model, 1, ({"index": 0, "message": message},))

    data["mine"] = ModelJudge(call, "mine")
    data["many"] = [{**row, "response": f"{GOOD} {n}"} for n, row in enumerate(rows(12))]
    done = run(
        "%%judge answer_relevance --data many --judge mine --journal j.jsonl --give-up-after 3\n"
    )
    assert done.success, done.error_in_exec
    text = shown(shell, done.result)[0]["text/plain"]
    assert "Ended early: 3 answers in a row by mine to answer_relevance" in text
    assert "j.jsonl has what was measured" in text


def test_a_cell_without_a_body_and_a_silenced_one(data, run):
    assert isinstance(run(f"%%judge {SUPPORT} --data good").result, Judgement)
    done = run(f"%%judge {SUPPORT} --data good -q -o now\n")
    assert done.result is None
    assert (done.stdout, done.stderr) == ("", "")
    assert isinstance(data["now"], Judgement)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("%%judge\n", "%%judge needs --data"),
        ("%%judge --data god\n",
         "--data: 'god' is neither bound nor a file (did you mean 'good'?)"),
        ("%%judge lexical_suport --data good\n",
         "There is no metric 'lexical_suport' (did you mean 'lexical_support'?)"),
        ("%%judge --data good\ntone: friendly", "The offline judge cannot judge criteria[tone]"),
        ("%%judge --data good --judge sim/gpt-4o\na: x\na: y",
         "Two lines have the name criteria[a]"),
        ("%%judge --data good --budgt 1\n",
         "--budgt is not a flag of %%judge (did you mean '--budget'?)"),
        ("%%judge --data good --baseline mixed\n", "--baseline: 'mixed' holds no scores"),
        ("%%judge --data good --gate gate.toml\n", "The gate's configuration cannot be read"),
        ("%%judge --data good --judge offline,sim/gpt-4o\n", "A jury is made of models"),
        ("%judge lst", "'lst' is not a subcommand of %judge (did you mean 'last'?)"),
        ("%judge last", "There is no answer from documents yet"),
        ("%judge", "Nothing was judged yet"),
        ("%judge report god", "'god' is no result of %%judge"),
        ("%judge compare good mixed", "%judge compare: 'good' holds no scores"),
        ("%judge compare good", "%judge compare needs BASELINE"),
    ],
)  # fmt: skip
def test_mistakes_are_two_or_three_lines(data, run, source, message):
    error = run(source).error_in_exec
    assert type(error) is UsageProblem
    assert str(error) == message
    assert 2 <= len(error._render_traceback_()) <= 3


def test_completion(data, shell):
    from IPython.core.completer import provisionalcompleter

    def complete(source):
        with provisionalcompleter():
            found = list(shell.Completer.completions(source, len(source)))
        return [source[: each.start] + each.text for each in found]

    assert sorted(complete("%judge c")) == ["%judge calibrate", "%judge compare"]
    assert complete("%judge la") == ["%judge last", "%judge label"]
    assert complete("%%judge --data goo") == ["%%judge --data good"]
    assert "%%judge --judge offline" in complete("%%judge --judge off")
    assert complete("%%judge --conc") == ["%%judge --concurrency"]
    assert "%judge compare good" in complete("%judge compare goo")
    assert complete("%%judge lexical_s") == ["%%judge lexical_support"]
