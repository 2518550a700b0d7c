"""Addresses, fetched from a server on this machine."""

from __future__ import annotations

import gzip
import ipaddress
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from llmops_kernel.rag.documents import Document
from llmops_kernel.rag.reading import Unreadable, find_sources, read, web

Answer = tuple[int, dict[str, str], bytes]
TEXT = {"Content-Type": "text/plain; charset=utf-8"}


class Site:
    """A web server with one answer for each path."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                code, headers, body = site.answers.get(self.path, (404, {}, b"nothing"))
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    made = Site()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def fetch(url: str, **options: Any) -> Document:
    (source,) = find_sources([url])
    return read(source, **options)


def refused(url: str, **options: Any) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        fetch(url, **options)
    return caught.value


@pytest.mark.parametrize(
    ("path", "sent", "body", "media"),
    [
        ("/page", "text/html; charset=utf-8", b"<h1>Fees</h1><p>Text", "html"),
        ("/raw/fees.md", "text/plain", b"# Fees\n\nText", "markdown"),
        ("/fees", "text/markdown", b"# Fees\n\nText", "markdown"),
        ("/notes", "text/plain", b"Fees text", "text"),
        ("/a.csv", "application/octet-stream", b"a,b\n1,2\n", "csv"),
        ("/b.ipynb", "application/json", b'{"cells": [{"source": "x"}]}', "notebook"),
        ("/data", "application/octet-stream", b"just a text", "text"),
    ],
)
def test_the_content_type_decides(
    site: Site, path: str, sent: str, body: bytes, media: str
) -> None:
    site.answers[path] = (200, {"Content-Type": sent}, body)
    made = fetch(site.url + path, tenant="acme")
    assert made.media == media
    assert made.source == site.url + path
    assert made.tenant == "acme"
    assert made.title in {"Fees", path.rpartition("/")[2]}
    assert fetch(site.url + path, tenant="acme").digest == made.digest


def test_without_a_content_type_the_bytes_decide(site: Site) -> None:
    site.answers["/x"] = (200, {}, b"<!doctype html><p>Text")
    assert fetch(f"{site.url}/x").media == "html"


def test_the_servers_encoding_is_heeded(site: Site) -> None:
    body = "\u0426\u0435\u043d\u0430".encode("koi8-r")
    site.answers["/x"] = (200, {"Content-Type": "text/plain; charset=koi8-r"}, body)
    assert fetch(f"{site.url}/x").text == "\u0426\u0435\u043d\u0430"


def test_links_are_not_fetched(site: Site) -> None:
    page = b'<link href="/s.css"><img src="/i.png"><a href="/next">next</a><iframe src="/f">'
    site.answers["/x"] = (200, {"Content-Type": "text/html"}, page)
    assert fetch(f"{site.url}/x").text == "next"
    assert site.asked == ["/x"]


def test_redirects_are_followed_a_few_times(site: Site) -> None:
    site.answers["/a"] = (302, {"Location": "/b/fees.md"}, b"")
    site.answers["/b/fees.md"] = (200, TEXT, b"# Fees")
    made = fetch(f"{site.url}/a")
    assert (made.media, made.source) == ("markdown", f"{site.url}/a")
    site.answers["/loop"] = (302, {"Location": "/loop"}, b"")
    assert refused(f"{site.url}/loop").reason == "unreachable"
    assert site.asked.count("/loop") < 10


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "ftp://x/y"]
)
def test_redirects_to_what_is_never_fetched(site: Site, target: str) -> None:
    site.answers["/a"] = (302, {"Location": target}, b"")
    assert refused(f"{site.url}/a").reason in {"unsupported", "unreachable"}


def test_a_public_page_leads_to_no_private_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.answers["/a"] = (302, {"Location": f"{site.url}/b"}, b"")
    site.answers["/b"] = (200, TEXT, b"inner")
    assert fetch(f"{site.url}/a").text == "inner"
    resolve: Callable[[str], Any] = web._resolve
    public = [ipaddress.ip_address("93.184.215.14")]
    monkeypatch.setattr(web, "_resolve", lambda url: public if "/a" in url else resolve(url))
    error = refused(f"{site.url}/a")
    assert error.reason == "unsupported"
    assert "private" in error.detail
    assert site.asked.count("/b") == 1


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.1.1",
        "2852039166",  # 169.254.169.254 as one number
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
        "168.63.129.16",
        "100.100.100.200",
        "224.0.0.1",
    ],
)
def test_addresses_that_are_never_fetched(host: str) -> None:
    error = refused(f"http://{host}/latest/meta-data")
    assert error.reason == "unsupported"
    assert "never fetched" in error.detail


def test_a_name_that_resolves_anew_is_looked_at_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first look finds a harmless address; the connection then goes where it must not.
    site.answers["/a"] = (200, TEXT, b"keys of the machine")
    monkeypatch.setattr(web, "_resolve", lambda url: [ipaddress.ip_address("127.0.0.1")])
    monkeypatch.setattr(web, "_METADATA", {"127.0.0.1"})
    assert refused(f"{site.url}/a").reason == "unsupported"
    assert site.asked == []


def test_sizes(site: Site) -> None:
    site.answers["/x"] = (200, TEXT, b"x" * 2_000)
    assert refused(f"{site.url}/x", max_bytes=1_000).reason == "too large"
    assert len(fetch(f"{site.url}/x", max_bytes=2_000).text) == 2_000
    site.answers["/y"] = (200, {**TEXT, "Content-Length": "3000", "Connection": "close"}, b"short")
    assert refused(f"{site.url}/y").reason == "unreachable"


def test_a_packed_answer(site: Site) -> None:
    packed = {**TEXT, "Content-Encoding": "gzip"}
    site.answers["/x"] = (200, packed, gzip.compress(b"text " * 1_000))
    assert fetch(f"{site.url}/x").text == "text " * 1_000
    assert refused(f"{site.url}/x", max_bytes=4_000).reason == "too large"
    site.answers["/x"] = (200, packed, b"not packed")
    assert refused(f"{site.url}/x").reason == "damaged"
    site.answers["/x"] = (200, {**TEXT, "Content-Encoding": "br"}, b"x")
    assert refused(f"{site.url}/x").reason == "unsupported"


def test_what_is_not_there(site: Site) -> None:
    assert "404" in refused(f"{site.url}/missing").detail
    assert refused("http://127.0.0.1:1/").reason == "unreachable"
    assert refused("http://no-such-host.invalid/").reason == "unreachable"
    site.answers["/i"] = (200, {"Content-Type": "image/png"}, b"\x89PNG")
    assert refused(f"{site.url}/i").reason == "unsupported"
    site.answers["/e"] = (200, TEXT, b"")
    assert refused(f"{site.url}/e").reason == "empty"


def test_a_server_that_stays_silent(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_TIMEOUT", 0.2)
    site.answers["/x"] = (200, {**TEXT, "Content-Length": "100"}, b"a")
    assert refused(f"{site.url}/x").reason == "unreachable"
