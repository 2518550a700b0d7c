"""A gate's files: its configuration, the samples of its scores, the reports it leaves."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem
from llmops_kernel.files import write_whole
from llmops_kernel.judge.gate import GateConfig
from llmops_kernel.judge.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.judge.scores import Score


def load_config(path: str | Path) -> GateConfig:
    """Read a gate's configuration: TOML with `GateConfig`'s names at the top, or below ``[gate]``.

    Raises:
        UsageProblem: It cannot be read, is no TOML, or a setting is unknown or cannot be.
    """
    file = Path(path).expanduser()
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageProblem(
            "The gate's configuration cannot be read",
            detail=f"{file}: {error}",
            hint='A TOML file with lines such as: margins = {"lexical_support" = 0.02}',
        ) from error
    own = data.get("gate")
    return GateConfig.from_dict(own if isinstance(own, dict) and len(data) == 1 else data)


def samples_of(scores: Sequence[Score], samples: Sequence[Sample] | None) -> tuple[Sample, ...]:
    """Return the samples that scores are of.

    Without a data set they are known by their ids only: nothing groups them, and a report can show
    neither question nor answer.

    Raises:
        UsageProblem: The data set lacks some of them, so that their clusters are not known.
    """
    ids = dict.fromkeys(score.sample_id for score in scores)
    if samples is None:
        return tuple(Sample(name, "") for name in ids)
    known = {sample.id: sample for sample in samples}
    lacking = [name for name in ids if name not in known]
    if lacking:
        shown = ", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else "")
        raise UsageProblem(
            "The data set lacks samples that were scored",
            detail=f"{len(lacking)} of {len(ids)}: {shown}",
            hint="Give the file that the run read",
        )
    return tuple(known[name] for name in ids)


def write_report(path: str | Path, text: str) -> None:
    """Write a report; the file is replaced as a whole.

    Raises:
        UsageProblem: It cannot be written.
    """
    file = Path(path).expanduser()
    try:
        write_whole(file, text)
    except OSError as error:
        raise UsageProblem(
            "The report cannot be written",
            detail=f"{file}: {error.strerror or type(error).__name__}",
        ) from error
