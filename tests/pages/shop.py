"""A shop of 400 made-up customers as a project: its tables come from files, everything is worked out, and
its audiences were looked at a month before, too; a sync has delivered; some source rows were refused."""

from __future__ import annotations

import shutil
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest
import yaml

from connectors.sandbox.server import Sandbox
from octo_dagster.audiences import memberships
from octo_dagster.bench.scores import generate
from octo_dagster.canonical.conform import conform
from octo_dagster.canonical.contracts import CONTRACTS
from octo_dagster.canonical.pull import pull
from octo_dagster.config import Project
from octo_dagster.delivery.courier import Surroundings
from octo_dagster.refresh import refresh
from octo_dagster.run import carry_out, prepare
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring import profile
from octo_dagster.warehouse import Warehouse
from tests.vendors.webhook import WEBHOOK

ASSETS = Path(__file__).parents[2] / "assets"
NOW, AS_OF, BEFORE = datetime(2026, 1, 1), date(2025, 12, 31), date(2025, 12, 1)  # noqa: DTZ001 - naive UTC
CUSTOMERS = 400
PEOPLE = """
create or replace table customers as select * replace (
    ['Ada', 'Benoît', 'Chloé', 'Dmitri', 'Émile'][1 + i % 5] as first_name,
    ['Lovelace', 'Dupont', 'O''Brien', '<b>Bold</b>', 'Müller'][1 + i // 5 % 5] as last_name,
    '+3361200' || lpad(cast(i as varchar), 4, '0') as phone,
    lpad(cast(75000 + i % 20 as varchar), 5, '0') as postal_code)
from (select *, cast(customer_id[2:] as integer) as i from customers) order by i;
alter table customers drop column i;
insert into customers (customer_id, email) values (null, 'nobody@example.com'), ('c1', 'twice@example.com');
insert into orders (order_id, customer_id, ordered_at, net_amount) values
    ('late', 'c1', timestamp '2031-01-01', 12), ('strange', 'nobody', timestamp '2025-05-01', 8);
create or replace table products as select * replace (
    'data:image/svg+xml,%3Csvg xmlns=''http://www.w3.org/2000/svg'' viewBox=''0 0 9 9''%3E%3Crect width=''9'' '
    || 'height=''9'' fill=''hsl(' || hash(product_id) % 360 || ' 60% 70%)''/%3E%3C/svg%3E' as image_url)
from products;
"""
"""Names, telephones and pictures; and five rows that break their contract."""


def made(folder: Path) -> Path:
    """The shop's folder, everything in it worked out and delivered."""
    files = folder / "files"
    files.mkdir(parents=True)
    tables = written(files)
    settle_in(folder, tables)
    project = Project(folder, folder / ".octo")
    look(project, BEFORE)
    refresh(project, NOW, "run", AS_OF)
    project.publish()
    deliver(folder)
    return folder


def look(project: Project, day: date) -> None:
    """Who is in which audience that day, as far as RFM decides it: all that a second day needs."""
    for table in ("customers", "orders"):
        pull(project.intakes["shop"], table, project.warehouse, NOW)
        conform(table, list(project.intakes.values()), project.warehouse, NOW, "before")
    scoring.run(project.scores["rfm"], project.warehouse, day)
    profile.build(project.warehouse, [project.scores["rfm"]], day)
    memberships.track(project.warehouse, project.conditions(), day)


def written(files: Path) -> list[str]:
    """The shop's tables as CSV files; their names."""
    plain = Warehouse(files.parent / "plain")
    generate(plain, CUSTOMERS, products=300)
    tables = [name for name in CONTRACTS if name in plain.names()]
    with plain.connect() as rows, duckdb.connect() as connection:
        for name in tables:
            held = rows.sql(f"from {name}").to_arrow_table()
            connection.from_arrow(held).create(name)
        connection.execute(PEOPLE)
        for name in tables:
            connection.execute(f"copy {name} to '{files / name}.csv'")
    shutil.rmtree(plain.root)
    return tables


def settle_in(folder: Path, tables: list[str]) -> None:
    """The project's YAML files: its source, the shipped scores, audiences and scenarios, and one sync."""
    assets = folder / "assets"
    for part in ("scores", "audiences", "priorities", "scenarios"):
        shutil.copytree(ASSETS / part, assets / part, ignore=shutil.ignore_patterns("__pycache__"))
    columns = {name: {field: field for field in CONTRACTS[name].names} for name in tables}
    told = {name: {"from": f"{name}.csv", "columns": columns[name]} for name in tables}
    source = {"type": "files", "folder": str(folder / "files")}
    say(
        assets / "sources/shop.yaml",
        {"source": source, "currency": "EUR", "max_rejected": 0.1, "tables": told},
    )
    say(assets / "syncs/letters.yaml", LETTERS)
    say(assets / "project.yaml", {"name": "A small shop", "language": "en"})


LETTERS = {
    "description": "What a letter can be made of",
    "reads": "customer_profile",
    "audience": "best_customers",
    "consent": "email_consent",
    "destination": dict(WEBHOOK.settings),
    "mode": "mirror",
    "key": {"from": "email", "to": "email"},
    "fields": [
        {"from": "rfm_segment", "to": "segment", "nulls": "clear"},
        {"from": "revenue", "to": "revenue"},
    ],
}


def say(path: Path, told: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(told, allow_unicode=True, sort_keys=False), encoding="utf-8")


def deliver(folder: Path) -> None:
    """Deliver the sync to a twin that is there for as long as it takes."""
    project = Project(folder, folder / ".octo")
    sync = project.sync("letters")
    with Sandbox() as sandbox, pytest.MonkeyPatch.context() as environment:
        for name, value in WEBHOOK.env.items():
            environment.setenv(name, value)
        around = Surroundings(None, sandbox.address)
        carry_out(prepare(sync, project, around=around), sync, project, around=around)
