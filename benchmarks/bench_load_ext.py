"""What ``%load_ext llmops_kernel`` costs a fresh IPython process, beside imports people know.

Each figure is the CPU time of a whole process minus that of the same process without the step,
as the difference of medians over interleaved runs. The first session is shown too: it is made at
the first call or magic that needs one, not when the extension is loaded.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass

import _measure as measure
import make_env

_SESSION = "from llmops_kernel import current_session; current_session().endpoint()"


@dataclass(frozen=True, slots=True)
class Step:
    """Code to run in a fresh process, and the process it is compared with."""

    name: str
    command: tuple[str, ...]
    base: str = ""


def steps() -> list[Step]:
    ipython = (sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c")
    python = (sys.executable, "-c")
    found = [
        Step("IPython", (*ipython, "pass")),
        Step("%load_ext llmops_kernel", (*ipython, "%load_ext llmops_kernel"), "IPython"),
        Step(
            "%load_ext llmops_kernel, first session, endpoint up",
            (*ipython, f"%load_ext llmops_kernel\n{_SESSION}"),
            "IPython",
        ),
        Step("Python", (*python, "pass")),
        Step("import openai", (*python, "import openai"), "Python"),
    ]
    if side := make_env.side_python():
        found += [
            Step("Python (LiteLLM's environment)", (str(side), "-c", "pass")),
            Step(
                "import litellm",
                (str(side), "-c", "import litellm"),
                "Python (LiteLLM's environment)",
            ),
        ]
    return found


def main() -> None:
    options = measure.arguments(str(__doc__).partition("\n")[0]).parse_args()
    rounds = 3 if options.quick else 11
    side = make_env.side_python()
    report = measure.Report(
        "load_ext",
        "CPU seconds that loading the extension adds to a fresh IPython process",
        ("step", "added CPU s", "whole process CPU s"),
        ("ipython", "openai"),
        {"runs": rounds},
        peers={"litellm": make_env.installed(side)} if side else {},
    )
    if side is None:
        report.notes.append("litellm was not measured: run benchmarks/make_env.py first")
    found = steps()
    taken: dict[str, list[float]] = {step.name: [] for step in found}
    for number in range(rounds + 1):
        for step in found:
            with tempfile.TemporaryDirectory() as home:
                # A private home: no profile, no settings and no record of the person's own.
                env = {
                    "IPYTHONDIR": home,
                    "LLMOPS_HOME": home,
                    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                }
                spent = measure.child_cpu_s(step.command, env)
            if number:  # the first run fills the caches of byte code and disk
                taken[step.name].append(spent)
    whole = {name: measure.Figure.of(values) for name, values in taken.items()}
    for step in found:
        added = whole[step.name].median - whole[step.base].median if step.base else None
        report.add(
            **{
                "step": step.name,
                "added CPU s": None if added is None else round(added, 4),
                "whole process CPU s": whole[step.name],
            }
        )
    added_s = report.rows[1]["added CPU s"]
    report.targets.append(measure.Target("%load_ext llmops_kernel", 0.3, added_s, "s of CPU"))
    report.finish(options)


if __name__ == "__main__":
    main()
