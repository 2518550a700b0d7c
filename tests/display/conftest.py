"""A checker for HTML, shared by the tests of this room."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

# What notebook sanitizers let through, and this room uses.
_TAGS = {
    "table", "caption", "thead", "tbody", "tr", "th", "td", "meter", "p", "ul", "li", "details",
    "summary", "strong", "pre",
}  # fmt: skip
_ATTRIBUTES = {"scope", "colspan", "open", "min", "max", "high", "value", "title"}


class _Checker(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _TAGS, tag
        assert {name for name, _ in attrs} <= {*_ATTRIBUTES, "style"}, attrs
        assert dict(attrs).get("style") in (None, "text-align:left"), attrs
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


@pytest.fixture(scope="session")
def text_of() -> Callable[[str], str]:
    """Check that HTML is balanced and only has expected tags and attributes; return its text."""

    def check(html: str) -> str:
        checker = _Checker()
        checker.feed(html)
        checker.close()
        assert checker.open == []
        return "".join(checker.text)

    return check
