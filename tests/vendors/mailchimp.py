"""Mailchimp, as the exams and the proofs meet it."""

from __future__ import annotations

from typing import Any

from octo_dagster.model import FieldType
from tests.vendors.examinee import Examinee
from tests.vendors.vendor import Vendor

MAILCHIMP = Examinee(
    settings={
        "type": "mailchimp",
        "api_key": {"env": "MAILCHIMP_API_KEY"},
        "server": "us21",  # the exam asks for hosts before there is a key
        "audience": "Acme",
        "tag": "Octo customers",
    },
    env={"MAILCHIMP_API_KEY": "sandboxkey-us21"},
    second={"MAILCHIMP_API_KEY": "sandboxkey2-us21"},
    wrong={"MAILCHIMP_API_KEY": "notthekey-us21"},
    key_field="EMAIL",
    # A merge tag has ten characters at most; a merge field keeps no lists.
    types={f"T_{kind.value.upper()}": kind for kind in FieldType if kind is not FieldType.LIST},
    poison={},
    poison_key="nowhere@example",
    sessions=False,
    tells_wait=False,
)


def others(twin: Any) -> None:
    """Somebody has a contact, a tag and a merge field of his own; one person subscribed by himself, the second
    left, and the stranger is archived."""
    (audience,) = twin.accounts["sandboxkey-us21"]
    audience.create("stranger@example.com", "archived", 0.0)
    for number, member in enumerate(audience.members.values()):
        member.tags = [*member.tags, audience.tag("Theirs")]
        member.merge["FNAME"] = f"Theirs {number}"
    audience.member("customer1@example.com").status = "subscribed"
    audience.member("customer2@example.com").status = "unsubscribed"


def theirs(twin: Any) -> Any:
    """Of each contact: the status, the name, and the tags that are not the sync's."""
    (audience,) = twin.accounts["sandboxkey-us21"]
    return {
        member.email: (
            member.status,
            member.merge.get("FNAME"),
            {audience.tags[number] for number in member.tags} - {"Octo customers"},
        )
        for member in audience.members.values()
    }


MAY_CALL = (
    r"GET /3\.0/",
    r"GET /3\.0/lists",
    r"GET /3\.0/lists/\w+/(members|merge-fields|tag-search|segments)",
    r"GET /3\.0/lists/\w+/members/[0-9a-f]{32}",
    r"GET /3\.0/lists/\w+/segments/\d+/members",
    r"POST /3\.0/lists/\w+(/merge-fields|/segments/\d+)?",
    r"DELETE /3\.0/lists/\w+/members/[0-9a-f]{32}",
)
WRITES = (r"POST /3\.0/lists/\w+$", r"POST /3\.0/lists/\w+/segments/\d+$", r"(PUT|PATCH|DELETE) ")

TAGGED = Vendor(
    examinee=MAILCHIMP,
    table="members",
    key="email",
    segment="O_SEGMENT",
    orders="O_ORDERS",
    member=lambda row: "Octo customers" in row["tags"] and row["status"] != "archived",
    writes=WRITES,
    # 500 members in a call, fields and tag together; who leaves does so in one call of up to 500.
    least=(1, 1, 1),
    lost=r"lists/\w+$",
    may_call=MAY_CALL,
    others=others,
    theirs=theirs,
)
