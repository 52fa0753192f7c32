"""By what ad platforms know a person, before each spells it its own way: an address, a telephone number."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache

from phonenumbers import (
    NumberParseException,
    PhoneNumber,
    PhoneNumberFormat,
    format_number,
    is_possible_number,
    is_valid_number,
    parse,
    region_code_for_country_code,
)

from octo_dagster.model import Value

EMAIL = re.compile(r"""[^@\s<>()\[\]",:;\\]+@[\w-]+(\.[\w-]+)+""")
"""Without the signs that stand around an address, and in none: hashed with them it would match nobody."""
REMARK = re.compile(
    r"""(?<= [^\W_] )  # behind a digit
        (?: [^\w+]+ [^\W\d_]  |  [^\w+]* (?: [^\W\d_]{2} | [x#~;] ) )  # a word, or a sign for one
        .*""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
"""What follows a number and is none of it: an extension (`poste 12`, `x12`), a name. Its digits read on would
make it somebody else's number."""

OVERSEAS = {33: ("GP", "GF", "MQ", "RE", "YT")}
"""Who dials one another as in one country, and has codes of his own from abroad: 0693 is of Réunion."""


def plain(value: Value) -> str:
    """A value as people write it: a whole number without the `.00` that a column of decimals gives it, which
    would be digits more of a telephone number."""
    whole = isinstance(value, Decimal) and value == value.to_integral_value()
    return f"{value:.0f}" if whole else str(value)


def address(text: str) -> str | None:
    """An e-mail address in lower case, without signs that nobody sees; None for what is none."""
    seen = text if text.isascii() else "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
    lower = seen.strip().lower()
    return lower if EMAIL.fullmatch(lower) else None


@lru_cache(maxsize=65_536)
def digits_abroad(text: str, calling_code: str | None) -> str | None:
    """The digits to call from abroad, without plus sign, as Google's libphonenumber reads them: by each
    country's rules of how it dials at home and abroad, and of which numbers it has.

    None for what is no number, and for a national one where no `calling_code` says of which country: hashed,
    it would be somebody else's."""
    plain = alone(text)
    perhaps: PhoneNumber | None = None
    for number in filter(may_be, readings(plain, calling_code)):
        if plain.startswith("+") or is_valid_number(number):
            return digits(number)
        perhaps = perhaps or number
    return digits(perhaps) if perhaps else None


def digits(number: PhoneNumber) -> str:
    return format_number(number, PhoneNumberFormat.E164)[1:]


def alone(text: str) -> str:
    """A number from its first digit on, in ASCII, without the remark behind it."""
    plain = text if text.isascii() else ascii_digits(text)
    return re.sub(r"[^\W\d_]", "", REMARK.sub("", re.sub(r"^[^\d+]+", "", plain)))


def ascii_digits(text: str) -> str:
    return "".join(str(unicodedata.decimal(sign, sign)) for sign in unicodedata.normalize("NFKC", text))


def readings(plain: str, calling_code: str | None) -> Iterator[PhoneNumber]:
    """What a text may stand for, the likeliest first: as it is dialled in one country or the other."""
    for text, region in ways(plain, calling_code):
        try:
            yield parse(text, region)
        except NumberParseException:
            continue


def ways(plain: str, calling_code: str | None) -> Iterator[tuple[str, str | None]]:
    """A number as it is dialled, and where; None with its country's code."""
    if plain.startswith("+"):
        yield plain, None
        return
    if calling_code:
        code = int(calling_code)
        yield plain, region_code_for_country_code(code)
        yield from ((plain, region) for region in OVERSEAS.get(code, ()))
    if plain.startswith("00"):  # so dialled in most countries, if not in this one
        yield f"+{plain[2:]}", None
    if calling_code and plain.startswith(calling_code):
        yield f"+{plain}", None


def may_be(number: PhoneNumber) -> bool:
    """Whether a number is as long as its country's are, and begins like one. Not only those known to be given
    out are taken: new ranges are opened sooner than we learn of it."""
    return is_possible_number(number) and (not number.italian_leading_zero or is_valid_number(number))
