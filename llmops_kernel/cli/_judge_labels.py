"""People's labels for the verbs of ``llmops judge``: in the rows, or in files beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmops_kernel.cli._output import warn
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from llmops_kernel.judge.data.problems import Dataset
    from llmops_kernel.judge.samples import Sample

# What the offline judge has to set beside a label of people; it has no such judgement itself.
_STAND_INS = {
    "faithfulness": "lexical_support",
    "groundedness": "lexical_support",
    "attributable": "lexical_support",
    "hallucination": "lexical_support",
    "answer_relevance": "embedding_relevance",
    "relevance": "embedding_relevance",
}


def add_labels(parser: argparse.ArgumentParser) -> None:
    """Declare ``--labels``."""
    parser.add_argument(
        "--labels", action="append", default=[], metavar="FILE",
        help="a file of judge label; may be given several times",
    )  # fmt: skip


def with_labels(dataset: Dataset, paths: Sequence[str]) -> Dataset:
    """Return a data set with the labels of files, and tell which do not count."""
    if not paths:
        return dataset
    from llmops_kernel.judge.labelling import labelled

    found = labelled(dataset.samples, *paths)
    for note in found.notes:
        warn(note)
    for metric, alpha in (found.agreement or {}).items():
        warn(
            f"{metric}: {len(found.raters)} raters, Krippendorff's alpha {alpha.estimate:.3f} "
            f"[{alpha.low:.3f}, {alpha.high:.3f}]"
        )
    return replace(dataset, samples=found.samples)


def stand_in(metric: str) -> str:
    """Return the offline judge's metric for one that only a judge of language can measure."""
    name = _STAND_INS.get(metric.partition("[")[0], metric)
    if name != metric:
        warn(f"The offline judge has no {metric}; compared is {name}")
    return name


def labels_of(samples: Sequence[Sample], name: str) -> tuple[str, dict[str, float]]:
    """Return the label's name, and the value of each sample that has it.

    Raises:
        UsageProblem: No sample has it, and there is not just one other that could be meant.
    """
    from llmops_kernel.judge.data.labels import human_value

    names = sorted({label for sample in samples for label in sample.human})
    if not any(human_value(sample, name) is not None for sample in samples) and len(names) == 1:
        name = names[0]
    found = {sample.id: human_value(sample, name) for sample in samples}
    labels = {key: value for key, value in found.items() if value is not None}
    if not labels:
        form = f'{{"human": {{"{name}": {{"label": "yes"}}}}}}'
        given = {str(sample.human[name].get("label")) for sample in samples if name in sample.human}
        if given:
            raise UsageProblem(
                f"No label of {name!r} can be understood",
                detail=f"found: {', '.join(map(repr, sorted(given)[:5]))}",
                hint='Give "label": "yes" or "no", or "score": 0 to 1',
            )
        raise UsageProblem(
            f"No sample has a human label {name!r}",
            detail=f"there are labels for {', '.join(names)}" if names else "nobody has labelled",
            hint=f"llmops judge label DATA.jsonl --metric {name}, and --labels DATA.labels.jsonl; "
            f"or rows with {form}; --human names another label",
        )
    if not all(0 <= value <= 1 for value in labels.values()):
        raise UsageProblem(
            "People's scores must lie between 0 and 1", hint='Or give labels: "yes" and "no"'
        )
    return name, labels
