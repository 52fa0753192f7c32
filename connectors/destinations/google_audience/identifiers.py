"""What Google is told of a person: each value normalised as its own library does, then hashed, in hex.

The rules are those of `google-ads-datamanager-util`'s Formatter, which the tests hold them against. They are
not Meta's: the dots and the `+tag` of a Gmail address do not count, a number keeps its plus sign, a name its
punctuation.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from connectors.destinations.identity import address, digits_abroad, plain
from octo_dagster.model import Change, Fields, FieldType, Value

CONTACTS = ("email", "phone")
PLACE = ("given_name", "family_name", "region_code", "postal_code")
"""Of which a postal address is made; Google takes all four or none."""
CONSENTS = ("ad_user_data", "ad_personalization")
FIELDS: Mapping[str, FieldType] = {
    **dict.fromkeys((*CONTACTS, *PLACE), FieldType.TEXT),
    **dict.fromkeys(CONSENTS, FieldType.BOOLEAN),
}

Identifier = dict[str, Any]
"""One of `emailAddress`, `phoneNumber`, `address`, as the API spells it."""

ROWS, MOST_IDENTIFIERS = 10_000, 10
"""Of members of one request, and of identifiers of one member."""
Members = Sequence[tuple[str, dict[str, Any]]]
"""Key and member, in the order they are sent, by which Google tells of them."""


def normal(name: str, value: Value, calling_code: str | None) -> str | None:
    """A value in the one form that is hashed or, of a place, sent; None for one nobody can be found by."""
    text = plain(value).strip()
    if name == "email":
        return without_variants(address(text))
    if name == "phone":
        digits = digits_abroad(text, calling_code)
        return digits and f"+{digits}"
    if name == "region_code":
        return text.upper() if re.fullmatch(r"[A-Za-z]{2}", text) else None
    return text if name == "postal_code" else text.lower()


def without_variants(email: str | None) -> str | None:
    """A Gmail address without the dots and the `+tag` that Gmail does not look at; any other as it is."""
    user, _, domain = (email or "").partition("@")
    if domain not in ("gmail.com", "googlemail.com"):
        return email
    plain = user.partition("+")[0].replace(".", "")
    return f"{plain}@{domain}" if plain else None


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def blank(value: Value) -> bool:
    return value is None or not str(value).strip()


def unfit(key_field: str, change: Change, calling_code: str | None) -> str | None:
    """Why this person is not told to Google; None when he is. Says nothing of the value."""
    told = {**change.fields, key_field: change.key}
    if told.get("ad_user_data", True) is not True:
        return "ad_user_data: no consent to pass this person on (leave such out by the sync's `consent`)"
    for name in (*CONTACTS, *PLACE):
        value = told.get(name)
        if not blank(value) and normal(name, value, calling_code) is None:
            return WRONG[name]
    return None


WRONG = {
    "email": "email: not an e-mail address",
    "phone": "phone: not a number with + and country code (or set calling_code)",
    "region_code": "region_code: not a country's two letters",
}


def identifiers(key_field: str, key: str, fields: Fields, calling_code: str | None) -> list[Identifier]:
    """Everything this person can be found by: an address in hashes, but for country and postal code."""
    told = {**fields, key_field: key}
    known = {
        name: text
        for name in (*CONTACTS, *PLACE)
        if not blank(told.get(name)) and (text := normal(name, told[name], calling_code))
    }
    made: list[Identifier] = []
    if "email" in known:
        made.append({"emailAddress": hashed(known["email"])})
    if "phone" in known:
        made.append({"phoneNumber": hashed(known["phone"])})
    if all(name in known for name in PLACE):
        made.append({"address": place(known)})
    return made


def place(known: Mapping[str, str]) -> dict[str, str]:
    return {
        "givenName": hashed(known["given_name"]),
        "familyName": hashed(known["family_name"]),
        "regionCode": known["region_code"],
        "postalCode": known["postal_code"],
    }


def one_name(identifier: Identifier) -> str:
    """An identifier as one text, equal for equal ones."""
    return json.dumps(identifier, sort_keys=True)


def alone(found: Iterable[Identifier], shared: Collection[str]) -> list[Identifier]:
    """The identifiers that nobody else is found by."""
    return [one for one in found if one_name(one) not in shared]


def told_by(key_field: str, change: Change, calling_code: str | None) -> list[Identifier]:
    """Everything this person was told by, in any version that was sent of him."""
    found: list[Identifier] = []
    for version in change.versions or ({},):
        some = identifiers(key_field, change.key, version, calling_code)
        found += [one for one in some if one not in found]
    return found


def stale(key_field: str, change: Change, calling_code: str | None) -> list[Identifier]:
    """What this person was told by, and is found by no more; everything, when he may not be told any more."""
    was = told_by(key_field, change, calling_code) if change.versions else []
    if change.fields.get("ad_user_data", True) is not True:
        return was
    now = identifiers(key_field, change.key, {**change.before, **change.fields}, calling_code)
    return [one for one in was if one not in now]


def member(found: Sequence[Identifier], consent: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A member of an audience as the API takes it; his own consent stands above the request's."""
    return {"userData": {"userIdentifiers": list(found)}, **({"consent": dict(consent)} if consent else {})}


def removals(gone: Iterable[tuple[str, Sequence[Identifier]]]) -> Iterator[tuple[str, Members]]:
    """The requests that take these people back: of who has more identifiers than a member may have, several
    members; of more members than a request takes, several requests."""
    some = [
        (key, member(found[start : start + MOST_IDENTIFIERS]))
        for key, found in gone
        for start in range(0, len(found), MOST_IDENTIFIERS)
    ]
    for start in range(0, len(some), ROWS):
        yield "remove", some[start : start + ROWS]


def order(some: Members) -> str:
    """A mark of who was sent and in which order, by which Google tells of them."""
    return hashed("\n".join(key for key, _ in some))[:12]


SPELLED = {"ad_user_data": "adUserData", "ad_personalization": "adPersonalization"}


def status(value: Value) -> str:
    """Consent is what was given in so many words; no answer is none."""
    return "CONSENT_GRANTED" if value is True else "CONSENT_DENIED"
