"""Processes of their own, for tests that kill them or run several at once: each is forked from one server a test
process, which has everything imported, so that it costs milliseconds and not seconds."""

from __future__ import annotations

import multiprocessing

from connectors import registry

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["octo_dagster.run", "tests.world", "pandas", "psycopg", "zoneinfo", *registry.modules()]
)
