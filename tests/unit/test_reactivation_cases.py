"""Every case of the call list and the passive segments, on DuckDB and on a real PostgreSQL alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from assets.scores.reactivation import reactivation
from assets.scores.rfm import rfm
from assets.scores.rhythm import rhythm
from tests.postgres import postgres, scores_only
from tests.scoring_cases import on_duckdb, on_postgres, paths, read

__all__ = ["postgres", "scores_only"]
CASES = paths("reactivation")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_duckdb_gives_the_expected_table(path: Path, tmp_path: Path) -> None:
    """The rows of the case, run by DuckDB after the scores it reads, are the expected ones in order."""
    case = read(path)
    assert on_duckdb(reactivation, case, tmp_path, rfm, rhythm) == list(case.rows)


def test_postgres_gives_the_expected_tables(scores_only: sa.Engine) -> None:
    """The same statements run by PostgreSQL give the expected rows of every case."""
    for path in CASES:
        case = read(path)
        assert (path.stem, on_postgres(reactivation, case, scores_only, rfm, rhythm)) == (
            path.stem,
            case.rows,
        )


def test_every_filter_has_a_case() -> None:
    """What keeps a customer off the call list, and what decides places, are each kept by a case file."""
    assert {path.stem for path in CASES} >= {"consents", "cool_down", "ties", "as_of_excludes_later"}
