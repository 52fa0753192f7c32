"""Where alerts are kept: in the ledger's database, so that every machine that shares it knows the same."""

from __future__ import annotations

import sqlalchemy as sa

TABLES = sa.MetaData()

ALERTS = sa.Table(
    "alert_states",
    TABLES,
    sa.Column("rule", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True, comment="sync customers, source shop, score rfm"),
    sa.Column("state", sa.Text, nullable=False, comment="firing, ok"),
    sa.Column("since", sa.DateTime, nullable=False, comment="when it got into this state"),
    sa.Column("told", sa.Text, nullable=False, comment="what happened, as JSON: which words, what they want"),
    sa.Column("told_at", sa.DateTime, nullable=False),
    sa.Column("well_since", sa.DateTime, comment="of one that fires: since when all has been well again"),
    sa.Column("change", sa.Integer, nullable=False, comment="grows with every change of state"),
)
LETTERS = sa.Table(
    "alert_letters",
    TABLES,
    sa.Column("id", sa.Text, primary_key=True, comment="the same for every try, so that a receiver knows it"),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False, comment="in words, in the project's language"),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("sent_at", sa.DateTime),
)
"""What is to be told: written in the transaction that changes the state, so that no change goes untold."""
