"""The whole error tree.

Every failure a person can meet is one of these, so that a notebook shows two lines instead of a
stack, papermill and nbval fail the cell, and the HTTP endpoint answers in OpenAI's error shape::

    LLMOpsError
    ├── UsageProblem           a wrong flag, name or parameter            400
    ├── SettingsError          llmops.toml, LLMOPS_* or %config           400
    ├── BadRequest             a malformed model request                  400
    ├── UnknownModel           no provider, alias or route has the name   404
    ├── UnknownPrice           a model whose cost cannot be bounded       400
    ├── MissingExtra           an optional package is not installed       501
    ├── MissingEnvironment     a side environment was not made yet        501
    ├── EnvironmentFailed      a side environment could not be made       500
    ├── EngineFailed           a serving engine did not come to answer    500
    ├── CallRefused            the call was stopped before it spent       402
    │   ├── BudgetExceeded     a cap would be passed
    │   ├── LoopDetected       the loop breaker fired
    │   └── SpendingStopped    somebody said `%budget stop`
    ├── GuardBlocked           a guard refused the content                403
    ├── StoreError             the record is unavailable: fail closed     503
    ├── ProviderError          the upstream answered with an error        502
    │   ├── AuthMissing        no key, or the provider refused it         401
    │   ├── RateLimited        the provider said 429, retries used up     429
    │   ├── ProviderTimeout    no answer in time                          504
    │   └── ProviderUnreachable  the request never left this machine      502
    ├── OutputInvalid          typed output stayed invalid after repair   422
    └── RunFailed              a notebook run did not finish              500

``str(error)`` is one stable sentence without amounts or ids, because nbval compares it between
runs; ``detail`` carries the figures and ``hint`` says what to do.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class LLMOpsError(Exception):
    """The parent of every error raised by this package.

    Args:
        message: What happened, in one stable sentence (no amounts, no ids).
        hint: What the person can do about it.
        detail: The figures behind the sentence; shown to people, never compared.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "llmops_error"
    kind: ClassVar[str] = "llmops_error"

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail
        # What Python's own tracebacks show below the sentence, in scripts and in pytest.
        for line in (detail and f"  {detail}", hint and f"→ {hint}"):
            if line:
                self.add_note(line)

    def _render_traceback_(self) -> list[str]:
        """Return the lines IPython shows instead of a stack (one to three of them)."""
        lines = [f"{type(self).__name__}: {self.message}"]
        if self.detail:
            lines.append(f"  {self.detail}")
        if self.hint:
            lines.append(f"→ {self.hint}")
        return lines

    def sentence(self) -> str:
        """Return message, detail and hint as one line, for logs, shells and HTTP bodies."""
        parts = [self.message.rstrip("."), self.detail.rstrip("."), self.hint.rstrip(".")]
        return ". ".join(part for part in parts if part) + "."

    def body(self) -> dict[str, Any]:
        """Return the error in the shape of OpenAI's HTTP error body.

        The message ends in a marker, ``[llmops:<code>]``: frameworks that swallow the status
        code and the exception type still pass the text on.
        """
        return {
            "error": {
                "message": f"{self.sentence()} [llmops:{self.code}]",
                "type": self.kind,
                "param": None,
                "code": self.code,
            }
        }


class UsageProblem(LLMOpsError):
    """A wrong flag, name or parameter, given by a person."""

    status = 400
    code = "usage_problem"
    kind = "invalid_request_error"


class SettingsError(LLMOpsError):
    """A value in llmops.toml, an ``LLMOPS_*`` variable or ``%config`` cannot be used."""

    status = 400
    code = "settings_error"
    kind = "invalid_request_error"


class BadRequest(LLMOpsError):
    """A model request that no provider could serve.

    Args:
        message: What is wrong.
        param: The field of the request body, in OpenAI's notation (``messages[0].role``).
        hint: What to send instead.
    """

    status = 400
    code = "invalid_request"
    kind = "invalid_request_error"

    def __init__(self, message: str, *, param: str | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.param = param

    def body(self) -> dict[str, Any]:
        """Return OpenAI's error body with ``param`` filled."""
        body = super().body()
        body["error"]["param"] = self.param
        return body


class UnknownModel(LLMOpsError):
    """No alias, provider or route serves this model name."""

    status = 404
    code = "model_not_found"
    kind = "invalid_request_error"


class UnknownPrice(LLMOpsError):
    """The model's price is unknown, so no worst case can be reserved."""

    status = 400
    code = "price_unknown"
    kind = "invalid_request_error"


class MissingExtra(LLMOpsError):
    """An optional package is not installed."""

    status = 501
    code = "missing_extra"

    def __init__(self, extra: str, package: str) -> None:
        super().__init__(
            f"This needs the package {package}, which is not installed",
            hint=f'pip install "llmops-kernel[{extra}]"',
        )
        self.extra = extra


class MissingEnvironment(LLMOpsError):
    """A side environment is needed that was not made yet."""

    status = 501
    code = "missing_environment"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"This needs the environment {name!r}, which was not made yet",
            hint=f"llmops env create {name}",
        )
        self.name = name


