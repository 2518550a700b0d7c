"""The composition root: builds every part from Settings and puts the stages in order.

The only place where the rooms meet. A `Session` is what magics, the kernel, the endpoint, the
runner and plain Python programs share.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from threading import RLock
from typing import TYPE_CHECKING, Any, Self

from llmops_kernel._version import __version__
from llmops_kernel.budget import Ledger, LoopBreaker, control, reap
from llmops_kernel.calling import Calling
from llmops_kernel.calls import fingerprint
from llmops_kernel.calls.keys import Keys
from llmops_kernel.calls.loop import BackgroundLoop
from llmops_kernel.calls.providers import key_names
from llmops_kernel.calls.upstream import HTTPUpstream
from llmops_kernel.cells import CellRun
from llmops_kernel.guard import Secrets
from llmops_kernel.housekeeping import Housekeeping
from llmops_kernel.path import active_caps, make_cache, make_catalog, make_path, make_routes
from llmops_kernel.serve.local import LocalServers
from llmops_kernel.settings import Cap, Settings
from llmops_kernel.spending import Spending
from llmops_kernel.store import open_store
from llmops_kernel.surroundings import OUTER_KEY, surroundings
from llmops_kernel.trace import Tracer, new_id

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from llmops_kernel.calls.catalog import Target
    from llmops_kernel.calls.endpoint import Endpoint, EndpointInfo
    from llmops_kernel.rag.library import Library

# Events among which those of a call that failed just now are looked for.
_LATEST = 200


class Session(Calling, Spending):
    """Every model call of a process: capped, traced, and settled in one ledger.

    Args:
        settings: All settings; read from file and environment when not given.
        store: URL of the record, over the settings'.
        caps: Caps, in place of the settings'; commands cannot change these.
        overrides: Further settings by name (``model="sim/gpt-4o"``).

    Raises:
        SettingsError: A setting cannot be used.
        StoreError: The record cannot be opened: without it nothing is spent.
    """

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        store: str | None = None,
        caps: Sequence[Cap] | None = None,
        **overrides: Any,
    ) -> None:
        if store is not None:
            overrides["store"] = store
        if caps is not None:
            overrides["caps"] = tuple(caps)
        if settings is None:
            settings = Settings.load(overrides)
        elif overrides:
            settings = settings.with_(**overrides)
        if not settings.run_id:
            settings = settings.with_(run_id=new_id()[-12:])
        self.settings = settings
        self.secrets = Secrets()
        for text in surroundings.hide(os.environ):
            self.secrets.register(text)
        outer = surroundings.outer_door(os.environ)
        taken = {**surroundings.keys, **({OUTER_KEY: outer[1]} if outer else {})}
        self.keys = Keys(os.environ, taken)
        self.store = open_store(settings.store)
        active = active_caps(settings, given=caps is not None)
        self.ledger = Ledger(self.store, active, zone=settings.timezone)
        self.tracer = Tracer(
            self.store,
            self.ledger.lease,
            run_id=settings.run_id,
            capture=settings.capture,
            redact=self.secrets.redact,
        )
        self.breaker = LoopBreaker(settings.breaker, fingerprint=fingerprint)
        self.routes = make_routes(settings)
        self.servers = LocalServers(self._variable)
        self.catalog = make_catalog(settings, self.keys, self.routes, self.servers, outer)
        self.cache = make_cache(self, self._variable)
        self._loop = BackgroundLoop()
        self._cell = CellRun()
        self._upstream = HTTPUpstream(self._key_of, variables=self._variable)
        self._path = make_path(
            self,
            self._upstream,
            booked=self._booked,
            passed_over=lambda outcome: self._cell.add(outcome),
        )
        self._lock = RLock()
        self._endpoint: Endpoint | None = None
        self._library: Library | None = None
        self._housekeeping = Housekeeping(self.store, self.ledger, self._loop)
        self._closed = False
        reap(self.ledger)
        atexit.register(self.close)

    # ---- HTTP ---------------------------------------------------------------------------------

    def models(self) -> list[str]:
        """Return the model names to offer; many more are understood."""
        return self.catalog.models()

    def endpoint(self, **options: Any) -> EndpointInfo:
        """Return the HTTP endpoint, started at the first call.

        Args:
            options: For the first call: ``host``, ``port``, ``hosts`` and ``trust_user`` of
                `Endpoint`.

        Raises:
            SettingsError: The address cannot be used.
        """
        from llmops_kernel.calls.endpoint import Endpoint

        with self._lock:
            if self._endpoint is None:
                endpoint = Endpoint(self, self._loop, **options)
                endpoint.start()
                self.secrets.register(endpoint.info.token)
                self._endpoint = endpoint
            return self._endpoint.info

    def take_over_environment(self, environ: MutableMapping[str, str]) -> dict[str, str]:
        """Take the provider keys out of an environment and return what points clients here.

        The keys stay in this process's memory: this keeps them out of outputs, logs and child
        processes, and makes clients come through the door. It is no wall against code that looks
        for them.
        """
        info = self.endpoint()
        taken = self.keys.take(environ, key_names(self.settings.providers))
        for value in taken.values():
            self.secrets.register(value)
        surroundings.taken_over(environ, taken, info.token)
        return info.env()

    # ---- the rest -----------------------------------------------------------------------------

    def configure(self, **fields: Any) -> None:
        """Change settings of how things are shown and which model is asked by default."""
        self.settings = self.settings.with_(**fields)

    def status(self) -> dict[str, Any]:
        """Return JSON-like facts about this session."""
        info = self._endpoint.info if self._endpoint else None
        return {
            "version": __version__,
            "model": self.settings.model,
            "provider": self.settings.provider,
            "user": self.settings.user,
            "project": self.settings.project,
            "notebook": self.settings.notebook,
            "run": self.settings.run_id,
            "store": self.store.label,
            "warnings": self.store.warnings(),
            "endpoint": info.base_url if info else None,
            "stopped": self.stopped(),
            "breaker": self.breaker.tripped,
        }

    def close(self) -> None:
        """Cancel what runs (and settle it), stop the endpoint, write everything, let go."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        atexit.unregister(self.close)
        self._housekeeping.stop()
        if self._endpoint is not None:
            self._endpoint.stop()
        if self._library is not None:
            self._library.close()
        with contextlib.suppress(RuntimeError):  # what asks in the background would ask anew
            self._loop.run(self.cache.stop_asking())
        with contextlib.suppress(RuntimeError):
            self._loop.run(self._upstream.close())
        self._loop.stop()
        self.servers.close()
        self.cache.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _booked(self, call_id: str) -> int:
        """Return what the ledger has charged for a call, in nano-dollars."""

        def read() -> int:
            self.store.flush()
            events = control.history(self.ledger, _LATEST, None)
            return sum(event.spent_nano for event in events if event.call_id == call_id)

        return await self.store.arun(read)

    def _key_of(self, target: Target) -> str | None:
        if (key := self.servers.key_of(target)) is not None:
            self.secrets.register(key)
            return key
        return self._variable(target.key_env)

    def _variable(self, name: str) -> str | None:
        value = self.keys.get(name)
        if value:
            self.secrets.register(value)
        return value


_current: Session | None = None
_current_lock = RLock()


def current_session() -> Session:
    """Return the process's session, made from the settings at the first call."""
    global _current
    with _current_lock:
        if _current is None or _current._closed:  # noqa: SLF001
            _current = Session()
        return _current


def active_session() -> Session | None:
    """Return the process's session if somebody made one."""
    return _current if _current is not None and not _current._closed else None  # noqa: SLF001


def set_current(session: Session | None) -> None:
    """Make a session the process's own (None: forget it, without closing it)."""
    global _current
    with _current_lock:
        _current = session
