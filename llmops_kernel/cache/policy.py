"""Which requests may be answered from cache, and which answers may be given again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.cache.options import CacheOptions
    from llmops_kernel.calls import CallContext, Outcome, Reply, Request
    from llmops_kernel.calls.catalog import Target
    from llmops_kernel.settings import CacheSettings

_FINISHED = {"stop", "tool_calls", "function_call"}


def why_not(
    request: Request,
    target: Target,
    context: CallContext,
    settings: CacheSettings,
    options: CacheOptions,
) -> str:
    """Return why a request must be sent ("" when it may be answered from cache), for people."""
    if (options.mode or settings.mode) == "off":
        return "the cache is off"
    if not context.tenant:
        return "the call has no tenant"
    simulated = settings.simulated if options.simulated is None else options.simulated
    if target.simulated and not simulated:
        return "simulated calls are cached only where that is asked for"
    if request.kind == "embeddings":
        return ""
    return _why_not_chat(request, target, settings, options)


def _why_not_chat(
    request: Request, target: Target, settings: CacheSettings, options: CacheOptions
) -> str:
    if "web_search_options" in request.extra:
        return "what the web says changes"
    if "audio" in (request.extra.get("modalities") or ()):
        return "sound is not kept"
    sampled = settings.sampled if options.sampled is None else options.sampled
    if sampled or _is_deterministic(request, target):
        return ""
    return "the answer is drawn at random (temperature 0, a seed, or sampled = true)"


def _is_deterministic(request: Request, target: Target) -> bool:
    if target.simulated:  # the model in this process draws by the request itself
        return True
    return getattr(request, "temperature", None) == 0 or getattr(request, "seed", None) is not None


def is_near(settings: CacheSettings, options: CacheOptions) -> bool:
    """Tell whether the same question in other manners may answer a request."""
    return settings.near if options.near is None else options.near


def is_margin(settings: CacheSettings, options: CacheOptions) -> bool:
    """Tell whether re-wordings may answer a request."""
    return (options.semantic or settings.semantic) == "margin"


def is_strict(settings: CacheSettings, options: CacheOptions) -> bool:
    """Tell whether the built-in verifier may say that another question's answer will do."""
    return settings.strict if options.strict is None else options.strict


def why_not_near(
    request: Request,
    target: Target,
    context: CallContext,
    settings: CacheSettings,
    options: CacheOptions,
    verifiers: tuple[str, ...] = (),
) -> str:
    """Return why only the very same request may answer this one ("" when another one may too).

    What is said here is known before the question itself has been read.
    """
    if not (is_near(settings, options) or is_margin(settings, options) or verifiers):
        return "the near-verbatim tier is off"
    if context.purpose == "judge":
        return "a judge is asked anew about everything but the very same"
    if request.kind != "chat":
        return "it is no chat request"
    if not _is_deterministic(request, target):
        return "the answer is drawn at random"
    return ""


def finished(outcome: Outcome) -> bool:
    """Whether an answer is whole: it ended by itself, in all its choices, and refuses nothing."""
    reply = outcome.reply
    if outcome.ending != "complete" or outcome.error is not None or not reply.choices:
        return False
    return reply.kind == "embeddings" or _well_ended(reply)


def _well_ended(reply: Reply) -> bool:
    for choice in reply.choices:
        message = choice.get("message") or {}
        if choice.get("finish_reason") not in _FINISHED or message.get("refusal"):
            return False
    return True
