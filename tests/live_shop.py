"""A small shop whose orders come one by one: its database, a project over it, and the same worked out whole."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from octo_dagster.config import Project
from octo_dagster.live.follow import Followed, follow
from octo_dagster.refresh import refresh

NOW = datetime(2024, 6, 30, 12)  # noqa: DTZ001 - as everything is kept: UTC, without a zone
SCORES = Path(__file__).parents[1] / "assets" / "scores"
TAKEN = ("rfm.py", "favourites.py", "rhythm.py")
"""Scores that are ranked, of own rows, and of neither kind."""

SCHEMA = """
create table people (id text, mail text, agreed integer, changed integer);
create table buys (id text, who text, placed text, state text, total text, shop text, changed integer);
create table items (buy text, nr integer, thing text, paid text, changed integer);
create table things (id text, kind text);
insert into things select 't' || value, 'kind ' || (value % 4) from generate_series(0, 11);
"""
TABLES = {
    "customers": {
        "from": "people",
        "cursor": "changed",
        "columns": {"customer_id": "id", "email": "mail", "email_consent": "agreed"},
    },
    "products": {"from": "things", "columns": {"product_id": "id", "category": "kind"}},
    "orders": {
        "from": "buys",
        "cursor": "changed",
        "deletes": {"column": "state_deleted"},
        "columns": {
            "order_id": "id",
            "customer_id": "who",
            "ordered_at": "placed",
            "status": "state",
            "net_amount": "total",
            "store_id": "shop",
        },
    },
    "order_lines": {
        "from": "items",
        "cursor": "changed",
        "columns": {"order_id": "buy", "line_no": "nr", "product_id": "thing", "net_amount": "paid"},
    },
}


@dataclass
class LiveShop:
    """The shop's database, the project, and a clock of changes."""

    root: Path
    tick: int = 0
    syncs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tables = {name: dict(told) for name, told in TABLES.items()}
        tables["orders"] = {**TABLES["orders"], "deletes": {"column": "removed"}}
        schema = SCHEMA.replace("shop text, changed", "shop text, removed text, changed")
        self.write(
            "sources/shop",
            {
                "source": {"type": "sql", "url": f"sqlite:///{self.database}"},
                "tables": tables,
                "max_rejected": "50%",
            },
        )
        for name, said in self.syncs.items():
            self.write(f"syncs/{name}", said)
        scores = self.root / "assets" / "scores"
        scores.mkdir(parents=True)
        for name in TAKEN:
            shutil.copy(SCORES / name, scores / name)
        with closing(sqlite3.connect(self.database)) as shop:
            shop.executescript(
                schema.replace(
                    "from generate_series(0, 11)",
                    "from (with recursive n(value) as (select 0 union all select value + 1 from n"
                    " where value < 11) select value from n)",
                )
            )

    @property
    def database(self) -> Path:
        self.root.mkdir(parents=True, exist_ok=True)
        return self.root / "shop.sqlite"

    @property
    def project(self) -> Project:
        """Loaded anew each time, as a new process would."""
        return Project(self.root, self.root / ".octo")

    def write(self, name: str, told: Any) -> None:
        path = self.root / "assets" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(told))

    def run(self, statement: str, *values: Any) -> None:
        """Change the shop; `:tick` grows with every change."""
        self.tick += 1
        with closing(sqlite3.connect(self.database)) as shop, shop:
            shop.execute(statement.replace(":tick", str(self.tick)), values)

    def person(self, number: int, agreed: int = 1, mail: str | None = None) -> None:
        """A customer, new or changed."""
        self.run("delete from people where id = ?", f"c{number}")
        self.run(
            "insert into people values (?, ?, ?, :tick)",
            f"c{number}",
            mail or f"c{number}@example.com",
            agreed,
        )

    def order(self, number: int, who: int, day: str, total: str = "10.00", state: str = "completed") -> None:
        """A new order with two lines."""
        buy = f"o{number}"
        self.run(
            "insert into buys values (?, ?, ?, ?, ?, ?, null, :tick)",
            buy,
            f"c{who}",
            f"{day} 10:00:00",
            state,
            total,
            f"s{number % 3}",
        )
        for nr in (1, 2):
            self.run(
                "insert into items values (?, ?, ?, ?, :tick)", buy, nr, f"t{(number * nr) % 12}", "5.00"
            )

    def change(self, number: int, what: str, value: Any) -> None:
        self.run(f"update buys set {what} = ?, changed = :tick where id = ?", value, f"o{number}")

    def night(self) -> None:
        """Everything, as at night."""
        refresh(self.project, NOW, "night")

    def follow(self, small: int = 0) -> Followed:
        return follow(self.project, NOW, "live", small=small)

    def rows(self, table: str, home: Path | None = None) -> dict[Any, dict[str, Any]]:
        """A table by its first column (lines by the first two), as every reader sees it."""
        project = Project(self.root, home or self.root / ".octo")
        with project.warehouse.connect() as connection:
            found = connection.sql(f'select * from "{table}"').to_arrow_table().to_pylist()
        wide = 2 if table == "order_lines" else 1
        made = {tuple(row.values())[:wide]: row for row in found}
        assert len(made) == len(found), f"{table} has a key twice"
        return made

    def afresh(self, folder: Path) -> Path:
        """The home of the same project worked out whole from what has been pulled so far."""
        home = folder / "afresh"
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(self.root / ".octo", home)
        refresh(Project(self.root, home), NOW, "whole")
        return home
