"""A user's points, case by case, on DuckDB and PostgreSQL: `tests/cases/scores/written/*.txt`."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from octo_dagster.scoring.written.files import blank
from tests.postgres import postgres, scores_only
from tests.scoring_cases import on_duckdb, on_postgres, paths, read

__all__ = ["postgres", "scores_only"]

SCORE = blank("it", "", ("customers",), frozenset())


@pytest.mark.parametrize("path", paths("written"), ids=lambda path: path.stem)
def test_on_duckdb(path: Path, tmp_path: Path) -> None:
    """DuckDB gives the rows the case says."""
    case = read(path)
    assert on_duckdb(SCORE, case, tmp_path) == case.rows


@pytest.mark.parametrize("path", paths("written"), ids=lambda path: path.stem)
def test_on_postgres(path: Path, scores_only: sa.Engine) -> None:
    """PostgreSQL gives the same rows."""
    case = read(path)
    assert on_postgres(SCORE, case, scores_only) == case.rows
