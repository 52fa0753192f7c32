"""Who bought what on which day, and what is on sale: numbers in place of ids, small enough to keep whole.

Customers and products are numbered in the order of their ids, so that equal tables give equal numbers
whatever the order of their rows. What is kept of 25 million lines is 8 bytes each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from octo_dagster.score import Frames
from octo_dagster.scoring.portable import midnight_after

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

BUYERS = "buyers as (select customer_id, row_number() over (order by customer_id) - 1 as u from customers)"
THINGS = """ids as (select product_id from products union select product_id from order_lines),
    things as (select product_id, row_number() over (order by product_id) - 1 as j
               from ids where product_id is not null)"""

LINES = """
    with {buyers}, {things},
    placed as (
        select order_id, cast(u as integer) as u, status = 'returned' as returned,
               cast(date_diff('day', cast(ordered_at as date), date '{as_of}') as integer) as age
        from orders join buyers using (customer_id)
        where status in ('completed', 'returned') and ordered_at < timestamp '{end}')
    select u, cast(j as integer) as j, age,
           returned or coalesce(is_return, false) or coalesce(quantity < 0, false) as back
    from order_lines join placed using (order_id) join things using (product_id)
    where coalesce(quantity <> 0, true)"""

VIEWS = """
    with {buyers}, {things}
    select cast(u as integer) as u, cast(j as integer) as j,
           cast(date_diff('day', cast(visited_at as date), date '{as_of}') as integer) as age
    from visits join buyers using (customer_id) join things using (product_id)
    where visited_at < timestamp '{end}'
      and date_diff('day', cast(visited_at as date), date '{as_of}') < {days}"""

PRODUCTS = """
    with {things}
    select product_id, coalesce(nullif(name, ''), product_id) as name, category,
           p.product_id is not null and coalesce(created_at < timestamp '{end}', true) as listed,
           coalesce(in_stock, true) as in_stock,
           coalesce(date_diff('day', cast(created_at as date), date '{as_of}'), 1000000) as age
    from things left join products p using (product_id) order by product_id"""

CUSTOMERS = """
    select customer_id, country, cast('0x' || substr(md5(customer_id), 1, 8) as bigint) as draw
    from customers order by customer_id"""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every product somebody bought or the shop lists, in the order of their ids."""

    ids: pa.Array
    names: pa.Array
    """The id of a product without a name."""
    categories: pa.Array
    """The names of all categories, sorted."""
    category: Ints
    """Of each product: its place in `categories`; the number of categories for a product without one."""
    sold: Bools
    """Whether it may be recommended: in stock, not in an excluded category, listed by the shop. Where the
    shop lists nothing, what anybody bought may be."""
    age: Ints
    """Days since it was first on sale; a million where nobody knows."""
    listed: Bools
    """Whether the shop lists it by the score's day."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class People:
    """Every customer, in the order of their ids."""

    ids: pa.Array
    countries: pa.Array
    """The names of all countries, sorted."""
    country: Ints
    """Of each customer: a place in `countries`; the number of countries where it is not known."""
    draw: Ints
    """A number that is as good as drawn by lot, and always the same for the same id."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Days:
    """One row per customer, product and day, sorted by them: bought, viewed or given back."""

    start: Ints
    """Of each customer the first of his rows; one more at the end."""
    product: npt.NDArray[np.int32]
    age: npt.NDArray[np.int32]
    """Days from then to the day of the score, most recent first within a customer's product."""
    products: int

    def rows(self, low: int, high: int) -> slice:
        return slice(int(self.start[low]), int(self.start[high]))

    def weighed(self, low: int, high: int, half_life: float) -> sp.csr_array:
        """Customers `low` to `high` × products: the sum over days of 2^-(age/half_life)."""
        rows = self.rows(low, high)
        found = sp.csr_array(
            (
                np.exp2(-self.age[rows] / half_life),
                self.product[rows].copy(),  # summed up in place below
                (self.start[low : high + 1] - self.start[low]).astype(np.int32),
            ),
            shape=(high - low, self.products),
        )
        found.sum_duplicates()
        return found

    def of(self, customers: Ints) -> Days:
        """The rows of these customers, numbered anew in this order."""
        lengths = np.diff(self.start)[customers]
        start = np.concatenate([[0], np.cumsum(lengths)])
        rows = np.arange(start[-1]) + np.repeat(self.start[customers] - start[:-1], lengths)
        return Days(start, self.product[rows], self.age[rows], self.products)

    def firsts(self) -> Bools:
        """Which rows are the most recent of a customer's product."""
        found = np.ones(len(self.product), bool)
        found[1:] = self.product[1:] != self.product[:-1]
        found[self.start[:-1][np.diff(self.start) > 0]] = True
        return found

    def keys(self) -> Ints:
        """customer × products + product, of every row."""
        return self.customers() * self.products + self.product

    def customers(self) -> Ints:
        """Whose every row is."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))

    def taken(self, low: int, high: int) -> sp.csr_array:
        """Customers `low` to `high` × products: an entry for every row."""
        rows = self.rows(low, high)
        start = self.start[low : high + 1] - self.start[low]
        ones = np.ones(rows.stop - rows.start, np.int8)
        return sp.csr_array((ones, self.product[rows], start), shape=(high - low, self.products))


@dataclass(frozen=True, slots=True)
class Popularity:
    """How many customers bought each product, by country (a row each, the last for those without one)."""

    lately: sp.csr_array
    """In the last days that count as "now"."""
    new: sp.csr_array
    """For the first time in those days: what is being discovered, not what is bought every week."""
    buyers: Ints
    """Of each country the customers who bought anything lately."""
    ever: Ints
    """Customers who ever bought each product, anywhere."""


@dataclass(frozen=True, slots=True)
class History:
    """All that is known by the end of the score's day."""

    people: People
    catalogue: Catalogue
    bought: Days
    returned: Days
    """Pairs whose last return is not before the last purchase."""
    viewed: Days
    """Products the customer never bought; a view is a row, however many there are on a day."""

    def popularity(self, days: int) -> Popularity:
        """What sold in the last `days` days."""
        firsts = self.bought.firsts()
        oldest = np.roll(firsts, -1)  # a pair's oldest row stands before the next pair's most recent one
        recent = self.bought.age < days
        ever = np.bincount(self.bought.product[firsts], minlength=len(self.catalogue))
        lately = np.unique(np.searchsorted(self.bought.start, np.flatnonzero(recent), "right") - 1)
        buyers = np.bincount(self.people.country[lately], minlength=len(self.people.countries) + 1)
        return Popularity(self.by_country(firsts & recent), self.by_country(oldest & recent), buyers, ever)

    def by_country(self, rows: Bools) -> sp.csr_array:
        shape = (len(self.people.countries) + 1, len(self.catalogue))
        customer = np.searchsorted(self.bought.start, np.flatnonzero(rows), "right") - 1
        where = (self.people.country[customer], self.bought.product[rows])
        return sp.csr_array(sp.coo_array((np.ones(len(where[0]), np.int64), where), shape=shape))


