"""What Meta is told of a person: each value normalised as its documents say, then hashed; never in clear.

The rules are of the guide to customer file custom audiences (v25.0), "Hashing and normalizing". Where Meta's
own SDK (`CustomAudience.format_params`) does more, dropping every letter but a to z, the guide is followed:
it takes UTF-8. For plain English text both give the same."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping

from connectors.destinations.identity import address, digits_abroad, plain
from octo_dagster.model import Change, Fields, Value

NAMING = ("EMAIL", "PHONE", "MADID")
"""Those by which alone a person is found. What was sent of them and is no longer true is taken back."""
LETTERS = ("FN", "LN", "CT", "ST")
FIELDS = (*NAMING, *LETTERS, "ZIP", "COUNTRY", "GEN")
"""Meta's names of the identifiers Octo writes (`EXTERN_ID` matches nobody; a birthday is not ours)."""

GENDERS = {
    **dict.fromkeys(("m", "male", "man", "mr", "h", "homme", "masculin", "monsieur"), "m"),
    **dict.fromkeys(("f", "female", "woman", "mrs", "ms", "miss"), "f"),
    **dict.fromkeys(("femme", "féminin", "feminin", "madame", "mme", "mademoiselle", "mlle"), "f"),
}
"""What shops write, in English and French: by its first letter `Mme` would be a man."""

Row = Mapping[str, str]
"""Identifier → as Meta is sent it."""


def normal(name: str, value: Value, calling_code: str | None) -> str | None:
    """A value in the one form that is hashed; None for one Meta could match nobody by, or somebody else."""
    text = plain(value).strip().lower()
    if name == "EMAIL":
        return address(text)
    if name == "PHONE":
        return digits_abroad(text, calling_code)
    if name in LETTERS:
        return letters(text) or None
    if name == "ZIP":
        return postcode(text) or None
    if name == "COUNTRY":
        return text if re.fullmatch(r"[a-z]{2}", text) else None
    if name == "GEN":
        return GENDERS.get(unicodedata.normalize("NFC", text).rstrip("."))
    return text if re.fullmatch(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", text) else None


def letters(text: str) -> str:
    """The letters of any script, and the marks that belong to them."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(sign for sign in composed if unicodedata.category(sign)[0] in "LM")


def postcode(text: str) -> str:
    """Without blanks and dashes ("lowercase with no spaces and no dash", Meta's customer information
    parameters); of an American ZIP+4 the five digits alone."""
    plain = re.sub(r"\s", "", unicodedata.normalize("NFKC", text))
    american = re.fullmatch(r"([0-9]{5})-[0-9]{4}", plain)
    return american[1] if american else plain.replace("-", "")


def spelled(name: str, value: Value, calling_code: str | None) -> str:
    """A value as Meta is sent it: its hash, or nothing. An advertising id alone goes unhashed."""
    found = None if blank(value) else normal(name, value, calling_code)
    if found is None or name == "MADID":
        return found or ""
    return hashlib.sha256(found.encode()).hexdigest()


def blank(value: Value) -> bool:
    return value is None or not str(value).strip()


def unfit(key_field: str, change: Change, calling_code: str | None) -> str | None:
    """Why this person cannot be told to Meta as mapped; None when he can. Says nothing of the value."""
    for name, value in {**change.fields, key_field: change.key}.items():
        if not blank(value) and normal(name, value, calling_code) is None:
            return WRONG.get(name, f"{name}: Meta can make nothing of this value")
    return None


WRONG = {
    "EMAIL": "EMAIL: not an e-mail address",
    "PHONE": "PHONE: not a number with + and country code (or set calling_code)",
    "COUNTRY": "COUNTRY: not a country's two letters",
    "GEN": "GEN: neither m nor f, nor a word for them (map anybody else's to nothing)",
}


def row(key_field: str, key: str, fields: Fields, calling_code: str | None) -> Row:
    """One person as Meta is sent him."""
    told = {key_field: key, **fields}
    return {name: spelled(name, value, calling_code) for name, value in told.items() if name in FIELDS}


def naming(key_field: str, change: Change, calling_code: str | None) -> Iterator[Row]:
    """Every identifier that a person was told by, and is found by alone; a row for each version of him."""
    for version in change.versions or ({},):
        yield found_by(key_field, change.key, version, calling_code)


def found_by(key_field: str, key: str, fields: Fields, calling_code: str | None) -> Row:
    """Every identifier of one person that he is found by alone."""
    told = row(key_field, key, fields, calling_code)
    return {name: value for name, value in told.items() if name in NAMING and value}


def alone(told: Iterable[Row], shared: Collection[str]) -> Iterator[Row]:
    """Of each person what nobody else is found by; nobody without such."""
    for one in told:
        own = {name: value for name, value in one.items() if f"{name}={value}" not in shared}
        if own:
            yield own


def stale(key_field: str, changes: Iterable[Change], calling_code: str | None) -> Iterator[Row]:
    """The identifiers of these people that were true once and are not any more."""
    for change in changes:
        now = row(key_field, change.key, change.fields, calling_code)
        for was in naming(key_field, change, calling_code):
            gone = {name: value for name, value in was.items() if name in now and now[name] != value}
            if gone:
                yield gone
