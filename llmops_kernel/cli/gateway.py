"""``llmops gateway``."""

from __future__ import annotations

import shlex
import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.cli._output import opened_session, say, say_json, warn
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.errors import UsageProblem
from llmops_kernel.files import write_whole

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

HELP = "Run the OpenAI-compatible endpoint alone, for other programs"

_MARK = "# Written by llmops gateway; removed when it stops.\n"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_LAST_PORT = 65_535


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--host", default="127.0.0.1", help="address (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=int, default=0, metavar="N", help="port (default: 0, any free one)"
    )
    parser.add_argument(
        "--env-file", type=Path, metavar="F", help="write the variables to F once it is ready"
    )
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="a name, beside the loopback ones, by which clients may call it; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--trust-user", action="store_true",
        help="believe the x-llmops-user header: for a gateway behind a proxy that sets it",
    )  # fmt: skip
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM, then settle what is in flight."""
    if not 0 <= arguments.port <= _LAST_PORT:
        raise UsageProblem("--port is out of range", detail=f"got {arguments.port}",
                           hint="Give 0 to 65535; 0 takes a free one")  # fmt: skip
    file: Path | None = arguments.env_file
    if file is not None:
        check_env_file(file)
    with _signals() as told, opened_session() as session:
        env = session.endpoint(
            host=arguments.host,
            port=arguments.port,
            hosts=arguments.allow_host,
            trust_user=arguments.trust_user,
        ).env()
        text = _dotenv(env)
        try:
            if file is not None:
                write_env_file(file, text)
            _announce(env, arguments)
            told.wait()
        finally:
            if file is not None:
                remove_env_file(file, text)
    return 0


def _announce(env: Mapping[str, str], arguments: argparse.Namespace) -> None:
    if arguments.json:
        say_json(env)
    else:
        for name, value in env.items():
            say(f"export {name}={shlex.quote(value)}")
    if arguments.host not in _LOOPBACK:
        warn("Other machines can reach this endpoint; the key above is all that they need.")


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set; a second one ends the program at once."""
    told = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop(_: int, __: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        told.set()

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _dotenv(env: Mapping[str, str]) -> str:
    return _MARK + "".join(f"{name}={value}\n" for name, value in env.items())


def check_env_file(file: Path) -> None:
    """Refuse a file that holds anything but what an earlier gateway wrote.

    Raises:
        UsageProblem: It is somebody's own file, a folder, or cannot be made.
    """
    if not file.parent.is_dir():
        raise UsageProblem("The folder of --env-file does not exist", detail=str(file.parent))
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem("--env-file cannot be used", detail=f"{file}: {error}") from error
    if text.strip() and not text.startswith(_MARK):
        raise UsageProblem(
            "--env-file names a file that is not the gateway's",
            detail=str(file),
            hint="Name a new file: this one would be replaced",
        )


def write_env_file(file: Path, text: str) -> None:
    """Write the variables at once and whole, readable by the owner only."""
    try:
        write_whole(file, text, private=True)
    except OSError as error:
        raise UsageProblem(
            "--env-file cannot be written", detail=f"{file}: {error.strerror or error}"
        ) from error


def remove_env_file(file: Path, text: str) -> None:
    """Remove the file if it is still the one we wrote: its endpoint is gone."""
    try:
        if file.read_text(encoding="utf-8") == text:
            file.unlink()
    except (OSError, UnicodeDecodeError):
        return  # somebody took it away, or it is theirs by now
