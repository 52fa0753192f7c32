"""Salesforce, as the exams and the proofs meet it."""

from __future__ import annotations

from typing import Any

from octo_dagster.model import FieldType
from tests.vendors.examinee import Examinee
from tests.vendors.vendor import Vendor

SALESFORCE = Examinee(
    settings={
        "type": "salesforce",
        "domain": "octo",
        "object": "Customer__c",  # a contact cannot be without a last name, which is no fault of ours
        "auth": {"client_id": {"env": "SF_CLIENT_ID"}, "client_secret": {"env": "SF_CLIENT_SECRET"}},
        "permission_set": "Octo",
    },
    env={"SF_CLIENT_ID": "octo-app", "SF_CLIENT_SECRET": "octo-secret"},
    second={"SF_CLIENT_ID": "octo-app-2", "SF_CLIENT_SECRET": "octo-secret-2"},
    wrong={"SF_CLIENT_SECRET": "not-the-secret"},
    prepare=lambda twin: twin.add_key("Customer__c", "Octo_Id__c"),
    key_field="Octo_Id__c",
    types={f"Octo_{kind.value.capitalize()}__c": kind for kind in FieldType},
    poison={"Octo_Text__c": "x" * 256},
    cleared={FieldType.BOOLEAN: False},
)


def others(twin: Any) -> None:
    """Somebody has a contact of his own, and writes to columns of ours beside what is mapped."""
    org = twin.orgs[0]
    org.insert("Contact", {"LastName": "Stranger"})
    for number, record in enumerate(org.tables["Contact"].values()):
        record["Description"] = f"Theirs {number}"
        record["HasOptedOutOfEmail"] = number == 1


def theirs(twin: Any) -> Any:
    """Of each contact: the note, and whether it opted out."""
    rows = twin.orgs[0].tables["Contact"].values()
    return [
        (row["Description"], row["HasOptedOutOfEmail"], row["IsDeleted"])
        for row in rows
        if row.get("Description")
    ]


VENDOR = Vendor(
    examinee=SALESFORCE,
    table="Contact",
    key="Octo_Id__c",
    segment="Octo_Segment__c",
    orders="Octo_Orders__c",
    settings={"object": "Contact", "bulk_from": 20},
    fields=({"from": "customer_id", "to": "LastName", "create_only": True},),
    key_from="customer_id",
    longest=255,
    writes=(r"(POST|PUT|PATCH) .*/jobs/ingest", r"(PATCH|DELETE) .*/composite/sobjects"),
    # From 20 changes on one bulk job: open, upload, start. Below, one collection of up to 200.
    least=(3, 1, 1),
    lost="composite",
    may_call=(
        r"POST /services/oauth2/token",
        r"GET /services/.*",
        r"(POST|PATCH) /services/data/v61.0/composite/sobjects(/Contact/Octo_Id__c)?",
        r"DELETE /services/data/v61.0/composite/sobjects",
        r"POST /services/data/v61.0/tooling/sobjects/CustomField",
        r"POST /services/data/v61.0/sobjects/FieldPermissions",
        r"(POST|PUT|PATCH) /services/data/v61.0/jobs/ingest(/\w+(/batches)?)?",
    ),
    others=others,
    theirs=theirs,
)
