"""Fetching one address, and nothing that it links to."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import time
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from llmops_kernel.rag.reading.kinds import Kind, kind_of_type
from llmops_kernel.rag.reading.unreadable import Unfit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message

_TIMEOUT = 20.0  # seconds that the server may stay silent
_DEADLINE = 120.0  # seconds for the whole document
_REDIRECTS = 5
_BLOCK = 65_536

# Services that hand machines of a cloud their keys; most are link-local and so refused anyway.
_METADATA = {
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd20:ce::254",
}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a server sent.

    Attributes:
        data: The bytes, unpacked.
        kind: Their format.
        charset: The encoding that the server says they have.
        name: The last part of the address's path.
    """

    data: bytes
    kind: Kind
    charset: str | None
    name: str


def fetch(url: str, max_bytes: int) -> Fetched:
    """Fetch one document by http or https.

    Addresses on this machine and in private networks are fetched, because a person named them; a
    redirect from a public address to one of those is not followed. Link-local addresses and the
    metadata services of clouds are refused, whatever name leads there.

    Args:
        url: The address.
        max_bytes: Larger documents are refused.

    Raises:
        Unfit: No answer, a refused address, too large, or a format that is not read.
    """
    # ProxyHandler comes with the opener: HTTP_PROXY and NO_PROXY are heeded.
    opener = urllib.request.build_opener(_Http, _Https, _Redirects(_is_public(_resolve(url))))
    request = urllib.request.Request(  # noqa: S310 - `_resolve` checked
        url,
        headers={"User-Agent": "llmops-kernel", "Accept-Encoding": "identity", "Accept": "*/*"},
    )
    try:
        with opener.open(request, timeout=_TIMEOUT) as reply:
            data = _unpack(_read(reply, max_bytes), reply.headers, max_bytes)
            name = unquote(urlsplit(reply.url).path.rpartition("/")[2])
            kind = kind_of_type(reply.headers.get_content_type(), name, data[:4096])
            if "Content-Type" not in reply.headers:
                kind = kind_of_type("", name, data[:4096])
            charset = reply.headers.get_content_charset()
            sent = reply.headers.get_content_type()
    except urllib.error.HTTPError as error:
        error.close()
        raise Unfit("unreachable", f"the server answered {error.code}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, Unfit):
            raise reason from error
        raise Unfit("unreachable", str(reason) or type(reason).__name__) from error
    if kind == "unknown":
        raise Unfit("unsupported", f"the server sent {sent}")
    return Fetched(data, kind, charset, name)


def _read(reply: Any, max_bytes: int) -> bytes:
    length = reply.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > max_bytes:
        raise Unfit("too large", f"{int(length):,} of at most {max_bytes:,} bytes")
    deadline = time.monotonic() + _DEADLINE
    parts: list[bytes] = []
    size = 0
    # read1 returns what has come, so that a server that drips cannot hold the deadline off.
    while part := reply.read1(_BLOCK):
        size += len(part)
        if size > max_bytes:
            raise Unfit("too large", f"more than {max_bytes:,} bytes")
        if time.monotonic() > deadline:
            raise Unfit("unreachable", f"not sent within {_DEADLINE:.0f} seconds")
        parts.append(part)
    if length.isdigit() and size < int(length):
        raise Unfit("unreachable", "the connection broke off")
    return b"".join(parts)


def _unpack(data: bytes, headers: Mapping[str, str], max_bytes: int) -> bytes:
    packing = headers.get("Content-Encoding", "identity").strip().lower()
    if packing in {"identity", ""}:
        return data
    if packing not in {"gzip", "x-gzip", "deflate"}:
        raise Unfit("unsupported", f"packed as {packing}, which was not asked for")
    unpacker = zlib.decompressobj(47)  # gzip or zlib, by their heads
    try:
        unpacked = unpacker.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise Unfit("damaged", str(error)) from error
    if len(unpacked) > max_bytes:
        raise Unfit("too large", f"unpacks to more than {max_bytes:,} bytes")
    return unpacked


def _resolve(url: str) -> list[Address]:
    """The addresses of a URL's host.

    Raises:
        Unfit: It has none, or one that is refused, or another scheme than http and https.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Unfit("unsupported", "only http and https are fetched")
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, ValueError) as error:
        # Behind a proxy, only the proxy may know names.
        if urllib.request.getproxies().get(parts.scheme):
            return []
        raise Unfit("unreachable", f"no such host: {parts.hostname}") from error
    addresses = [_address(str(entry[4][0])) for entry in found]
    for address in addresses:
        _refuse(address)
    return addresses


def _address(text: str) -> Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in ipaddress.ip_network("64:ff9b::/96"):  # NAT64 carries IPv4 in its tail
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address.sixtofour:
            return address.sixtofour
    return address


def _refuse(address: Address) -> None:
    if address.is_link_local or address.is_multicast or str(address) in _METADATA:
        raise Unfit("unsupported", f"{address} is an address that is never fetched")


def _is_public(addresses: list[Address]) -> bool:
    return bool(addresses) and all(address.is_global for address in addresses)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows few redirects, and none from the public net into a private one."""

    max_redirections = _REDIRECTS

    def __init__(self, public: bool) -> None:
        self._public = public

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        try:
            addresses = _resolve(newurl)
            if self._public and not _is_public(addresses):
                raise Unfit("unsupported", "redirected from a public address to a private one")
        except Unfit:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


class _Checked:
    """Looks at the peer before a request is sent: a name may resolve anew for each connection."""

    sock: socket.socket | None

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        assert self.sock is not None
        _refuse(_address(self.sock.getpeername()[0]))


class _HttpConnection(_Checked, http.client.HTTPConnection):
    pass


class _HttpsConnection(_Checked, http.client.HTTPSConnection):
    pass


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HttpConnection, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HttpsConnection, req)
