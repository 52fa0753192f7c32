"""What pages and alerts say, in English and French: every `words.yaml` of the package, as one catalogue.

customers.found:
  en: {one: "{n} customer", other: "{n} customers"}
  fr: {one: "{n} client", other: "{n} clients"}
customers.title: {en: Customers, fr: Clients}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any, Literal, get_args

import yaml

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
Said = str | Mapping[str, str]
"""A text, or its forms for `one` and `other`."""

MONTHS: Mapping[Language, tuple[str, ...]] = {
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "fr": (
        *("janv.", "févr.", "mars", "avr.", "mai", "juin"),
        *("juil.", "août", "sept.", "oct.", "nov.", "déc."),
    ),
}
SIGNS = {"EUR": "€", "USD": "$", "GBP": "£", "CHF": "CHF"}
NONE = "–"
"""What stands for an empty value."""


@cache
def catalogue() -> Mapping[str, Mapping[Language, Said]]:
    """Key → language → text. ValueError when two files say the same key."""
    told: dict[str, Mapping[Language, Said]] = {}
    for path in sorted(Path(__file__).parent.rglob("words.yaml")):
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        if twice := told.keys() & said.keys():
            raise ValueError(f"{path}: {min(twice)} is said in another file too")
        told |= said
    return told


@dataclass(frozen=True, slots=True)
class Speaker:
    """Says texts, numbers, days and money in one language."""

    language: Language
    currency: str = ""
    """The reporting currency, as ISO 4217; empty where it is not known."""

    def say(self, key: str, **values: Any) -> str:
        """The text of a key, numbers in it spelled. With forms, `n` chooses. KeyError for an unknown key."""
        said = self.form(key, values)
        return said.format(**{name: self.inline(value) for name, value in values.items()})

    def tell(self, key: str, **values: Any) -> str:
        """The text of a key, each number in the format its place asks for, `{share:.1%}`: in English as
        Python writes it, a day as 2026-11-22; in French the same figures as French writes them."""
        said = self.form(key, values)
        return French().vformat(typeset(said), (), values) if self.language == "fr" else said.format(**values)

    def form(self, key: str, values: Mapping[str, Any]) -> str:
        """The text of a key, of its forms the one for `n`."""
        said = catalogue()[key][self.language]
        return said if isinstance(said, str) else said["one" if self.single(values["n"]) else "other"]

    def knows(self, key: str) -> bool:
        """Whether there is a text of this key."""
        return key in catalogue()

    def single(self, count: Any) -> bool:
        return bool(abs(count) < 2 if self.language == "fr" else count == 1)

    def inline(self, value: Any) -> str:
        return value if isinstance(value, str) else self.value(value)

    def number(self, value: Any, digits: int = 0) -> str:
        """12,345.6 in English, 12 345,6 in French; rounded half up."""
        if value is None:
            return NONE
        exact = Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
        text = f"{exact:,f}"
        return in_french(text) if self.language == "fr" else text.replace("-", "\N{MINUS SIGN}")

    def money(self, value: Any, digits: int = 2) -> str:
        """An amount in the reporting currency."""
        if value is None:
            return NONE
        sign, text = SIGNS.get(self.currency, self.currency), self.number(value, digits)
        if self.language == "fr":
            return f"{text}\N{NO-BREAK SPACE}{sign}" if sign else text
        below = "\N{MINUS SIGN}" if text.startswith("\N{MINUS SIGN}") else ""
        return f"{below}{sign}{'' if len(sign) < 2 else chr(160)}{text.removeprefix(below)}"

    def percent(self, share: Any, digits: int = 0) -> str:
        """A share of 1 as a percentage."""
        if share is None:
            return NONE
        text = self.number(Decimal(str(share)) * 100, digits)
        return f"{text}\N{NO-BREAK SPACE}%" if self.language == "fr" else f"{text}%"

    def day(self, value: date | str | None) -> str:
        """22 Nov 2026."""
        if value is None:
            return NONE
        told = date.fromisoformat(value[:10]) if isinstance(value, str) else value
        first = "1er" if self.language == "fr" and told.day == 1 else str(told.day)
        return f"{first} {MONTHS[self.language][told.month - 1]} {told.year}"

    def moment(self, value: datetime | str | None) -> str:
        """22 Nov 2026, 14:05 (UTC, as everything is kept)."""
        if value is None:
            return NONE
        told = datetime.fromisoformat(value) if isinstance(value, str) else value
        return f"{self.day(told)}, {told:%H:%M}"

    def value(self, value: Any) -> str:
        """Any value of a table."""
        if value is None or value == "":
            return NONE
        if isinstance(value, bool):
            return self.say("yes" if value else "no")
        if isinstance(value, int):
            return self.number(value)
        if isinstance(value, float | Decimal):
            return self.number(value, places(value))
        if isinstance(value, datetime):
            return self.moment(value)
        if isinstance(value, date):
            return self.day(value)
        return ", ".join(map(self.value, value)) if isinstance(value, list | tuple) else str(value)


class French(Formatter):
    """Formats numbers, days and lists as French writes them; texts as they are."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None or isinstance(value, bool | date):
            return Speaker("fr").value(value)
        if isinstance(value, list | tuple):
            told = [self.format_field(one, format_spec) for one in value]
            return " ou ".join(filter(None, (", ".join(told[:-1]), *told[-1:])))
        if isinstance(value, int | float | Decimal):
            return in_french(format(value, re.sub(r"^([+]?)", r"\1,", format_spec)))
        return str(format(value, format_spec))


def in_french(number: str) -> str:
    """A number as Python writes it with commas between thousands, as French writes it."""
    narrow = number.replace(",", "\N{NARROW NO-BREAK SPACE}").replace(".", ",")
    return narrow.replace("-", "\N{MINUS SIGN}").replace("%", "\N{NO-BREAK SPACE}%")


def typeset(french: str) -> str:
    """A French text that no line breaks before its double signs, nor inside its quotation marks."""
    return re.sub(r" (?=[:;!?%»])|(?<=«) ", "\N{NO-BREAK SPACE}", french)


def places(value: float | Decimal) -> int:
    """Two digits behind the point, or up to four of a number with no more before it than 0."""
    return 2 if value >= 1 or value <= -1 or value == 0 else 4


def language_of(asked: str | None, kept: str | None, accepted: str, project: Language) -> Language:
    """The language to speak: what the address asks for, what was chosen before, what the browser prefers of
    those there are, the project's."""
    for one in (asked, kept, *preferred(accepted)):
        for language in LANGUAGES:
            if one == language:
                return language
    return project


def preferred(accepted: str) -> list[str]:
    """The languages of an Accept-Language header, best first, without their regions."""
    weighed = []
    for part in accepted.split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            weighed.append((-float(weight or 1), tag.split("-")[0].lower()))
        except ValueError:
            continue
    return [tag for _, tag in sorted(weighed, key=lambda one: one[0])]
