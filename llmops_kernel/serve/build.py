"""Builds ``llama-server`` from the sdist of ``llama-cpp-python``, which has llama.cpp within.

Nothing else is compiled, nothing is installed into the system, and no other source is asked: pip
fetches the archive from the index it is set to. Takes about six minutes on two cores.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.envs import root
from llmops_kernel.errors import EngineFailed, UsageProblem
from llmops_kernel.serve.engines.llama_server import built_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = "llama-cpp-python==0.3.36"
_FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=OFF", "-DLLAMA_CURL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_TOOLS=ON",
    "-DLLAMA_BUILD_SERVER=ON",
)  # fmt: skip
_PERCENT = re.compile(r"^\[\s*(\d+)%\]")
_QUANTIZER = "llama-quantize"
_SHOWN_LINES = 12
_WITHIN = "vendor/llama.cpp"


def build_llama_server(
    *,
    say: Callable[[str], None] = lambda _: None,
    jobs: int = 0,
    again: bool = False,
    source: Path | None = None,
    flags: tuple[str, ...] = (),
) -> Path:
    """Build the program into the folder of side environments, unless it is there.

    Args:
        say: Told what is being done, a line at a time.
        jobs: Compilers at once; 0 for one for each CPU.
        again: Build it anew in any case.
        source: An sdist, or a folder that has ``vendor/llama.cpp``, in place of a download.
        flags: Further flags for CMake, such as ``-DGGML_CUDA=ON``.

    Returns:
        The program.

    Raises:
        UsageProblem: CMake or a C++ compiler is missing, or the source is none.
        EngineFailed: Download or build failed; ``detail`` has the end of what was said.
    """
    target = built_place()
    if target.is_file() and not again:
        return target
    tools = _tools()
    root().mkdir(parents=True, exist_ok=True)
    with _alone(), tempfile.TemporaryDirectory(prefix="llama-server-", dir=root()) as folder:
        if target.is_file() and not again:
            return target
        tree = _tree(source, Path(folder), say)
        say("Building llama-server: about six minutes on two cores")
        build = Path(folder) / "build"
        _run([tools["cmake"], "-S", str(tree), "-B", str(build), *_FLAGS, *flags], say)
        make = [tools["cmake"], "--build", str(build), "--parallel",
                str(jobs or len(os.sched_getaffinity(0))), "--target"]  # fmt: skip
        _run([*make, "llama-server"], say)
        # Exports ask it for K-quants; the server is of use without it.
        _run([*make, _QUANTIZER], lambda _: None, lenient=True)
        made = build / "bin" / "llama-server"
        if not made.is_file():
            raise EngineFailed("The build made no llama-server", detail=str(tree))
        target.parent.mkdir(parents=True, exist_ok=True)
        for program in (build / "bin" / _QUANTIZER, made):  # what is looked for comes last
            if program.is_file():
                part = target.with_name(f".{program.name}.{os.getpid()}")
                shutil.copy2(program, part)
                part.replace(target.with_name(program.name))
    say(f"llama-server is built: {target}")
    return target


def _tools() -> dict[str, str]:
    cmake = shutil.which("cmake")
    compiler = shutil.which(os.environ.get("CXX") or "c++") or shutil.which("g++")
    missing = [
        name for name, found in (("cmake", cmake), ("a C++ compiler", compiler)) if not found
    ]
    if missing:
        raise UsageProblem(
            "Building llama-server needs cmake and a C++ compiler",
            detail=f"missing: {', '.join(missing)}",
            hint="apt install cmake g++, or pip install cmake for the first",
        )
    return {"cmake": cmake or "", "c++": compiler or ""}


def _tree(source: Path | None, folder: Path, say: Callable[[str], None]) -> Path:
    """Return the folder of llama.cpp's sources."""
    if source is not None and source.is_dir():
        tree = source / _WITHIN if (source / _WITHIN).is_dir() else source
        if not (tree / "CMakeLists.txt").is_file():
            raise UsageProblem("The folder has no sources of llama.cpp", detail=str(source))
        return tree.absolute()
    archive = source or _download(folder, say)
    if not archive.is_file():
        raise UsageProblem("The source to build from does not exist", detail=str(archive))
    say("Unpacking")
    _unpack(archive, folder / "source")
    found = next((folder / "source").glob(f"*/{_WITHIN}/CMakeLists.txt"), None)
    if found is None:
        raise UsageProblem("The archive has no sources of llama.cpp", detail=archive.name)
    return found.parent


def _download(folder: Path, say: Callable[[str], None]) -> Path:
    say(f"Downloading {SOURCE} (77 MB)")
    _run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps",
         "--no-binary", SOURCE.partition("==")[0], SOURCE, "-d", str(folder)],
        lambda _: None,
        lenient=True,
    )  # fmt: skip
    archives = sorted(folder.glob("llama_cpp_python-*"))
    if not archives:
        raise EngineFailed(
            "The source of llama-server cannot be downloaded",
            hint=f"Fetch the sdist of {SOURCE} elsewhere, and give it with --source",
        )
    return archives[0]


def _unpack(archive: Path, target: Path) -> None:
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(target)  # noqa: S202 - zipfile drops what would lead outside
        else:
            with tarfile.open(archive) as opened:
                opened.extractall(target, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, OSError) as error:
        raise EngineFailed("The source cannot be unpacked", detail=str(error)) from error


def _run(command: list[str], say: Callable[[str], None], *, lenient: bool = False) -> None:
    """Run a command, and tell of each tenth of its work.

    ``lenient``: pip fails where it cannot work out an archive's metadata, though it is there.
    """
    env = {key: value for key, value in os.environ.items() if key != "PIP_CONSTRAINT"}
    said: list[str] = []
    tenth = 0
    with subprocess.Popen(  # noqa: S603 - no shell
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        env=env,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said = [*said[-_SHOWN_LINES:], line.rstrip()]
                percent = _PERCENT.match(line)
                if percent and int(percent[1]) // 10 > tenth:
                    tenth = int(percent[1]) // 10
                    say(f"{tenth * 10} %")
        except BaseException:
            process.kill()
            raise
    if process.returncode and not lenient:
        raise EngineFailed(
            "llama-server cannot be built", detail="\n  ".join(said[-_SHOWN_LINES:]),
            hint="Compilers that are too old are the usual cause: GCC 11 or newer is needed",
        )  # fmt: skip


@contextmanager
def _alone() -> Iterator[None]:
    import fcntl

    with (root() / ".llama-server.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
