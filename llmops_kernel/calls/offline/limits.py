"""Cuts an answer where stop sequences and the token bound say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_STOPS = 4


def stop_sequences(stop: Any) -> list[str]:
    """Read the request's ``stop``: a text or up to four of them."""
    if isinstance(stop, str):
        return [stop] if stop else []
    if isinstance(stop, list | tuple):
        return [one for one in stop if isinstance(one, str) and one][:_MOST_STOPS]
    return []


def cut_at_stop(text: str, stops: list[str]) -> str:
    """Return the text before the first stop sequence."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text


def cut_to_tokens(text: str, most: int, count: Callable[[str], int]) -> str:
    """Return the longest beginning of a text that counts at most ``most`` tokens."""
    if most <= 0:
        return ""
    if count(text) <= most:
        return text
    low, high = 0, len(text)
    while low < high:  # a beginning never counts more than the whole, give or take a token
        middle = (low + high + 1) // 2
        if count(text[:middle]) <= most:
            low = middle
        else:
            high = middle - 1
    while low and count(text[:low]) > most:
        low -= 1
    return text[:low]
