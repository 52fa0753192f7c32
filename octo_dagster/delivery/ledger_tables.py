"""The ledger's tables, and the engine they are kept by."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

TABLES = sa.MetaData()

UNSURE = ""
"""A fingerprint: the record is there, but perhaps not as the ledger says. It is sent again."""
MAYBE = "?"
"""A fingerprint: perhaps there is no such record (any more). It is sent again whole, as a new one is."""

SYNCS = sa.Table(
    "syncs",
    TABLES,
    sa.Column("sync", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, comment="account and place delivered to"),
    sa.Column("revision", sa.BigInteger, nullable=False, comment="grows with every write to the sync"),
)
ACCOUNTS = sa.Table(
    "accounts",
    TABLES,
    sa.Column("seal", sa.Text, primary_key=True, comment="of the credentials; they cannot be told from it"),
    sa.Column("account", sa.Text, nullable=False, comment="whose they are, as the vendor said"),
    sa.Column("at", sa.DateTime, nullable=False, comment="when it said so, UTC"),
)
SNAPSHOT = sa.Table(
    "sync_snapshot",
    TABLES,
    sa.Column("sync", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True, comment="as compared: trimmed, folded"),
    sa.Column("spelled", sa.Text, nullable=False, comment="as sent"),
    sa.Column(
        "fingerprint", sa.Text, comment="NULL nothing held, '' unsure, '?' perhaps nothing, else what is held"
    ),
    sa.Column("created", sa.Boolean, comment="whether Octo created the record; NULL unknown"),
    sa.Column("owed", sa.Text, comment="why the last attempt was rejected"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("run", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)
FIELDS = sa.Table(
    "sync_fields",
    TABLES,
    sa.Column("sync", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("fields", sa.Text, nullable=False, comment="the fields held, as JSON"),
)
PERHAPS = sa.Table(
    "sync_perhaps",
    TABLES,
    sa.Column("sync", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("fields", sa.Text, primary_key=True, comment="fields that may be held besides, as JSON"),
)
"""What was sent of a record that is in doubt, each time that no answer came."""
BATCHES = sa.Table(
    "sync_batches",
    TABLES,
    sa.Column("batch", sa.Text, primary_key=True),
    sa.Column("sync", sa.Text, nullable=False, index=True),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("op", sa.Text, nullable=False),
    sa.Column("rows", sa.Text, nullable=False, comment="positions in the plan, as JSON ranges"),
    sa.Column("token", sa.Text, comment="the destination's name for the job"),
    sa.Column("opened_at", sa.DateTime, nullable=False),
)
RUNS = sa.Table(
    "sync_runs",
    TABLES,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("sync", sa.Text, nullable=False, index=True),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("started_at", sa.DateTime, nullable=False),
    sa.Column("ended_at", sa.DateTime),
    sa.Column("status", sa.Text, nullable=False, comment="running, done, failed, interrupted"),
    sa.Column("counts", sa.Text, nullable=False, server_default="{}"),
    sa.Column("error", sa.Text),
)
CHANGELOG = sa.Table(
    "sync_changelog",
    TABLES,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("sync", sa.Text, nullable=False),
    sa.Column("key", sa.Text),
    sa.Column("op", sa.Text, nullable=False, comment="added, changed, removed"),
    sa.Column("outcome", sa.Text, nullable=False, comment="accepted, rejected, invalid, skipped"),
    sa.Column("reason", sa.Text),
    sa.Column("fields", sa.Text, comment="what changed: field → [before, after], as JSON"),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Index("sync_changelog_by_sync", "sync", "id"),
)


def engine(url: str) -> sa.Engine:
    """An engine whose every commit is on disk, and whose errors tell no customer's data. SQLite: WAL,
    writers queue for a minute."""
    if not url.startswith("sqlite"):
        return sa.create_engine(url, hide_parameters=True)
    made = sa.create_engine(url, connect_args={"timeout": 60}, hide_parameters=True)

    @sa.event.listens_for(made, "connect")
    def settings(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")

    @sa.event.listens_for(made, "begin")
    def at_once(connection: sa.Connection) -> None:
        reads_only = connection.get_execution_options().get("reads_only", False)
        connection.exec_driver_sql("begin" if reads_only else "begin immediate")

    return made
