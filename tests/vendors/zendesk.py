"""Zendesk, as the exams and the proofs meet it."""

from __future__ import annotations

from typing import Any

from octo_dagster.model import FieldType
from tests.vendors.examinee import Examinee
from tests.vendors.vendor import Vendor

ZENDESK = Examinee(
    settings={
        "type": "zendesk",
        "subdomain": "octo",
        "auth": {
            "client_id": {"env": "ZENDESK_CLIENT_ID"},
            "client_secret": {"env": "ZENDESK_CLIENT_SECRET"},
        },
    },
    env={"ZENDESK_CLIENT_ID": "octo-client", "ZENDESK_CLIENT_SECRET": "octo-client-secret"},
    second={"ZENDESK_CLIENT_ID": "octo-client-2", "ZENDESK_CLIENT_SECRET": "octo-client-secret-2"},
    wrong={"ZENDESK_CLIENT_SECRET": "not-the-secret"},
    key_field="external_id",
    types={f"octo_{kind.value}": kind for kind in FieldType if kind is not FieldType.LIST},
    poison={"email": "badmail"},
    needs={"name": "Ada Lovelace"},
    cleared={FieldType.BOOLEAN: False},
)


def others(twin: Any) -> None:
    """Agents have users of their own, tag ours, write notes about them and suspend one."""
    account = twin.accounts[0]
    account.create({"name": "Stranger", "email": "stranger@example.com"}, 0.0)
    for number, user in enumerate(account.users.values()):
        user.tags = ["theirs"]
        user.plain |= {"notes": f"Theirs {number}", "suspended": number == 1}


def theirs(twin: Any) -> Any:
    """Of each user: the tags, the notes, whether suspended, whether there."""
    users = twin.accounts[0].users.values()
    return [(user.tags, user.plain["notes"], user.plain["suspended"], user.active) for user in users]


VENDOR = Vendor(
    examinee=ZENDESK,
    table="users",
    key="external_id",
    segment="octo_segment",
    orders="octo_orders",
    fields=({"from": "email", "to": "name", "create_only": True},),
    key_from="customer_id",
    longest=65_535,
    writes=(r"(POST|PUT|DELETE) /api/v2/users/",),
    # A job of up to 100 users.
    least=(3, 1, 1),
    lost="_many",
    may_call=(
        r"POST /oauth/tokens",
        r"GET /api/v2/.*",
        r"POST /api/v2/user_fields(.json)?",
        r"POST /api/v2/users/create_or_update(_many)?(.json)?",
        r"PUT /api/v2/users/(update_many|\d+)(.json)?",
        r"PUT /api/v2/users/\d+/identities/\d+/make_primary(.json)?",
    ),
    others=others,
    theirs=theirs,
)
