"""Salesforce, as the exams and the proofs meet it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import requests

from connectors.sandbox.salesforce.org import SOMEBODY
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


CALLS = (
    r"POST /services/oauth2/token",
    r"GET /services/.*",
    r"POST /services/data/v61.0/composite/sobjects",
    r"DELETE /services/data/v61.0/composite/sobjects",
    r"POST /services/data/v61.0/tooling/sobjects/CustomField",
)
JOBS = r"(POST|PUT|PATCH) /services/data/v61.0/jobs/ingest(/\w+(/batches)?)?"
WRITES = (r"(POST|PUT|PATCH) .*/jobs/ingest", r"(PATCH|DELETE) .*/composite/sobjects")

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
    writes=WRITES,
    # From 20 changes on one bulk job: open, upload, start. Below, one collection of up to 200.
    least=(3, 1, 1),
    lost="composite",
    may_call=(*CALLS, JOBS, r"PATCH /services/data/v61.0/composite/sobjects(/Contact/Octo_Id__c)?"),
    others=others,
    theirs=theirs,
)


# people's own things beside a campaign, a call list and person accounts -------------------------------

PEOPLE = 700
"""Contacts there are before Octo comes: as many as the proofs have customers."""
AWKWARD = ("O'Brien", 'a"b', "50% & more, yes\\", "spaced", "c 1", "Zoë")


def known_people(address: str) -> None:
    """An administrator makes the key, an earlier sync the contacts, and somebody two campaigns."""
    base = f"{address}/salesforce/services"
    form = {"grant_type": "client_credentials", "client_id": "octo-app", "client_secret": "octo-secret"}
    with requests.Session() as http:
        signed = http.post(f"{base}/oauth2/token", data=form, timeout=60).json()
        http.headers["Authorization"] = f"Bearer {signed['access_token']}"
        make_key(http, f"{base}/data/v61.0")
        keys = [*(f"c{number}" for number in range(PEOPLE)), *AWKWARD]
        people = [{"LastName": f"Name {key}", "Octo_Id__c": key} for key in keys]
        make(http, f"{base}/data/v61.0", "Contact", people)
        campaigns = [{"Name": name, "IsActive": True} for name in ("Winback", "Theirs")]
        make(http, f"{base}/data/v61.0", "Campaign", campaigns)


def make_key(http: requests.Session, data: str) -> None:
    """The External ID of contacts, visible to the caller."""
    key = {"type": "Text", "label": "Octo Id", "length": 255, "externalId": True, "unique": True}
    field = {"FullName": "Contact.Octo_Id__c", "Metadata": key}
    http.post(f"{data}/tooling/sobjects/CustomField", json=field, timeout=60)
    query = {"q": "SELECT Id FROM PermissionSet WHERE Name = 'Octo'"}
    role = http.get(f"{data}/query", params=query, timeout=60).json()["records"][0]["Id"]
    granted = {"ParentId": role, "SobjectType": "Contact", "Field": "Contact.Octo_Id__c"}
    make(http, data, "FieldPermissions", [{**granted, "PermissionsRead": True, "PermissionsEdit": True}])


def make(http: requests.Session, data: str, name: str, rows: list[dict[str, Any]]) -> None:
    """Records of one object, 200 a call."""
    for at in range(0, len(rows), 200):
        records = [{"attributes": {"type": name}, **row} for row in rows[at : at + 200]]
        made = http.post(f"{data}/composite/sobjects", json={"records": records}, timeout=60)
        assert all(row["success"] for row in made.json())


def campaign(org: Any, name: str) -> str:
    """The id of a campaign."""
    (found,) = (row["Id"] for row in org.tables["Campaign"].values() if row["Name"] == name)
    return str(found)


def other_members(twin: Any) -> None:
    """A stranger is in the campaign, and our customers in another one, of whom one has responded."""
    org = twin.orgs[0]
    stranger = org.insert("Contact", {"LastName": "Stranger"}).id
    org.insert("CampaignMember", {"CampaignId": campaign(org, "Winback"), "ContactId": stranger})
    for number, key in enumerate(("c1", "c2", "c3")):
        (contact,) = org.matching("Contact", "Octo_Id__c", key)
        status = "Responded" if number == 1 else "Sent"
        member = {"CampaignId": campaign(org, "Theirs"), "ContactId": contact, "Status": status}
        org.insert("CampaignMember", member)


def their_members(twin: Any) -> Any:
    """Campaign, contact and status of every member that people added, and all contacts' names."""
    org = twin.orgs[0]
    rows = [row for row in org.tables["CampaignMember"].values() if row["CreatedById"] == SOMEBODY]
    members = [(row["CampaignId"], row["ContactId"], row["Status"]) for row in rows]
    return members, [row["Name"] for row in org.tables["Contact"].values()]


