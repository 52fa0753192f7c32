"""The twin's campaigns, tasks and person accounts, asked by simple-salesforce, and what they refuse.

The words of the refusals: the Object Reference (CampaignMember, Task), and what users of jsforce and others
report (`Already a campaign member`, `Foreign key external ID … not found`, `id value of incorrect type`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connectors.sandbox.salesforce.values import RowError
from connectors.sandbox.server import Sandbox
from tests.contract.salesforce.replay import Replay
from tests.contract.salesforce.test_evidence import client, http  # noqa: F401 - fixtures

DATA = "/services/data/v61.0"
Library = Any


def sobjects(replay: Replay, method: str, records: list[dict[str, Any]], path: str = "") -> Any:
    body = {"allOrNone": False, "records": records}
    return replay.send(method, f"{DATA}/composite/sobjects{path}", json=body).json


def error(told: Any) -> str:
    return str(told[0]["errors"][0]["statusCode"])


def test_library_fills_a_campaign(client: Library, sandbox: Sandbox) -> None:  # noqa: F811
    """simple-salesforce adds a contact by its external id, finds it by the same, and takes it off."""
    client.Contact.upsert("Ext__c/k1", {"LastName": "A"})
    campaign = client.Campaign.create({"Name": "Winback", "IsActive": True})["id"]
    said = {"CampaignId": campaign, "Contact": {"Ext__c": "K1"}, "Status": "Responded"}
    member = client.CampaignMember.create(said)["id"]
    asked = f"SELECT Id, Contact.Ext__c, HasResponded FROM CampaignMember WHERE CampaignId = '{campaign}'"
    (found,) = client.query(f"{asked} AND Contact.Ext__c IN ('k1', 'k2')")["records"]
    assert (found["Id"], found["Contact"]["Ext__c"], found["HasResponded"]) == (member, "k1", True)
    assert client.CampaignMember.delete(member) == 204
    assert client.query(asked)["totalSize"] == 0


def test_library_keeps_a_call_list(client: Library) -> None:  # noqa: F811
    """A field made on Activity is a task's; a task is upserted by it, and closes with its status."""
    metadata = {"type": "Text", "label": "Ext", "length": 100, "externalId": True}
    client.toolingexecute(
        "sobjects/CustomField", "POST", {"FullName": "Activity.Ext__c", "Metadata": metadata}
    )
    role = client.query("SELECT Id FROM PermissionSet WHERE Name = 'Octo'")["records"][0]["Id"]
    permission = {"PermissionsRead": True, "PermissionsEdit": True, "Field": "Task.Ext__c"}
    client.FieldPermissions.create({"ParentId": role, "SobjectType": "Task", **permission})
    who = client.Contact.create({"LastName": "A"})["id"]
    assert client.Task.upsert("Ext__c/t1", {"Subject": "Call", "WhoId": who}) == 201
    assert client.Task.upsert("Ext__c/t1", {"Status": "Completed"}) == 200
    task = client.Task.get_by_custom_id("Ext__c", "t1")
    assert (task["IsClosed"], task["Priority"], task["CreatedById"]) == (True, "Normal", task["OwnerId"])


def test_a_member_is_one_once() -> None:
    """Added twice is DUPLICATE_VALUE; nobody, or no campaign, is a missing field; a key nobody has is told."""
    replay = Replay()
    org = replay.twin.orgs[0]
    campaign = org.add("Campaign", {"Name": "Winback"})
    contact = org.add("Contact", {"LastName": "A", "Custom_External_ID__c": "k1"})
    member = {"attributes": {"type": "CampaignMember"}, "CampaignId": campaign}
    assert sobjects(replay, "POST", [{**member, "ContactId": contact}])[0]["success"] is True
    assert error(sobjects(replay, "POST", [{**member, "ContactId": contact}])) == "DUPLICATE_VALUE"
    assert error(sobjects(replay, "POST", [member])) == "REQUIRED_FIELD_MISSING"
    unknown = {**member, "Contact": {"Custom_External_ID__c": "K9"}}
    assert sobjects(replay, "POST", [unknown])[0]["errors"][0] == {
        "statusCode": "INVALID_FIELD",
        "message": "Foreign key external ID: k9 not found for field Custom_External_ID__c in entity Contact",
        "fields": [],
    }