def read(tables: Frames, as_of: date, *, excluded: Sequence[str] = (), view_days: int = 60) -> History:
    """The history by the end of `as_of`: completed orders of known customers, less what came back."""
    people, catalogue = read_people(tables), read_catalogue(tables, as_of, excluded)
    size = (len(people), len(catalogue))
    bought, returned = read_lines(tables, as_of, size)
    viewed = read_views(tables, as_of, view_days, size)
    if not catalogue.listed.any():
        catalogue = replace(
            catalogue, sold=catalogue.sold & (np.bincount(bought.product, minlength=size[1]) > 0)
        )
    else:
        catalogue = replace(catalogue, sold=catalogue.sold & catalogue.listed)
    return History(people, catalogue, bought, kept_back(returned, bought), never_bought(viewed, bought))


def asked(tables: Frames, query: str, as_of: date, **words: Any) -> dict[str, npt.NDArray[Any]]:
    """The columns of an answer."""
    text = query.format(buyers=BUYERS, things=THINGS, as_of=as_of, end=midnight_after(as_of), **words)
    found = tables.query(text)
    return {name: found[name].combine_chunks().to_numpy(zero_copy_only=False) for name in found.column_names}


def read_lines(tables: Frames, as_of: date, size: tuple[int, int]) -> tuple[Days, Days]:
    """What was bought and what came back."""
    lines = asked(tables, LINES, as_of)
    back = lines.pop("back").astype(bool)
    returned = sorted_days(lines["u"][back], lines["j"][back], lines["age"][back], size)
    u, j, age = (lines.pop(name)[~back] for name in ("u", "j", "age"))
    return sorted_days(u, j, age, size, once=True), returned


