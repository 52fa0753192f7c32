"""Every case file of the favourites gives its expected table, on DuckDB and on a real PostgreSQL alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from assets.scores.favourites import delay_between_purchases, favorite_categories, favorite_store
from octo_dagster.score import Score
from tests import scoring_cases as cases
from tests.postgres import postgres, scores_only

__all__ = ["postgres", "scores_only"]
SCORES = (favorite_categories, favorite_store, delay_between_purchases)
CASES = [(score, path) for score in SCORES for path in cases.paths(score.name)]


@pytest.mark.parametrize(
    ("score", "path"), CASES, ids=lambda value: value.stem if isinstance(value, Path) else value.name
)
def test_duckdb_gives_the_expected_table(score: Score, path: Path, tmp_path: Path) -> None:
    """The rows of the case, run by DuckDB and written to the warehouse, are the expected ones in order."""
    case = cases.read(path)
    assert cases.on_duckdb(score, case, tmp_path) == case.rows


def test_postgres_gives_the_expected_tables(scores_only: sa.Engine) -> None:
    """The same statement run by PostgreSQL gives the expected rows of every case."""
    for score, path in CASES:
        case = cases.read(path)
        assert (path.stem, cases.on_postgres(score, case, scores_only)) == (path.stem, case.rows)
