"""What ``%serve`` returns: data for code, views for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.display import View, printable
from llmops_kernel.display.mime import view
from llmops_kernel.display.serve import bench_view, plan_view, servers_view, started_view
from llmops_kernel.display.serve_lora import adapters_view
from llmops_kernel.display.text import markup
from llmops_kernel.magics.results import Shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmops_kernel.serve.loadtest import LoadTest
    from llmops_kernel.serve.plan.answer import Planned


@dataclass(frozen=True, repr=False)
class PlanPage(Shown):
    """A plan; its figures in ``plan``, and as JSON in ``figures``."""

    plan: Planned

    @property
    def figures(self) -> dict[str, Any]:
        """Every figure: a number, or ``{low, high, anchor}``."""
        return self.plan.as_json()

    @property
    def fits(self) -> bool:
        """Whether the model fits, by the best estimate."""
        return self.plan.serving.fits

    def view(self) -> View:
        """Build the table."""
        return plan_view(self.figures)


@dataclass(frozen=True, repr=False)
class ServerPage(Shown):
    """A server that has answered."""

    server: Mapping[str, Any]
    stable: bool = False

    @property
    def model(self) -> str:
        """The name to call it by: ``local/NAME``."""
        return f"local/{self.server['name']}"

    def view(self) -> View:
        """Build the table."""
        return started_view(self.server, stable=self.stable)


@dataclass(frozen=True, repr=False)
class ServerList(Shown):
    """Servers, in the order of their names; iterates over them."""

    servers: tuple[Mapping[str, Any], ...]
    stable: bool = False

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.servers)

    def __len__(self) -> int:
        return len(self.servers)

    def view(self) -> View:
        """Build the list."""
        return servers_view(self.servers, stable=self.stable)


@dataclass(frozen=True, repr=False)
class BenchPage(Shown):
    """A load test. Its figures differ between runs; end the line with ; where they must not."""

    test: LoadTest

    def view(self) -> View:
        """Build the table."""
        return bench_view(self.test.as_json())


@dataclass(frozen=True, repr=False)
class AdapterList(Shown):
    """The adapters of a server."""

    server: Mapping[str, Any]

    @property
    def models(self) -> tuple[str, ...]:
        """The names to call them by: ``local/SERVER:NAME``."""
        return tuple(f"local/{self.server['name']}:{x['name']}" for x in self.server["adapters"])

    def view(self) -> View:
        """Build the list."""
        return adapters_view(self.server)


@dataclass(frozen=True, repr=False)
class LogPage(Shown):
    """The end of a server's log."""

    name: str
    text: str

    def view(self) -> View:
        """Build the lines."""
        return view(f"<pre>{markup(self.text)}</pre>", printable(self.text), {"name": self.name})


@dataclass(frozen=True, repr=False)
class Stopped(Shown):
    """A server was stopped."""

    name: str

    def view(self) -> View:
        """Build the sentence."""
        said = f"Stopped local/{printable(self.name)}"
        return view(f"<p>{markup(said)}</p>", said, {"stopped": self.name})