def read_views(tables: Frames, as_of: date, within: int, size: tuple[int, int]) -> Days:
    """What was looked at; nothing for a score that does not ask for visits."""
    if "visits" not in tables:
        nothing = np.empty(0, np.int64)
        return sorted_days(nothing, nothing, nothing, size)
    views = asked(tables, VIEWS, as_of, days=within)
    return sorted_days(views["u"], views["j"], views["age"], size)


def read_people(tables: Frames) -> People:
    found = tables.query(CUSTOMERS)
    names, places = coded(found["country"])
    return People(found["customer_id"].combine_chunks(), names, places, found["draw"].to_numpy())


def read_catalogue(tables: Frames, as_of: date, excluded: Sequence[str]) -> Catalogue:
    found = tables.query(PRODUCTS.format(things=THINGS, as_of=as_of, end=midnight_after(as_of)))
    names, places = coded(found["category"])
    wanted = ~np.isin(places, [place for place, name in enumerate(names.to_pylist()) if name in excluded])
    return Catalogue(
        found["product_id"].combine_chunks(),
        found["name"].combine_chunks(),
        names,
        places,
        found["in_stock"].to_numpy() & wanted,
        found["age"].to_numpy(),
        found["listed"].to_numpy(),
    )


def coded(texts: pa.ChunkedArray) -> tuple[pa.Array, Ints]:
    """The distinct texts in order, and each text's place among them; an empty one's is after the last."""
    names = pc.unique(texts.drop_null())
    names = names.take(pc.array_sort_indices(names))
    places = pc.fill_null(pc.index_in(texts, names), len(names))
    return names, places.to_numpy().astype(np.int64)


def sorted_days(
    customer: npt.NDArray[Any],
    product: npt.NDArray[Any],
    age: npt.NDArray[Any],
    size: tuple[int, int],
    *,
    once: bool = False,
) -> Days:
    """The rows sorted; with `once`, each customer, product and day a single time."""
    customers, products = size
    longest = int(age.max(initial=0)) + 1
    key = customer.astype(np.int64)
    for by, more in ((products, product), (longest, age)):
        key *= by
        key += more
    key.sort()
    if once:
        key = key[np.concatenate([[True], np.diff(key) != 0])[: len(key)]]
    ages = (key % longest).astype(np.int32)
    key //= longest
    things = (key % max(products, 1)).astype(np.int32)
    key //= max(products, 1)
    return Days(np.searchsorted(key, np.arange(customers + 1)), things, ages, products)


def only(days: Days, kept: Bools) -> Days:
    """The rows for which it holds."""
    before = np.concatenate([[0], np.cumsum(kept)])
    return Days(before[days.start], days.product[kept], days.age[kept], days.products)


def never_bought(viewed: Days, bought: Days) -> Days:
    """The views of products that their customer never bought."""
    if not len(viewed.product):
        return viewed
    found, _ = places(bought.keys(), viewed.keys())
    return only(viewed, ~found)


def kept_back(returned: Days, bought: Days) -> Days:
    """The returns that were not followed by another purchase of the same product."""
    if not len(returned.product):
        return returned
    firsts = bought.firsts()
    found, place = places(bought.keys()[firsts], returned.keys())
    again = found.copy()
    again[found] = bought.age[firsts][place[found]] < returned.age[found]
    return only(returned, ~again)


def places(keys: Ints, wanted: Ints) -> tuple[Bools, Ints]:
    """Which of the wanted are among the sorted keys, and where."""
    if not len(wanted) or not len(keys):
        return np.zeros(len(wanted), bool), np.zeros(len(wanted), np.int64)
    place = np.searchsorted(keys, wanted)
    found: Bools = keys[np.minimum(place, len(keys) - 1)] == wanted
    return found, place
