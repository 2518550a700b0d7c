"""The pytest fixture ``judge``: answers measured and gated in a test.

pytest loads this module in every run of everybody who has the package installed, so that it
imports nothing but the standard library and pytest; the rest comes with the fixture's first use::

    def test_answers_stay_supported(judge):
        result = judge("answers.jsonl", ["lexical_support", "recall@5"])
        assert result.mean("lexical_support").low > 0.6
        result.gate("baseline.json", config="gate.toml", margins={"recall@5": 0.02})

Means, counts and cost of each run are properties of the test in JUnit XML.
"""

from __future__ import annotations

from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from llmops_kernel.judge.decision import GateConfig, GateResult
    from llmops_kernel.judge.judges.jury import Jury
    from llmops_kernel.judge.judges.protocol import Judge
    from llmops_kernel.judge.metrics.base import Metric
    from llmops_kernel.judge.report import Report
    from llmops_kernel.judge.runner import RunResult
    from llmops_kernel.judge.samples import Sample
    from llmops_kernel.judge.scores import Score
    from llmops_kernel.judge.stats.intervals import Interval

_OFFLINE = "offline"


class Judged:
    """What a run found.

    Attributes:
        samples: What was judged.
        run: The scores with what they took.
    """

    def __init__(self, samples: Sequence[Sample], run: RunResult, problems: Mapping[str, int]):
        self.samples = tuple(samples)
        self.run = run
        self._problems = dict(problems)

    @property
    def scores(self) -> tuple[Score, ...]:
        """All scores, in order."""
        return self.run.scores

    def __getitem__(self, metric: str) -> Interval:
        """Return a metric's mean, as `mean` does."""
        return self.mean(metric)

    def report(self, gate: GateResult | None = None) -> Report:
        """Return the report, with a decision where there is one."""
        from llmops_kernel.judge.report import build_report

        return build_report(self.samples, self.scores, gate=gate, problems=self._problems)

    def mean(self, metric: str) -> Interval:
        """Return a metric's mean with its 95 % interval; without any score the test fails."""
        for each in self.report().metrics:
            if each.metric == metric:
                if each.mean is None:
                    pytest.fail(f"{metric}: no sample was scored ({dict(each.unscored)})")
                return each.mean
        measured = ", ".join(dict.fromkeys(score.metric for score in self.scores))
        pytest.fail(f"{metric} was not measured; measured were {measured}")

    def save(self, path: str | Path) -> None:
        """Write the scores as ``llmops judge run --out`` does: the next run's baseline.

        Raises:
            UsageProblem: The file cannot be written.
        """
        from llmops_kernel.judge.results import save

        judges = ", ".join(dict.fromkeys(score.judge for score in self.scores))
        save(path, self.run, judge=judges, samples=len(self.samples), problems=self._problems)

    def gate(
        self,
        baseline: str | Path | Judged | Sequence[Score] | None = None,
        *,
        config: str | Path | GateConfig | None = None,
        **settings: Any,
    ) -> GateResult:
        """Fail the test unless the change may pass.

        Whatever is not decided fails as well: too few samples, runs that cannot be compared, a cap
        that was reached. Advisory metrics fail nothing.

        Args:
            baseline: Scores to compare with: a file, another run, or the scores themselves.
            config: A TOML file, or a `GateConfig`.
            settings: `GateConfig`'s, in place of those of ``config``.

        Raises:
            UsageProblem: A file cannot be read, a setting cannot be, or there is neither baseline
                nor floor.
        """
        from dataclasses import replace

        from llmops_kernel.judge.gate import GateConfig, decide
        from llmops_kernel.judge.gating import load_config
        from llmops_kernel.judge.results import load_scores

        if config is None:
            told = GateConfig.from_dict(settings)
        else:
            known = config if isinstance(config, GateConfig) else load_config(config)
            GateConfig.from_dict({"margins": known.margins, **settings})  # names and types
            told = replace(known, **settings)
        before: Sequence[Score] | None
        if baseline is None or isinstance(baseline, list | tuple):
            before = baseline
        elif isinstance(baseline, Judged):
            before = baseline.scores
        else:
            before = load_scores(baseline)[0]  # type: ignore[arg-type]  # a path, by now
        found = decide(self.scores, before, told, samples=self.samples)
        if found.outcome != "pass":
            pytest.fail(f"{found.outcome}: {'; '.join(found.reasons)}", pytrace=False)
        return found


class JudgeFixture:
    """The fixture's value: call it to measure answers."""

    def __init__(self, note: Callable[[str, object], None], resources: ExitStack) -> None:
        self._note = note
        self._resources = resources
        self._session: Any = None

    def __call__(
        self,
        data: str | Path | Iterable[Sample] | Iterable[Mapping[str, Any]],
        metrics: str | Iterable[str | Metric],
        *,
        judge: str | Judge | Jury = _OFFLINE,
        budget: float | str | None = None,
        journal: str | Path | None = None,
        concurrency: int = 16,
    ) -> Judged:
        """Measure answers.

        Args:
            data: A JSONL file, samples, or rows with their names.
            metrics: Names such as "faithfulness" or "recall@5", or metrics themselves.
            judge: "offline", a model's name or alias, or a judge.
            budget: A cap for this run, in dollars.
            journal: A file to resume from and to write to: what it holds is not paid for again.
            concurrency: Calls at a time.

        Raises:
            UsageProblem: There is no sample, a metric is unknown, or the judge cannot measure it.
        """
        from llmops_kernel.judge.data.given import dataset_of
        from llmops_kernel.judge.metrics.registry import metrics_of
        from llmops_kernel.judge.runner import run

        dataset = dataset_of(data)
        named = [metrics] if isinstance(metrics, str) else list(metrics)
        measured = [m for each in named for m in (metrics_of([each]) if isinstance(each, str)
                                                  else [each])]  # fmt: skip
        who = self._judge(judge) if isinstance(judge, str) else judge
        found = run(
            dataset.samples,
            measured,
            who,
            max_usd=budget,
            journal=journal,
            concurrency=concurrency,
        )
        judged = Judged(dataset.samples, found, dataset.counts)
        for each in judged.report().metrics:
            if each.mean is not None:
                self._note(f"{each.metric}.mean", round(each.mean.estimate, 6))
            self._note(f"{each.metric}.scored", each.scored)
        if found.calls:
            book = " simulated" if found.simulated else ""
            self._note("judge.usd", f"{found.usd:f}{book}")
        return judged

    def _judge(self, name: str) -> Judge | Jury:
        if name == _OFFLINE:
            from llmops_kernel.judge.judges.offline import OfflineJudge

            return OfflineJudge()
        from llmops_kernel.judge.judges.door import judge_of

        if self._session is None:
            # pytest enters here, not through the package: of all that lies below it, this module
            # alone opens a session.
            self._session = import_module("llmops_kernel.session").Session()
            self._resources.callback(self._session.close)
        return judge_of(self._session, name)


@pytest.fixture
def judge(request: pytest.FixtureRequest) -> Iterator[JudgeFixture]:
    """Measure answers with a judge, and gate them: ``judge(data, metrics, judge="offline")``."""

    def note(name: str, value: object) -> None:
        # As `record_property` does, which warns about JUnit's stricter family and works in it.
        request.node.user_properties.append((name, value))

    with ExitStack() as resources:
        yield JudgeFixture(note, resources)
