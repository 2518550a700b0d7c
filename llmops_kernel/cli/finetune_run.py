"""``llmops finetune run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.cli._finetune import watched
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Start a run from a YAML file, and wait for its end"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", metavar="FILE.yaml", help="base, data, method, train, ...")
    parser.add_argument(
        "--name", metavar="NAME", help="the model's name (default: register, or the file's name)"
    )
    parser.add_argument("--detach", action="store_true", help="return at once")
    parser.add_argument(
        "--dry-run", action="store_true", help="make the pre-flight and train nothing"
    )
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Start it; 1 if it does not reach its end."""
    from llmops_kernel.finetune.runs import start
    from llmops_kernel.finetune.spec.reading import read_spec_file

    file = Path(arguments.file).expanduser()
    spec = read_spec_file(file)
    name = arguments.name or spec.register_as or file.stem
    run = start(spec, name, text=file.read_text(encoding="utf-8"), only_preflight=arguments.dry_run)
    return watched(run, detach=arguments.detach, json=arguments.json)
