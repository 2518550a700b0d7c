"""A store's connections: one for each thread, and none of them across a fork."""

from __future__ import annotations

import os
import threading
from abc import abstractmethod
from typing import Generic, Protocol, TypeVar

from llmops_kernel.errors import StoreError
from llmops_kernel.store.base import Store


class _Closable(Protocol):
    def close(self) -> None: ...


_C = TypeVar("_C", bound=_Closable)


class ConnectedStore(Store, Generic[_C]):
    """A store that opens a connection for each thread that uses it, and closes all of them."""

    def __init__(self) -> None:
        super().__init__()
        self._closed = False
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._local = threading.local()
        self._connections: list[_C] = []
        self._lock = threading.Lock()
        self._pid = os.getpid()

    @abstractmethod
    def _open(self) -> _C:
        """Open a connection (raises `StoreError`)."""

    def _is_gone(self, connection: _C) -> bool:  # noqa: ARG002 - for those who can tell
        return False

    def _connection(self) -> _C:
        if os.getpid() != self._pid:  # a fork: what the parent uses is not touched
            self._begin_anew()
        connection: _C | None = getattr(self._local, "connection", None)
        if connection is None or self._is_gone(connection):
            connection = self._connect()
            self._local.connection = connection
        return connection

    def _connect(self) -> _C:
        if self._closed:
            raise StoreError("The record is closed", hint="Make a new Session")
        connection = self._open()
        with self._lock:
            self._connections.append(connection)
        return connection

    def _let_go(self, connection: _C) -> None:
        """Forget a connection that is broken, or about to be closed."""
        with self._lock:
            if connection in self._connections:
                self._connections.remove(connection)

    def _disconnect(self) -> None:
        self._closed = True
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
        self._local = threading.local()
