"""Building llama-server: with a real CMake, on a program of three lines."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from llmops_kernel.cli import main
from llmops_kernel.errors import EngineFailed, UsageProblem
from llmops_kernel.serve.build import build_llama_server
from llmops_kernel.serve.engines.llama_server import built_place, find_program

_CMAKE = """
cmake_minimum_required(VERSION 3.14)
project(tiny CXX)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
add_executable(llama-server main.cpp)
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources in the places where the sdist has them."""
    for name in ("LLMOPS_LLAMA_SERVER", "LLMOPS_ENVS"):
        monkeypatch.delenv(name, raising=False)
    if shutil.which("cmake") is None or shutil.which("c++") is None:
        pytest.skip("there is no cmake or no C++ compiler")
    tree = tmp_path / "llama_cpp_python-0" / "vendor" / "llama.cpp"
    tree.mkdir(parents=True)
    (tree / "CMakeLists.txt").write_text(_CMAKE)
    (tree / "main.cpp").write_text(
        '#include <cstdio>\nint main() { std::puts("built"); return 0; }\n'
    )
    return tmp_path / "llama_cpp_python-0"


def test_a_build_is_found_afterwards(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "build", "llama-server", "--source", str(source)]) == 0
    out = capsys.readouterr()
    assert out.out.strip() == str(built_place())
    assert "100 %" in out.err
    assert find_program() == built_place() or shutil.which("llama-server")
    said = subprocess.run([built_place()], capture_output=True, text=True, check=True)
    assert said.stdout == "built\n"
    (source / "vendor" / "llama.cpp" / "main.cpp").write_text("nonsense")
    assert build_llama_server(source=source) == built_place()  # it is there: nothing is built


def test_an_archive_is_unpacked(source: Path, tmp_path: Path) -> None:
    archive = tmp_path / "sdist.tar.gz"
    with tarfile.open(archive, "w:gz") as made:
        made.add(source, source.name)
    assert build_llama_server(source=archive).is_file()
    assert list(built_place().parents[2].glob("llama-server-*")) == []  # no sources stay


def test_a_build_that_fails_leaves_nothing(source: Path) -> None:
    (source / "vendor" / "llama.cpp" / "main.cpp").write_text("nonsense")
    with pytest.raises(EngineFailed, match="cannot be built") as caught:
        build_llama_server(source=source)
    assert "nonsense" in caught.value.detail
    assert not built_place().exists()


def test_what_is_missing_is_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageProblem, match="no sources"):
        build_llama_server(source=tmp_path)
    with pytest.raises(UsageProblem, match="does not exist"):
        build_llama_server(source=tmp_path / "nowhere.tar.gz")
    (tmp_path / "bad.tar.gz").write_bytes(b"no archive")
    with pytest.raises(EngineFailed, match="cannot be unpacked"):
        build_llama_server(source=tmp_path / "bad.tar.gz")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageProblem, match="needs cmake") as caught:
        build_llama_server(source=source)
    assert "cmake" in caught.value.detail
