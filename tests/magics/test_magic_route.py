"""``%route`` in a real shell, on simulated models."""

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.formatters import DisplayFormatter

from llmops_kernel import current_session
from llmops_kernel.errors import UnknownModel, UsageProblem
from llmops_kernel.magics.route_results import (
    RouteExplained,
    RouteLearned,
    RouteList,
    RouteReport,
)

SETTINGS = """
[aliases]
small = "sim/gpt-4o-mini"
large = "sim/gpt-4o"
[routes.support]
kind = "rules"
model = "large"
rules = [{ model = "small", pattern = "card" }]
[routes.careful]
kind = "cascade"
models = ["small", "large"]
checks = ["length:100000"]
"""
JUDGED = """
import random
draw = random.Random(1)
easy, hard = [], []
for number in range(100):
    what = draw.choice(["block", "find", "order", "renew"])
    easy.append(f"How do I {what} my {draw.choice(['card', 'debit card'])} {draw.randrange(999)}?")
    what = draw.choice(["limit", "integral", "residue"])
    hard.append(f"Prove that the {what} of {draw.choice(['x^2', '1/x'])} is {draw.randrange(999)}.")
judged = [{"text": text, "small_ok": text in easy, "large_ok": True} for text in easy + hard]
"""


@pytest.fixture
def routes(workplace):
    (workplace / "llmops.toml").write_text(SETTINGS)
    yield workplace
    current_session().close()


def shown(shell, result):
    return DisplayFormatter(parent=shell).format(result)


def test_the_list_is_the_default(routes, run, shell):
    for line in ("%route", "%route list", "%route -o found"):
        found = run(line).result
        assert isinstance(found, RouteList)
        assert [(each.name, each.kind) for each in found] == [
            ("careful", "cascade"), ("support", "rules"),
        ]  # fmt: skip
    assert shell.user_ns["found"] is found
    data, metadata = shown(shell, found)
    assert "route/support" in data["text/plain"]
    assert "<caption>Routes</caption>" in data["text/html"]
    assert metadata["llmops"]["routes"][0]["models"] == ["small", "large"]


def test_explain_says_whom_and_why(routes, run, shell):
    told = run("%route explain Where's my card? --route support").result
    assert isinstance(told, RouteExplained)
    assert (told.model, told.reason, told.confidence) == ("small", "rule 1: pattern", None)
    assert told.asked == "Where's my card?"
    assert run("%route explain Hello --route support").result.model == "large"
    told = run("%route explain Hello --route route/careful").result
    assert "Then: large where a check does not hold" in shown(shell, told)[0]["text/plain"]
    current_session().store.flush()
    assert current_session().traces() == []


def test_a_question_through_a_route_and_its_report(routes, run, shell):
    assert run("%ask -q -m route/support Where is my card?").success
    assert run("%ask -q -m route/support What is the time?").success
    answer = run("%ask -m route/careful Hello").result
    assert answer.model == "sim/gpt-4o"
    report = run("%route report").result
    assert isinstance(report, RouteReport)
    assert (report["support"].calls, report["support"].share_small) == (2, 0.5)
    assert report["careful"].escalated == 1
    assert answer.usd * 10**9 == report["careful"].usd_nano["simulated"]
    data, metadata = shown(shell, report)
    assert "All by the large" in data["text/plain"]
    assert metadata["llmops"]["routes"][1]["saved_nano"]["simulated"] > 0
    assert len(run("%route report support").result.uses) == 1


def test_learn_from_a_variable_then_ask_and_report(routes, run, shell):
    assert run(JUDGED).success
    learned = run(
        "%route learn mine --from judged --small small --large large --target-loss 0.05"
    ).result
    assert isinstance(learned, RouteLearned)
    assert learned.share_small > 0.2
    data, metadata = shown(shell, learned)
    assert "<svg " in data["text/html"]
    assert data["text/html"].index("<svg ") < data["text/html"].index("Cost and quality of")
    assert "chosen" in data["text/plain"]
    assert metadata["llmops"]["rows"] == 200
    assert run("%ask -q -m route/mine Prove that the residue of 1/x is 12.").success
    report = run("%route report mine --from judged").result
    assert report["mine"].calls == 1
    assert report.evaluation.rows == 200
    assert report.evaluation.loss <= 0.05
    assert "On 200 questions" in shown(shell, report)[0]["text/plain"]
    assert [each.name for each in run("%route").result] == ["careful", "mine", "support"]


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        ("%route explain Hello", UsageProblem, "--route"),
        ("%route explain Hello --route suport", UnknownModel, "did you mean 'support'"),
        ("%route explian Hello", UsageProblem, "did you mean 'explain'"),
        ("%route learn x --small small --large large", UsageProblem, "--from"),
        ("%route learn x --from no --small small --large large", UsageProblem, "neither bound"),
        ("%route report nothing", UnknownModel, "There is no route"),
        ("%route report --from x", UsageProblem, "neither bound"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_two_lines(routes, run, line, kind, said):
    result = run(line)
    assert isinstance(result.error_in_exec, kind)
    assert said in result.error_in_exec.sentence()


def test_text_is_the_same_in_every_run(routes, run, shell, tmp_path, monkeypatch):
    texts = []
    for number in range(2):
        monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / f"home{number}"))
        monkeypatch.setenv("LLMOPS_STATIC", "1")
        assert run("%ask -q -m route/support Where is my card?").success
        assert run("%ask -q -m route/careful Hello").success
        pages = [run(line).result for line in ("%route", "%route report")]
        pages.append(run("%route explain Hello --route support").result)
        texts.append([shown(shell, page)[0] for page in pages])
        current_session().close()
    assert texts[0] == texts[1]


def test_completion(routes, run, shell):
    assert run("%route").success

    def complete(source):
        with provisionalcompleter():
            found = list(shell.Completer.completions(source, len(source)))
        return [source[: each.start] + each.text for each in found]

    assert complete("%route l") == ["%route list", "%route learn"]
    assert complete("%route explain hi --route s") == ["%route explain hi --route support"]
    assert "%ask -m route/careful" in complete("%ask -m route/c")
    assert "%route learn x --small small" in complete("%route learn x --small sm")


def test_help(run):
    assert "%route" in run("%route --help").stdout
    assert "%%judge" in run("%route learn --help").stdout


ANSWERS = """
answers = []
for number, row in enumerate(judged):
    passage = f"The answer to number {number} is the green door at the end of the hall."
    wrong = "Elephants migrate northwards every spring with their young."
    for model in ("gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06"):
        good = row["small_ok"] or model.startswith("gpt-4o-2")
        answers.append({"user_input": row["text"], "response": passage if good else wrong,
                        "retrieved_contexts": [passage], "model": model})
"""


def test_learn_from_judged_answers(routes, run, shell):
    assert run(JUDGED).success
    assert run(ANSWERS).success
    assert run("%%judge lexical_support --data answers -o verdicts -q\n").success
    learned = run(
        "%route learn told --from verdicts --small openai/gpt-4o-mini --large openai/gpt-4o "
        "--target-loss 0.05"
    )
    assert learned.success, learned.error_in_exec
    evidence = learned.result.learned.saved.evidence
    assert evidence["rows"] == len({row["text"] for row in shell.user_ns["judged"]})
    assert evidence["small_quality"] == pytest.approx(0.5, abs=0.02)
    assert evidence["large_quality"] == 1.0
    assert learned.result.share_small > 0.2
