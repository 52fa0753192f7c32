"""Every story of a scenario, run by run: who enters, which step he is at, when he leaves and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenario_cases import read, told
from tests.scoring_cases import paths

CASES = paths("scenarios")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_run_leaves_the_expected_enrolments(path: Path, tmp_path: Path) -> None:
    """After each run of the story, `scenario_enrolments` holds the expected rows, in order."""
    story = read(path)
    assert told(story, tmp_path) == story.rows


def test_every_promise_has_a_story() -> None:
    """Advancing, leaving, consents, places, catching up and the holdout are each kept by a case file."""
    assert {path.stem for path in CASES} >= {
        "two_emails", "purchase_leaves", "unsubscribing", "consents", "places", "catching_up", "holdout",
    }  # fmt: skip
