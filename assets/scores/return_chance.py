"""The chance that a customer buys again within so many days, learnt from the shop's own past."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray
from pydantic import Field

from octo_dagster.score import Frames, Picture, frame_score
from octo_dagster.scoring.measures import cycles, logistic
from octo_dagster.scoring.measures.logistic import Logistic
from octo_dagster.scoring.portable import day, days, digest, either, midnight_after, share_digits
from octo_dagster.words import LANGUAGES, Language, Speaker

Floats = NDArray[np.float64]
Days = Annotated[int, Field(ge=1, le=730)]
Learners = Annotated[int, Field(ge=2_000)]

LOOKS_BACK = 3
"""Earlier days the model learns from, each `within_days` before the next."""

CUSTOMERS = 1_000
OUTCOMES = 100
"""With fewer customers, or fewer of either outcome, no chance is told (facts/scores.md §3.2)."""

CHUNK = 100_000
FIFTHS = pa.schema(
    [
        ("fifth", pa.int64()),
        ("customers", pa.int64()),
        ("predicted", pa.float64()),
        ("observed", pa.float64()),
    ]
)

TENTHS = """select case when p_return is null then p_return_basis
        else printf('%d–%d %%', 10 * tenth, 10 * tenth + 10) end as label, count(*) as customers
    from (select *, least(floor(10 * p_return), 9)::int as tenth from return_chance)
    group by label order by min(tenth)"""
FIFTHS_TOLD = """select 'fifth ' || fifth as label, customers, predicted, observed
    from return_chance_check order by fifth"""

WORDS = {
    "en": {
        "learnt": "learnt from {n:,} past cases",
        "customers": "too few customers: {n:,} of {least:,}",
        "returned": "too few who came back: {n:,} of {least:,}",
        "stayed": "too few who stayed away: {n:,} of {least:,}",
    },
    "fr": {
        "learnt": "appris de {n:,} cas passés",
        "customers": "trop peu de clients : {n:,} sur {least:,}",
        "returned": "trop peu de retours : {n:,} sur {least:,}",
        "stayed": "trop peu de non-retours : {n:,} sur {least:,}",
    },
}


@dataclass(frozen=True)
class Learnt:
    """What the past taught: a model, or why there is none."""

    basis: str
    """A key of `WORDS`."""
    n: int
    """The number its words tell."""
    model: Logistic | None = None

    def chances(self, rows: Floats) -> Floats:
        """The chance of each row; NaN where nothing was learnt."""
        return np.full(len(rows), np.nan) if self.model is None else self.model.chances(rows)

    def told(self, language: Language) -> str:
        least = CUSTOMERS if self.basis == "customers" else OUTCOMES
        words = WORDS[language][self.basis].format(n=self.n, least=least)
        return words.replace(",", " ") if language == "fr" else words


def retold(basis: str, language: Language) -> str:
    """The words of a table's `p_return_basis` in this language, whatever language they were written in."""
    numbers = re.findall(r"\d+", re.sub(r"(?<=\d)[^\d](?=\d{3})", "", basis))
    known = [Learnt(kind, int(numbers[0])) for kind in WORDS["en"]] if numbers else []
    return next((one.told(language) for one in known if basis in map(one.told, LANGUAGES)), basis)


def because(row: Mapping[str, Any], settings: Mapping[str, Any], language: Language = "en", /) -> list[str]:
    """What the chance was learnt from, or why there is none."""
    tell, basis, chance = Speaker(language).tell, retold(row["p_return_basis"], language), row["p_return"]
    if chance is None:
        return [tell("because.return.none", basis=basis)]
    return [tell("because.return", chance=chance, n=settings["within_days"], basis=basis)]


@frame_score(
    reads=("orders",),
    because=because,
    columns={
        "p_return": ("decimal", "Chance, 0 to 1, to buy again within `within_days` days"),
        "p_return_basis": ("text", "What it was learnt from, or why there is none"),
    },
    picture=Picture("bars", TENTHS, "Chance to buy again"),
)
def return_chance(
    tables: Frames,
    *,
    as_of: date,
    within_days: Days = 60,
    learners: Learners = 200_000,
    language: Language = "en",
) -> Iterator[pa.Table]:
    """How likely each customer is to buy again within so many days.

    A logistic regression on days since the last and the first purchase, number of purchases, cycle, and share
    of the cycle passed; learnt from what customers did in the `within_days` days after three earlier days
    (facts/scores.md §3.2). It needs 1,000 customers with such a past, and 100 who came back and 100 who did
    not; else there is no chance, and `p_return_basis` says why. It knows no seasons. Of more customers than
    `learners` it learns from about so many, always the same ones."""
    learnt = learn(tables, as_of, within_days, learners)
    table = tables.query(figures_of(tables["orders"], as_of))
    for start in range(0, max(table.num_rows, 1), CHUNK):
        part = table.slice(start, CHUNK)
        chances = learnt.chances(logarithms(part))
        yield pa.table(
            {
                "customer_id": part["customer_id"],
                "p_return": pa.array(chances, pa.float64(), from_pandas=True),
                "p_return_basis": pa.array([learnt.told(language)] * part.num_rows, pa.string()),
            }
        )
        tables.progress(min(start + CHUNK, table.num_rows), table.num_rows)


