"""Server-sent events in any pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.calls.sse import Event, SSEDecoder
from llmops_kernel.errors import ProviderError


def _all(*pieces: bytes) -> list[Event]:
    decoder = SSEDecoder()
    found = [event for piece in pieces for event in decoder.feed(piece)]
    return found + decoder.close()


def test_plain_events_and_comments():
    assert _all(b": hello\n\ndata: one\n\nid: 4\nretry: 5\ndata:two\n\n") == [
        Event("", "one"),
        Event("", "two"),
    ]


def test_all_line_endings():
    assert _all(b"data: a\r\n\r\ndata: b\r\rdata: c\n\n") == [
        Event("", "a"),
        Event("", "b"),
        Event("", "c"),
    ]


def test_several_data_lines_and_a_name():
    assert _all(b"event: error\ndata: a\ndata\ndata:  b\n\ndata: c\n\n") == [
        Event("error", "a\n\n b"),
        Event("", "c"),
    ]


def test_byte_order_mark_and_missing_last_blank_line():
    assert _all(b"\xef\xbb\xbfdata: a\n\ndata: [DONE]") == [Event("", "a"), Event("", "[DONE]")]


def test_events_come_as_soon_as_they_are_complete():
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\n") == []
    assert decoder.feed(b"\n") == [Event("", "a")]
    assert decoder.feed(b"data: b\r\n\r") == []
    assert decoder.feed(b"\n") == [Event("", "b")]


@given(
    texts=st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"))),
    ending=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    size=st.integers(1, 7),
)
def test_any_pieces_give_the_same_events(texts, ending, size):
    raw = b"".join(b"data: " + text.encode() + ending + ending for text in texts)
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    assert _all(*pieces) == [Event("", text) for text in texts]


@pytest.mark.parametrize("piece", [b"x" * 100, b"data: " + b"x" * 94, b"data:\n"])
def test_huge_events_are_refused(piece):
    decoder = SSEDecoder(max_event=1000)

    def feed():
        for _ in range(2000):
            decoder.feed(piece)

    with pytest.raises(ProviderError, match="too large"):
        feed()
