"""Files that are replaced as a whole."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.files import write_whole


@pytest.mark.parametrize("content", ["a\r\nb\u00e4\n", b"\x00\xff", ""])
def test_it_holds_what_was_written(tmp_path: Path, content: str | bytes) -> None:
    file = tmp_path / "a.txt"
    file.write_text("before")
    write_whole(file, content)
    assert file.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


@given(
    name=st.text(st.characters(codec="ascii", exclude_characters="/\0"), min_size=1, max_size=200)
)
def test_any_name_that_a_file_may_have(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    if name in (".", ".."):
        return
    file = tmp_path_factory.mktemp("names") / name
    write_whole(file, name)
    assert file.read_bytes() == name.encode()


@pytest.mark.skipif(os.name == "nt", reason="rights are POSIX's")
def test_a_private_file_is_never_readable_by_others(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("old")
    file.chmod(0o644)
    write_whole(file, "secret", private=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_cannot_be_written_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("before")
    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "half a pair: \ud800")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match="folder"):
        write_whole(folder, "x")
    assert file.read_text() == "before"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.txt", "folder"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and RLIMIT_FSIZE as Linux has it")
def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("before")
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from llmops_kernel.files import write_whole\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "write_whole(Path(sys.argv[1]), 'x' * 100_000)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True)
    assert ran.returncode == 1
    assert "OSError" in ran.stderr
    assert file.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    code = (
        "import sys; from pathlib import Path; from llmops_kernel.files import write_whole\n"
        "for _ in range(50): write_whole(Path(sys.argv[1]), sys.argv[2] * 10_000)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(file), each]) for each in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if file.exists():
            seen.add(file.read_text())
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen <= {"a" * 10_000, "b" * 10_000}
