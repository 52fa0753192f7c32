"""Every case file of the rhythms gives its expected table, on DuckDB and on a real PostgreSQL alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from assets.scores.rhythm import rhythm
from assets.scores.rhythm_by_category import rhythm_by_category
from octo_dagster.score import Score
from tests.postgres import postgres, scores_only
from tests.scoring_cases import on_duckdb, on_postgres, paths, read

__all__ = ["postgres", "scores_only"]
CASES = [(score, path) for score in (rhythm, rhythm_by_category) for path in paths(score.name)]


@pytest.mark.parametrize(("score", "path"), CASES, ids=[f"{s.name}-{path.stem}" for s, path in CASES])
def test_duckdb_gives_the_expected_table(score: Score, path: Path, tmp_path: Path) -> None:
    """The rows of the case, run by DuckDB and written to the warehouse, are the expected ones in order."""
    case = read(path)
    assert on_duckdb(score, case, tmp_path) == case.rows


def test_postgres_gives_the_expected_tables(scores_only: sa.Engine) -> None:
    """The same statement run by PostgreSQL gives the expected rows of every case."""
    for score, path in CASES:
        case = read(path)
        assert on_postgres(score, case, scores_only) == case.rows, path.name
