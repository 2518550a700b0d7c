"""The project's own files agree with each other."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _parse(requirement: str) -> tuple[str, str]:
    name, spec = re.fullmatch(r"([\w.-]+)(?:\[.*\])?(.*)", requirement.strip()).groups()  # type: ignore[union-attr]
    return name.lower().replace("_", "-"), spec.replace(" ", "")


def test_environment_yml_gives_what_pyproject_asks() -> None:
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in entries if isinstance(entry, dict))
    assert "-e ." in pip
    listed = [e for e in entries if isinstance(e, str)] + [e for e in pip if not e.startswith("-")]
    found = dict(_parse(entry) for entry in listed)
    wanted = dict(_parse(r) for r in PYPROJECT["dependencies"])
    for extra in ("lab", "rag"):
        wanted |= dict(_parse(r) for r in PYPROJECT["optional-dependencies"][extra])
    wanted["python"] = PYPROJECT["requires-python"]
    found.pop("pip")
    assert found == wanted


def test_constraints_pin_every_dependency() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().split("==") for line in lines if line and not line.startswith("#"))
    pins = {name.replace("_", "-"): version for name, version in pins.items()}
    needed = [_parse(r)[0] for r in PYPROJECT["dependencies"]]
    for extra in set(PYPROJECT["optional-dependencies"]) - {"all", "finetune", "observe"}:
        needed += [_parse(r)[0] for r in PYPROJECT["optional-dependencies"][extra]]
    missing = sorted({name for name in needed if name not in pins} - {"llmops-kernel"})
    assert missing == []
    assert all(re.fullmatch(r"[\w.+!-]+", version) for version in pins.values())


@pytest.mark.parametrize("extra", ["rag", "finetune", "observe", "labs", "test", "all"])
def test_heavy_rooms_are_extras(extra: str) -> None:
    assert PYPROJECT["optional-dependencies"][extra]


def test_tracked_text_names_no_machine() -> None:
    # Split, so that this file does not find itself.
    forbidden = re.compile("(^|[^A-Za-z0-9_.])/(wo" + "rk|ro" + "ot|fa" + "rm)/|index" + "-url")
    suffixes = {".py", ".md", ".toml", ".yml", ".txt", ".ipynb", ".json", ".cfg"}
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert len(files) > 100
    for path in files:
        if path.is_file() and path.suffix in suffixes:
            found = forbidden.search(path.read_text(encoding="utf-8"))
            assert found is None, f"{path.relative_to(ROOT)}: {found}"