def test_a_members_campaign_cannot_be_changed() -> None:
    """A membership is created and deleted; a status the campaign does not have becomes its default one."""
    replay = Replay()
    org = replay.twin.orgs[0]
    campaign, other = (org.add("Campaign", {"Name": name}) for name in ("A", "B"))
    said = {"CampaignId": campaign, "ContactId": org.add("Contact", {"LastName": "A"}), "Status": "Invited"}
    member = org.insert("CampaignMember", said).id
    assert org.tables["CampaignMember"][member]["Status"] == "Sent"
    moved = {"attributes": {"type": "CampaignMember"}, "Id": member, "CampaignId": other}
    assert error(sobjects(replay, "PATCH", [moved])) == "INVALID_FIELD_FOR_INSERT_UPDATE"


def test_a_task_is_a_persons() -> None:
    """`WhoId` takes contacts and leads that are there, and its relationship no external id."""
    replay = Replay()
    org = replay.twin.orgs[0]
    task = {"attributes": {"type": "Task"}, "Subject": "Call"}
    account = org.add("Account", {"Name": "Acme"})
    told = sobjects(replay, "POST", [{**task, "WhoId": account}])[0]["errors"][0]
    assert told["message"] == f"Name ID: id value of incorrect type: {account}"
    gone = org.add("Contact", {"LastName": "A"})
    org.delete("Contact", gone)
    assert error(sobjects(replay, "POST", [{**task, "WhoId": gone}])) == "INVALID_CROSS_REFERENCE_KEY"
    reply = sobjects(replay, "POST", [{**task, "Who": {"Custom_External_ID__c": "k1"}}])
    assert reply[0]["errorCode"] == "INVALID_FIELD"
    query = {"q": "SELECT Id FROM Task WHERE Who.Custom_External_ID__c = 'k1'"}
    assert replay.send("GET", f"{DATA}/query", query_string=query).status_code == 400


@pytest.mark.parametrize(
    ("metadata", "status"),
    [({"FullName": "Activity.Key__c"}, 201), ({"FullName": "Task.Key__c"}, 400)],
)
def test_fields_of_tasks_are_made_on_activities(metadata: dict[str, Any], status: int) -> None:
    """Not on Task, and not as unique ones."""
    replay = Replay()
    text = {"type": "Text", "label": "Key", "length": 50, "externalId": True}
    path = f"{DATA}/tooling/sobjects/CustomField"
    assert replay.send("POST", path, json={**metadata, "Metadata": text}).status_code == status
    unique = {"FullName": "Activity.Other__c", "Metadata": {**text, "unique": True}}
    assert replay.send("POST", path, json=unique).status_code == 400


def test_accounts_are_people_by_their_record_type() -> None:
    """The type decides; without one, a last name does; neither is ever the other afterwards."""
    org = Replay().twin.orgs[2]
    kinds = {row["DeveloperName"]: row["Id"] for row in org.tables["RecordType"].values()}
    person = org.insert("Account", {"LastName": "A"}).id
    business = org.insert("Account", {"Name": "Acme"}).id
    rows = org.tables["Account"]
    assert (rows[person]["RecordTypeId"], rows[business]["RecordTypeId"]) == (
        kinds["PersonAccount"],
        kinds["Business_Account"],
    )
    refused: list[Callable[[], object]] = [
        lambda: org.insert("Account", {"Name": "Acme", "RecordTypeId": kinds["Vip"]}),
        lambda: org.insert("Account", {"FirstName": "Ada", "RecordTypeId": kinds["Vip"]}),
        lambda: org.update("Account", business, {"LastName": "A"}),
        lambda: org.update("Account", business, {"RecordTypeId": kinds["Vip"]}),
        lambda: org.update("Account", person, {"LastName": None}),
    ]
    codes = []
    for call in refused:
        with pytest.raises(RowError) as caught:
            call()
        codes.append(caught.value.code)
    wrong = "INVALID_FIELD_FOR_INSERT_UPDATE"
    missing = "REQUIRED_FIELD_MISSING"
    assert codes == [wrong, missing, wrong, "INVALID_CROSS_REFERENCE_KEY", missing]
