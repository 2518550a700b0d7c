"""Rows of many forms, as chats or as prompts with completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.data.rows import Message, Row
from llmops_kernel.judge.data.problems import WrongRow, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Source = Mapping[str, Any]

_ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "bot": "assistant", "model": "assistant",
    "chatgpt": "assistant",
    "tool": "tool", "function": "tool", "observation": "tool",
}  # fmt: skip
_PASSED_ON = ("tool_calls", "tool_call_id", "name")
_UP = {"up", "good", "positive", "thumbs_up", "like", "yes", "right", "correct"}
_DOWN = {"down", "bad", "negative", "thumbs_down", "dislike", "no", "wrong", "incorrect"}


UNKNOWN_FORM = "the form of the row is not known"


def form_of(row: Source, columns: Mapping[str, str] | None = None) -> str:
    """Return the form a row has, by its fields.

    Args:
        row: Field by field.
        columns: Names of fields by what they hold; where they name question and answer, the form
            is that of a table.

    Raises:
        WrongRow: None is known.
    """
    fields = set(row)
    if "messages" in fields:
        return "messages"
    if "conversations" in fields:
        return "sharegpt"
    named = columns or {}
    if {"text", "prompt"} & set(named) and {"label", "completion"} & set(named):
        return "csv"
    if {"rating", "score", "feedback", "correction"} & fields and {"output", "response"} & fields:
        return "feedback"
    if "instruction" in fields and "output" in fields:
        return "alpaca"
    if {"prompt", "completion"} <= fields:
        return "prompt-completion"
    names = {_ALIASES.get(key, key): (value,) for key, value in named.items()}
    if all(_first(row, names.get(what, _CSV[what])) for what in ("text", "label")):
        return "csv"
    raise WrongRow(UNKNOWN_FORM, shown(", ".join(sorted(fields))))


def row_of(
    row: Source,
    line: int,
    form: str,
    *,
    task: str,
    columns: Mapping[str, str],
    group: str | None = None,
) -> Row:
    """Return a source's row in our one form.

    Args:
        row: Field by field.
        line: Where it stands.
        form: A format of the specification but ``auto`` and ``traces``.
        task: ``chat`` and ``classify`` make chats, ``completion`` plain text.
        columns: Names of fields by what they hold.
        group: Field that groups rows.

    Raises:
        WrongRow: It lacks what the form needs.
    """
    made = _FORMS[form](row, line, columns)
    made = _for_task(made, task)
    value = row.get(group) if group else None
    if group and value in (None, ""):
        raise WrongRow("the row has no group", group)
    name = "" if value is None else str(value)
    return Row(line, made.messages, made.prompt, made.completion, name, made.label)


def _messages(row: Source, line: int, _: Mapping[str, str]) -> Row:
    return Row(line, _chat(row.get("messages"), "role", "content"))


def _sharegpt(row: Source, line: int, _: Mapping[str, str]) -> Row:
    chat = _chat(row.get("conversations"), "from", "value")
    system = row.get("system")
    if isinstance(system, str) and system and chat[0]["role"] != "system":
        chat = ({"role": "system", "content": system}, *chat)
    return Row(line, chat)


def _chat(turns: Any, role: str, content: str) -> tuple[Message, ...]:
    if not isinstance(turns, list | tuple) or not turns:
        raise WrongRow("the row has no messages")
    chat: list[Message] = []
    for turn in turns:
        if not isinstance(turn, dict):
            raise WrongRow("a message is no object")
        # Both vocabularies are found under either name.
        who = _ROLES.get(str(turn.get(role, turn.get("role", turn.get("from", "")))).lower())
        if who is None:
            raise WrongRow("a message has an unknown role", shown(turn.get(role)))
        said = _said(turn.get(content, turn.get("content", turn.get("value"))))
        message: Message = {"role": who, "content": said}
        message |= {name: turn[name] for name in _PASSED_ON if turn.get(name)}
        chat.append(message)
    last = chat[-1]
    if last["role"] != "assistant":
        raise WrongRow("the last message is not the assistant's")
    if not last["content"].strip() and not last.get("tool_calls"):
        raise WrongRow("the answer is empty")
    if not any(m["role"] == "user" and m["content"].strip() for m in chat):
        raise WrongRow("the question is empty")
    return tuple(chat)


def _said(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        if any(part.get("type", "text") != "text" for part in content):
            raise WrongRow("a message has more than text")
        return "".join(str(part.get("text", "")) for part in content)
    raise WrongRow("the content of a message is no text")


def _prompt_completion(row: Source, line: int, columns: Mapping[str, str]) -> Row:
    prompt = row.get(columns.get("prompt", "prompt"))
    completion = row.get(columns.get("completion", "completion"))
    if isinstance(prompt, list) and isinstance(completion, list):
        return Row(line, _chat([*prompt, *completion], "role", "content"))
    return _pair(line, prompt, completion)


def _alpaca(row: Source, line: int, columns: Mapping[str, str]) -> Row:
    asked = row.get(columns.get("prompt", "instruction"))
    more = row.get("input")
    if isinstance(asked, str) and isinstance(more, str) and more.strip():
        asked = f"{asked}\n\n{more}"
    return _pair(line, asked, row.get(columns.get("completion", "output")), row.get("system"))


_CSV = {
    "text": ("text", "prompt", "question", "query", "input", "instruction", "utterance"),
    "label": (
        "label", "completion", "answer", "intent", "output", "response", "category", "class",
    ),
    "system": ("system",),
}  # fmt: skip


_ALIASES = {"prompt": "text", "completion": "label"}


def _csv(row: Source, line: int, columns: Mapping[str, str]) -> Row:
    named = {_ALIASES.get(key, key): value for key, value in columns.items()}
    values = [
        row.get(named[what]) if what in named else _first(row, names)
        for what, names in _CSV.items()
    ]
    return _pair(line, values[0], values[1], values[2])


def _feedback(row: Source, line: int, _: Mapping[str, str]) -> Row:
    """Rated answers: good ones are kept, corrected ones with their correction."""
    asked = _first(row, ("input", "user_input", "question", "prompt", "messages"))
    said = _first(row, ("output", "response", "answer", "completion"))
    correction = row.get("correction")
    if isinstance(correction, str) and correction.strip():
        said = correction
    elif not _liked(_first(row, ("rating", "score", "feedback", "label"))):
        raise WrongRow("the answer was not rated good")
    if isinstance(asked, list):
        return Row(line, _chat([*asked, {"role": "assistant", "content": said}], "role", "content"))
    return _pair(line, asked, said, row.get("system"))


def _liked(value: Any) -> bool:
    if isinstance(value, bool) or value is None:
        return bool(value)
    if isinstance(value, int | float):
        return value > 0 if value <= 1 else value >= 4  # -1, 0 and 1; or one to five stars
    word = str(value).strip().lower()
    if word in _UP or word in _DOWN:
        return word in _UP
    raise WrongRow("the rating is not known", shown(word))


def _pair(line: int, prompt: Any, completion: Any, system: Any = None) -> Row:
    for value, what in ((prompt, "question"), (completion, "answer")):
        if isinstance(value, int | float) and not isinstance(value, bool):
            continue
        if not isinstance(value, str):
            raise WrongRow(f"the row has no {what}")
        if not value.strip():
            raise WrongRow(f"the {what} is empty")
    chat: tuple[Message, ...] = ()
    if isinstance(system, str) and system.strip():
        chat = (
            {"role": "system", "content": system},
            {"role": "user", "content": str(prompt)},
            {"role": "assistant", "content": str(completion)},
        )
    return Row(line, chat, str(prompt), str(completion))


def _for_task(row: Row, task: str) -> Row:
    if task == "completion":
        if len(row.messages) == 2:
            return Row(row.line, (), row.question, row.answer)
        if row.messages:
            raise WrongRow("a chat of several messages is no prompt with a completion")
        return row
    if row.messages:
        chat = row.messages
    else:
        chat = (
            {"role": "user", "content": row.prompt},
            {"role": "assistant", "content": row.completion},
        )
    label = chat[-1]["content"].strip() if task == "classify" else ""
    return Row(row.line, chat, label=label)


def _first(row: Source, names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


_FORMS: dict[str, Callable[[Source, int, Mapping[str, str]], Row]] = {
    "messages": _messages,
    "sharegpt": _sharegpt,
    "prompt-completion": _prompt_completion,
    "alpaca": _alpaca,
    "csv": _csv,
    "feedback": _feedback,
}