@frame_score(
    reads=("orders",),
    settings_from="return_chance",
    key=("fifth",),
    columns={
        "fifth": ("integer", "1 the fifth of customers with the least chance … 5 the most"),
        "customers": ("integer", "How many"),
        "predicted": ("decimal", "Their mean chance, told `within_days` days ago"),
        "observed": ("decimal", "The share that has bought since"),
    },
    picture=Picture("bars", FIFTHS_TOLD, "Chances told, and what came of them"),
)
def return_chance_check(
    tables: Frames, *, as_of: date, within_days: Days = 60, learners: Learners = 200_000
) -> pa.Table:
    """How right the chances told `within_days` days ago have proved: each fifth's chance beside what came.

    Learnt only from what was known then. Empty where too little was known then to tell chances."""
    then = as_of - timedelta(days=within_days)
    learnt = learn(tables, then, within_days, learners)
    cases = tables.query(cases_of(tables["orders"], then, within_days))
    chances = learnt.chances(logarithms(cases))
    lower = np.searchsorted(np.sort(chances), chances)
    returned = cases["returned"].to_numpy()
    found = []
    for fifth in range(5) if learnt.model else ():
        mine = 5 * lower // len(chances) == fifth
        if mine.any():
            means = (round(float(values[mine].mean()), 4) for values in (chances, returned))
            found.append((fifth + 1, int(mine.sum()), *means))
    return pa.Table.from_pylist([dict(zip(FIFTHS.names, row, strict=True)) for row in found], FIFTHS)


def learn(tables: Frames, as_of: date, within_days: int, learners: int) -> Learnt:
    """The model of what customers known `within_days` days ago, and twice and three times that, did next."""
    orders = orders_of_some(tables, as_of, learners)
    past = [
        tables.query(cases_of(orders, as_of - timedelta(days=back * within_days), within_days))
        for back in range(1, LOOKS_BACK + 1)
    ]
    customers = past[0].num_rows
    if customers < CUSTOMERS:
        return Learnt("customers", customers)
    cases = pa.concat_tables(past)
    returned = cases["returned"].to_numpy().astype(np.float64)
    came, stayed = int(returned.sum()), int((1 - returned).sum())
    if came < OUTCOMES:
        return Learnt("returned", came)
    if stayed < OUTCOMES:
        return Learnt("stayed", stayed)
    return Learnt("learnt", len(returned), logistic.fitted(logarithms(cases), returned))


def orders_of_some(tables: Frames, as_of: date, most: int) -> sa.FromClause:
    """The orders of all customers; of more than `most`, of about so many, by the digest of ids."""
    orders = tables["orders"]
    bought = sa.select(sa.func.count(orders.c.customer_id.distinct())).where(cycles.purchases(orders, as_of))
    customers = tables.query(bought)[0][0].as_py()
    if customers <= most:
        return orders
    share = share_digits(most / customers)
    return sa.select(orders).where(digest(orders.c.customer_id) < share).cte("learners")


def figures_of(orders: sa.FromClause, as_of: date) -> sa.Select[Any]:
    """What is known of each customer with a cycle on a day."""
    p = cycles.positions(cycles.customers(orders, as_of, cycles.SHRINKAGE), as_of).c
    return sa.select(
        p.customer_id,
        days(day(as_of), p.last_on).label("elapsed"),
        p.purchases,
        p.cycle,
        days(day(as_of), p.first_on).label("known_for"),
        p.ratio,
    )


def cases_of(orders: sa.FromClause, cut: date, within_days: int) -> sa.Select[Any]:
    """The figures as of `cut` of customers with a cycle, and whether they bought in the days after."""
    until = cycles.purchases(orders, cut + timedelta(days=within_days))
    after = (
        sa.select(orders.c.customer_id).where(until, orders.c.ordered_at >= midnight_after(cut)).distinct()
    )
    came = after.subquery("came")
    known = figures_of(orders, cut).subquery("known")
    return (
        sa.select(*known.c, either(came.c.customer_id.is_not(None), 1, 0).label("returned"))
        .select_from(known.outerjoin(came, came.c.customer_id == known.c.customer_id))
        .where(known.c.cycle.is_not(None))
        # Floating sums of the fit depend on the order of rows.
        .order_by(known.c.customer_id)
    )


def logarithms(table: pa.Table) -> Floats:
    """The figures as the model takes them, one row per customer."""
    elapsed, purchases, cycle, known_for, ratio = (
        table[name].cast(pa.float64()).to_numpy()
        for name in ("elapsed", "purchases", "cycle", "known_for", "ratio")
    )
    return np.column_stack(
        [np.log1p(elapsed), np.log(purchases), np.log(cycle), np.log1p(known_for), np.log1p(ratio)]
    )
