"""Personal data and secrets, wherever they stand in a row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from finetune_rows import prepared, rows

if TYPE_CHECKING:
    from pathlib import Path


ASKED = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    "arguments",
    ['{"to": "jane.doe@example.com"}', '{"to": "jane.doe\\u0040example.com"}',
     {"to": ["jane.doe@example.com"]}, {"jane.doe@example.com": True},
     '{"inner": "{\\"to\\": \\"jane.doe@example.com\\"}"}', "to jane.doe@example.com",
     '{"card": 4111111111111111, "to": "jane.doe@example.com"}'],
)  # fmt: skip
def test_personal_data_of_tool_calls_is_masked(tmp_path: Path, arguments: Any) -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "mail", "arguments": arguments}}]
    asked = [
        {"role": "user", "content": "Write to her", "name": "jane.doe@example.com"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "1", "content": '{"sent": "jane.doe@example.com"}'},
        {"role": "assistant", "content": "Done"},
    ]
    manifest, train, held_out = prepared(tmp_path, [*rows(30), {"messages": asked}],
                                         personal="mask")  # fmt: skip
    text = json.dumps(train + held_out)
    assert manifest.personal["email address"] == 3
    assert manifest.train + manifest.eval == 31
    assert "jane.doe" not in text
    assert "4111111111111111" not in text
    assert "[email address]" in text
    [row] = [each for each in train + held_out if len(each["messages"]) == 4]
    made = row["messages"][1]["tool_calls"][0]["function"]["arguments"]
    if isinstance(arguments, str) and arguments.startswith("{"):
        json.loads(made)
    assert row["messages"][1]["tool_calls"][0]["id"] == "1"
    dropped, train, held_out = prepared(tmp_path, [*rows(30), {"messages": asked}], personal="drop")
    assert dropped.dropped == {"the row holds personal data": 1}


def test_what_cannot_be_masked_is_left_out(tmp_path: Path) -> None:
    """The number is a card's only where both texts stand side by side."""
    calls = [{"a": "4111 1111", "b": 1}]
    odd = [ASKED, {"role": "assistant", "content": "4111 1111 1111 1111", "tool_calls": calls}]
    manifest, train, held_out = prepared(tmp_path, [*rows(30), {"messages": odd}], personal="mask")
    assert manifest.train + manifest.eval + sum(manifest.dropped.values()) == 31
    assert "4111 1111 1111 1111" not in json.dumps(train + held_out)


def test_secrets_of_tool_calls_leave_the_row_out(tmp_path: Path) -> None:
    key = "sk\\u002d" + "a1b2" * 6
    calls = [{"function": {"name": "f", "arguments": f'{{"key": "{key}"}}'}}]
    odd = [ASKED, {"role": "assistant", "content": "", "tool_calls": calls}]
    manifest, _, _ = prepared(tmp_path, [*rows(30), {"messages": odd}])
    assert manifest.dropped == {"the row holds a secret": 1}
