"""Routes by name: those of ``llmops.toml`` first, then those that were learned."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from llmops_kernel.errors import LLMOpsError, SettingsError, UnknownModel, nearest
from llmops_kernel.routing.cascade import Cascade
from llmops_kernel.routing.checks import checks_of
from llmops_kernel.routing.fallback import Fallback
from llmops_kernel.routing.rules import Rules
from llmops_kernel.settings import data_home

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmops_kernel.calls import ChatRequest
    from llmops_kernel.embed import Embedder
    from llmops_kernel.routing.router import Router
    from llmops_kernel.settings import RouteSettings, Settings

PREFIX = "route/"
# What may stand in a name: it becomes a part of a file's name.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Listed:
    """One route in a list.

    Attributes:
        source: ``llmops.toml`` or ``learned``.
        problem: Why it cannot be used; "" if it can.
    """

    name: str
    kind: str
    models: tuple[str, ...]
    source: str
    problem: str = ""


class Routes:
    """The routes of a session.

    Args:
        settings: Routes and aliases.
        count: Returns the likely input tokens of a request.
        support: Returns the share of an answer that passages hold; None where it says nothing.
        embedder: Loads the embedder that learned routes read questions with.
        folder: Where learned routes are (default: among the user's data).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        count: Callable[[ChatRequest], int],
        support: Callable[[str, Sequence[str]], float | None] | None = None,
        embedder: Callable[[], Embedder] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._configured = settings.routes
        self._aliases = settings.aliases
        self._count = count
        self._support = support
        self._embedder = embedder
        self.folder = folder or data_home() / "routes"
        self._lock = RLock()
        self._built: dict[str, Router] = {}
        self._loaded: dict[str, tuple[tuple[int, int], Router]] = {}
        for name in self._configured:
            check_name(name)

    def named(self, model: str) -> str | None:
        """Return the route that a model's name means, through aliases; None if it means none."""
        if not isinstance(model, str):
            return None
        seen: set[str] = set()
        while model in self._aliases and model not in seen:
            seen.add(model)
            model = self._aliases[model].strip()
        return model[len(PREFIX) :] if model.startswith(PREFIX) else None

    def names(self) -> list[str]:
        """Return the names of all routes, without ``route/``."""
        try:
            learned = [path.stem for path in self.folder.glob("*.json")]
        except OSError:
            learned = []
        known = {name for name in learned if _NAME.fullmatch(name)}
        return sorted(known.union(self._configured))

    def get(self, name: str) -> Router:
        """Return a route, ready to decide, once it is sure that it leads to models.

        Raises:
            UnknownModel: There is no such route.
            SettingsError: It cannot be used, or leads back to itself.
        """
        router = self._router(name)
        if any(self.named(model) is not None for model in router.models):
            # Each time: a learned route may be another one since the last call.
            self._follow(name, [])
        return router

    def listed(self) -> list[Listed]:
        """Return all routes; one that cannot be used says why."""
        found = []
        for name in self.names():
            source = "llmops.toml" if name in self._configured else "learned"
            try:
                router = self.get(name)
            except LLMOpsError as error:
                kind = self._configured[name].kind if name in self._configured else ""
                found.append(Listed(name, kind, (), source, error.sentence()))
            else:
                found.append(Listed(name, router.kind, router.models, source))
        return found

    def check_members(self, name: str, models: Sequence[str]) -> None:
        """Refuse models through which a route of this name would lead back to itself.

        Raises:
            UnknownModel: One of them is a route that is not there.
            SettingsError: One leads back.
        """
        for model in models:
            inner = self.named(model)
            if inner is not None:
                self._follow(inner, [name])

    def learnable(self, name: str) -> Path:
        """Return the file that a route of this name is learned into.

        Raises:
            SettingsError: No route can have such a name, or llmops.toml says what it is.
        """
        settings = self._configured.get(name)
        if settings is not None and settings.kind not in ("learned", "intent"):
            raise SettingsError(
                f"llmops.toml says that the route {name!r} is of the kind {settings.kind}",
                hint="Choose another name, or take it out there",
            )
        return self.path(name)

    def path(self, name: str) -> Path:
        """Return the file of a learned route, whether or not it is there.

        Raises:
            SettingsError: No route can have such a name.
        """
        check_name(name)
        given = self._configured[name].file if name in self._configured else ""
        return Path(given).expanduser() if given else self.folder / f"{name}.json"

    # ---- building -----------------------------------------------------------------------------

    def _router(self, name: str) -> Router:
        settings = self._configured.get(name)
        if settings is None or settings.kind in ("learned", "intent"):
            return self._learned(name, settings)
        with self._lock:
            router = self._built.get(name)
            if router is None:
                router = self._built[name] = self._made(settings)
            return router

    def _made(self, settings: RouteSettings) -> Router:
        if settings.kind == "rules":
            return Rules(settings, self._count)
        if settings.kind == "fallback":
            return Fallback(settings.models)
        return Cascade(settings.models, checks_of(settings.checks, self._support))

    def _learned(self, name: str, settings: RouteSettings | None) -> Router:
        if settings is None and _NAME.fullmatch(name) is None:
            raise self._unknown(name)
        path = self.path(name)
        try:
            stat = path.stat()
        except OSError:
            if settings is None:
                raise self._unknown(name) from None
            raise SettingsError(
                f"The route {name!r} was not learned yet",
                hint=f"llmops route learn {name} --from DATA --small MODEL --large MODEL",
            ) from None
        version = (stat.st_mtime_ns, stat.st_size)
        with self._lock:
            known = self._loaded.get(name)
            if known is None or known[0] != version:
                from llmops_kernel.routing.saved import load

                learned = load(path, self._embedder)
                if settings is not None:
                    learned = learned.renamed(settings.small, settings.large)
                known = self._loaded[name] = (version, learned)
            return known[1]

    # ---- circles ------------------------------------------------------------------------------

    def _follow(self, name: str, above: list[str]) -> None:
        """Walk to every route that a route leads to; raise where one leads back."""
        if name in above:
            raise circle([*above[above.index(name) :], name])
        for model in self._router(name).models:
            inner = self.named(model)
            if inner is not None:
                self._follow(inner, [*above, name])

    def _unknown(self, name: str) -> UnknownModel:
        return UnknownModel(
            f"There is no route {name!r}{nearest(name, self.names())}",
            hint=f"Add [routes.{name}] to llmops.toml, or llmops route learn {name}"
            if _NAME.fullmatch(name)
            else "llmops route list shows the routes there are",
        )


def check_name(name: str) -> None:
    """Refuse a name that no route can have.

    Raises:
        SettingsError: It has other characters than letters, digits, ``_``, ``-`` and ``.``.
    """
    if _NAME.fullmatch(name) is None:
        raise SettingsError(
            f"{name!r} cannot be the name of a route",
            hint="Use letters, digits, _, - and ., at most 64 of them",
        )


def circle(names: Sequence[str]) -> SettingsError:
    """Return the error about routes that lead back to themselves."""
    return SettingsError(
        "Routes go round in a circle",
        detail=" → ".join(names),
        hint="Give one of them a model that is no route",
    )
