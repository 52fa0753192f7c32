"""Klaviyo, as the exams and the proofs meet it."""

from __future__ import annotations

from typing import Any

from octo_dagster.model import FieldType
from tests.vendors.examinee import Examinee
from tests.vendors.vendor import Vendor

KLAVIYO = Examinee(
    settings={"type": "klaviyo", "api_key": {"env": "KLAVIYO_API_KEY"}, "list": "Octo customers"},
    env={"KLAVIYO_API_KEY": "pk_sandbox"},
    second={"KLAVIYO_API_KEY": "pk_sandbox_2"},
    wrong={"KLAVIYO_API_KEY": "pk_none"},
    key_field="email",
    types={f"octo_{kind.value}": kind for kind in FieldType},
    # In the right form, so that it is Klaviyo that refuses it, in the errors of the job.
    poison={"phone_number": "+9990000000000"},
    creates_fields=False,
    sessions=False,
)


def others(twin: Any) -> None:
    """Somebody keeps a list and properties of his own, and the second customer unsubscribes."""
    account = twin.accounts["pk_sandbox"]
    theirs = account.add_list("Theirs", 0.0)
    account.upsert({"attributes": {"email": "stranger@example.com"}}, 0.0, nulls=True)
    for number, profile in enumerate(account.profiles.values()):
        profile.lists[theirs.id] = 0.0
        profile.properties["theirs"] = number
        profile.plain["first_name"] = f"Theirs {number}"
        profile.consent = "SUBSCRIBED"
    second = account.find("email", "customer2@example.com")
    second.consent, second.suppressed = "UNSUBSCRIBED", "UNSUBSCRIBE"


def theirs(twin: Any) -> Any:
    """Of each profile: consent, suppression, their property and name, whether it is in their list."""
    account = twin.accounts["pk_sandbox"]
    (number,) = (held.id for held in account.lists.values() if held.name == "Theirs")
    return [
        (p.consent, p.suppressed, p.properties["theirs"], p.plain["first_name"], number in p.lists)
        for p in account.profiles.values()
    ]


VENDOR = Vendor(
    examinee=KLAVIYO,
    table="profiles",
    key="email",
    segment="octo_segment",
    orders="octo_orders",
    member=lambda row: "Octo customers" in row["lists"],
    writes=(r"POST /api/profile-", r"PATCH /api/profiles/", r"(POST|DELETE) /api/lists/"),
    # One import of up to 10,000 profiles; up to 1,000 leave the list in one call. Emptying costs one call for
    # each profile that holds something, besides.
    least=(1, 1, 1),
    lost="bulk-import-jobs$",
    may_call=(
        r"GET /api/accounts",
        r"(GET|POST) /api/lists",
        r"GET /api/profiles",
        r"GET /api/lists/\w+/profiles",
        r"GET /api/profiles/\w+/relationships/lists",
        r"PATCH /api/profiles/\w+",
        r"POST /api/profile-bulk-import-jobs",
        r"GET /api/profile-bulk-import-jobs/\w+(/import-errors)?",
        r"DELETE /api/lists/\w+/relationships/profiles",
    ),
    others=others,
    theirs=theirs,
)
