"""How an upstream can fail, as errors that say whether the call may be billed."""

from __future__ import annotations

import math
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.wire import decode, error_text
from llmops_kernel.errors import (
    AuthMissing,
    ProviderError,
    ProviderTimeout,
    ProviderUnreachable,
    RateLimited,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmops_kernel.calls.catalog import Target

# Answers that a provider gives without having generated anything; every other 5xx may be billed,
# as it may come from a proxy that gave up on a model at work.
_NOT_BILLED = {500, 501, 503, 529}


def from_status(
    status: int, headers: Mapping[str, str], raw: bytes, target: Target
) -> ProviderError:
    """Return the error for an HTTP status other than 2xx.

    Args:
        status: The provider's status.
        headers: The provider's headers.
        raw: The body, already free of secrets.
        target: Who answered.
    """
    body = _error_body(raw)
    detail = _detail(target, f"HTTP {status}", error_text(body))
    facts: dict[str, Any] = {
        "upstream_status": status,
        "retry_after": retry_after(headers),
        "should_retry": _should_retry(headers),
    }
    if 300 <= status < 400:
        return ProviderError(
            "The provider redirected the call, and redirects are not followed",
            dispatched=False,
            detail=_detail(target, f"HTTP {status}", f"to {_place(headers.get('Location', ''))}"),
            hint="Put the final URL into the provider's base_url",
            **facts,
        )
    if status == 401:  # its body often quotes a part of the key
        return AuthMissing(
            "The provider refused the key",
            dispatched=False,
            detail=_detail(target, f"HTTP {status}"),
            hint=_key_hint(target),
            **facts,
        )
    facts["upstream_body"] = body
    if status == 403:
        return AuthMissing(
            "The provider refused access",
            dispatched=False,
            detail=detail,
            hint=_key_hint(target),
            **facts,
        )
    if status == 429:
        return RateLimited(
            "The provider limits the rate of calls", dispatched=False, detail=detail, **facts
        )
    if status in {408, 504}:
        return ProviderTimeout("The provider did not answer in time", detail=detail, **facts)
    if status < 500:
        return ProviderError(
            "The provider refused the request", dispatched=False, detail=detail, **facts
        )
    return ProviderError(
        "The provider failed", dispatched=status not in _NOT_BILLED, detail=detail, **facts
    )


def from_exception(error: Exception, target: Target) -> ProviderError:
    """Return the error for what the HTTP client raised."""
    import aiohttp

    if isinstance(error, ProviderError):
        return error
    name = type(error).__name__
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return _unreachable(target, "no connection in time")
    if isinstance(error, TimeoutError):
        return ProviderTimeout(
            "The provider did not answer in time",
            detail=_detail(target, f"no byte for {target.timeout_s:g} s"),
            hint="Raise timeout_s of the provider if the model is slow",
        )
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ServerFingerprintMismatch):
        return _unreachable(target, _reason(error))
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return ProviderUnreachable(
            "The provider's base_url is not a URL",
            dispatched=False,
            detail=_detail(target, target.base_url),
            hint="Correct it in llmops.toml",
        )
    if isinstance(error, ValueError):
        return ProviderUnreachable(
            "The request to the provider cannot be written",
            dispatched=False,
            detail=_detail(target, name),
            hint="Check the provider's headers in llmops.toml",
        )
    if isinstance(error, aiohttp.ClientPayloadError):
        return ProviderError("The provider's answer broke off", detail=_detail(target, name))
    if isinstance(error, aiohttp.ClientResponseError):
        return ProviderError("The provider does not speak HTTP", detail=_detail(target, name))
    return ProviderError(
        "The provider closed the connection before it answered", detail=_detail(target, name)
    )


def key_missing(target: Target, variable: str = "") -> AuthMissing:
    """Return the error for a call that needs a key nobody gave."""
    name = variable or target.key_env
    return AuthMissing(
        "There is no key for the provider",
        dispatched=False,
        detail=target.provider,
        hint=f"Set {name} in the environment, or store it in the system's key store",
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds the provider asked us to wait, if it did."""
    exact, text = headers.get("retry-after-ms"), headers.get("Retry-After", "")
    try:
        seconds = float(exact) / 1000 if exact is not None else _seconds(text)
    except (ValueError, OverflowError):
        return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _seconds(text: str) -> float:
    """Read a Retry-After header: seconds, or a date."""
    try:
        return float(text)
    except ValueError:
        return parsedate_to_datetime(text).timestamp() - time.time()


def _unreachable(target: Target, reason: str) -> ProviderUnreachable:
    return ProviderUnreachable(
        "The provider cannot be reached",
        dispatched=False,
        detail=_detail(target, _place(target.base_url), reason),
        hint="Check the network and the provider's base_url, or use an offline/ or sim/ model",
    )


def _reason(error: Exception) -> str:
    inner = getattr(error, "os_error", None)
    return getattr(inner, "strerror", None) or str(inner or type(error).__name__)


def _should_retry(headers: Mapping[str, str]) -> bool | None:
    said = headers.get("x-should-retry", "").strip().lower()
    return {"true": True, "false": False}.get(said)


def _error_body(raw: bytes) -> dict[str, Any] | None:
    """Return the provider's error in OpenAI's shape; None when it sent nothing readable."""
    try:
        body = decode(raw)
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    if isinstance(body.get("error"), dict):
        return body
    text = error_text(body)
    return {"error": {"message": text, "type": None, "param": None, "code": None}} if text else None


def _detail(target: Target, *parts: str) -> str:
    return ": ".join((target.provider, *(part for part in parts if part)))


def _key_hint(target: Target) -> str:
    if not target.key_env:
        return "Name the key's variable as key_env of the provider in llmops.toml"
    return f"Check the key in {target.key_env}"


def _place(url: str) -> str:
    """Return scheme, host and path of a URL: no user, no query, as both may hold secrets."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if host else parts.path
