"""The kernelspec, as shipped and as installed."""

import json
import struct
import sys
import tomllib
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

from llmops_kernel.errors import UsageProblem
from llmops_kernel.kernel.install import install, spec_folder


def test_the_shipped_spec_is_one():
    spec = KernelSpec.from_resource_dir(str(spec_folder()))
    assert spec.display_name == "Python (llmops)"
    assert spec.language == "python"
    assert spec.argv == ["python", "-m", "llmops_kernel.kernel", "-f", "{connection_file}"]
    assert spec.metadata["debugger"] is True


@pytest.mark.parametrize("size", [32, 64])
def test_logos_are_png_of_their_size(size):
    data = (spec_folder() / f"logo-{size}x{size}.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (size, size)


def test_the_wheel_ships_the_folder():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    root = Path(__file__).parents[2]
    (source,) = [root / each for each, to in shared.items() if to.endswith("kernels/llmops")]
    assert source == spec_folder()


def test_installing_names_this_python(tmp_path):
    folder = install(prefix=tmp_path)
    assert folder == tmp_path / "share" / "jupyter" / "kernels" / "llmops"
    spec = json.loads((folder / "kernel.json").read_text())
    assert spec["argv"][0] == sys.executable
    assert {each.name for each in folder.iterdir()} == {
        "kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg",
    }  # fmt: skip
    assert install(prefix=tmp_path) == folder  # again, over the old one


def test_installing_for_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    folder = install(user=True)
    assert folder == tmp_path / "data" / "kernels" / "llmops"
    assert "llmops" in KernelSpecManager().find_kernel_specs()


def test_one_place_at_a_time(tmp_path):
    with pytest.raises(UsageProblem, match="one place"):
        install(user=True, prefix=tmp_path)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "share").write_text("a file in the way")
    with pytest.raises(UsageProblem, match="cannot be written") as caught:
        install(prefix=tmp_path)
    assert "--user" in caught.value.hint
