"""The schema of the durable record, once for SQLite and PostgreSQL.

Times are whole microseconds since the epoch (UTC), money is whole nano-dollars, structured values
are JSON text. ``{ID}``, ``{INT}``, ``{BYTES}`` and ``{KEYED}`` (a table stored in the tree of its
primary key) are the only words in which the two dialects differ.
"""

from __future__ import annotations

SCHEMA_VERSION = 5

_SPAN_COLUMNS = (
    "trace_id, span_id, parent_id, lease_id, name, kind, started, ended, status, run_id, "
    "attributes, input, output"
)
_SPAN = """CREATE TABLE IF NOT EXISTS {name} (
        trace_id TEXT NOT NULL,
        span_id TEXT NOT NULL,
        parent_id TEXT NOT NULL,
        lease_id TEXT NOT NULL,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        started {{INT}} NOT NULL,
        ended {{INT}},
        status TEXT NOT NULL,
        run_id TEXT NOT NULL,
        attributes TEXT NOT NULL,
        input TEXT NOT NULL,
        output TEXT NOT NULL,
        PRIMARY KEY (trace_id, span_id)){{KEYED}}"""
_SPAN_INDEXES = (
    "CREATE INDEX IF NOT EXISTS span_root ON span (started) WHERE parent_id = ''",
    "CREATE INDEX IF NOT EXISTS span_running ON span (lease_id) WHERE ended IS NULL",
)
# Documents and chunks of retrieval indexes, with their vectors: a vector store can be filled again
# from here. `state` of a chunk is 0 (not yet in the vector store), 1 (there) or 2 (to be removed).
_RAG = (
    """CREATE TABLE IF NOT EXISTS rag_index (
        index_name TEXT PRIMARY KEY,
        spec TEXT NOT NULL,
        revision {INT} NOT NULL,
        created {INT} NOT NULL){KEYED}""",
    """CREATE TABLE IF NOT EXISTS rag_document (
        index_name TEXT NOT NULL,
        doc_id TEXT NOT NULL,
        source TEXT NOT NULL,
        title TEXT NOT NULL,
        tenant TEXT NOT NULL,
        digest TEXT NOT NULL,
        stamp TEXT NOT NULL,
        root TEXT NOT NULL,
        location TEXT NOT NULL,
        metadata TEXT NOT NULL,
        indexed {INT} NOT NULL,
        PRIMARY KEY (index_name, doc_id)){KEYED}""",
    """CREATE TABLE IF NOT EXISTS rag_chunk (
        index_name TEXT NOT NULL,
        chunk_id TEXT NOT NULL,
        doc_id TEXT NOT NULL,
        place {INT} NOT NULL,
        text TEXT NOT NULL,
        text_start {INT} NOT NULL,
        text_end {INT} NOT NULL,
        heading TEXT NOT NULL,
        page {INT},
        parent_id TEXT NOT NULL,
        leaf {INT} NOT NULL,
        state {INT} NOT NULL,
        vector {BYTES},
        PRIMARY KEY (index_name, chunk_id))""",
    "CREATE INDEX IF NOT EXISTS rag_chunk_doc ON rag_chunk (index_name, doc_id)",
)
# Answers that may be given again. The body lies apart, so that what is used last is noted and the
# whole is measured without touching the answers. `mac` seals every other column of both but `used`
# and `bytes`. `cache_event` is append-only: what the cache did for whom, and what that saved.
_CACHE = (
    """CREATE TABLE IF NOT EXISTS cache_entry (
        entry_key TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        model TEXT NOT NULL,
        notebook TEXT NOT NULL,
        book TEXT NOT NULL,
        tags TEXT NOT NULL,
        created {INT} NOT NULL,
        expires {INT} NOT NULL,
        used {INT} NOT NULL,
        bytes {INT} NOT NULL,
        saved_nano {INT} NOT NULL,
        mac TEXT NOT NULL){KEYED}""",
    "CREATE INDEX IF NOT EXISTS cache_entry_used ON cache_entry (used, bytes)",
    "CREATE TABLE IF NOT EXISTS cache_body (entry_key TEXT PRIMARY KEY, payload TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS cache_tag (
        tag TEXT NOT NULL,
        entry_key TEXT NOT NULL,
        PRIMARY KEY (tag, entry_key)){KEYED}""",
    "CREATE INDEX IF NOT EXISTS cache_tag_entry ON cache_tag (entry_key)",
    # Requests on their way upstream, and the process that waits for the answer.
    """CREATE TABLE IF NOT EXISTS cache_flight (
        entry_key TEXT PRIMARY KEY,
        claim_id TEXT NOT NULL,
        lease_id TEXT NOT NULL,
        machine TEXT NOT NULL,
        boot TEXT NOT NULL,
        pid {INT} NOT NULL,
        pid_start TEXT NOT NULL,
        expires {INT} NOT NULL){KEYED}""",
    """CREATE TABLE IF NOT EXISTS cache_event (
        event_id {ID},
        at {INT} NOT NULL,
        kind TEXT NOT NULL,
        tier TEXT NOT NULL,
        entry_key TEXT NOT NULL,
        tenant TEXT NOT NULL,
        model TEXT NOT NULL,
        book TEXT NOT NULL,
        user_name TEXT NOT NULL,
        notebook TEXT NOT NULL,
        run_id TEXT NOT NULL,
        call_id TEXT NOT NULL,
        times {INT} NOT NULL,
        saved_nano {INT} NOT NULL)""",
)
# Where near-verbatim repeats are looked for: `place` is everything of a request but its question,
# `sign` a form of the question; both are keyed digests.
_NEAR = (
    """CREATE TABLE IF NOT EXISTS cache_near (
        place TEXT NOT NULL,
        sign TEXT NOT NULL,
        entry_key TEXT NOT NULL,
        created {INT} NOT NULL,
        PRIMARY KEY (place, sign, entry_key)){KEYED}""",
    "CREATE INDEX IF NOT EXISTS cache_near_entry ON cache_near (entry_key)",
)
_TWIN = (
    """CREATE TABLE IF NOT EXISTS cache_twin (
        twin_id {ID},
        at {INT} NOT NULL,
        call_id TEXT NOT NULL,
        entry_key TEXT NOT NULL,
        tenant TEXT NOT NULL,
        model TEXT NOT NULL,
        notebook TEXT NOT NULL,
        tags TEXT NOT NULL,
        stored TEXT NOT NULL,
        asked TEXT NOT NULL,
        reason TEXT NOT NULL,
        verdict {INT})""",
)
# `cache_hit`: what was served for another text, with both texts, to be judged (`verdict` 1: the
# answer was right, 0: it was wrong; `drawn` 1: it was drawn for an audit). `cache_tier`: a tier in
# one place (the near-verbatim one has one state for all of a tenant's): `revision` grows with what
# other kernels must read anew, `since` is when counting began. `cache_vector`: a cached text's
# place among the others of its partition (`group_id`: texts with the same answer); `cache_judged`:
# where a text stood that was answered afresh, and whether the nearest answer would have been right.
# `cache_spend`: nano-dollars that audits and judges of a day have taken. On PostgreSQL
# `neighbour_rows` may add `cache_neighbour`, whose rows go with those of `cache_vector`: whoever
# rebuilds that table here drops the other first.
_TIERS = (
    """CREATE TABLE IF NOT EXISTS cache_hit (
        hit_id {ID},
        at {INT} NOT NULL,
        call_id TEXT NOT NULL,
        entry_key TEXT NOT NULL,
        tenant TEXT NOT NULL,
        model TEXT NOT NULL,
        notebook TEXT NOT NULL,
        tags TEXT NOT NULL,
        stored TEXT NOT NULL,
        asked TEXT NOT NULL,
        reason TEXT NOT NULL,
        verdict {INT},
        tier TEXT NOT NULL,
        place TEXT NOT NULL,
        drawn {INT} NOT NULL,
        judged_by TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS cache_tier (
        tenant TEXT NOT NULL,
        tier TEXT NOT NULL,
        place TEXT NOT NULL,
        model TEXT NOT NULL,
        state TEXT NOT NULL,
        revision {INT} NOT NULL,
        since {INT} NOT NULL,
        changed {INT} NOT NULL,
        PRIMARY KEY (tenant, tier, place)){KEYED}""",
    """CREATE TABLE IF NOT EXISTS cache_vector (
        seq {ID},
        place TEXT NOT NULL,
        entry_key TEXT NOT NULL,
        tenant TEXT NOT NULL,
        model TEXT NOT NULL,
        notebook TEXT NOT NULL,
        tags TEXT NOT NULL,
        group_id TEXT NOT NULL,
        answer TEXT NOT NULL,
        gate TEXT NOT NULL,
        vector {BYTES} NOT NULL,
        expires {INT} NOT NULL,
        mac TEXT NOT NULL)""",
    "CREATE UNIQUE INDEX IF NOT EXISTS cache_vector_key ON cache_vector (entry_key, place)",
    "CREATE INDEX IF NOT EXISTS cache_vector_place ON cache_vector (place, seq)",
    """CREATE TABLE IF NOT EXISTS cache_judged (
        judged_id {ID},
        at {INT} NOT NULL,
        place TEXT NOT NULL,
        score DOUBLE PRECISION NOT NULL,
        lead DOUBLE PRECISION NOT NULL,
        best DOUBLE PRECISION NOT NULL,
        wordings {INT} NOT NULL,
        verdict {INT} NOT NULL,
        judged_by TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS cache_judged_place ON cache_judged (place, judged_id)",
    """CREATE TABLE IF NOT EXISTS cache_spend (
        day {INT} NOT NULL,
        tenant TEXT NOT NULL,
        nano {INT} NOT NULL,
        PRIMARY KEY (day, tenant)){KEYED}""",
)

TABLES = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    # What has been spent and is held, one row per cap scope, window and book. A projection of
    # `event`, kept so that a reservation is one conditional update.
    """CREATE TABLE IF NOT EXISTS balance (
        balance_key TEXT PRIMARY KEY,
        scope TEXT NOT NULL,
        scope_key TEXT NOT NULL,
        window_kind TEXT NOT NULL,
        window_start {INT} NOT NULL,
        book TEXT NOT NULL,
        spent {INT} NOT NULL,
        held {INT} NOT NULL){KEYED}""",
    # What people write and every reservation reads: stops and limits (kind 'stop' or 'cap').
    """CREATE TABLE IF NOT EXISTS control (
        kind TEXT NOT NULL,
        scope TEXT NOT NULL,
        scope_key TEXT NOT NULL,
        window_kind TEXT NOT NULL,
        window_start {INT} NOT NULL,
        limit_nano {INT} NOT NULL,
        reason TEXT NOT NULL,
        set_by TEXT NOT NULL,
        set_at {INT} NOT NULL,
        PRIMARY KEY (kind, scope, scope_key, window_kind, window_start)){KEYED}""",
    # Open holds, and lost ones (their owner died; charged in full, and perhaps corrected later).
    """CREATE TABLE IF NOT EXISTS hold (
        hold_id TEXT PRIMARY KEY,
        call_id TEXT NOT NULL,
        lease_id TEXT NOT NULL,
        book TEXT NOT NULL,
        amount {INT} NOT NULL,
        state TEXT NOT NULL,
        dispatched {INT} NOT NULL,
        balances TEXT NOT NULL,
        model TEXT NOT NULL,
        price_version TEXT NOT NULL,
        labels TEXT NOT NULL,
        created {INT} NOT NULL,
        expires {INT} NOT NULL){KEYED}""",
    # Append-only; balances can be rebuilt from it.
    """CREATE TABLE IF NOT EXISTS event (
        event_id {ID},
        at {INT} NOT NULL,
        kind TEXT NOT NULL,
        hold_id TEXT NOT NULL,
        call_id TEXT NOT NULL,
        book TEXT NOT NULL,
        held {INT} NOT NULL,
        spent {INT} NOT NULL,
        balances TEXT NOT NULL,
        model TEXT NOT NULL,
        user_name TEXT NOT NULL,
        notebook TEXT NOT NULL,
        cell_id TEXT NOT NULL,
        run_id TEXT NOT NULL,
        tenant TEXT NOT NULL,
        input_tokens {INT} NOT NULL,
        output_tokens {INT} NOT NULL,
        estimated {INT} NOT NULL,
        detail TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS event_run ON event (run_id)",
    """CREATE TABLE IF NOT EXISTS alert (
        balance_key TEXT NOT NULL,
        step {INT} NOT NULL,
        fired_at {INT} NOT NULL,
        sentence TEXT NOT NULL,
        notify TEXT NOT NULL,
        shown {INT} NOT NULL,
        sent {INT} NOT NULL,
        PRIMARY KEY (balance_key, step)){KEYED}""",
    # Who owns holds and running spans; a dead owner's are settled by anybody.
    """CREATE TABLE IF NOT EXISTS lease (
        lease_id TEXT PRIMARY KEY,
        machine TEXT NOT NULL,
        boot TEXT NOT NULL,
        pid {INT} NOT NULL,
        pid_start TEXT NOT NULL,
        heartbeat {INT} NOT NULL){KEYED}""",
    # Kept in the tree of trace and span: a trace is read at once, and a new span touches one page.
    _SPAN.format(name="span"),
    *_SPAN_INDEXES,
    *_RAG,
    *_CACHE,
    *_NEAR,
    *_TIERS,
)

# Statements that lift a store from version N to N + 1, at index N - 1.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        _SPAN.format(name="span_new"),
        f"INSERT INTO span_new ({_SPAN_COLUMNS}) SELECT {_SPAN_COLUMNS} FROM span",
        "DROP TABLE span",
        "ALTER TABLE span_new RENAME TO span",
        *_SPAN_INDEXES,
        *_RAG,
    ),
    _CACHE,
    (*_NEAR, *_TWIN),
    (
        *_TIERS,
        "INSERT INTO cache_hit (at, call_id, entry_key, tenant, model, notebook, tags, stored, "
        "asked, reason, verdict, tier, place, drawn, judged_by) "
        "SELECT at, call_id, entry_key, tenant, model, notebook, tags, stored, asked, reason, "
        "verdict, 'near_verbatim', '', 0, '' FROM cache_twin ORDER BY twin_id",
        "DROP TABLE cache_twin",
    ),
)
