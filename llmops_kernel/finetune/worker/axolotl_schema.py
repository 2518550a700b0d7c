"""Axolotl's own schema as a second opinion on the YAML, where it can be imported."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.axolotl import MAKE, UNCHECKED

if TYPE_CHECKING:
    from pathlib import Path

    from llmops_kernel.finetune.worker.checks import Preflight

_SECONDS = 300  # its imports alone take up to a minute
_MARK = "LLMOPS-SCHEMA "
_LETTERS = 800

# In a process of its own: the schema's imports would stay in this one, beside the training.
_PROGRAM = """
import json, sys
def tell(**told):
    print("LLMOPS-SCHEMA " + json.dumps(told), flush=True)
try:
    import yaml
    from axolotl.utils.schemas.config import AxolotlInputConfig
    from pydantic import ValidationError
except Exception as error:
    tell(state="absent", said=f"{type(error).__name__}: {error}")
    sys.exit(0)
values = yaml.safe_load(open(sys.argv[1], encoding="utf-8"))
try:
    AxolotlInputConfig.model_validate(values)
except ValidationError as error:
    tell(state="wrong", said="; ".join(
        ": ".join(part for part in (".".join(map(str, each["loc"])),
                                    each["msg"].removeprefix("Value error, ")) if part)
        for each in error.errors()))
except Exception as error:
    tell(state="wrong", said=f"{type(error).__name__}: {error}")
else:
    tell(state="right", said="")
"""


def check_by_schema(path: Path, found: Preflight) -> None:
    """Check a configuration by ``AxolotlInputConfig``, and say so if that could not be done.

    Args:
        path: The YAML.
        found: Takes the check ``axolotl.yaml``.
    """
    told = _asked(path)
    found.figures["axolotl_schema"] = told["state"]
    if told["state"] == "right":
        found.add("axolotl.yaml", "ok", "Axolotl's schema accepts the YAML")
    elif told["state"] == "wrong":
        found.add("axolotl.yaml", "stop", "Axolotl's schema refuses the YAML", fatal=True,
                  detail=told["said"], hint=f"Look at {path}")  # fmt: skip
    else:
        found.add("axolotl.yaml", "warn", UNCHECKED, detail=told["said"],
                  hint=MAKE)  # fmt: skip


def _asked(path: Path) -> dict[str, Any]:
    if importlib.util.find_spec("axolotl") is None:
        return {"state": "absent", "said": "axolotl is not in this environment"}
    variables = {**os.environ, "AXOLOTL_DO_NOT_TRACK": "1", "DO_NOT_TRACK": "1"}
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", _PROGRAM, str(path)],
            env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"state": "absent", "said": f"it took longer than {_SECONDS} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if not lines:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        return {"state": "absent", "said": f"exit code {done.returncode}: {' '.join(last)}"}
    told: dict[str, Any] = json.loads(lines[-1].removeprefix(_MARK))
    return {"state": told["state"], "said": str(told["said"])[:_LETTERS]}
