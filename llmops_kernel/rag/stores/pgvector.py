"""PostgreSQL with the pgvector extension: one table for each index.

What is repaired: the LlamaIndex store only ever inserts, so a second run doubles every chunk;
here a unique index on the chunk's id makes one statement of insert and replace. Searches read the
table (no HNSW index), at about 4 microseconds a row: that is exact, and pgvector filters after an
HNSW search, so that a tenant with few chunks among many would be shown none of them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from llmops_kernel.rag.stores.adapter import LlamaStore
from llmops_kernel.rag.stores.extras import load

if TYPE_CHECKING:
    from llmops_kernel.rag.documents import Chunk
    from llmops_kernel.rag.where import Where

_CONNECT_SECONDS = 5
_SETUP_LOCK = 7_011_977  # any constant: two first openers must not create a table at once


class PgvectorStore(LlamaStore):
    """An index in PostgreSQL: one table in the connection's own schema."""

    title = "PostgreSQL (pgvector)"
    hint: ClassVar[str] = (
        "Check that the server runs, the user may log in, and the database has the extension "
        "(CREATE EXTENSION vector)"
    )

    _engine: Any = None
    _llama: Any = None

    def _open(self) -> int | None:
        sqlalchemy = load("sqlalchemy", extra="pgvector")
        table = _table_class()
        if self._engine is None:
            url = sqlalchemy.make_url(self._place.url)
            self._engine = sqlalchemy.create_engine(
                url.set(drivername="postgresql+psycopg2"),
                connect_args={"connect_timeout": _CONNECT_SECONDS},
                pool_pre_ping=True,
            )
            # The LlamaIndex store wants both; this one is never connected.
            self._unused = load("sqlalchemy.ext.asyncio", extra="pgvector").create_async_engine(
                url.set(drivername="postgresql+asyncpg", query={})
            )
        with self._engine.begin() as connection:
            schema = connection.execute(sqlalchemy.text("SELECT current_schema()")).scalar()
            connection.execute(sqlalchemy.text(f"SELECT pg_advisory_xact_lock({_SETUP_LOCK})"))
            self._llama = table(
                table_name=self._name,
                schema_name=schema or "public",
                embed_dim=self._dim,
                engine=self._engine,
                async_engine=self._unused,
                use_jsonb=True,  # JSON would be parsed anew for each row that a filter reads
                initialization_fail_on_error=True,
            )
            return int(self._llama.prepare())

    def _write(self, chunks: list[Chunk], vectors: list[list[float]]) -> None:
        self._llama.replace(self._nodes(chunks, vectors))

    def _remove(self, node_ids: list[str]) -> None:
        self._llama.delete_nodes(node_ids)

    def _search(self, vector: list[float], k: int, where: Where) -> list[tuple[Any, float]]:
        return self._ask(self._llama, vector, k, where)

    def _total(self) -> int:
        return int(self._llama.total())

    def _erase(self) -> None:
        self._llama.erase()

    def _release(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._unused.sync_engine.dispose()


@cache
def _table_class() -> Any:
    """Return LlamaIndex's store with the statements that it has not."""
    sqlalchemy = load("sqlalchemy", extra="pgvector")
    dialect = load("sqlalchemy.dialects.postgresql", extra="pgvector")
    store = load("llama_index.vector_stores.postgres", extra="pgvector").PGVectorStore

    class Table(store):  # type: ignore[misc, valid-type]
        """A table of nodes, one row for each id."""

        def prepare(self) -> int:
            """Create what is missing and return the length of the vectors in the table."""
            self._initialize()
            table = self._table_class.__table__
            with self._session() as session, session.begin():
                session.execute(
                    sqlalchemy.text(
                        f'CREATE UNIQUE INDEX IF NOT EXISTS "{table.name}_node" '
                        f'ON "{table.schema}"."{table.name}" (node_id)'
                    )
                )
                return int(
                    session.execute(
                        sqlalchemy.text(
                            "SELECT atttypmod FROM pg_attribute "
                            "WHERE attrelid = CAST(:name AS regclass) AND attname = 'embedding'"
                        ),
                        {"name": f'"{table.schema}"."{table.name}"'},
                    ).scalar()
                )

        def replace(self, nodes: list[Any]) -> None:
            """Write nodes, all or none, over those of the same ids."""
            rows = [self._node_to_table_row(node) for node in nodes]
            columns = ("node_id", "text", "metadata_", "embedding")
            insert = dialect.insert(self._table_class.__table__)
            statement = insert.on_conflict_do_update(
                index_elements=["node_id"],
                set_={name: insert.excluded[name] for name in columns[1:]},
            )
            # In one order, so that two writers wait for each other and not in a circle.
            values = sorted(
                ({name: getattr(row, name) for name in columns} for row in rows),
                key=lambda value: str(value["node_id"]),
            )
            with self._session() as session, session.begin():
                session.execute(statement, values)

        def total(self) -> int:
            """Return the number of rows."""
            count = sqlalchemy.select(sqlalchemy.func.count()).select_from(
                self._table_class.__table__
            )
            with self._session() as session, session.begin():
                return int(session.execute(count).scalar())

        def erase(self) -> None:
            """Drop the table."""
            with self._session() as session, session.begin():
                self._table_class.__table__.drop(session.connection(), checkfirst=True)

    return Table
