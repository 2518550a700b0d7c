"""What the verbs of ``llmops cache``, and ``%cache``, have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.cache.explain import Audit, Explanation
    from llmops_kernel.cache.semantic.tuning import Tuning
    from llmops_kernel.cache.stats import CacheStats
    from llmops_kernel.session import Session


def stats_of(session: Session) -> tuple[CacheStats, dict[str, str], list[str]]:
    """Return the figures of the session's tenant, what is on, and why calls go uncached."""
    settings = session.cache.settings
    switches = {
        "Exact": "on" if settings.mode == "exact" else "off",
        "Near-verbatim": "on" if settings.mode == "exact" and settings.near else "off",
        "Strict": "on" if settings.mode == "exact" and settings.strict else "off",
        "Margin": "on" if settings.mode == "exact" and settings.semantic == "margin" else "off",
        "Simulated models": "on" if settings.simulated else "off",
        "Place": "Redis" if settings.url else "record",
    }
    if (own := session.cache.verifiers.own) is not None:
        switches["Verifier"] = own.name.replace("_", "-")
    session.store.flush()
    stats = session.cache.stats(tenant=session.settings.tenant)
    tenant = session.settings.tenant
    return stats, switches, [*session.cache.warnings(), *session.cache.broken(tenant)]


def tuned(session: Session, target: float | None = None, restart: Sequence[str] = ()) -> Tuning:
    """Restart tiers and return what is known of the partitions of the session's tenant.

    Raises:
        UsageProblem: The target is no share, or there is no such tier or partition.
    """
    from llmops_kernel.cache.semantic.tuning import restarted, tuning_of

    tenant = session.settings.tenant
    for name in restart:
        restarted(session.cache, tenant, name)
    session.cache.finish()
    return tuning_of(session.cache, tenant, target)


def switched(
    session: Session,
    *,
    on: bool,
    semantic: bool = False,
    near: bool = False,
    strict: bool = False,
    simulated: bool,
) -> None:
    """Switch the cache of this session, or one part of it, on or off."""
    changes: dict[str, object] = {}
    if semantic:
        changes["semantic"] = "margin" if on else "off"
    if near:
        changes["near"] = on
    if strict:
        changes["strict"] = on
    if simulated:
        changes["simulated"] = on
    if on or not changes:
        changes["mode"] = "exact" if on else "off"
    session.cache.configure(**changes)


def cleared(
    session: Session, *, tag: str | None, model: str | None, notebook: str | None, everything: bool
) -> int:
    """Delete answers of the session's tenant; return how many.

    Raises:
        UsageProblem: Nothing was chosen, or everything and something.
    """
    chosen = any(each is not None for each in (tag, model, notebook))
    if chosen == everything:
        said = "--all is said with another choice" if chosen else "It is not said what to delete"
        raise UsageProblem(said, hint="Give --tag, --model or --notebook, or --all alone")
    name = None if model is None else session.catalog.resolve(model).name
    return session.cache.clear(
        tenant=session.settings.tenant, tag=tag, model=name, notebook=notebook
    )


def explained(session: Session, question: str, **fields: Any) -> Explanation:
    """Return what the cache would do with a question asked now, with the same fields."""
    from llmops_kernel.prompts.ask import AskSpec, build_request

    name = fields.pop("model", None) or session.settings.model
    # As a person means it who asks why: with what is drawn at random, the answer is always no.
    if fields.get("temperature") is None:
        fields["temperature"] = 0.0
    request = build_request(AskSpec(model=name, prompt=question, **fields))
    target = session.catalog.resolve(name)
    return session.cache.explain(request, target, session.context())


def audited(
    session: Session, limit: int, right: Sequence[int] = (), wrong: Sequence[int] = ()
) -> Audit:
    """Write verdicts down and return the newest hits.

    Raises:
        UsageProblem: The limit is less than 1, or there is no such hit.
    """
    if limit < 1:
        raise UsageProblem("--limit must be at least 1", hint="Give a number such as 20")
    tenant = session.settings.tenant
    session.store.flush()
    for numbers, verdict in ((right, True), (wrong, False)):
        for number in numbers:
            if not session.cache.judge(number, right=verdict, tenant=tenant):
                raise UsageProblem(
                    f"There is no hit {number} on another text",
                    hint="The audit lists their numbers",
                )
    return session.cache.audit(tenant=tenant, limit=limit)
