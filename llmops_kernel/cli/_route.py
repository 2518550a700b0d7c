"""What the verbs of ``llmops route``, and ``%route``, have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmops_kernel.cli._output import warn
from llmops_kernel.errors import LLMOpsError, SettingsError, UnknownModel, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmops_kernel.routing.evaluate import Evaluation
    from llmops_kernel.routing.frontier import Frontier
    from llmops_kernel.routing.record import RouteUse
    from llmops_kernel.routing.router import Decision, Router
    from llmops_kernel.routing.table import Table
    from llmops_kernel.routing.training import Learned
    from llmops_kernel.session import Session

# Models that an engine on this machine will serve: they may be named before it runs.
_LOCAL = "local/"
_LONG = 500  # questions whose reading takes more than a few seconds


@dataclass(frozen=True)
class Explained:
    """Whom a route would ask first, and what would follow."""

    route: str
    kind: str
    decision: Decision
    then: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What routes have done, and what is known of their cost and quality.

    Attributes:
        uses: What they have done, by the record.
        frontiers: Cost against quality, by route.
        evaluation: What the route does on a table, where one was given.
        notes: What a person should know.
    """

    uses: tuple[RouteUse, ...]
    frontiers: Mapping[str, Frontier]
    evaluation: Evaluation | None = None
    notes: tuple[str, ...] = field(default=())


def explained(session: Session, name: str, question: str, **fields: Any) -> Explained:
    """Return whom a route would ask, as the session would ask now; nobody is called.

    Raises:
        UnknownModel: There is no such route.
        SettingsError: It cannot be used.
    """
    from llmops_kernel.prompts.ask import AskSpec, build_request

    name = name.removeprefix("route/")
    request = build_request(AskSpec(model=f"route/{name}", prompt=question, **fields))
    # Of no trace: a cell that only asks why has made no call.
    context = session.context(trace_id="explain", span_id="")
    router = session.routes.get(name)
    decision = router.decide(request, context)
    then = list(_then(router))
    inner = session.routes.named(decision.model)
    while inner is not None:
        router_inside = session.routes.get(inner)
        chosen = router_inside.decide(request, context)
        then.append(f"route/{inner} asks {chosen.model}: {chosen.reason}")
        inner = session.routes.named(chosen.model)
    return Explained(name, router.kind, decision, tuple(then))


def _then(router: Router) -> Sequence[str]:
    if router.kind == "cascade":
        return [f"{model} where a check does not hold" for model in router.models[1:]]
    if router.kind == "fallback":
        return [f"{model} where the ones before it fail" for model in router.models[1:]]
    return []


def learned(
    session: Session,
    name: str,
    given: Any,
    *,
    small: str,
    large: str,
    target_loss: float,
    columns: str = "",
    intents: str = "",
) -> Learned:
    """Learn a route from a table and write it, in place of what was learned before.

    Args:
        session: Whose routes and models there are.
        name: The route's name.
        given: A file, or rows.
        small: The model for what is simple.
        large: The model for everything else.
        target_loss: Loss of quality that is allowed.
        columns: What the table's columns are called, as ``text=prompt,small_ok=...``.
        intents: The intents that go to the small model, with commas.

    Raises:
        UsageProblem: The table cannot be learned from.
        SettingsError: The name is taken, or the route would lead back to itself.
        UnknownModel: A model is not known.
        MissingExtra: scikit-learn or what the embedder needs is not installed.
    """
    from llmops_kernel.embed import builtin
    from llmops_kernel.routing.saved import save
    from llmops_kernel.routing.table import columns_of, table_of
    from llmops_kernel.routing.training import learn

    name = name.removeprefix("route/")
    path = session.routes.learnable(name)
    session.routes.check_members(name, (small, large))
    for model in (small, large):
        if session.routes.named(model) is None and not model.startswith(_LOCAL):
            session.catalog.resolve(model)
    table = table_of(given, columns=columns_of(columns), small=small, large=large)
    _tell_reading(table)
    named = [each.strip() for each in intents.split(",") if each.strip()] or None
    found = learn(
        table,
        small=small,
        large=large,
        embedder=builtin(),
        target_loss=target_loss,
        intents=named,
    )
    save(path, found.saved)
    return found


