"""Every file of tests/cases/canonical: rows in, the canonical table and the rejected rows out."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
import yaml

from connectors.sources.files import Files
from octo_dagster.canonical.conform import conform
from octo_dagster.canonical.intake import Intake
from octo_dagster.canonical.pull import pull
from octo_dagster.warehouse import Warehouse

CASES = sorted((Path(__file__).parents[1] / "cases/canonical").glob("*.txt"))
NOW = datetime(2024, 6, 1, 12)  # noqa: DTZ001


def read_table(text: str) -> list[list[str]]:
    """The header and the rows of a `|` table."""
    return [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]


def held(warehouse: Warehouse, table: str, columns: list[str]) -> list[list[str]]:
    listed = ", ".join(f'"{column}"' for column in columns)
    with warehouse.connect() as connection:
        return [
            [str(cell) for cell in row] for row in connection.sql(f"select {listed} from {table}").fetchall()
        ]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path, tmp_path: Path) -> None:
    """The case's rows are kept and rejected as it says, and every row is accounted for."""
    told, rows, expected, refused = (part.strip("\n") for part in path.read_text("utf-8").split("----"))
    (tmp_path / "in.csv").write_text(rows + "\n", encoding="utf-8")
    source = {"name": "case", "source": Files(folder=tmp_path), "max_rejected": 1000}
    intake = Intake.model_validate(source | yaml.safe_load(told))
    warehouse, (table,) = Warehouse(tmp_path / "warehouse"), intake.tables
    pull(intake, table, warehouse, NOW)
    report = conform(table, [intake], warehouse, NOW, "run")
    header, *kept = read_table(expected)
    assert sorted(held(warehouse, table, header)) == sorted(kept)
    columns, *rejected = read_table(refused)
    found = held(warehouse, "rejected_rows", columns)
    assert sorted(found) == sorted([cell or blank(n) for n, cell in enumerate(row)] for row in rejected)
    assert (report.kept, report.rejected) == (len(kept), len(rejected))


def blank(place: int) -> str:
    """An empty cell of the rejected table is a null."""
    return "None" if place >= 3 else ""
