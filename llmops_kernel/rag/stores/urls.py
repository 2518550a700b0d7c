"""Where a vector store is: its URL, read and checked."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from llmops_kernel.errors import SettingsError, nearest

KINDS = ("chroma", "qdrant", "milvus", "postgresql", "pinecone")

# Folder or file below the home, port of a server, and the variable that holds its key.
_LOCAL = {"chroma": "chroma", "qdrant": "qdrant", "milvus": "milvus.db"}
_PORTS = {"chroma": 8000, "qdrant": 6333, "milvus": 19530}
_KEYS = {
    "chroma": "CHROMA_API_KEY",
    "qdrant": "QDRANT_API_KEY",
    "milvus": "MILVUS_TOKEN",
    "pinecone": "PINECONE_API_KEY",
}
_ALIASES = {"postgres": "postgresql", "pgvector": "postgresql"}
_URL = re.compile(r"(?P<kind>[A-Za-z0-9]+)(?:\+(?P<via>[A-Za-z0-9]+))?(?:://(?P<rest>.*))?", re.S)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a store is.

    Attributes:
        kind: One of `KINDS`.
        path: Its folder or file; None for a server.
        url: ``http(s)://host:port`` of a server, or the whole URL of a database. No key.
        host: The server's host.
        port: The server's port.
        key: Its key, token or password; "" for none.
        name: The Pinecone index.
    """

    kind: str
    path: Path | None = None
    url: str = field(default="", repr=False)
    host: str = ""
    port: int = 0
    key: str = field(default="", repr=False)
    name: str = ""

    @property
    def label(self) -> str:
        """The place for people: a path, or a URL without secrets."""
        if self.kind == "pinecone":
            return f"pinecone://{self.name}" + (f"?host={self.host}" if self.host else "")
        return str(self.path) if self.path else without_secrets(self.url)


def parse_url(url: str, home: Path) -> Place:
    """Read a store's URL.

    Raises:
        SettingsError: There is no such kind, or the URL has not the kind's form.
    """
    match = _URL.fullmatch(url.strip())
    kind = match["kind"].lower() if match else ""
    kind = _ALIASES.get(kind, kind)
    if match is None or kind not in KINDS:
        known = (*KINDS, *_ALIASES)
        raise SettingsError(
            f"There is no vector store {_shown(url)!r}{nearest(kind, known)}",
            hint=f"Use one of: {', '.join(KINDS)}",
        )
    via, rest = (match["via"] or "").lower(), match["rest"] or ""
    if kind == "postgresql":
        return _database(rest)
    if kind == "pinecone":
        return _pinecone(rest)
    if via in {"http", "https"}:
        return _server(kind, via, rest)
    if via:
        raise _wrong_form(kind)
    return Place(kind, path=_path(kind, rest) if rest else (home / _LOCAL[kind]).absolute())


def without_secrets(url: str) -> str:
    """Return a URL without its password, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    user = parts.username or ""
    return f"{parts.scheme}://{user + '@' if user else ''}{host}{parts.path}"


def _shown(url: str) -> str:
    # What follows the kind can hold a password, and this is shown before it is understood.
    return re.split(r"[:+/?@\s]", url.strip(), maxsplit=1)[0][:40]


def _path(kind: str, rest: str) -> Path:
    text = re.sub("^/+", "/", unquote(rest))
    if re.match(r"/[A-Za-z]:[\\/]", text):  # file URLs write a drive after the slash
        text = text[1:]
    elif not text.startswith(("/", "./", "../", "~")):
        raise _wrong_form(kind)
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise _wrong_form(kind) from error


def _server(kind: str, scheme: str, rest: str) -> Place:
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        port = parts.port or (443 if kind == "chroma" and scheme == "https" else _PORTS[kind])
    except ValueError as error:
        raise _wrong_form(kind) from error
    if not parts.hostname:
        raise _wrong_form(kind)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    key = unquote(parts.password or "")
    if kind == "milvus" and parts.username and key:
        key = f"{unquote(parts.username)}:{key}"
    return Place(
        kind,
        url=f"{scheme}://{host}:{port}{parts.path.rstrip('/')}",
        host=parts.hostname,
        port=port,
        key=key or os.environ.get(_KEYS[kind], ""),
    )


def _database(rest: str) -> Place:
    if not rest.strip("/"):
        raise _wrong_form("postgresql")
    try:
        parts = urlsplit(f"postgresql://{rest}")
        port = parts.port or 5432
    except ValueError as error:
        raise _wrong_form("postgresql") from error
    key = unquote(parts.password or "") or "".join(parse_qs(parts.query).get("password", []))
    return Place(
        "postgresql", url=f"postgresql://{rest}", host=parts.hostname or "", port=port, key=key
    )


def _pinecone(rest: str) -> Place:
    name, _, query = rest.partition("?")
    name = name.strip("/")
    if not re.fullmatch(r"[A-Za-z0-9-]+", name):
        raise _wrong_form("pinecone")
    key = os.environ.get(_KEYS["pinecone"], "")
    if not key:
        raise SettingsError(
            "Pinecone needs a key", hint="Set PINECONE_API_KEY in the environment, not in the URL"
        )
    host = "".join(parse_qs(query).get("host", [])[:1])
    return Place("pinecone", host=host, key=key, name=name)


def _wrong_form(kind: str) -> SettingsError:
    forms = {
        "postgresql": "postgresql://USER:PASSWORD@HOST/DATABASE",
        "pinecone": "pinecone://INDEX or pinecone://INDEX?host=HOST",
    }
    file = "/path.db" if kind == "milvus" else "/path"
    port = _PORTS.get(kind, 0)
    return SettingsError(
        f"The URL of the {kind} store has an unknown form",
        hint="Use " + forms.get(kind, f"{kind}, {kind}://{file} or {kind}+http://HOST:{port}"),
    )
