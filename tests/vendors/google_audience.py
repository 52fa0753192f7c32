"""Google's Customer Match lists, as the exams and the proofs meet them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from octo_dagster.model import Fields, FieldType
from tests.vendors.examinee import Examinee
from tests.vendors.hashed import NUMBER, SEGMENTS, TEXTS, addresses, meant, orders, sha256
from tests.vendors.vendor import Held, Vendor

KEY = (Path(__file__).parents[2] / "connectors/sandbox/google_sheets/service_account.json").read_text("utf-8")
STRANGER = json.dumps(json.loads(KEY) | {"client_email": "stranger@octo-sandbox.iam.gserviceaccount.com"})
NAMES = meant((*SEGMENTS, *TEXTS), lambda text: text.strip().lower())


def look(held: Any, keys: Sequence[str]) -> dict[str, Fields]:
    """What the twin was told of these people, in the exam's own words."""
    known = {row["emails"]: row for row in held["members"]}
    found = {key: known[sha256(key.strip().lower())] for key in keys if sha256(key.strip().lower()) in known}
    return {key: {"given_name": name(row["addresses"], "givenName")} for key, row in found.items()}


def name(place: str, part: str) -> str | None:
    """The name in a postal address; None when there is none."""
    return NAMES[json.loads(place)[part]] if place else None


def shown(row: Mapping[str, Any]) -> Held:
    """Whom a member stands for. More than one number or address, or neither, is somebody left behind."""
    email = addresses()[row["emails"]]
    return email, name(row["addresses"], "familyName"), orders(row["phones"], email, "+")


GOOGLE = Examinee(
    settings={
        "type": "google_audience",
        "service_account": {"env": "GOOGLE_SERVICE_ACCOUNT"},
        "ads_account": "1000000001",
        "list": "Octo customers",
        "consent": {"ad_user_data": "granted", "ad_personalization": "granted"},
        "terms": "accepted",
    },
    env={"GOOGLE_SERVICE_ACCOUNT": KEY},
    second_settings={"ads_account": "1000000002"},
    wrong={"GOOGLE_SERVICE_ACCOUNT": STRANGER},
    key_field="email",
    types={"given_name": FieldType.TEXT},
    poison={},
    poison_key="nowhere@example",
    needs={"family_name": "Octo", "region_code": "FR", "postal_code": "75001"},
    creates_fields=False,
    look=look,
)


def others(twin: Any) -> None:
    """Somebody keeps a list of the same people, and has a stranger in ours."""
    (ours,) = twin.lists("1000000001").values()
    info = {"uploadKeyTypes": ["CONTACT_ID"]}
    other = twin.add_list("1000000001", {"displayName": "Theirs", "ingestedUserListInfo": info})
    for email in sorted(one for person in ours.people for one in person.emails):
        other.ingest(contact(email), {})
    ours.ingest(contact(sha256("theirs@example.com")), {"adUserData": "THEIRS"})


def contact(email: str) -> dict[str, Any]:
    return {"userData": {"userIdentifiers": [{"emailAddress": email}]}}


def theirs(twin: Any) -> Any:
    """Their list, and the stranger in ours."""
    ours, other = twin.lists("1000000001").values()
    strangers = [one.shown() for one in ours.people if one.consent == {"adUserData": "THEIRS"}]
    return strangers, [one.shown() for one in other.people], [one.id for one in (ours, other)]


VENDOR = Vendor(
    examinee=GOOGLE,
    table="members",
    key="emails",
    segment="family_name",
    orders="phone",
    most=500,
    instead=(
        {"from": "segment", "to": "family_name", "nulls": "clear"},
        {"template": NUMBER, "to": "phone"},
    ),
    fields=(
        {"from": "customer_id", "to": "given_name"},
        {"constant": "FR", "to": "region_code"},
        {"constant": "75001", "to": "postal_code"},
    ),
    shown=shown,
    member=lambda row: row["list"] == "Octo customers" and row["consent"] != "THEIRS",
    writes=(r"POST /v1/audienceMembers:(ingest|remove)$",),
    # Up to 10,000 people in a call; a number that changed is taken back in one and told in another.
    least=(1, 2, 1),
    lost="audienceMembers:",
    may_call=(
        r"POST /token",
        r"GET /v1/accountTypes/GOOGLE_ADS/accounts/\d+/userLists",
        r"POST /v1/accountTypes/GOOGLE_ADS/accounts/\d+/userLists",
        r"POST /v1/audienceMembers:(ingest|remove)",
        r"GET /v1/requestStatus:retrieve",
    ),
    others=others,
    theirs=theirs,
)
