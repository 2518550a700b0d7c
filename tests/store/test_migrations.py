"""A record of an older version is lifted, with everything in it."""

from __future__ import annotations

from llmops_kernel.store import open_store
from llmops_kernel.store.schema import SCHEMA_VERSION

# The span table as version 1 had it.
_SPAN_1 = (
    "DROP TABLE span",
    "DROP TABLE rag_index",
    "DROP TABLE rag_document",
    "DROP TABLE rag_chunk",
    """CREATE TABLE span (
        span_id TEXT PRIMARY KEY, trace_id TEXT NOT NULL, parent_id TEXT NOT NULL,
        lease_id TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, started BIGINT NOT NULL,
        ended BIGINT, status TEXT NOT NULL, run_id TEXT NOT NULL, attributes TEXT NOT NULL,
        input TEXT NOT NULL, output TEXT NOT NULL)""",
    "CREATE INDEX span_trace ON span (trace_id)",
    "CREATE INDEX span_root ON span (started) WHERE parent_id = ''",
    "CREATE INDEX span_running ON span (lease_id) WHERE ended IS NULL",
    "INSERT INTO span VALUES "
    "('s1', 't1', '', 'l', 'ask', 'ask', 5, 9, 'ok', 'r', '{}', 'in', 'out')",
    "UPDATE meta SET value = '1' WHERE name = 'schema'",
)


def test_spans_of_version_1_are_kept(store_url: str) -> None:
    store = open_store(store_url)
    with store.transaction() as tx:
        for statement in _SPAN_1:
            tx.run(statement)
    store.close()
    lifted = open_store(store_url)
    try:
        rows = lifted.read("SELECT span_id, trace_id, started, ended, input, output FROM span")
        assert rows == [("s1", "t1", 5, 9, "in", "out")]
        assert lifted.read("SELECT value FROM meta WHERE name = 'schema'") == [
            (str(SCHEMA_VERSION),)
        ]
        assert lifted.read("SELECT COUNT(*) FROM rag_chunk") == [(0,)]
    finally:
        lifted.close()
    open_store(store_url).close()
