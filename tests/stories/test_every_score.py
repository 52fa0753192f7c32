"""What holds for every score Octo comes with, whatever it computes: on one made-up shop, each in its turn."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from string import Template
from typing import Any

import pytest

from connectors.sources.files import Files
from octo_dagster.bench.scores import BY_HAND, arranged, generate
from octo_dagster.canonical.conform import conform
from octo_dagster.canonical.contracts import CONTRACTS
from octo_dagster.canonical.intake import Intake
from octo_dagster.canonical.pull import pull
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring.explain import explain
from octo_dagster.scoring.frames import HAPPENED
from octo_dagster.scoring.pictures.draw import draw
from octo_dagster.scoring.profile import build
from octo_dagster.warehouse import Warehouse

LATE, EARLY = date(2025, 12, 31), date(2024, 3, 31)
NOW = datetime(2026, 1, 1)  # noqa: DTZ001 - naive UTC, as everywhere
SCORES = arranged().scores
MIDNIGHT = "timestamp '2024-04-01'"
BOUGHT = f"product_id in (select product_id from order_lines join orders using (order_id) where ordered_at < {MIDNIGHT})"
"""This made-up shop sells some products before it has them."""

Rows = list[tuple[Any, ...]]


def shop(folder: Path, change: Callable[[str], str] | None = None) -> Warehouse:
    """The made-up shop of 400 customers, every table read through `change`: its name → a DuckDB select."""
    plain = Warehouse(folder / "plain")
    generate(plain, 400, products=300)
    if change is None:
        return plain
    changed = Warehouse(folder / "changed")
    with plain.connect() as connection:
        for name in plain.names():
            changed.replace(name, connection.sql(change(name)).to_arrow_table())
    return changed


def worked_out(warehouse: Warehouse, as_of: date) -> Warehouse:
    """Every score's table, worked out in order."""
    for score in SCORES.values():
        scoring.run(score, warehouse, as_of)
    return warehouse


def rows(warehouse: Warehouse, table: str) -> Rows:
    with warehouse.connect(only=[table]) as connection:
        return sorted(connection.sql(f'from "{table}"').fetchall(), key=repr)


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return worked_out(shop(tmp_path_factory.mktemp("late")), LATE)


