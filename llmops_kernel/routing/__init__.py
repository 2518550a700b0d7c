"""Which model answers: a call to ``route/NAME`` is served by the model that the route chooses.

`stage` stands before everything else on the path of a call, so that each leg of a route is a call
of its own: traced, cached, reserved and settled under the model that answers. The kinds of routes
are small classes on one protocol (`router`): `rules`, `cascade`, `fallback`, and the two that
`training` learns, `learned` and `intent`. `book` finds a route by its name, in ``llmops.toml`` or
among what was learned; `record` adds up what routes have done and saved.
"""

from llmops_kernel.routing.book import Routes
from llmops_kernel.routing.router import Decision, Router
from llmops_kernel.routing.stage import RouteStage

__all__ = ["Decision", "RouteStage", "Router", "Routes"]
