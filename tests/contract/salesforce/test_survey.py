"""What a newcomer is shown of an org: what can be mapped, where to, and which permission is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.model import FieldType
from tests.contract.salesforce.front import TEXT, Front
from tests.vendors.salesforce import SALESFORCE


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SALESFORCE.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def front(sandbox: Sandbox) -> Iterator[Front]:
    """An org of which contacts are mapped."""
    with closing(Front(sandbox, {"object": "Contact"}, TEXT)) as made:
        yield made


def test_fields_keys_and_places(front: Front) -> None:
    """Writable fields with the type to map them as, the key records are found by, and what settings may name."""
    front.campaign("Winback")
    front.org.insert("Campaign", {"Name": "Last year", "IsActive": False})
    seen = front.destination.survey(front.api)
    known = {"LastName": FieldType.TEXT, "Birthdate": FieldType.DATE, "Octo_Segment__c": FieldType.TEXT}
    known |= {"MailingLatitude": FieldType.DECIMAL, "Octo_Id__c": FieldType.TEXT}
    assert {name: seen.fields[name] for name in known} == known
    assert not {"Id", "Name", "CreatedDate", "PhotoUrl"} & seen.fields.keys()
    assert (seen.keys, seen.missing) == (("Octo_Id__c",), ())
    assert seen.places == {
        "object": ("Contact", "Lead", "Account", "Customer__c", "CampaignMember", "Task"),
        "campaign": ("Winback",),
        "permission_set": ("Octo",),
        "external_id": ("Octo_Id__c",),
    }


def test_without_the_key_none_is_offered(front: Front) -> None:
    """An External ID of another name is told of as a setting, and is not the key as long as it is not set."""
    front.twin.add_key("Contact", "Shop__c")
    front.org.fields["Contact"].pop("Octo_Id__c")
    front.settings = {"object": "Contact", "permission_set": None}
    seen = front.open().destination.survey(front.api)
    assert (seen.keys, seen.places["external_id"]) == ((), ("Shop__c",))
    assert front.destination.spelling("customer_id") == "Octo_Id__c"
    assert front.destination.spelling("rfm_segment") == "Rfm_Segment__c"


def test_missing_permissions_are_named(front: Front) -> None:
    """By their names in Salesforce, with what cannot be done without; nothing is tried to find it out."""
    front.org.forbidden |= {("Contact", "createable"), ("Contact", "updateable"), ("Contact", "deletable")}
    front.org.access["PermissionsCustomizeApplication"] = False
    front.org.access["PermissionsManageProfilesPermissionsets"] = False
    front.org.access["PermissionsEditTask"] = False
    before = front.calls()
    assert front.destination.survey(front.api).missing == (
        "Create on Contact: records cannot be made",
        "Edit on Contact: records cannot be changed",
        "Customize Application: fields that are missing cannot be made",
        "Manage Profiles and Permission Sets: new fields cannot be made visible to this user",
    )
    assert {call.partition(" ")[0] for call in front.asked(before)} == {"GET"}


def test_an_object_that_is_not_there_is_a_missing_permission(front: Front) -> None:
    """Where this user may not even read the object nothing is asked of it, and the line says so."""
    front.org.forbidden |= {("Contact", "queryable"), ("Campaign", "queryable")}
    seen = front.destination.survey(front.api)
    assert seen.missing == ("Read on Contact: this user may not see the object, or the org has none",)
    assert (seen.fields, "campaign" in seen.places) == ({}, False)
    front.settings = {"object": "CampaignMember", "campaign": "Winback"}
    front.campaign("Winback")
    front.open()
    front.org.forbidden.add(("CampaignMember", "queryable"))
    (line,) = front.destination.survey(front.api).missing
    assert line.endswith("campaigns are for users whose Marketing User box is ticked")


@pytest.mark.parametrize(("object", "line"), [("CampaignMember", "Delete on"), ("Task", "Edit Tasks")])
def test_what_campaigns_and_call_lists_need(front: Front, object: str, line: str) -> None:  # noqa: A002
    """Taking members off needs Delete; tasks need Edit Tasks; a member's key is the contact's."""
    front.campaign("Winback")
    campaign = "Winback" if object == "CampaignMember" else None
    front.settings = {"object": object, "campaign": campaign}
    front.open()
    front.org.forbidden.add(("CampaignMember", "deletable"))
    front.org.access["PermissionsEditTask"] = False
    seen = front.destination.survey(front.api)
    assert [told.startswith(line) for told in seen.missing] == [True]
    assert seen.keys == ("Octo_Id__c",)


def test_person_accounts_are_offered_where_there_are_any(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An org that has them is shown to have them, with the fields of people."""
    monkeypatch.setenv("SF_CLIENT_ID", "octo-app-3")
    monkeypatch.setenv("SF_CLIENT_SECRET", "octo-secret-3")
    with closing(Front(sandbox, {"object": "PersonAccount"}, {}, number=2)) as front:
        seen = front.destination.survey(front.api)
    assert "PersonAccount" in seen.places["object"]
    assert (seen.fields["PersonEmail"], seen.keys) == (FieldType.TEXT, ("Octo_Id__c",))
