"""Environments for machines with a GPU and without, and packages without their dependencies."""

from __future__ import annotations

import json
import subprocess
import zipfile
from typing import TYPE_CHECKING

import pytest

from llmops_kernel import envs
from llmops_kernel.cli import main
from llmops_kernel.envs import recipes
from llmops_kernel.errors import EnvironmentFailed

if TYPE_CHECKING:
    from pathlib import Path

NVIDIA = "#!/bin/sh\necho 'GPU 0: a card'\n"
NO_DRIVER = "#!/bin/sh\necho 'No devices were found'\nexit 6\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMOPS_ENVS", str(tmp_path / "envs"))
    return tmp_path / "envs"


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program that tells of GPUs; there is none until it is written."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    return place / "nvidia-smi"


def put(program: Path, text: str) -> None:
    program.write_text(text)
    program.chmod(0o755)


def needy(place: Path) -> Path:
    """Write a wheel whose dependency nobody has."""
    path = place / "needy-1.0-py3-none-any.whl"
    info = "needy-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("needy.py", "VALUE = 7\n")
        wheel.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: needy\nVersion: 1.0\nRequires-Dist: pip>=9999\n",
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", f"needy.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n")
    return path


def test_the_recipe_follows_the_machine(card: Path) -> None:
    assert not envs.has_gpu()
    small = envs.recipe_named("unsloth")
    assert (small.variant, small.alone[0].partition("==")[0]) == ("cpu", "unsloth")
    assert small.lock is not None
    assert small.lock.name == "unsloth-cpu.txt"
    put(card, NO_DRIVER)
    assert not envs.has_gpu()
    assert envs.recipe_named("unsloth") == small

    put(card, NVIDIA)
    assert envs.has_gpu()
    whole = envs.recipe_named("unsloth")
    assert (whole.variant, whole.alone) == ("", ())
    assert "not run" in whole.untried
    assert whole.lock is not None
    assert "bitsandbytes==" in whole.lock.read_text(encoding="utf-8")
    assert whole.digest != small.digest
    # An export that installs system packages is off in both.
    assert whole.variables == small.variables
    assert whole.variables["UNSLOTH_AUTO_INSTALL"] == "0"
    assert envs.recipe_named("trl") is recipes.RECIPES["trl"]


def test_a_package_can_come_without_what_it_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = str(needy(tmp_path))
    refused = recipes.Recipe("needy", "trying it", (wheel,))
    monkeypatch.setitem(recipes.RECIPES, "needy", refused)  # type: ignore[arg-type]
    with pytest.raises(EnvironmentFailed):
        envs.create("needy")
    assert not envs.find("needy").made

    alone = recipes.Recipe("needy", "trying it", ("pip",), variant="small", alone=(wheel,))
    monkeypatch.setitem(recipes.RECIPES, "needy", alone)  # type: ignore[arg-type]
    made = envs.create("needy")
    assert (made.current, made.variant) == (True, "small")
    said = subprocess.run(
        [str(made.python), "-c", "import needy; print(needy.VALUE)"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said == "7\n"
    assert alone.digest != recipes.Recipe("needy", "trying it", ("pip", wheel)).digest


def test_one_that_was_made_for_another_machine_is_told(
    card: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = envs.find("unsloth")
    assert (found.variant, found.fits, found.current) == (None, False, False)
    found.python.parent.mkdir(parents=True)
    found.python.touch()
    found.mark()
    assert (found.variant, found.fits, found.current) == ("cpu", True, True)
    assert listed(capsys)["unsloth"] == {
        "variant": "cpu", "made_variant": "cpu", "made": True, "current": True,
    }  # fmt: skip

    put(card, NVIDIA)
    there = envs.find("unsloth")
    assert (there.made, there.variant, there.fits, there.current) == (True, "cpu", False, False)
    assert listed(capsys)["unsloth"] == {
        "variant": "", "made_variant": "cpu", "made": True, "current": False,
    }  # fmt: skip
    assert main(["env", "list"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("unsloth"))
    assert "made for another machine" in line


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    assert main(["env", "list", "--json"]) == 0
    keys = ("variant", "made_variant", "made", "current")
    return {
        each["name"]: {key: each[key] for key in keys}
        for each in json.loads(capsys.readouterr().out)
    }


def test_what_was_never_run_says_so_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipes.Recipe("new", "trying it", ("pip",), untried="nobody has run it")
    monkeypatch.setitem(recipes.RECIPES, "new", recipe)  # type: ignore[arg-type]
    said: list[str] = []
    envs.create("new", say=said.append)
    assert said[1] == "Note: nobody has run it"
