"""HubSpot, as the exams and the proofs meet it: by address, and by a property of the shop's with a list."""

from __future__ import annotations

from typing import Any

from octo_dagster.model import FieldType
from tests.vendors.examinee import Examinee
from tests.vendors.vendor import Vendor

KEY = "pat-eu1-sandbox"
HUBSPOT = Examinee(
    settings={"type": "hubspot", "service_key": {"env": "HUBSPOT_SERVICE_KEY"}, "list": "Octo customers"},
    env={"HUBSPOT_SERVICE_KEY": KEY},
    second={"HUBSPOT_SERVICE_KEY": f"{KEY}-2"},
    wrong={"HUBSPOT_SERVICE_KEY": "pat-eu1-of-nobody"},
    key_field="email",
    types={f"octo_{kind.value}": kind for kind in FieldType},
    poison={},
    poison_key="nowhere@example",
    sessions=False,
)


def others(twin: Any) -> None:
    """Somebody keeps contacts, names and a list of his own, and the second customer unsubscribes."""
    account = twin.accounts[KEY]
    account.create({"email": "stranger@example.com"}, 0.0)
    theirs = account.add_list("Theirs", "MANUAL", 0.0)
    for number, contact in enumerate(account.there()):
        theirs.members[contact.id] = 0.0
        contact.properties |= {"firstname": f"Theirs {number}", "hs_email_optout": str(number == 1).lower()}


def theirs(twin: Any) -> Any:
    """Of each contact: the name, whether unsubscribed, whether in their list."""
    account = twin.accounts[KEY]
    (members,) = (one.members for one in account.lists.values() if one.name == "Theirs")
    return {
        contact.id: (
            contact.properties.get("firstname"),
            contact.properties.get("hs_email_optout"),
            contact.id in members,
        )
        for contact in account.there()
    }


MAY_CALL = (
    r"GET /account-info/2026-09/details",
    r"GET /crm/properties/2026-09/contacts(/\w+)?",
    r"POST /crm/properties/2026-09/contacts(/groups)?",
    r"PATCH /crm/properties/2026-09/contacts/octo_\w+",
    r"POST /crm/objects/2026-09/contacts/batch/(read|upsert|create|update|archive)",
    r"GET /crm/lists/2026-09/object-type-id/0-1/name/[^/]+",
    r"POST /crm/lists/2026-09(/records/memberships/batch/read)?",
    r"PUT /crm/lists/2026-09/\d+/memberships/(add|remove)",
)
WRITES = (r"POST .*/batch/(upsert|create|update|archive)$", r"PUT .*/memberships/")

BY_ID = Vendor(
    examinee=HUBSPOT,
    settings={"id_property": "octo_id"},
    table="contacts",
    key="octo_id",
    key_field="octo_id",
    key_from="customer_id",
    segment="octo_segment",
    orders="octo_orders",
    fields=({"from": "email", "to": "email"},),
    member=lambda row: "Octo customers" in row["lists"],
    longest=65_536,
    # A hundred contacts a call, and one call for up to a thousand of them to be in the list.
    writes=WRITES,
    least=(4, 2, 1),
    lost="upsert",
    may_call=MAY_CALL,
    others=others,
    theirs=theirs,
)
BY_EMAIL = Vendor(
    examinee=HUBSPOT,
    settings={"list": None},
    table="contacts",
    key="email",
    segment="octo_segment",
    orders="octo_orders",
    writes=WRITES,
    # A hundred contacts a call; that they are looked up before is not a write.
    least=(3, 1, 1),
    lost="update",
    may_call=MAY_CALL,
    others=others,
    theirs=theirs,
    whole_only=True,
)