def other_tasks(twin: Any) -> None:
    """Somebody has a task of his own, works on ours, and completes the second."""
    org = twin.orgs[0]
    org.insert("Task", {"Subject": "Theirs"})
    for key, status in (("c1", "In Progress"), ("c2", "Completed"), ("c3", "Deferred")):
        (id_,) = org.matching("Task", "Octo_Id__c", key)
        org.update("Task", id_, {"Status": status, "Description": f"Theirs {key}"})


def their_tasks(twin: Any) -> Any:
    """Key, status and note of every task."""
    rows = twin.orgs[0].tables["Task"].values()
    return sorted((str(row.get("Octo_Id__c")), row["Status"], row["Description"]) for row in rows)


def other_persons(twin: Any) -> None:
    """A business, a stranger of another record type, and notes about ours; one of ours is made a VIP."""
    org = twin.orgs[2]
    (vip,) = (row["Id"] for row in org.tables["RecordType"].values() if row["Name"] == "Vip")
    org.insert("Account", {"Name": "Acme"})
    org.insert("Account", {"LastName": "Stranger", "RecordTypeId": vip})
    for number, record in enumerate(list(org.tables["Account"].values())):
        org.update("Account", record["Id"], {"Description": f"Theirs {number}"})
    (second,) = org.matching("Account", "Octo_Id__c", "c2")
    org.update("Account", second, {"RecordTypeId": vip})


def their_persons(twin: Any) -> Any:
    """Of each account: its name, its record type and the note about it."""
    rows = twin.orgs[2].tables["Account"].values()
    return [(row["Name"], row["RecordTypeId"], row["Description"]) for row in rows]


MEMBERS = Vendor(
    examinee=SALESFORCE,
    whole_only=True,
    table="CampaignMember",
    key="Contact.Octo_Id__c",
    segment="Octo_Segment__c",
    orders="Octo_Orders__c",
    prepare=known_people,
    most=PEOPLE - 1,
    settings={"object": "CampaignMember", "campaign": "Winback", "status": "Sent"},
    key_from="customer_id",
    longest=255,
    writes=(r"(POST|PATCH|DELETE) .*/composite/sobjects$",),
    # 200 people in a call, in or out; the first time one more lets the new fields be seen.
    least=(3, 1, 1),
    lost="composite",
    may_call=(*CALLS, r"PATCH /services/data/v61.0/composite/sobjects"),
    others=other_members,
    theirs=their_members,
)

TASKS = Vendor(
    examinee=SALESFORCE,
    whole_only=True,
    table="Task",
    key="Octo_Id__c",
    segment="Octo_Segment__c",
    orders="Octo_Orders__c",
    prepare=known_people,
    most=PEOPLE - 1,
    settings={"object": "Task", "status": "Not Started"},
    fields=(
        {"template": "Call {customer_id}", "to": "Subject"},
        {"from": "customer_id", "to": "WhoId", "create_only": True},
    ),
    key_from="customer_id",
    longest=255,
    writes=(r"(PATCH|DELETE) .*/composite/sobjects",),
    # 200 tasks in a call.
    least=(2, 1, 1),
    lost="composite",
    may_call=(*CALLS, r"PATCH /services/data/v61.0/composite/sobjects/Task/Octo_Id__c"),
    others=other_tasks,
    theirs=their_tasks,
)

PERSONS = Vendor(
    examinee=replace(SALESFORCE, env={"SF_CLIENT_ID": "octo-app-3", "SF_CLIENT_SECRET": "octo-secret-3"}),
    whole_only=True,
    table="PersonAccount",
    key="Octo_Id__c",
    segment="Octo_Segment__pc",
    orders="Octo_Orders__c",
    settings={"object": "PersonAccount", "bulk_from": 250},
    fields=({"from": "customer_id", "to": "LastName", "create_only": True},),
    key_from="customer_id",
    longest=255,
    writes=WRITES,
    # As contacts; that new ones are people is looked up and said in the same call.
    least=(3, 1, 1),
    lost="composite",
    may_call=(*CALLS, JOBS, r"PATCH /services/data/v61.0/composite/sobjects(/Account/Octo_Id__c)?"),
    others=other_persons,
    theirs=their_persons,
)
