"""A change of a prompt is accepted, refused, or cannot be decided; plug-ins; the command."""

from __future__ import annotations

import json
import random
from importlib.util import find_spec
from pathlib import Path

import pytest

from llmops_kernel import UsageProblem
from llmops_kernel.cli import main
from llmops_kernel.display.diff import diff_view
from llmops_kernel.judge.samples import Sample
from llmops_kernel.prompts.compress import Compressor, LLMLingua, Plugged, accept

SAMPLES = [Sample(str(n), f"question {n}") for n in range(400)]


def holds(sample, answer):
    return 1.0 if "right" in answer else 0.0


def answers(share, seed):
    draw = random.Random(seed)
    return {each.id: "right" if draw.random() < share else "wrong" for each in SAMPLES}


def test_a_harmless_change_is_accepted():
    same = answers(0.8, 1)
    found = accept(lambda s: same[s.id], lambda s: same[s.id], SAMPLES, holds)
    assert found.ok
    assert found.verdict == "accepted"
    assert found.gate.metrics[0].delta.low > -0.03


def test_a_proved_loss_is_refused():
    before, after = answers(0.9, 1), answers(0.6, 2)
    found = accept(lambda s: before[s.id], lambda s: after[s.id], SAMPLES, holds)
    assert found.verdict == "refused"
    assert not found.ok


def test_what_cannot_be_decided_says_so():
    before, after = answers(0.8, 1), answers(0.8, 2)
    found = accept(lambda s: before[s.id], lambda s: after[s.id], SAMPLES[:60], holds)
    assert found.verdict == "inconclusive"
    assert not found.ok
    assert "inconclusive" in found.view().text
    few = accept(lambda s: "right", lambda s: "right", SAMPLES[:5], holds)
    assert few.verdict == "inconclusive"


def test_clusters_widen_the_interval():
    before = answers(0.8, 1)
    worse = {each.id: "wrong" if int(each.id) < 12 else before[each.id] for each in SAMPLES}

    def width(samples):
        found = accept(lambda s: before[s.id], lambda s: worse[s.id], samples, holds)
        interval = found.gate.metrics[0].delta
        return interval.high - interval.low

    clustered = [Sample(s.id, s.user_input, cluster=f"c{int(s.id) // 12}") for s in SAMPLES]
    assert width(clustered) > 1.5 * width(SAMPLES)


def test_unjudged_answers_are_counted_not_made_up():
    found = accept(lambda s: "right", lambda s: "?", SAMPLES,
                   lambda s, a: None if a == "?" else 1.0)  # fmt: skip
    assert found.verdict == "invalid"
    assert not found.ok


@pytest.mark.parametrize("samples", [[], [Sample("a", "q"), Sample("a", "q")]])
def test_samples_need_ids_of_their_own(samples):
    with pytest.raises(UsageProblem):
        accept(lambda s: "", lambda s: "", samples, holds)


def test_a_score_out_of_bounds_is_refused():
    with pytest.raises(UsageProblem, match="between 0 and 1"):
        accept(lambda s: "", lambda s: "", SAMPLES, lambda s, a: 3.0)


# ---- plug-ins -----------------------------------------------------------------------------------


def without_short_words(text: str, rate: float) -> str:
    """A plug-in as a person may write it: real, crude, and it knows nothing of facts."""
    return " ".join(word for word in text.split() if len(word) > 2)


def test_a_plugin_shortens_the_context_and_loses_no_fact():
    context = (
        "It is a fact that we are on the way to a new set of rules.\n\n"
        "A card costs $ 9 and no fee is due.\n\n"
        "```\nif a is b:\n    go\n```"
    )
    messages = [{"role": "user", "content": f"{context}\n\nIs it so?"}]
    compressor = Compressor(tail=(Plugged(without_short_words, 0.5),))
    made = compressor.compress(messages, "Is it so?")
    assert made.messages[0]["content"] == (
        "fact that are the way new set rules.\n\n"
        "A card costs $ 9 and no fee is due.\n\n"
        "```\nif a is b:\n    go\n```\n\nIs it so?"
    )


def test_a_plugin_that_lengthens_or_fails_its_contract_changes_nothing():
    messages = [{"role": "user", "content": "Some words here.\n\nIs it so?"}]
    for plugin in (lambda text, rate: text * 2, lambda text, rate: None):
        made = Compressor(tail=(Plugged(plugin),)).compress(messages, "Is it so?")
        assert list(made.messages) == messages


