"""Chain of thought: asking for it, and parting it from the answer."""

from __future__ import annotations

import re

INSTRUCTION = (
    "Think step by step before you answer. Write the reasoning first, then the final answer alone, "
    'after the word "Answer:" on a new line.'
)

# At a line's beginning: "Answer:", "Final answer:", "### The answer is:", "**Answer:**".
_MARK = re.compile(
    r"^[ \t]*(?:[#>]+[ \t]*)?(?P<bold>[*_]{0,2})(?:the[ \t]+)?(?:final[ \t]+)?answer(?:[ \t]+is)?"
    r"(?P<close>[*_]{0,2})[ \t]*[:\uFF1A][ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_THINKING = re.compile(r"\s*<(think|thinking|reasoning)>(?P<body>.*?)</\1>\s*", re.DOTALL)
_OPEN_THINKING = re.compile(r"\s*<(think|thinking|reasoning)>")


def split_answer(text: str) -> tuple[str, str]:
    """Part reasoning from the final answer at the last line that begins with ``Answer:``.

    Returns:
        The reasoning and the answer. Without such a line, or with nothing after it, there is no
        reasoning, and all of the text is the answer: no word of a reply is ever lost.
    """
    for match in reversed(list(_MARK.finditer(text))):
        answer = text[match.end() :].strip()
        if match["bold"] and not match["close"]:
            answer = _without_bold(answer, match["bold"])
        while again := _MARK.match(answer):  # "Answer: Answer: 42", by imitation
            answer = answer[again.end() :].strip()
        if answer:
            return text[: match.start()].strip(), answer
    return "", text.strip()


def _without_bold(answer: str, mark: str) -> str:
    if answer.startswith(mark):  # **Answer:** 42
        return answer[len(mark) :].lstrip()
    first, newline, rest = answer.partition("\n")  # **Answer: 42**
    return (first.rstrip().removesuffix(mark) + newline + rest).rstrip()


def split_thinking(text: str) -> tuple[str, str]:
    """Part the thinking that open-weight models write in ``<think>`` tags from the reply.

    Returns:
        The thinking and the reply; when the tag was never closed (the reply was cut off), all is
        thinking.
    """
    if match := _THINKING.match(text):
        return match["body"].strip(), text[match.end() :]
    if match := _OPEN_THINKING.match(text):
        return text[match.end() :].strip(), ""
    return "", text
