"""The demo's shop with a million customers: the same tables and indexes, rows made up in the database itself.

Three years of orders in the order of time, as a shop's software writes them; customers buy unevenly (the
first thousandth five times as much as the average), popular products more. One order in a hundred is void.
Three customers in ten agree to e-mails: Brevo lets an import be looked at a hundred times an hour, and a
first sync of more of them takes longer than that. The same rows every time, but for their dates, which end
at `until`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from string import Template

import psycopg

from octo_dagster.demo.shop import FIRST, LAST, TABLES, Shop

PRODUCTS = 20_000
ORDERS = 3
"""Orders for each customer; two and a half lines each, and two mailings."""

ROWS = {
    "households": """select i, 'household-' || i || '@example.com',
        (string_to_array('$first', ' '))[1 + i * 7 % 20], (string_to_array('$last', ' '))[1 + i * 11 % 16],
        i % 10 < 3, i % 3 <> 0, i % 4 <> 0, null, null, since, since at time zone 'UTC'
        from (select i, timestamp '$until' - interval '3 years' * random() as since
              from generate_series(1, $customers) i)""",
    "products": """select i, 'Product ' || i, 'category ' || i / 70, 'department ' || i / 700,
        'brand ' || i % 500, i % 100, null from generate_series(1, $products) i""",
    "orders": """select i, 1 + floor($customers * pow(chance, 1.3)), 1 + i * 31 % 40, at,
        case when i % 100 = 0 then 'void' else 'paid' end, paid, 0, paid, 'USD', at at time zone 'UTC'
        from (select i, random() as chance, (1 + i % 4) * (1 + i * 7919 % 2000) / 100.0 as paid,
                timestamp '$until' - interval '3 years' * (1 - i / ($orders + 1.0)) as at
              from generate_series(1::bigint, $orders) i)""",
    "order_items": """select id, position, 1 + floor($products * pow(random(), 3)), 1,
        (1 + id * 7919 % 2000) / 100.0, 0, (1 + id * 7919 % 2000) / 100.0, updated_at
        from orders, generate_series(1, 1 + id % 4) position""",
    "mailings": """select i, 1 + i % $customers, i / $customers, 'TypeA',
        timestamp '$until' - interval '300 days' * (1.01 - i / (2.0 * $customers + 1))
        from generate_series(1::bigint, 2 * $customers) i""",
    "mailing_responses": """select id, id, household_id, campaign_id, 'redeem',
        sent_at + interval '1 day', id from mailings where id % 25 = 0""",
}
"""Table → PostgreSQL's query that makes its rows."""


class Crowd(Shop):
    """A shop of so many customers, else as `Shop`: started, filled the first time, stopped at the end."""

    def __init__(
        self,
        folder: Path,
        customers: int,
        until: datetime,
        progress: Callable[[str, int], None] = lambda name, rows: None,
    ) -> None:
        super().__init__(folder, progress)
        self.words = {
            "customers": customers,
            "orders": ORDERS * customers,
            "products": PRODUCTS,
            "until": until.isoformat(sep=" "),
            "first": FIRST,
            "last": LAST,
        }

    def load(self) -> None:
        """Everything in one transaction, and what PostgreSQL's planner must know of it."""
        with psycopg.connect(self.url) as connection:
            connection.execute("set time zone 'UTC'; set maintenance_work_mem = '256MB'; select setseed(0.5)")
            if connection.execute("select to_regclass('orders')").fetchall()[0][0]:
                return
            for stock in TABLES:
                connection.execute(f"create table {stock.name} ({stock.columns})")
                rows = Template(ROWS[stock.name]).substitute(self.words)
                made = connection.execute(f"insert into {stock.name} {rows}")
                connection.execute(stock.after)
                self.progress(stock.name, made.rowcount)
            connection.execute("analyze")
