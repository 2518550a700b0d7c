"""What there is to read: files, folders, patterns and addresses as a person names them."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from dataclasses import dataclass, replace
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from llmops_kernel.rag.reading.kinds import Kind, kind_of_bytes, kind_of_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmops_kernel.rag.reading.unreadable import Reason

MAX_BYTES = 50_000_000
_HEAD = 4096
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to read.

    Attributes:
        source: Its name in an index: its path relative to the folder given, with "/", or its URL.
        location: Its absolute path, or its URL.
        kind: Its format; "url" for an address, whose format the server tells.
        size: Bytes; 0 for an address.
        stamp: (time of the last change in nanoseconds, bytes): while it stays, the file need not
            be read again. None for an address.
        problem: Why it cannot be read, if that can be told without reading it. "hidden" is no
            fault: the file or folder was left out on purpose.
        detail: What was found, for people.
    """

    source: str
    location: str
    kind: Kind
    size: int = 0
    stamp: tuple[int, int] | None = None
    problem: Reason | None = None
    detail: str = ""


def find_sources(targets: Sequence[str], *, max_bytes: int = MAX_BYTES) -> list[Source]:
    """Return what there is to read, ordered by name, each file once.

    Nothing is fatal: what cannot be read is returned with its ``problem``, and `read` raises it.
    Files and folders whose names begin with "." are left out, one entry each, unless a target names
    them. Links are followed, but no folder is entered twice.

    Args:
        targets: Files, folders (with all below them), patterns (``docs/**/*.md``) and http(s)
            addresses.
        max_bytes: Larger files are a problem.
    """
    found: list[Source] = []
    for target in targets:
        if _URL.match(target):
            found.append(_address(target))
        else:
            found.extend(_paths(target, max_bytes))
    once: dict[str, Source] = {}
    for source in found:
        key = source.location if source.kind == "url" else os.path.realpath(source.location)
        # A folder and a file in it may both be named: the longer name says where it lies.
        if key not in once or source.source.count("/") > once[key].source.count("/"):
            once[key] = source
    return sorted(_tell_apart(list(once.values())), key=lambda source: source.source)


def _address(target: str) -> Source:
    parts = urlsplit(target)
    plain = Source("", "", "url")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        return replace(plain, source=target, location=target, problem="unreachable")
    shown = f"[{host}]" if ":" in host else host
    shown += f":{port}" if port else ""
    # The fragment names a place in the document; a password must not get into an index.
    url = urlunsplit((parts.scheme.lower(), shown, parts.path or "/", parts.query, ""))
    source = replace(plain, source=url, location=url)
    if parts.scheme.lower() not in {"http", "https"}:
        return replace(source, problem="unsupported", detail="only http and https are fetched")
    if parts.username is not None:
        return replace(source, problem="unsupported", detail="an address with a password in it")
    return source


def _paths(target: str, max_bytes: int) -> Iterator[Source]:
    path = Path(target).expanduser()
    if path.is_dir():
        yield from _folder(path, path, max_bytes)
    elif path.exists() or not has_magic(target):
        yield _file(path, path.parent, max_bytes)
    else:
        base = _fixed_part(str(path))
        # Path.glob takes no absolute pattern, and does not leave hidden files out.
        matches = sorted(glob(str(path), recursive=True))  # noqa: PTH207
        if not matches:
            yield Source(
                target, target, "unknown", problem="unreachable", detail="nothing fits the pattern"
            )
        for match in matches:
            if Path(match).is_file():
                yield _file(Path(match), base, max_bytes)


def _fixed_part(pattern: str) -> Path:
    """The folder of a pattern above its first wildcard."""
    parts = Path(pattern).parts
    fixed = [
        part for number, part in enumerate(parts) if not has_magic("".join(parts[: number + 1]))
    ]
    return Path(*fixed) if fixed else Path()


def _folder(folder: Path, base: Path, max_bytes: int) -> Iterator[Source]:
    entered: set[str] = set()
    waiting = [folder]
    while waiting:
        at = waiting.pop()
        real = os.path.realpath(at)
        if real in entered:
            continue
        entered.add(real)
        try:
            names = sorted(path.name for path in at.iterdir())
        except OSError as error:
            yield _problem(at, base, "unreachable", error.strerror or "")
            continue
        for name in names:
            path = at / name
            if name.startswith("."):
                yield _problem(path, base, "hidden", "its name begins with a full stop")
            elif path.is_dir():
                waiting.append(path)
            else:
                yield _file(path, base, max_bytes)


def _problem(path: Path, base: Path, reason: Reason, detail: str) -> Source:
    return Source(
        _relative(path, base), str(path.absolute()), "unknown", problem=reason, detail=detail
    )


def _file(path: Path, base: Path, max_bytes: int) -> Source:
    try:
        facts = path.stat()
    except OSError as error:
        return _problem(path, base, "unreachable", error.strerror or "")
    if not stat.S_ISREG(facts.st_mode):
        return _problem(path, base, "unsupported", "not a file")
    kind = kind_of_name(path.name)
    source = Source(
        source=_relative(path, base),
        location=str(path.absolute()),
        kind=kind,
        size=facts.st_size,
        stamp=(facts.st_mtime_ns, facts.st_size),
    )
    if facts.st_size > max_bytes:
        return replace(
            source, problem="too large", detail=f"{facts.st_size:,} of at most {max_bytes:,} bytes"
        )
    if kind != "unknown":
        return source
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        return replace(source, problem="unreachable", detail=error.strerror or "")
    kind = kind_of_bytes(head)
    if kind == "unknown":
        return replace(source, problem="unsupported", detail="a binary file of an unknown kind")
    return replace(source, kind=kind)


def _relative(path: Path, base: Path) -> str:
    try:
        return path.relative_to(base).as_posix()
    except ValueError:
        return path.as_posix()


def _tell_apart(sources: list[Source]) -> list[Source]:
    """Two folders may hold files of one name: those are named with more of their path."""
    for attempt in (_with_folder, _whole):
        counts = Counter(source.source for source in sources)
        sources = [
            replace(source, source=attempt(source))
            if counts[source.source] > 1 and source.kind != "url"
            else source
            for source in sources
        ]
    return sources


def _with_folder(source: Source) -> str:
    """The name with that of the folder it is relative to."""
    depth = len(Path(source.source).parts)
    return "/".join(Path(source.location).parts[-depth - 1 :]).lstrip("/")


def _whole(source: Source) -> str:
    return Path(source.location).as_posix()
