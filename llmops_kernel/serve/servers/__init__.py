"""Servers as processes: started detached, registered once they have answered, watched, stopped."""

from llmops_kernel.serve.record import Replica, ServerRecord, names, read_record
from llmops_kernel.serve.servers.attaching import attach, start_ollama
from llmops_kernel.serve.servers.starting import add_replicas, start_server
from llmops_kernel.serve.servers.stopping import (
    Seen,
    key_of,
    look,
    look_at_all,
    read_log,
    stop_server,
)
from llmops_kernel.serve.servers.wanted import Started, Wanted

__all__ = [
    "Replica",
    "Seen",
    "ServerRecord",
    "Started",
    "Wanted",
    "add_replicas",
    "attach",
    "key_of",
    "look",
    "look_at_all",
    "names",
    "read_log",
    "read_record",
    "start_ollama",
    "start_server",
    "stop_server",
]
