"""Who may come in, and who they say they are."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING
from urllib.parse import unquote

from llmops_kernel.calls.endpoint.problems import RequestError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_NAMES = {"run": "run_id", "notebook": "notebook", "cell": "cell_id"}
_LONGEST = 300


class Gate:
    """Checks Host and token, and reads the names that callers give themselves.

    Names come in headers (``x-llmops-run``, ``-notebook``, ``-cell``) or, for clients that can set
    a key only, behind the token: ``<token>:run=r1,notebook=nb``. Values are percent-encoded.

    Args:
        token: The bearer token.
        hosts: Names, beside the loopback ones, that the Host header may have.
        trust_user: Whether callers may say who they are.
    """

    def __init__(
        self, token: str, hosts: Collection[str] = (), *, trust_user: bool = False
    ) -> None:
        self._token = token.encode()
        self._hosts = _LOOPBACK | {host.lower() for host in hosts}
        self._fields = {**_NAMES, "user": "user"} if trust_user else _NAMES

    def check_host(self, headers: Mapping[str, str]) -> None:
        """Refuse requests that were sent to another name (DNS rebinding by a page in a browser).

        Raises:
            RequestError: The Host header names neither loopback nor an allowed host.
        """
        if _host_name(headers.get("Host", "")) not in self._hosts:
            raise RequestError(
                "The Host header must name this endpoint's own address",
                status=403,
                code="host_not_allowed",
            )

    def admit(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Check the token and return what the caller says of itself, as fields of the context.

        Raises:
            RequestError: There is no token, it is wrong, or a name is malformed.
        """
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        token, _, told = given.strip().partition(":")
        sent = token.encode("utf-8", "surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(sent, self._token):
            raise RequestError(
                "The bearer token is missing or wrong: take OPENAI_API_KEY from the kernel's "
                "environment, or from what `llmops gateway` printed",
                status=401,
                code="invalid_api_key",
            )
        names = dict(self._suffix(told)) if told else {}
        for name, field in self._fields.items():
            if value := headers.get(f"x-llmops-{name}"):
                names[field] = _value(value)
        return names

    def _suffix(self, told: str) -> list[tuple[str, str]]:
        pairs = []
        for part in told.split(","):
            name, _, value = part.partition("=")
            if name not in self._fields:
                raise _malformed(f"behind the token, only {', '.join(self._fields)} can be named")
            pairs.append((self._fields[name], _value(value)))
        return pairs


def _value(raw: str) -> str:
    value = unquote(raw).strip()
    if not value or not value.isprintable() or len(value) > _LONGEST:
        raise _malformed(f"names are printable and have 1 to {_LONGEST} characters")
    return value


def _malformed(why: str) -> RequestError:
    return RequestError(f"The caller's name is malformed: {why}", status=400, code="invalid_name")


def _host_name(host: str) -> str:
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]
