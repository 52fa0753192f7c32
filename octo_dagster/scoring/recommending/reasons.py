"""Why a product is in a customer's list: a code and a sentence, for millions of rows at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from octo_dagster.scoring.recommending.history import Days, Ints
from octo_dagster.scoring.recommending.lists import Given, Lists, taste_of
from octo_dagster.scoring.recommending.neighbours import MILLION
from octo_dagster.words import Language

CODES = ("bought", "goes_with", "viewed", "new", "like_yours", "alike", "popular", "catalogue")
"""In the order in which equal reasons are told."""

WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "goes_with": "goes with ",
        "viewed": "viewed on ",
        "new": "new in ",
        "like_yours": "bought by people with a basket like this one",
        "alike": "bought by customers like this one",
        "popular": "popular now",
        "catalogue": "also in the shop",
    },
    "fr": {
        "goes_with": "va avec ",
        "viewed": "vu le ",
        "new": "nouveau dans ",
        "like_yours": "acheté avec des paniers semblables",
        "alike": "acheté par des clients semblables",
        "popular": "populaire en ce moment",
        "catalogue": "aussi dans la boutique",
    },
}


@dataclass(frozen=True, slots=True)
class Shown:
    """Products in the lists of customers `low` and on: a line each."""

    low: int
    row: Ints
    """The customer, counted from `low`; rising."""
    product: Ints
    base: Ints
    """What everyone gives it, in millionths."""

    def customers(self) -> tuple[Ints, Ints]:
        """Every customer once, and which of them each line is of."""
        first = np.diff(self.row, prepend=-1) > 0
        return self.row[first] + self.low, np.cumsum(first) - 1


@dataclass(frozen=True, slots=True)
class Reasons:
    """Sentences in one language, about purchases as of one day."""

    lists: Lists
    as_of: date
    language: Language

    def codes(self, given: Given, shown: Shown) -> Ints:
        """The place in `CODES` of the reason that weighs most for each line."""
        weights = np.zeros((len(shown.row), len(CODES)), np.int64)
        for name, part in given.parts.items():
            at = np.asarray(part[shown.row, shown.product]).ravel()
            weights[:, CODES.index(name)] = np.rint(at * MILLION)
        bought = CODES.index("bought")  # what he bought is told even where his likes bought more of it
        weights[weights[:, bought] > 0, bought] = np.iinfo(np.int64).max
        weights[:, CODES.index("popular")] = shown.base
        found = weights.argmax(axis=1)
        return np.where(weights.max(axis=1) > 0, found, CODES.index("catalogue"))

    def sentences(self, codes: Ints, shown: Shown) -> pa.Array:
        """The sentence of each line."""
        parts, lines = [], []
        for place, code in enumerate(CODES):
            at = np.flatnonzero(codes == place)
            if len(at):
                some = Shown(shown.low, shown.row[at], shown.product[at], shown.base[at])
                parts.append(self.told(code, some))
                lines.append(at)
        if not parts:
            return pa.array([], pa.string())
        return pa.concat_arrays(parts).take(pa.array(np.argsort(np.concatenate(lines))))

    def told(self, code: str, shown: Shown) -> pa.Array:
        """The sentences of one code."""
        if code == "bought":
            return self.bought(shown)
        subjects: Mapping[str, Callable[[Shown], pa.Array]] = {
            "goes_with": self.partner,
            "viewed": self.viewed,
            "new": self.category,
        }
        words = pa.scalar(WORDS[self.language][code])
        if code not in subjects:
            return pa.repeat(words, len(shown.row))
        return joined(words, subjects[code](shown))

    def bought(self, shown: Shown) -> pa.Array:
        """How many days a product was bought on, and when last."""
        first, past = places(self.lists.history.bought, shown)
        times = past - first
        ages = self.lists.history.bought.age[first]
        return joined(phrases(times, TIMES[self.language]), phrases(ages, AGES[self.language]))

    def viewed(self, shown: Shown) -> pa.Array:
        """The day of the last view."""
        first, _ = places(self.lists.history.viewed, shown)
        ages = self.lists.history.viewed.age[first]
        return phrases(ages, lambda age: (self.as_of - timedelta(days=age)).isoformat())

    def category(self, shown: Shown) -> pa.Array:
        catalogue = self.lists.history.catalogue
        return catalogue.categories.take(pa.array(catalogue.category[shown.product]))

    def partner(self, shown: Shown) -> pa.Array:
        """The name of the product a customer bought that the shown one goes with best."""
        history = self.lists.history
        customers, line = shown.customers()
        taste = taste_of(history.bought.of(customers), 0, len(customers))
        lengths = np.diff(taste.indptr)[line]
        start = np.concatenate([[0], np.cumsum(lengths)])
        entry = np.arange(start[-1]) + np.repeat(taste.indptr[line] - start[:-1], lengths)
        product = taste.indices[entry]
        target = np.repeat(shown.product, lengths)
        weight = taste.data[entry] * np.asarray(self.lists.related[product, target]).ravel()
        key = np.rint(weight * MILLION).astype(np.int64) * len(history.catalogue)
        best = np.maximum.reduceat(key + (len(history.catalogue) - 1 - product), start[:-1])
        chosen = len(history.catalogue) - 1 - best % len(history.catalogue)
        return history.catalogue.names.take(pa.array(chosen))


def english_times(times: int) -> str:
    return "bought once, " if times == 1 else f"bought {times} times, last "


def french_times(times: int) -> str:
    return "acheté une fois, " if times == 1 else f"acheté {times} fois, la dernière fois "


def english_age(days: int) -> str:
    return {0: "today", 1: "yesterday"}.get(days, f"{days} days ago")


def french_age(days: int) -> str:
    return {0: "aujourd'hui", 1: "hier"}.get(days, f"il y a {days} jours")


TIMES: Mapping[Language, Callable[[int], str]] = {"en": english_times, "fr": french_times}
AGES: Mapping[Language, Callable[[int], str]] = {"en": english_age, "fr": french_age}


def phrases(numbers: npt.NDArray[np.signedinteger[Any]], phrase: Callable[[int], str]) -> pa.Array:
    """The phrase of each number, made once."""
    made = pa.array([phrase(number) for number in range(int(numbers.max(initial=0)) + 1)], pa.string())
    return made.take(pa.array(numbers))


def joined(*parts: pa.Array | pa.Scalar) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")


def places(days: Days, shown: Shown) -> tuple[Ints, Ints]:
    """From and before which row of `days` a customer's product stands; each line must be there."""
    customers, line = shown.customers()
    mine = days.of(customers)
    keys, wanted = mine.keys(), line * days.products + shown.product
    offset = days.start[customers][line] - mine.start[line]
    return (
        np.searchsorted(keys, wanted, "left") + offset,
        np.searchsorted(keys, wanted, "right") + offset,
    )


def code_names(codes: Ints, names: Sequence[str] = CODES) -> pa.Array:
    """The codes as text."""
    return pa.array(names, pa.string()).take(pa.array(codes))
