"""The checks: each looks at one subject and says what it found."""

from __future__ import annotations

import http.client
import os
import stat
import sys
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from llmops_kernel.doctor.packages import extras, poisoned_packages, suspicious_startup_files
from llmops_kernel.errors import LLMOpsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmops_kernel.session import Session
    from llmops_kernel.store import Store

State = Literal["ok", "warn", "fail"]

_OLD_PRICES = 120  # days


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        name: What was checked.
        state: ``ok``; ``warn`` works, but not as it should; ``fail`` does not work.
        detail: What was found.
        hint: What to do about it; "" for nothing.
    """

    name: str
    state: State
    detail: str
    hint: str = ""


def run_checks(session: Session | None = None) -> list[Check]:
    """Check everything and return the results, in a fixed order.

    Args:
        session: The session to check; without one, one is made from the settings and closed.

    Returns:
        At least one result per subject. What cannot be checked because something else failed is
        left out.
    """
    checks: list[Check] = []
    with _session(session, checks) as here:
        if here is not None:
            store = here.store
            checks += _guarded("store", lambda: _store(store))
            checks += _guarded("balances", lambda: _balances(store))
            checks += _guarded("clock", lambda: _clock(here))
            checks += _guarded("indexes", lambda: _indexes(here))
            checks += _guarded("cache", lambda: _cache(here))
            checks += _guarded("endpoint", lambda: _endpoint(here))
            checks += _guarded("keys", lambda: _keys(here))
    checks += _guarded("prices", _prices)
    checks += _guarded("kernel", _kernel)
    checks += _guarded("extras", _extras)
    checks += _guarded("startup files", _startup_files)
    checks += _guarded("packages", _packages)
    return checks


_SETTINGS = Check("settings", "ok", "llmops.toml and LLMOPS_ variables are in order")


@contextmanager
def _session(given: Session | None, checks: list[Check]) -> Iterator[Session | None]:
    from llmops_kernel.settings import Settings

    if given is not None:
        checks.append(_SETTINGS)
        yield given
        return
    try:
        settings = Settings.load()
    except LLMOpsError as error:
        checks.append(_failed("settings", error))
        yield None
        return
    checks.append(_SETTINGS)
    try:
        from llmops_kernel.session import Session

        session = Session(settings=settings)
    except LLMOpsError as error:
        checks.append(_failed("store", error))
        yield None
        return
    except Exception as error:  # noqa: BLE001 - a broken installation is what a doctor is for
        checks.append(_broken("session", error))
        yield None
        return
    with closing(session):
        yield session


def _guarded(name: str, check: Callable[[], Check | list[Check]]) -> list[Check]:
    """Run a check; one that breaks is a failed one, and the others still run."""
    try:
        found = check()
    except LLMOpsError as error:
        return [_failed(name, error)]
    except Exception as error:  # noqa: BLE001 - a doctor must finish the round
        return [_broken(name, error)]
    return found if isinstance(found, list) else [found]


def _failed(name: str, error: LLMOpsError) -> Check:
    found = f"{error.message}: {error.detail}" if error.detail else error.message
    return Check(name, "fail", found, error.hint)


def _broken(name: str, error: Exception) -> Check:
    return Check(name, "fail", f"It broke: {type(error).__name__}: {error}", "pip check")


def _store(store: Store) -> list[Check]:
    with store.transaction():  # needs the writer's lock, changes nothing
        pass
    checks = [Check("store", "ok", f"{store.label} can be read and written")]
    checks += [Check("store", "warn", sentence) for sentence in store.warnings()]
    path = getattr(store, "path", None)
    if isinstance(path, Path) and os.name == "posix":
        checks.append(_permissions(path))
    return checks


def _permissions(path: Path) -> Check:
    files = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]
    wide = [file for file in files if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077]
    if not wide:
        return Check("store permissions", "ok", "0600: only you can read the record")
    names = " ".join(str(file) for file in wide)
    return Check("store permissions", "fail", f"Others can read {names}", hint=f"chmod 600 {names}")


def _balances(store: Store) -> Check:
    from llmops_kernel.budget.audit import audit

    # Log and balances are read one after the other: what differs twice is no call in between.
    wrong = audit(store) and audit(store)
    if not wrong:
        return Check("balances", "ok", "They equal the event log")
    first = wrong[0]
    return Check(
        "balances",
        "fail",
        f"{len(wrong)} differ from the event log, first {first.balance}: spent {first.spent}, "
        f"by events {first.spent_by_events}; held {first.held}, by events {first.held_by_events}",
        hint="Keep a copy of the record and report it; caps still hold",
    )


def _clock(session: Session) -> Check:
    from datetime import UTC, datetime

    now = datetime.fromtimestamp(session.ledger.now() / 1_000_000, UTC)
    zone = session.settings.timezone
    return Check("clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC, not behind the record; windows: {zone}")


def _indexes(session: Session) -> list[Check]:
    from llmops_kernel.store import rag_rows

    if not rag_rows.indexes(session.store):  # and retrieval need not be installed
        return []
    checks: list[Check] = []
    for name in session.indexes.names():
        checks += _guarded(f"index {name}", partial(_index, session, name))
    return checks


def _index(session: Session, name: str) -> Check:
    index = session.indexes.open(name)
    documents, chunks, waiting = index.record.totals()
    stored, gone = index.vectors.count(), len(index.record.gone())
    subject, place = f"index {name}", index.vectors.label
    if not chunks - waiting <= stored <= chunks + gone:  # what waits may have arrived
        found = f"{place} holds {stored} of its {chunks} chunks"
        return Check(subject, "fail", found, f"llmops rag reindex {name}")
    if waiting or gone:
        found = f"{waiting} chunks are not yet in {place}, {gone} not yet out of it"
        return Check(subject, "warn", found, "The next llmops rag ingest finishes it")
    return Check(subject, "ok", f"{documents} documents, {chunks} chunks, all in {place}")


def _cache(session: Session) -> Check:
    settings = session.cache.settings
    place = "on the Redis server" if settings.url else "in the record"
    try:
        entries = session.cache.stats().entries
    except LLMOpsError as error:
        return Check("cache", "warn", error.sentence(), error.hint)
    off = "; the cache is off" if settings.mode == "off" else ""
    return Check("cache", "ok", f"{entries} answers {place}{off}")


def _endpoint(session: Session) -> Check:
    info = session.endpoint()
    if (status := _get(info.base_url, "/healthz")) != 200:
        return Check("endpoint", "fail", f"/healthz answers {status}", hint="Restart the kernel")
    if (status := _get(info.base_url, "/v1/models")) != 401:
        return Check(
            "endpoint", "fail", f"A call without the token is answered with {status}, not 401"
        )
    if (status := _get(info.base_url, "/v1/models", info.token)) != 200:
        return Check("endpoint", "fail", f"A call with the token is answered with {status}")
    return Check("endpoint", "ok", f"{info.base_url} answers, and only with the token")


def _get(base_url: str, path: str, token: str = "") -> int:
    place = urlsplit(base_url)
    # No proxy is asked, whatever HTTP_PROXY says: this is the loopback.
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with closing(connection):
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status


def _keys(session: Session) -> Check:
    from llmops_kernel.calls.providers import key_names

    names = key_names(session.settings.providers)
    found = sorted(name for name in names if session.keys.has(name))
    if found:
        return Check("keys", "ok", f"Found {', '.join(found)}")
    return Check("keys", "ok", "None: offline and simulated models, and servers without keys")


def _prices() -> Check:
    from importlib.metadata import version

    from llmops_kernel.calls.prices import price_age_days, price_data_date

    found = f"genai-prices {version('genai-prices')}, last price change {price_data_date()}"
    if price_age_days() > _OLD_PRICES:
        hint = "pip install --upgrade genai-prices"
        return Check("prices", "warn", f"{found}, more than {_OLD_PRICES} days ago", hint)
    return Check("prices", "ok", found)


def _kernel() -> Check:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    fix = "llmops kernel install (or --user)"
    try:
        spec = KernelSpecManager().get_kernel_spec("llmops")
    except NoSuchKernel:
        return Check("kernel", "warn", "Jupyter does not find the llmops kernel here", fix)
    program = spec.argv[0]
    inside = Path(spec.resource_dir).is_relative_to(sys.prefix)
    if program == sys.executable or (inside and "/" not in program):
        return Check("kernel", "ok", f"{spec.resource_dir}")
    found = f"{spec.resource_dir} runs {program}, this is {sys.executable}"
    return Check("kernel", "warn", found, fix)


def _extras() -> Check:
    missing = {name: packages for name, packages in extras().items() if packages}
    if not missing:
        return Check("extras", "ok", "All are installed")
    listed = "; ".join(f"{name} ({', '.join(packages)})" for name, packages in missing.items())
    hint = f'pip install "llmops-kernel[{",".join(missing)}]"'
    return Check("extras", "ok", f"Not installed: {listed}", hint)


def _startup_files() -> Check:
    found = suspicious_startup_files()
    if not found:
        return Check("startup files", "ok", "No suspicious .pth file in site-packages")
    surely = any(each.surely for each in found)
    listed = "; ".join(f"{each.path} ({each.reason})" for each in found)
    hint = (
        "Do not start Python here again: isolate the machine and change every key it has seen"
        if surely
        else "Look at them: they run at every start of Python"
    )
    return Check("startup files", "fail" if surely else "warn", listed, hint)


def _packages() -> Check:
    found = poisoned_packages()
    if not found:
        return Check("packages", "ok", "No release known to be malicious")
    return Check(
        "packages",
        "fail",
        f"Malicious releases: {', '.join(found)}",
        hint="Isolate the machine and change every key it has seen",
    )
