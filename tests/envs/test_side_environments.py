"""Side environments: found, made in whole or not at all, and closed to our own packages."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from llmops_kernel import envs
from llmops_kernel.envs import recipes
from llmops_kernel.errors import EnvironmentFailed, MissingEnvironment, UsageProblem


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMOPS_ENVS", str(tmp_path / "envs"))
    return tmp_path / "envs"


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> recipes.Recipe:
    """A recipe that pip can serve without a network: what every environment has."""
    recipe = recipes.Recipe("empty", "trying it", ("pip",), {"QUIET_PLEASE": "1"})
    monkeypatch.setitem(recipes.RECIPES, "empty", recipe)  # type: ignore[arg-type]
    return recipe


ALL = [*recipes.RECIPES.values(), *recipes.WITHOUT_GPU.values()]


def versions(lock: Path) -> dict[str, str]:
    lines = lock.read_text(encoding="utf-8").splitlines()
    return dict(line.lower().split("==") for line in lines if not line.startswith("#"))


def test_every_recipe_is_complete() -> None:
    for name, recipe in [*recipes.RECIPES.items(), *recipes.WITHOUT_GPU.items()]:
        assert recipe.name == name
        assert recipe.purpose
        assert recipe.requirements


def test_a_lock_holds_plain_versions_only() -> None:
    locks = [recipe.lock for recipe in ALL if recipe.lock]
    assert set(locks) == set(Path(recipes.__file__).parent.glob("locks/*"))
    for lock in locks:
        for line in lock.read_text(encoding="utf-8").splitlines():
            assert line.startswith("#") or line.count("==") == 1, line
            assert "@" not in line.partition("#")[0]


def test_a_lock_has_what_its_recipe_asks_for() -> None:
    for recipe in ALL:
        assert recipe.lock is not None, recipe.name
        locked = versions(recipe.lock)
        for wanted in (*recipe.requirements, *recipe.alone):
            name, exact, version = wanted.lower().partition("==")
            assert not exact or locked[name.partition("[")[0]] == version, wanted


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageProblem, match="unsloth"):
        envs.find("unslth")


def test_a_missing_environment_says_how_it_is_made() -> None:
    with pytest.raises(MissingEnvironment) as caught:
        envs.python_of("trl")
    assert caught.value.hint == "llmops env create trl"


def test_it_is_made_once_by_two_at_a_time(empty: recipes.Recipe, folder: Path) -> None:
    said: list[str] = []
    both = [threading.Thread(target=envs.create, args=("empty",), kwargs={"say": said.append})
            for _ in range(2)]  # fmt: skip
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert len([line for line in said if line.startswith("Making")]) == 1
    assert envs.find("empty").current
    assert envs.python_of("empty") == folder / "empty" / "bin" / "python"


def test_what_pip_refuses_leaves_nothing_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = recipes.Recipe("broken", "trying it", ("/no/such/folder/wheel.whl",))
    monkeypatch.setitem(recipes.RECIPES, "broken", broken)  # type: ignore[arg-type]
    with pytest.raises(EnvironmentFailed) as caught:
        envs.create("broken")
    assert "wheel.whl" in caught.value.detail
    assert not envs.find("broken").made


def test_a_changed_recipe_makes_an_environment_stale(
    empty: recipes.Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    envs.create("empty")
    changed = recipes.Recipe("empty", "trying it", ("pip", "setuptools"))
    monkeypatch.setitem(recipes.RECIPES, "empty", changed)  # type: ignore[arg-type]
    assert envs.find("empty").made
    assert not envs.find("empty").current


def test_a_process_there_sees_our_package_and_none_of_our_others(empty: recipes.Recipe) -> None:
    envs.create("empty")
    code = (
        "import importlib.util as u, os, llmops_kernel.errors; "
        "print(u.find_spec('pydantic') is None, u.find_spec('aiohttp') is None, "
        "os.environ['QUIET_PLEASE'])"
    )
    variables = envs.command_env("empty", {"PYTHONPATH": str(Path(sys.prefix)), "PATH": "/usr/bin"})
    done = subprocess.run(
        [str(envs.python_of("empty")), "-c", code],
        env=variables, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "True", "1"]
