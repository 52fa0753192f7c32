"""Meta's custom audiences, as the exams and the proofs meet them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from octo_dagster.model import Fields, FieldType
from tests.vendors.examinee import Examinee
from tests.vendors.hashed import NUMBER, SEGMENTS, TEXTS, addresses, meant, orders, sha256
from tests.vendors.vendor import Held, Vendor


def letters(text: str) -> str:
    """A name as Meta's guide has it: lower case, nothing but letters, in UTF-8."""
    return "".join(sign for sign in text.lower() if sign.isalpha())


NAMES = meant((*SEGMENTS, *TEXTS), letters)


def look(held: Any, keys: Sequence[str]) -> dict[str, Fields]:
    """What the twin was told of these people, in the exam's own words."""
    known = {row["EMAIL"]: row for row in held["members"]}
    found = {key: known[sha256(key.strip().lower())] for key in keys if sha256(key.strip().lower()) in known}
    return {key: {"LN": NAMES.get(row["LN"], None)} for key, row in found.items()}


def shown(row: Mapping[str, Any]) -> Held:
    """Whom a member stands for. More than one number, or one without an address, is somebody left behind."""
    email = addresses()[row["EMAIL"]]
    return email, NAMES.get(row["FN"]), orders(row["PHONE"], email, "")


META = Examinee(
    settings={
        "type": "meta_audience",
        "access_token": {"env": "META_TOKEN"},
        "ad_account": "1001",
        "audience": "Octo customers",
    },
    env={"META_TOKEN": "sandbox-token"},
    second_settings={"ad_account": "1002"},
    wrong={"META_TOKEN": "not-the-token"},
    key_field="EMAIL",
    types={"LN": FieldType.TEXT},
    poison={},
    poison_key="nowhere@example",
    creates_fields=False,
    sessions=False,
    look=look,
)


def others(twin: Any) -> None:
    """Somebody keeps an audience of the same people, and has a stranger in ours."""
    (ours,) = twin.audiences("1001").values()
    people = [{"EMAIL": email} for email in addresses() if email in ours_of(ours)]
    twin.add_audience("1001", "Theirs").add([*people, {"EMAIL": sha256("stranger@example.com")}])
    ours.add([{"EMAIL": sha256("theirs@example.com"), "FN": "theirs"}])


def ours_of(audience: Any) -> set[str]:
    return {email for person in audience.people for email in person.naming["EMAIL"]}


def theirs(twin: Any) -> Any:
    """Their audience, and the stranger in ours."""
    ours, other = twin.audiences("1001").values()
    strangers = [one.shown() for one in ours.people if "theirs" in one.rest.values()]
    return strangers, [one.shown() for one in other.people], [one.id for one in (ours, other)]


VENDOR = Vendor(
    examinee=META,
    table="members",
    key="EMAIL",
    segment="FN",
    orders="PHONE",
    most=500,
    instead=(
        {"from": "segment", "to": "FN", "nulls": "clear"},
        {"template": NUMBER, "to": "PHONE"},
    ),
    shown=shown,
    member=lambda row: row["audience"] == "Octo customers" and row["FN"] != "theirs",
    writes=(r"(POST|DELETE) /v25.0/\d+/users$",),
    # Up to 10,000 people in a call; a number that changed is taken back in one and told in another.
    least=(1, 2, 1),
    lost="/users$",
    may_call=(
        r"GET /v25.0/act_\d+(/customaudiences)?",
        r"GET /v25.0/me/permissions",
        r"POST /v25.0/act_\d+/customaudiences",
        r"(POST|DELETE) /v25.0/\d+/users",
    ),
    others=others,
    theirs=theirs,
)