def test_llmlingua_is_called_by_its_contract():
    class PromptCompressor:
        def __init__(self, **options):
            self.options = options
            self.calls = []

        def compress_prompt(self, context, **options):
            self.calls.append((context, options))
            return {"compressed_prompt": context[0].replace("really ", "")}

    loaded = []

    def load(**options):
        loaded.append(PromptCompressor(**options))
        return loaded[-1]

    plugin = LLMLingua("some/model", "cpu", load=load)
    assert loaded == []
    assert plugin("It is really so.", 0.4) == "It is so."
    assert plugin("And really not.", 0.4) == "And not."
    assert len(loaded) == 1
    assert loaded[0].options == {
        "model_name": "some/model", "use_llmlingua2": True, "device_map": "cpu",
    }  # fmt: skip
    context, options = loaded[0].calls[0]
    assert context == ["It is really so."]
    assert options["rate"] == 0.4
    assert options["force_reserve_digit"] is True
    assert "not" in options["force_tokens"]


@pytest.mark.skipif(find_spec("llmlingua") is not None, reason="llmlingua is installed")
def test_llmlingua_that_is_not_installed_says_how_to():
    with pytest.raises(UsageProblem, match="not installed"):
        LLMLingua()


@pytest.mark.parametrize("rate", [0, -1, 1.5])
def test_a_rate_out_of_bounds_is_refused(rate):
    with pytest.raises(UsageProblem):
        Plugged(without_short_words, rate)


# ---- the command --------------------------------------------------------------------------------

TEXT = "Cards can be frozen in the app.  A card costs $12.\n\n\n\nCards can be frozen in the app.\n"


def test_the_command_prints_the_prompt_and_reports_beside_it(tmp_path, capsys):
    file = tmp_path / "prompt.txt"
    file.write_text(TEXT)
    assert main(["prompt", "compress", str(file)]) == 0
    told = capsys.readouterr()
    assert told.out == "Cards can be frozen in the app. A card costs $12.\n"
    assert "duplicates" in told.err
    assert "tokens" in told.err


def test_the_command_selects_for_a_question(tmp_path, capsys):
    file = tmp_path / "prompt.txt"
    file.write_text(TEXT + "The sky is blue today and so is the sea beyond it.\n")
    arguments = [
        "prompt", "compress", str(file), "--question", "What does a card cost?", "--to", "28",
    ]  # fmt: skip
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "$12" in told["text"]
    assert "sky" not in told["text"]
    assert told["after"] < told["before"]
    assert main([*arguments, "--diff"]) == 0
    out = capsys.readouterr().out
    assert "-The sky is blue" in out
    assert "+++ after" in out


def test_the_command_takes_messages_and_writes_files(tmp_path, capsys):
    file, out, page = (tmp_path / name for name in ("m.json", "out.json", "page.html"))
    messages = [{"role": "system", "content": "Be  kind.  <b>"}, {"role": "user", "content": "Hi?"}]
    file.write_text(json.dumps({"messages": messages}))
    assert main(["prompt", "compress", str(file), "--out", str(out), "--html", str(page)]) == 0
    assert json.loads(out.read_text())[0]["content"] == "Be kind. <b>"
    assert "&lt;b&gt;" in page.read_text()
    assert "<b>" not in page.read_text().replace("<body>", "")


def test_the_command_moves_tables(tmp_path, capsys):
    file = tmp_path / "prompt.md"
    rows = "\n".join(f"| item number {n} of the list | ${n} |" for n in range(40))
    file.write_text(f"# Prices\n\n| What | Price |\n|---|---|\n{rows}\n")
    assert main(
        ["prompt", "compress", str(file), "--tables", "--question", "price of item number 7?"]
    ) == 0  # fmt: skip
    out = capsys.readouterr().out
    assert "| item number 7 of the list | $7 |" in out
    assert "$39" not in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.txt"], "cannot be read"),
        (["empty.txt"], "is empty"),
        (["some.txt", "--to", "10"], "--to needs --question"),
        (["some.txt", "--to", "0", "--question", "q"], "at least 1"),
    ],
)
def test_mistakes_are_told(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_text("  \n")
    Path("some.txt").write_text("Some words.")
    assert main(["prompt", "compress", *arguments]) != 0
    assert said in capsys.readouterr().err


def test_a_difference_is_coloured_and_escaped():
    view = diff_view("one <b>two</b> three", "one three & four")
    assert "<b>" not in view.html
    assert "<del" in view.html
    assert "<ins" in view.html
    assert "&amp; four" in view.html
    assert "-one <b>two</b> three" in view.text
    assert diff_view("same", "same").text.endswith("(no difference)")
