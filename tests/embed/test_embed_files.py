"""What of the embedder goes into the wheel."""

from __future__ import annotations

import subprocess
import tomllib
import zlib
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "llmops_kernel" / "embed" / "minilm"
NAMES = {
    "model.onnx",
    "vocab.txt",
    "manifest.json",
    "LICENSE-Apache-2.0.txt",
    "LICENSE-MIT.txt",
    "NOTICE",
}


def test_the_files_are_there_and_small() -> None:
    files = list(FOLDER.iterdir())
    assert {path.name for path in files} == NAMES
    assert (FOLDER / "model.onnx").stat().st_size < 18_000_000
    assert sum(path.stat().st_size for path in files) < 25_000_000
    assert sum(len(zlib.compress(path.read_bytes())) for path in files) < 17_000_000


def test_the_wheel_takes_them() -> None:
    # Hatch takes everything of a package but what git ignores or the configuration leaves out.
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    wheel = build["targets"]["wheel"]
    assert wheel["packages"] == ["llmops_kernel"]
    assert not {"exclude", "include", "only-include"} & (wheel.keys() | build.keys())
    paths = [str(FOLDER / name) for name in NAMES]
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *paths], cwd=ROOT, capture_output=True, text=True
    )
    assert ignored.returncode == 1, ignored.stdout + ignored.stderr


def test_the_licences_are_whole() -> None:
    apache = (FOLDER / "LICENSE-Apache-2.0.txt").read_text()
    assert "Version 2.0, January 2004" in apache
    assert "END OF TERMS AND CONDITIONS" in apache
    assert 'THE SOFTWARE IS PROVIDED "AS IS"' in (FOLDER / "LICENSE-MIT.txt").read_text()
    notice = (FOLDER / "NOTICE").read_text()
    for name in ("all-MiniLM-L6-v2", "LICENSE-Apache-2.0.txt", "LICENSE-MIT.txt", "Changes"):
        assert name in notice