@pytest.fixture(scope="module")
def early(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return worked_out(shop(tmp_path_factory.mktemp("early")), EARLY)


def test_later_rows_are_never_seen(early: Warehouse, tmp_path: Path) -> None:
    """As of a day, every score says the same whether or not what happened later is in the tables."""

    def before(name: str) -> str:
        if name in HAPPENED:
            return f"from {name} where {HAPPENED[name]} < {MIDNIGHT}"
        if name == "order_lines":
            return f"from order_lines semi join (from orders where ordered_at < {MIDNIGHT}) using (order_id)"
        return (
            f"from products where created_at < {MIDNIGHT} or {BOUGHT}"
            if name == "products"
            else f"from {name}"
        )

    cut = worked_out(shop(tmp_path, before), EARLY)
    differing = [name for name in SCORES if rows(cut, name) != rows(early, name)]
    assert differing == []


def test_the_order_of_rows_changes_nothing(late: Warehouse, tmp_path: Path) -> None:
    """Every score says the same of tables whose rows lie in another order."""
    shuffled = worked_out(shop(tmp_path, lambda name: f"from {name} t order by hash(t, 7)"), LATE)
    assert [name for name in SCORES if rows(shuffled, name) != rows(late, name)] == []


def test_a_guest_is_nobody(late: Warehouse) -> None:
    """No score of the profile has a row for an order without a customer, and each has rows on this shop."""
    for score in (score for score in SCORES.values() if score.on_profile):
        found = rows(late, score.name)
        assert found, score.name
        assert all(row[0] is not None for row in found)


@pytest.mark.parametrize("name", sorted(path.stem for path in BY_HAND.glob("*.sql")))
def test_the_same_by_hand(late: Warehouse, name: str) -> None:
    """A score's rows are those of the SQL that was written by hand for it."""
    query = Template((BY_HAND / f"{name}.sql").read_text()).substitute(as_of=LATE)
    with late.connect() as connection:
        theirs = connection.sql(query)
        columns = ", ".join(f'"{column}"' for column in theirs.columns)
        assert sorted(theirs.fetchall(), key=repr) == sorted(
            connection.sql(f'select {columns} from "{name}"').fetchall(), key=repr
        )


def test_everything_is_on_the_profile_and_explained(late: Warehouse) -> None:
    """The profile holds every per-customer column once, each is described, and a customer can be explained."""
    made = build(late, list(SCORES.values()), LATE)
    names = [column.name for score in SCORES.values() if score.on_profile for column in score.columns]
    assert made.rows == 400
    assert set(names) <= set(late.schema("customer_profile").names)
    assert all(column.description for score in SCORES.values() for column in score.columns)
    with late.connect(only=["rfm"]) as connection:
        best = connection.sql("select customer_id from rfm order by rfm_orders desc limit 1").fetchall()[0][0]
    told = explain(late, best, list(SCORES.values()))
    assert {score.score for score in told.scores} == {s.name for s in SCORES.values() if s.on_profile}
    silent = [one.score for one in told.scores if one.facts and not one.reasons]
    assert silent == []


def test_every_picture_is_drawn(late: Warehouse) -> None:
    """Every score whose columns are always the same shows something, small enough for a page; and each kind of
    picture is the same twice."""
    twice: set[str] = set()
    for score in SCORES.values():
        if score.picture is None:
            assert score.columns_of is not None, score.name
            continue
        with late.connect(only=[score.name]) as connection:
            found = connection.sql(score.picture.query).to_arrow_table().to_pylist()
        drawn = draw(score, found)
        assert drawn.startswith(b"\x89PNG"), score.name
        assert len(drawn) < 400_000, score.name
        if score.picture.kind not in twice:
            twice.add(score.picture.kind)
            assert drawn == draw(score, found), score.name


def test_labels_speak_the_projects_language(late: Warehouse, tmp_path: Path) -> None:
    """Every score that has labels says them in French when the project does, of the same customers."""
    warehouse = Warehouse(tmp_path / "french")
    shutil.copytree(late.root, warehouse.root)
    speaking = [score for score in SCORES.values() if "language" in score.settings]
    assert speaking
    for score in speaking:
        before = rows(warehouse, score.name)
        scoring.run(score, warehouse, LATE, {**score.given, "language": "fr"})
        after = rows(warehouse, score.name)
        assert len(after) == len(before), score.name
        assert after != before, score.name


def test_tables_are_read_as_tables() -> None:
    """Every table a score reads is canonical or another score's, and every score has a description."""
    for score in SCORES.values():
        assert score.description, score.name
        assert len(score.description.splitlines()[0]) <= 110


def test_a_base_of_nobody_is_no_error(tmp_path: Path) -> None:
    """On tables without a row every score makes a table without a row."""
    empty = worked_out(shop(tmp_path, lambda name: f"from {name} limit 0"), LATE)
    assert {name: found for name in SCORES if (found := rows(empty, name))} == {}


def from_files(folder: Path, plain: Warehouse, parts: int) -> Warehouse:
    """The shop as it arrives in CSV files, the rows of every table dealt out over so many of them."""
    tables = {name: CONTRACTS[name] for name in CONTRACTS if name in plain.names()}
    with plain.connect() as connection:
        for name in tables:
            for part in range(parts):
                dealt = f"(select t.* from {name} t where hash(t, 3) % {parts} = {part})"
                connection.execute(f"copy {dealt} to '{folder / name}-{part}.csv'")
    told = {
        name: {"from": f"{name}-*.csv", "columns": {field: field for field in contract.names}}
        for name, contract in tables.items()
    }
    shop = Intake.model_validate(
        {"name": "shop", "source": Files(folder=folder), "tables": told, "currency": "EUR"}
    )
    warehouse = Warehouse(folder / "warehouse")
    for name in tables:
        pull(shop, name, warehouse, NOW)
        assert conform(name, [shop], warehouse, NOW, "run").rejected == 0
    return warehouse


def test_an_order_in_two_files_is_one_order(tmp_path: Path) -> None:
    """Lines of an order that arrive in two files, as those of all tables, make the same tables; and scores are
    made of these alone, in whatever order their rows lie."""
    plain = shop(tmp_path)
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    whole, dealt = from_files(one, plain, 1), from_files(two, plain, 2)
    tables = [name for name in plain.names() if rows(whole, name) == rows(dealt, name) != []]
    assert tables == plain.names()