class EnvironmentFailed(LLMOpsError):
    """A side environment could not be made."""

    status = 500
    code = "environment_failed"

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(
            f"The environment {name!r} could not be made",
            detail=detail,
            hint="Free some disk or repair the connection, then make it again: "
            f"llmops env create {name}",
        )
        self.name = name


class EngineFailed(LLMOpsError):
    """A serving engine ended, hung, or answered what is no answer; it was stopped again."""

    status = 500
    code = "engine_failed"


class CallRefused(LLMOpsError):
    """The call was stopped before anything was spent on it."""

    status = 402
    code = "call_refused"
    kind = "insufficient_quota"


class BudgetExceeded(CallRefused):
    """A cap would be passed by this call.

    Attributes:
        scope: The scope of the cap (``user``, ``run``, ...).
        window: The window of the cap (``day``, ``month``, ...).
        book: ``real`` or ``simulated``.
        limit: The cap in nano-dollars.
        spent: What has been spent in the window, in nano-dollars.
        held: What calls in flight hold, in nano-dollars.
        needed: The worst case of this call, in nano-dollars.
    """

    code = "budget_exceeded"

    def __init__(
        self,
        message: str,
        *,
        scope: str,
        window: str,
        book: str,
        limit: int,
        spent: int,
        held: int,
        needed: int,
        hint: str = "",
        detail: str = "",
    ) -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.scope = scope
        self.window = window
        self.book = book
        self.limit = limit
        self.spent = spent
        self.held = held
        self.needed = needed


class LoopDetected(CallRefused):
    """The loop breaker stopped a runaway loop."""

    code = "loop_detected"


class SpendingStopped(CallRefused):
    """Somebody stopped all spending with ``%budget stop``."""

    code = "spending_stopped"


class GuardBlocked(LLMOpsError):
    """A guard refused the content."""

    status = 403
    code = "guard_blocked"
    kind = "invalid_request_error"


class StoreError(LLMOpsError):
    """The durable record cannot be read or written; nothing is spent without it."""

    status = 503
    code = "store_unavailable"
    kind = "server_error"


class ProviderError(LLMOpsError):
    """The upstream answered with an error.

    Args:
        message: What happened.
        upstream_status: The HTTP status of the upstream, or None when there was no answer.
        dispatched: Whether the request may have reached the provider, and so may be billed.
        retry_after: Seconds the provider asked us to wait, if it did.
        upstream_body: The provider's own error body, passed on to HTTP callers.
        should_retry: What the provider's ``x-should-retry`` header said; None when it was silent.
    """

    status = 502
    code = "provider_error"
    kind = "server_error"

    def __init__(
        self,
        message: str,
        *,
        upstream_status: int | None = None,
        dispatched: bool = True,
        retry_after: float | None = None,
        upstream_body: dict[str, Any] | None = None,
        should_retry: bool | None = None,
        hint: str = "",
        detail: str = "",
    ) -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.upstream_status = upstream_status
        self.dispatched = dispatched
        self.retry_after = retry_after
        self.upstream_body = upstream_body
        self.should_retry = should_retry


class AuthMissing(ProviderError):
    """There is no key for the provider, or the provider refused it."""

    status = 401
    code = "auth_missing"
    kind = "authentication_error"


class RateLimited(ProviderError):
    """The provider kept answering 429."""

    status = 429
    code = "rate_limited"
    kind = "rate_limit_error"


class ProviderTimeout(ProviderError):
    """The provider did not answer in time."""

    status = 504
    code = "provider_timeout"


class ProviderUnreachable(ProviderError):
    """The request never left this machine (name, connection or TLS failure)."""

    code = "provider_unreachable"


class OutputInvalid(LLMOpsError):
    """Typed output did not match its schema, even after repair."""

    status = 422
    code = "output_invalid"
    kind = "invalid_request_error"


class RunFailed(LLMOpsError):
    """A notebook run did not finish."""

    status = 500
    code = "run_failed"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the closest known name, or an empty string."""
    match = get_close_matches(name, list(known), n=1, cutoff=0.55)
    return f" (did you mean {match[0]!r}?)" if match else ""
