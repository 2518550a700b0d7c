"""``llmops serve build``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.cli._output import say, say_json, warn
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Build llama-server from source, about six minutes; needs cmake and a C++ compiler"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("engine", choices=["llama-server"], metavar="ENGINE", help="llama-server")
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help="compilers at once")
    parser.add_argument("--again", action="store_true", help="build it anew")
    parser.add_argument(
        "--source", type=Path, metavar="PATH", help="sdist or sources, in place of a download"
    )
    parser.add_argument(
        "--cmake-flag", action="append", default=[], metavar="FLAG",
        help="such as -DGGML_CUDA=ON; repeatable (write --cmake-flag=-D...)",
    )  # fmt: skip
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Build it, and print where it is."""
    from llmops_kernel.serve.build import build_llama_server

    made = build_llama_server(
        say=warn,
        jobs=arguments.jobs,
        again=arguments.again,
        source=arguments.source,
        flags=tuple(arguments.cmake_flag),
    )
    if arguments.json:
        say_json({"program": str(made)})
    else:
        say(str(made))
    return 0
