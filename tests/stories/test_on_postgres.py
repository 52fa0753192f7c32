"""The main stories once more, with the ledger in a real PostgreSQL: the promises do not depend on the database."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from connectors.sandbox.server import Sandbox
from tests.postgres import postgres  # noqa: F401 - a fixture
from tests.stories.test_a_lost_reply import (  # noqa: F401 - told again here
    test_it_resumes_where_it_stopped,
    test_one_bad_moment,
    test_planning_waits_for_an_answer,
    test_settling_before_planning_removes_who_left,
    test_verify_finds_and_heals_another_hand,
)
from tests.stories.test_guards import (  # noqa: F401
    test_a_person_allows_one_plan,
    test_a_stale_plan_is_refused,
    test_consent_withdrawn_is_a_departure,
    test_the_wrong_account_is_refused,
    test_two_runs_never_overlap,
)
from tests.stories.test_refused_rows import (  # noqa: F401
    test_a_rejected_change_keeps_what_was_held,
    test_a_rejected_row_stays_owed_until_it_is_right,
    test_emoji_and_right_to_left,
    test_rows_without_a_key_or_with_anothers,
)
from tests.stories.test_the_first_syncs import (  # noqa: F401
    test_a_careful_first_try,
    test_empty_values,
    test_first_sync_then_nothing,
    test_only_what_changed,
)
from tests.vendors.webhook import WEBHOOK
from tests.world import World, world


@pytest.fixture
def shop(
    tmp_path: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    postgres: sa.Engine,  # noqa: F811 - the fixture imported above
) -> World:
    """One sync called `customers`, its ledger in a schema of its own."""
    name = f"ledger_{os.getpid()}_{uuid.uuid4().hex}"
    with postgres.begin() as connection:
        connection.execute(sa.text(f"create schema {name}"))
    address = postgres.url.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(
        hide_password=False
    )
    monkeypatch.setenv("OCTO_LEDGER", address)
    for variable, value in WEBHOOK.env.items():
        monkeypatch.setenv(variable, value)
    return world(tmp_path, sandbox, WEBHOOK)


def test_the_ledger_is_there(shop: World) -> None:
    """What was delivered is known to the PostgreSQL and to no file."""
    shop.have([]).deliver()
    assert shop.project.ledger.engine.dialect.name == "postgresql"
    assert not (shop.folder / ".octo" / "ledger.sqlite").exists()
