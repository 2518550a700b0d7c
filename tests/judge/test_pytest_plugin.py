"""The fixture ``judge`` in a pytest of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PLUGIN = "llmops_kernel.judge.pytest_plugin"

TESTS = """
import pytest
from llmops_kernel import UsageProblem
from llmops_kernel.judge import GateConfig

PASSAGE = "Card replacement costs 5 EUR. Refunds are paid within 10 days."
GOOD = [
    {"id": f"s{n}", "user_input": "What does it cost?", "response": "Card replacement costs 5 EUR.",
     "retrieved_contexts": [PASSAGE]}
    for n in range(30)
]
BAD = [
    {**row, "response": "The office in Oslo has a blue door."} if n % 2 else row
    for n, row in enumerate(GOOD)
]
METRIC = "lexical_support"


def test_mean(judge):
    found = judge(GOOD, METRIC)
    assert len(found.scores) == 30
    assert found.mean(METRIC).low > 0.8
    assert found[METRIC] == found.mean(METRIC)


def test_passes(judge, tmp_path):
    before = judge(GOOD, [METRIC])
    before.save(tmp_path / "base.json")
    config = tmp_path / "gate.toml"
    config.write_text("min_n = 25")
    assert judge(GOOD, [METRIC]).gate(tmp_path / "base.json", config=config).outcome == "pass"
    assert judge(GOOD, [METRIC]).gate(before, floors={METRIC: 0.8}).exit_code == 0


def test_blocks(judge):
    judge(BAD, [METRIC]).gate(judge(GOOD, [METRIC]))


def test_undecided(judge):
    judge(GOOD, [METRIC]).gate(judge(GOOD, [METRIC]), config=GateConfig(), min_n=50)


def test_unmeasured(judge):
    judge(GOOD, [METRIC]).mean("faithfulness")


def test_wrong(judge):
    with pytest.raises(UsageProblem, match="margn"):
        judge(GOOD, [METRIC]).gate([], margn={})
    with pytest.raises(UsageProblem, match="no sample"):
        judge([], [METRIC])
    with pytest.raises(UsageProblem, match="no data set"):
        judge(7, [METRIC])
    with pytest.raises(UsageProblem, match="same id"):
        judge(judge(GOOD, METRIC).samples * 2, METRIC)


def test_model(judge, tmp_path):
    found = judge(GOOD[:2], ["faithfulness"], judge="sim/gpt-4o-mini", journal=tmp_path / "j")
    assert found.run.calls > 0
    assert found.run.simulated
    again = judge(GOOD[:2], ["faithfulness"], judge="sim/gpt-4o-mini", journal=tmp_path / "j")
    assert again.run.calls == 0
"""


@pytest.fixture
def alone(monkeypatch):
    """No other plugin is loaded."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def test_the_fixture_measures_gates_and_fails_tests(pytester, alone):
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-p", PLUGIN, "-W", "error", "--junitxml=out.xml", "-v")
    assert result.parseoutcomes() == {"passed": 4, "failed": 3}
    result.stdout.fnmatch_lines_random(
        [
            "*regression: lexical_support: the loss is proved to be more than 0",
            "*inconclusive: lexical_support: fewer than 50 pairs",
            "*faithfulness was not measured; measured were lexical_support",
        ]
    )
    cases = {
        each.get("name"): each for each in ET.parse(pytester.path / "out.xml").iter("testcase")
    }
    told = {each.get("name"): each.get("value") for each in cases["test_mean"].iter("property")}
    assert told["lexical_support.scored"] == "30"
    assert float(told["lexical_support.mean"]) > 0.9
    paid = [
        p.get("value") for p in cases["test_model"].iter("property") if p.get("name") == "judge.usd"
    ]
    assert len(paid) == 1
    assert paid[0].endswith(" simulated")


def test_the_fixture_describes_itself(pytester, alone):
    result = pytester.runpytest_subprocess("-p", PLUGIN, "--fixtures", "-q")
    result.stdout.fnmatch_lines(["*Measure answers with a judge, and gate them*"])


def test_loading_it_loads_nothing_heavy():
    code = (
        f"import sys, json, {PLUGIN}; print(json.dumps([n for n in ('numpy', 'aiohttp', 'pydantic',"
        " 'llmops_kernel.session', 'llmops_kernel.judge.runner', 'IPython') if n in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_it_is_an_entry_point_under_the_modules_own_name():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {PLUGIN: PLUGIN}


@pytest.mark.parametrize("flag", ["-p", "entry point"])
def test_it_is_not_loaded_twice(pytester, flag):
    # What an installation writes; pytest reads it from anything on its path.
    info = pytester.mkdir("other-1.0.dist-info")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[pytest11]\n{PLUGIN} = {PLUGIN}\n")
    pytester.syspathinsert(pytester.path)
    pytester.makepyfile("def test_it(judge):\n    assert callable(judge)\n")
    flags = ("-p", PLUGIN) if flag == "-p" else ()
    pytester.runpytest_subprocess(*flags).assert_outcomes(passed=1)
