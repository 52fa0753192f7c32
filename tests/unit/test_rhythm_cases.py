"""Every case file of the rhythms gives its expected table, on DuckDB and on a real PostgreSQL alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from assets.scores.rhythm import rhythm, rhythm_shares_by_cohort
from assets.scores.rhythm_by_category import (
    rhythm_by_category,
    rhythm_of_categories,
    rhythm_shares_by_category,
)
from octo_dagster.score import Score
from tests.postgres import postgres, scores_only
from tests.scoring_cases import on_duckdb, on_postgres, paths, read

__all__ = ["postgres", "scores_only"]
BEFORE: tuple[tuple[Score, tuple[Score, ...]], ...] = (
    (rhythm, ()),
    (rhythm_by_category, ()),
    (rhythm_shares_by_cohort, (rhythm,)),
    (rhythm_shares_by_category, (rhythm_by_category,)),
    (rhythm_of_categories, (rhythm_by_category,)),
)
"""Each score, and those whose tables it reads."""
CASES = [(score, before, path) for score, before in BEFORE for path in paths(score.name)]


@pytest.mark.parametrize(
    ("score", "before", "path"), CASES, ids=[f"{score.name}-{path.stem}" for score, _, path in CASES]
)
def test_duckdb_gives_the_expected_table(
    score: Score, before: tuple[Score, ...], path: Path, tmp_path: Path
) -> None:
    """The rows of the case, run by DuckDB and written to the warehouse, are the expected ones in order."""
    case = read(path)
    assert on_duckdb(score, case, tmp_path, *before) == case.rows


def test_postgres_gives_the_expected_tables(scores_only: sa.Engine) -> None:
    """The same statement run by PostgreSQL gives the expected rows of every case."""
    for score, before, path in CASES:
        case = read(path)
        assert on_postgres(score, case, scores_only, *before) == case.rows, path.name
