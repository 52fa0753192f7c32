"""The page of scores says what the scores are."""

from __future__ import annotations

import os
from pathlib import Path

from octo_dagster.config import scores_in
from octo_dagster.scoring.catalogue import page

FOLDER = Path(__file__).parents[2] / "assets" / "scores"
PAGE = FOLDER / "COLUMNS.md"


def test_the_page_is_as_the_scores_are() -> None:
    """COLUMNS.md holds every column and setting; after a change that is meant, SNAPSHOT=write makes it anew."""
    text = page(scores_in(FOLDER).values())
    if os.environ.get("SNAPSHOT") == "write":
        PAGE.write_text(text)
    assert PAGE.read_text() == text