def reported(
    session: Session,
    name: str | None,
    *,
    given: Any = None,
    columns: str = "",
    verdicts: Mapping[str, float] | None = None,
) -> Report:
    """Return what routes have done, and cost against quality where that is known.

    Args:
        session: Whose record and routes.
        name: Only this route.
        given: A table to hold the route against, as a file or rows.
        columns: What its columns are called.
        verdicts: Verdicts on answers, by span or trace.

    Raises:
        UnknownModel: There is no such route, and none was recorded.
        UsageProblem: A table was given without a route, or says nothing about it.
    """
    from llmops_kernel.routing.record import trips, used

    name = name.removeprefix("route/") if name else None
    if given is not None and name is None:
        raise UsageProblem("A table is held against one route", hint="Name the route")
    session.store.flush()
    uses = used(
        trips(session.store),
        _pricing(session),
        route=name,
        members=lambda each: _members(session, each),
        verdicts=verdicts,
    )
    notes: list[str] = []
    if name is not None and not uses:
        session.routes.get(name)  # there must be one, then
        notes.append(f"Nothing was asked of route/{name} yet")
    frontiers = {}
    for each in [name] if name else [use.route for use in uses]:
        found = _learned_frontier(session, each, notes)
        if found is not None:
            frontiers[each] = found
    evaluation = None
    if given is not None and name is not None:
        from llmops_kernel.routing.evaluate import evaluate
        from llmops_kernel.routing.table import columns_of, table_of

        router = session.routes.get(name)
        table = table_of(
            given, columns=columns_of(columns), small=router.models[0], large=router.models[-1]
        )
        _tell_reading(table)
        evaluation = evaluate(router, table)
        frontiers[name] = evaluation.frontier
        notes += evaluation.notes()
    return Report(tuple(uses), frontiers, evaluation, tuple(notes))


def _tell_reading(table: Table) -> None:
    if len(table.rows) >= _LONG:
        warn(f"Reading {len(table.rows):,} questions, which takes a while ...")


def verdicts_of(given: Any) -> dict[str, float]:
    """Return verdicts by span or trace, from scores of a run or a file of them.

    A sample of the record has the id of the span it is from; a result in a notebook also knows
    its trace.

    Raises:
        UsageProblem: The file cannot be read.
    """
    from llmops_kernel.judge.results import load_scores

    if hasattr(given, "dataset"):
        scores = given.scores
        traces = {sample.id: sample.trace_id for sample in given.dataset.samples}
    else:
        scores, traces = load_scores(given)[0], {}
    by_key: dict[str, list[float]] = {}
    for score in scores:
        if score.value is not None:
            for key in filter(None, (score.sample_id, traces.get(score.sample_id, ""))):
                by_key.setdefault(key, []).append(score.value)
    return {key: sum(values) / len(values) for key, values in by_key.items()}


def _pricing(session: Session) -> Any:
    from llmops_kernel.calls import Usage

    def price(model: str, input_tokens: int, output_tokens: int) -> tuple[int, str] | None:
        try:
            target = session.catalog.resolve(model)
        except LLMOpsError:  # another route, or a model that is gone
            return None
        return target.price.cost(Usage(input_tokens, output_tokens)), target.book

    return price


def _members(session: Session, name: str) -> Sequence[str]:
    try:
        return session.routes.get(name).models
    except (SettingsError, UnknownModel):  # what it did is still on record
        return ()


def _learned_frontier(session: Session, name: str, notes: list[str]) -> Frontier | None:
    """Return the frontier that a learned route was written with."""
    from llmops_kernel.routing.frontier import Frontier

    try:
        router: Any = session.routes.get(name)
    except LLMOpsError:
        return None
    if router.kind not in ("learned", "intent"):
        return None
    try:
        return Frontier.of(router.saved.evidence["frontier"])
    except (KeyError, TypeError, ValueError):
        notes.append(f"The file of route/{name} does not say what was found when it was learned")
        return None
