"""What ``%route`` returns: data for code, views for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.display import View
from llmops_kernel.display.route import (
    route_explain_view,
    route_learned_view,
    route_list_view,
    route_report_view,
)
from llmops_kernel.magics.results import Shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmops_kernel.cli._route import Explained, Report
    from llmops_kernel.routing.book import Listed
    from llmops_kernel.routing.evaluate import Evaluation
    from llmops_kernel.routing.frontier import Frontier
    from llmops_kernel.routing.record import RouteUse
    from llmops_kernel.routing.training import Learned


@dataclass(frozen=True, repr=False)
class RouteList(Shown):
    """The routes; iterates over them."""

    routes: tuple[Listed, ...]

    def __iter__(self) -> Iterator[Listed]:
        return iter(self.routes)

    def __len__(self) -> int:
        return len(self.routes)

    def view(self) -> View:
        """Build the list."""
        return route_list_view(self.routes)


@dataclass(frozen=True, repr=False)
class RouteExplained(Shown):
    """Whom a route would ask, and why."""

    asked: str
    explained: Explained

    @property
    def model(self) -> str:
        """The model that would be asked first."""
        return self.explained.decision.model

    @property
    def reason(self) -> str:
        """Why, in words."""
        return self.explained.decision.reason

    @property
    def confidence(self) -> float | None:
        """How sure the route is; None where it does not measure that."""
        return self.explained.decision.confidence

    def view(self) -> View:
        """Build the explanation."""
        found = self.explained
        return route_explain_view(
            found.decision, route=found.route, kind=found.kind, asked=self.asked, then=found.then
        )


@dataclass(frozen=True, repr=False)
class RouteLearned(Shown):
    """A route that was learned, with what was found of it."""

    route: str
    learned: Learned

    @property
    def frontier(self) -> Frontier:
        """Cost against quality, on questions that were not learned from."""
        return self.learned.frontier

    @property
    def share_small(self) -> float:
        """Share of the questions that go to the small model."""
        return self.learned.line.share

    def view(self) -> View:
        """Build the page."""
        saved = self.learned.saved
        return route_learned_view(
            self.learned.line,
            self.learned.frontier,
            route=self.route,
            kind=saved.kind,
            models=(saved.small, saved.large),
            evidence=saved.evidence,
            notes=self.learned.notes,
        )


@dataclass(frozen=True, repr=False)
class RouteReport(Shown):
    """What routes have done; read like a mapping from route to `RouteUse`."""

    report: Report
    stable: bool = False

    @property
    def uses(self) -> tuple[RouteUse, ...]:
        """What each route has done."""
        return self.report.uses

    @property
    def frontiers(self) -> Mapping[str, Frontier]:
        """Cost against quality, by route."""
        return self.report.frontiers

    @property
    def evaluation(self) -> Evaluation | None:
        """What the route does on the table that was given."""
        return self.report.evaluation

    def __getitem__(self, route: str) -> RouteUse:
        return {use.route: use for use in self.uses}[route]

    def view(self) -> View:
        """Build the report."""
        shown = route_report_view(
            self.uses, self.frontiers, notes=self.report.notes, stable=self.stable
        )
        if self.evaluation is None:
            return shown
        return View(shown.data, {**shown.facts, "evaluation": self.evaluation.as_dict()})
