"""Personal data found by its form: addresses, numbers of cards, accounts and phones.

Forms are checked where they carry a check digit, so that an order number is no card. Names and
postal addresses have no form; they are not found here.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_EMAIL = re.compile(r"[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{2,63}){1,4}")
_CARD = re.compile(r"(?<![\d-])\d(?:[ -]?\d){12,18}(?![\d-])")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_SSN = re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])")
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){2,4}"
    r"|\(\d{3}\)[ .-]?\d{3}[ .-]\d{4}|\d{3}[.-]\d{3}[.-]\d{4})(?![\w-])"
)
_IP = re.compile(
    r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])"
)  # one pattern


def _luhn(text: str) -> bool:
    """Whether the digits pass the check of card numbers (ISO/IEC 7812-1)."""
    digits = [int(char) for char in text if char.isdigit()]
    doubled = (d * 2 - 9 * (d > 4) for d in digits[-2::-2])
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _mod97(text: str) -> bool:
    """Whether an IBAN's check digits are right (ISO 13616)."""
    code = text.replace(" ", "")
    if not 15 <= len(code) <= 34:
        return False
    digits = "".join(str(int(char, 36)) for char in code[4:] + code[:4])
    return int(digits) % 97 == 1


_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("email address", _EMAIL, bool),
    ("account number", _IBAN, _mod97),
    ("card number", _CARD, _luhn),
    ("social security number", _SSN, bool),
    ("phone number", _PHONE, bool),
    ("IP address", _IP, bool),
)


def mask_personal(text: str) -> tuple[str, Counter[str]]:
    """Return a text with ``[email address]`` and the like in place of personal data.

    Returns:
        The text (the same one if there is none), and how many were found of each kind.
    """
    found: Counter[str] = Counter()
    for kind, pattern, check in _KINDS:

        def masked(
            match: re.Match[str], kind: str = kind, check: Callable[[str], bool] = check
        ) -> str:
            if not check(match.group()):
                return match.group()
            found[kind] += 1
            return f"[{kind}]"

        text = pattern.sub(masked, text)
    return text, found
