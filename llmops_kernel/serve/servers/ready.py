"""Whether a server is fit for traffic: it is healthy, it answers, and as the trained model does."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmops_kernel.serve.engines.protocol import Capabilities

_STEP_S = 0.05
_HEALTH_S = 5.0
_ANSWER_S = 120.0
_MOST_BYTES = 4 * 2**20
_PROBE_TOKENS = 8
# Below this many nats between the best and the second token a rounding may decide, and another
# engine's other answer is no fault.
_CLEAR_LEAD = 0.5
# A piece of a character: each decoder shows it in its own way.
_BROKEN_TEXT = "\N{REPLACEMENT CHARACTER}"
# No connection, no HTTP, no JSON.
_BROKEN = (OSError, ValueError, http.client.HTTPException)
# Where a message may hold what the model has brought forth; thinking comes before the answer.
_SAID = ("content", "reasoning_content", "reasoning", "tool_calls", "refusal")
_OTHERWISE = ("What can you do?", "Count to five.")


class Unanswered(Exception):
    """A server did not answer, or not with JSON.

    Attributes:
        status: The HTTP status; 0 if there was none.
        reached: Whether anything came back.
    """

    def __init__(self, said: str, *, status: int = 0, reached: bool = True) -> None:
        super().__init__(said)
        self.status = status
        self.reached = reached


class Caller:
    """Asks one server, without a session: to know whether it is fit for one.

    Args:
        url: Its base URL, up to ``/v1``.
        key: The bearer key; "" for none.
    """

    def __init__(self, url: str, key: str = "") -> None:
        self.url = url.rstrip("/")
        self.root = self.url.removesuffix("/v1")
        self.keyed = bool(key)
        self._headers = {"Content-Type": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        # Neither a proxy nor a redirect may be followed with the key in hand.
        self._open = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), _NoRedirects()
        ).open

    def healthy(self, path: str, timeout_s: float = _HEALTH_S) -> bool:
        """Whether a path below the root answers 200."""
        try:
            with self._open(self._request(self.root + path), timeout=timeout_s) as response:
                return bool(response.status == 200)
        except _BROKEN:
            return False

    def post(self, path: str, body: dict[str, Any], timeout_s: float = _ANSWER_S) -> Any:
        """Send JSON to a path below the root and return the JSON that comes back.

        Raises:
            Unanswered: There is none.
        """
        return self._ask(self._request(self.root + path, json.dumps(body).encode()), timeout_s)

    def listed(self) -> list[str]:
        """Return the names that ``/v1/models`` lists.

        Raises:
            Unanswered: There is no list.
        """
        found = self._ask(self._request(f"{self.url}/models"), _HEALTH_S)
        try:
            return [str(each["id"]) for each in found["data"]]
        except (KeyError, TypeError) as error:
            raise Unanswered("what it sends is no list of models") from error

    def models(self) -> list[str]:
        """Return the names that ``/v1/models`` lists; none if it does not say."""
        try:
            return self.listed()
        except Unanswered:
            return []

    def complete(
        self, model: str, messages: list[dict[str, str]], max_tokens: int = _PROBE_TOKENS
    ) -> str:
        """Return the greedy answer to a conversation.

        Raises:
            EngineFailed: What came back is no chat completion.
        """
        return str(self._message(model, messages, max_tokens)["content"] or "")

    def speaks(self, model: str, prompt: str) -> bool:
        """Whether a model says anything, or thinks anything, when it is asked this.

        Raises:
            EngineFailed: What came back is no chat completion.
        """
        message = self._message(model, [{"role": "user", "content": prompt}], _PROBE_TOKENS)
        return any(message.get(each) for each in _SAID)

    def _message(
        self, model: str, messages: list[dict[str, str]], max_tokens: int
    ) -> dict[str, Any]:
        body = {
            "model": model,
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": False,
        }
        try:
            answer = self.post("/v1/chat/completions", body)
            choice = answer["choices"][0]
            message, finish = dict(choice["message"]), choice["finish_reason"]
            text = message["content"]
        except Unanswered as error:
            raise refused_key(error, keyed=self.keyed) or EngineFailed(
                "The engine does not answer", detail=str(error)
            ) from error
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise EngineFailed(
                "The engine answers garbage", detail="what it sends is no chat completion"
            ) from error
        if not isinstance(text, str | None) or finish not in ("stop", "length"):
            raise EngineFailed(
                "The engine answers garbage",
                detail=f"content is {type(text).__name__}, finish_reason {finish!r}",
            )
        return message

    def _ask(self, request: urllib.request.Request, timeout_s: float) -> Any:
        try:
            with self._open(request, timeout=timeout_s) as response:
                data = response.read(_MOST_BYTES)
        except urllib.error.HTTPError as error:
            said = error.read(500).decode("utf-8", "replace").strip()
            raise Unanswered(f"HTTP {error.code}: {said}", status=error.code) from error
        except urllib.error.URLError as error:
            raise Unanswered(str(error.reason), reached=False) from error
        except _BROKEN as error:
            raise Unanswered(f"{type(error).__name__}: {error}", reached=False) from error
        try:
            return json.loads(data)
        except ValueError as error:
            raise Unanswered(f"what it sends is no JSON: {error}") from error

    def _request(self, url: str, data: bytes | None = None) -> urllib.request.Request:
        if not url.startswith(("http://", "https://")):
            raise ValueError("no http URL")
        return urllib.request.Request(url, data=data, headers=self._headers)  # noqa: S310 - checked


def refused_key(error: Unanswered, *, keyed: bool) -> EngineFailed | None:
    """Return the error of a server that wants a key, or another one; None if it is about none."""
    if error.status not in (401, 403):
        return None
    if keyed:
        return EngineFailed("The server refuses the key", detail=str(error),
                            hint="Look at what the variable of --key-env holds")  # fmt: skip
    return EngineFailed("The server asks for a key", detail=str(error),
                        hint="Put it into a variable, and name that with --key-env")  # fmt: skip


def check_speaks(caller: Caller, model: str, prompts: tuple[str, ...] = ()) -> None:
    """Let a server answer: to a greeting, and to something else if it says nothing to that.

    Args:
        caller: Asks it.
        model: What the model is called there.
        prompts: What else to ask.

    Raises:
        EngineFailed: It answers garbage, or the empty text each time.
    """
    asked = ("Hello", *(prompts or _OTHERWISE))
    if not any(caller.speaks(model, each) for each in asked):
        raise EngineFailed(
            "The engine answers nothing",
            detail=f"{len(asked)} of {len(asked)} answers are the empty text",
            hint="Look at its log, and whether weights, chat template and --model are right",
        )


def wait_healthy(caller: Caller, path: str, *, ended: Callable[[], str], wait_s: float) -> None:
    """Wait until a server says that it is ready.

    Args:
        caller: Asks it.
        path: The path that answers 200 once it is.
        ended: Returns how the process ended; "" while it runs.
        wait_s: Seconds to wait.

    Raises:
        EngineFailed: It ended, or took longer.
    """
    until = time.monotonic() + wait_s
    while True:
        if how := ended():
            raise EngineFailed("The engine ended before it answered", detail=how)
        if caller.healthy(path, min(_HEALTH_S, max(wait_s, 0.1))):
            return
        if time.monotonic() >= until:
            raise EngineFailed(
                "The engine did not become ready in time",
                detail=f"waited {wait_s:g} s",
                hint="Give it longer with --wait, or read its log",
            )
        time.sleep(_STEP_S)


def check_answers(
    caller: Caller, model: str, able: Capabilities, reference: Path | None
) -> dict[str, int]:
    """Let a server answer, and compare it with the trained model where its answers are known.

    Returns:
        ``probes``: answers compared; ``tokens``: prompts whose token ids were compared;
        ``unclear``: answers left out because the trained model itself was in doubt.

    Raises:
        EngineFailed: It answers garbage, or otherwise than the trained model.
    """
    probes = _probes(reference)
    # What the trained model itself answers with silence says nothing of the engine.
    spoken = [each["messages"] for each in probes if each.get("messages") and each.get("answer")]
    check_speaks(caller, model, tuple(each[-1]["content"] for each in spoken[:1]))
    found = {"probes": 0, "tokens": 0, "unclear": 0}
    for probe in probes:
        if not probe.get("messages"):
            continue
        if able.tokenize and able.render:
            ids = _token_ids(caller, able, probe["messages"])
            if ids != probe["ids"]:
                raise EngineFailed(
                    "The engine reads a prompt otherwise than the trained model",
                    detail=f"{len(ids)} token ids against {len(probe['ids'])} for "
                    f"{probe['messages'][-1]['content']!r}",
                    hint="Export again: chat template or tokenizer differ",
                )
            found["tokens"] += 1
        doubtful = min(probe.get("leads") or [0.0]) < _CLEAR_LEAD
        if doubtful or _BROKEN_TEXT in probe["answer"]:
            found["unclear"] += 1
            continue
        limit = len(probe["answer_ids"])
        answer = caller.complete(model, probe["messages"], limit)
        if answer.strip() != probe["answer"].strip():
            raise EngineFailed(
                "The engine answers otherwise than the trained model",
                detail=f"{answer[:80]!r} in place of {probe['answer'][:80]!r}",
                hint="Export again, or with more bits; --no-parity serves it all the same",
            )
        found["probes"] += 1
    return found


def _token_ids(caller: Caller, able: Capabilities, messages: list[dict[str, str]]) -> list[int]:
    try:
        rendered = caller.post(able.render, {"messages": messages})["prompt"]
        asked = {"content": rendered, "add_special": True, "parse_special": True}
        return [int(each) for each in caller.post(able.tokenize, asked)["tokens"]]
    except (Unanswered, KeyError, TypeError, ValueError) as error:
        raise EngineFailed("The engine answers garbage", detail=f"tokenizing: {error}") from error


def _probes(reference: Path | None) -> list[dict[str, Any]]:
    if reference is None:
        return []
    try:
        found = json.loads(reference.read_text(encoding="utf-8"))["prompts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineFailed(
            "The answers to compare with cannot be read", detail=f"{reference}: {error}"
        ) from error
    return [each for each in found if isinstance(each, dict)]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none: the key is for one address."""
        return
