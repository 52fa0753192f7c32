"""A segment as a campaign's members: who joins, who leaves, and whom nobody but people may take off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.sandbox.salesforce.org import SOMEBODY
from connectors.sandbox.server import Sandbox
from octo_dagster.errors import Fatal
from octo_dagster.model import Change, Fields, FieldType, Op, Outcome, Removal
from tests.contract.salesforce.front import TEXT, Front
from tests.contract.sitting import build
from tests.vendors.salesforce import SALESFORCE
from tests.world import World, row, world

SETTINGS = {"object": "CampaignMember", "campaign": "Winback", "status": "Sent"}
BEST: Fields = {"Octo_Segment__c": "best"}
REFUSED = Outcome.REJECTED


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SALESFORCE.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def front(sandbox: Sandbox) -> Iterator[Front]:
    """Two campaigns of people's, and a destination that keeps the members of one."""
    org = sandbox.twin("salesforce").orgs[0]
    for name in ("Winback", "Theirs"):
        org.insert("Campaign", {"Name": name, "IsActive": True})
    with closing(Front(sandbox, SETTINGS)) as made:
        yield made


def id_of(front: Front, name: str) -> str:
    return str(next(row["Id"] for row in front.rows("Campaign") if row["Name"] == name))


def members(front: Front, name: str = "Winback") -> dict[str, dict[str, Any]]:
    """Contact's key → member."""
    contacts = front.org.tables["Contact"]
    rows = [row for row in front.rows("CampaignMember") if row["CampaignId"] == id_of(front, name)]
    return {contacts[row["ContactId"]]["Octo_Id__c"]: row for row in rows}


def add(front: Front, key: str, name: str, status: str = "Sent") -> None:
    """Somebody adds a contact to a campaign."""
    (contact,) = front.org.matching("Contact", "Octo_Id__c", key)
    said = {"CampaignId": id_of(front, name), "ContactId": contact, "Status": status}
    front.org.insert("CampaignMember", said)


def test_two_hundred_join_in_one_call(front: Front) -> None:
    """Found by the shop's own id, with the status and the segment, in the one call there has to be."""
    keys = [f"c{n}" for n in range(200)]
    front.people(*keys)
    front.do(Op.UPSERT, {"nobody": BEST})  # the campaign's id is asked for once
    before = front.calls()
    told = front.do(Op.UPSERT, dict.fromkeys(keys, BEST))
    assert {(one.outcome, one.created) for one in told.values()} == {(Outcome.ACCEPTED, True)}
    assert front.asked(before) == ["POST composite/sobjects"]
    assert {(row["Status"], row["Octo_Segment__c"]) for row in members(front).values()} == {("Sent", "best")}
    assert front.destination.read(front.api, ["c7", "x"], [*TEXT, "Octo_Id__c"]) == {
        "c7": {**BEST, "Octo_Id__c": "c7"}
    }


def test_who_is_a_member_already_is_one(front: Front) -> None:
    """Whom people added is accepted, gets the mapped fields, and keeps the status people gave."""
    front.people("c1", "c2")
    add(front, "c1", "Winback", "Responded")
    told = front.do(Op.UPSERT, {"c1": BEST, "c2": BEST})
    assert [(told[key].outcome, told[key].created) for key in ("c1", "c2")] == [
        (Outcome.ACCEPTED, False),
        (Outcome.ACCEPTED, True),
    ]
    held = members(front)
    assert (held["c1"]["Status"], held["c1"]["Octo_Segment__c"]) == ("Responded", "best")
    again = front.do(Op.UPSERT, {"c1": {}, "c2": {}})
    assert {one.outcome for one in again.values()} == {Outcome.ACCEPTED}
    assert len(members(front)) == 2


def test_a_change_is_a_look_and_a_call(front: Front) -> None:
    """Whom the ledger knows is not tried to be added first; gone meanwhile, the member is added again."""
    front.people("c1", "c2")
    front.do(Op.UPSERT, {"c1": BEST, "c2": BEST})
    before = front.calls()
    front.do(Op.UPSERT, {"c1": {"Octo_Segment__c": "lost"}}, known=True)
    assert front.asked(before) == ["GET query", "PATCH composite/sobjects"]
    assert members(front)["c1"]["Octo_Segment__c"] == "lost"
    front.org.delete("CampaignMember", members(front)["c2"]["Id"])
    assert front.do(Op.UPSERT, {"c2": BEST}, known=True)["c2"].created is True


def test_a_member_whom_people_took_off_comes_back_whole(front: Front) -> None:
    """A change of one field adds the member anew with those that did not change."""
    front.people("c1")
    front.sitting.carry_out(Op.UPSERT, Change("c1", BEST))
    front.org.delete("CampaignMember", members(front)["c1"]["Id"])
    told = front.sitting.carry_out(Op.UPSERT, Change("c1", {}, known=True))["c1"]
    assert (told.outcome, told.created) == (Outcome.ACCEPTED, True)
    assert members(front)["c1"]["Octo_Segment__c"] == "best"


def test_who_is_not_there_is_told_of(front: Front) -> None:
    """A customer without a contact is rejected with the reason, and the others of the call join."""
    front.people("c1")
    told = front.do(Op.UPSERT, {"c1": BEST, "c9": BEST})
    assert (told["c1"].outcome, told["c9"].outcome) == (Outcome.ACCEPTED, REFUSED)
    reason = "UNKNOWN_PERSON: no Contact has this Octo_Id__c; sync the Contact first (INVALID_FIELD: Foreign"
    assert (told["c9"].reason or "").startswith(reason)


def test_a_key_of_two_contacts_is_nobody(front: Front) -> None:
    """Where the id is not unique after all nobody knows who is meant: rejected, and nobody joins."""
    for _ in range(2):
        front.org.add("Contact", {"LastName": "A", "Octo_Id__c": "c1"})
    told = front.do(Op.UPSERT, {"c1": BEST})["c1"]
    assert (told.outcome, (told.reason or "")[:21]) == (REFUSED, "DUPLICATE_EXTERNAL_ID")
    for contact in front.rows("Contact"):
        said = {"CampaignId": id_of(front, "Winback"), "ContactId": contact["Id"]}
        front.org.insert("CampaignMember", said)
    known = front.do(Op.UPSERT, {"c1": BEST}, known=True)["c1"]
    assert (known.outcome, (known.reason or "")[:21]) == (REFUSED, "DUPLICATE_EXTERNAL_ID")


def test_another_duplicate_is_no_member(front: Front) -> None:
    """A refusal for a value that must be unique is not taken for *already a member*."""
    front.people("c1", "c2")
    front.twin.add_key("CampaignMember", "Code__c")
    front.open()
    front.do(Op.UPSERT, {"c1": {"Code__c": "A"}})
    told = front.do(Op.UPSERT, {"c2": {"Code__c": "A"}})["c2"]
    assert (told.outcome, (told.reason or "")[:15]) == (REFUSED, "DUPLICATE_VALUE")


def test_only_whom_octo_added_leaves(front: Front) -> None:
    """Off this campaign go those Octo added; who was in it before, and every other campaign, stay."""
    front.people("c1", "c2", "c3")
    add(front, "c2", "Winback", "Responded")
    for key in ("c1", "c2", "c3"):
        add(front, key, "Theirs")
    front.do(Op.UPSERT, dict.fromkeys(("c1", "c2", "c3"), BEST))
    told = front.do(Op.LEAVE, {"c1": {}, "c2": {}, "c9": {}})
    assert {one.outcome for one in told.values()} == {Outcome.ACCEPTED}
    assert {key: row["Status"] for key, row in members(front).items()} == {"c2": "Responded", "c3": "Sent"}
    assert set(members(front, "Theirs")) == {"c1", "c2", "c3"}
    assert {row["CreatedById"] for row in members(front, "Theirs").values()} == {SOMEBODY}
    before = front.calls()
    front.do(Op.LEAVE, {"c1": {}})
    assert front.asked(before) == ["GET query"]


def test_no_member_leaves_without_a_campaign(front: Front) -> None:
    """Without a campaign the file is refused; where its name means none, or two, nobody is taken off."""
    front.people("c1")
    add(front, "c1", "Theirs")
    front.do(Op.UPSERT, {"c1": BEST})
    with pytest.raises(ValidationError, match="`object: CampaignMember` and `campaign` go together"):
        build(SALESFORCE, {"object": "CampaignMember"})
    front.org.insert("Campaign", {"Name": "Winback"})
    for name in ("", "Gone", "Winback"):
        front.settings = {**SETTINGS, "campaign": name}
        front.open()
        with pytest.raises(Fatal, match="campaign"):
            front.do(Op.LEAVE, {"c1": {}})
        with pytest.raises(Fatal, match="campaign"):
            front.do(Op.UPSERT, {"c1": BEST})
    assert len(front.rows("CampaignMember")) == 2
    assert front.removals == frozenset({Removal.LEAVE})


def test_a_campaign_may_be_named_by_its_id(front: Front) -> None:
    """The id of one of two campaigns of the same name says which."""
    front.people("c1")
    twin = front.campaign("Winback")
    front.settings = {**SETTINGS, "campaign": twin}
    front.open().do(Op.UPSERT, {"c1": BEST})
    assert [row["CampaignId"] for row in front.rows("CampaignMember")] == [twin]


def test_what_is_wrong_is_told_before_the_first_call(front: Front) -> None:
    """A campaign or status that is not there, a mapped status, people without the key: a line each, nothing
    made."""
    front.settings = {**SETTINGS, "campaign": "Gone", "people": "PersonAccount"}
    front.types = {"Fresh__c": FieldType.TEXT, "Status": FieldType.TEXT}
    assert front.open().report.problems == (
        "campaign: there is no campaign Gone, or this user may not see it; Octo makes none",
        "Octo_Id__c: person accounts are not enabled in this org",
        "Status: say `status` in the destination; afterwards a member's is the campaign's own",
        "Fresh__c: missing, and this sync may not create fields",
    )
    front.settings, front.types = {**SETTINGS, "status": "Invited"}, TEXT
    assert front.open().report.problems == (
        "status: the campaign has no member status Invited; it has Sent, Responded",
    )
    front.org.fields["Lead"].pop("Octo_Id__c")
    front.settings = {**SETTINGS, "people": "Lead"}
    (told,) = front.open().report.problems
    assert told == "Octo_Id__c: Lead has no External ID of this name; a sync of Lead makes it"
    assert "Fresh__c" not in front.org.fields["CampaignMember"]


def test_leads_join_too(front: Front) -> None:
    """With `people: Lead` the members are leads."""
    (lead,) = front.people("l1", kind="Lead")
    front.settings = {**SETTINGS, "people": "Lead"}
    front.open().do(Op.UPSERT, {"l1": BEST})
    assert [(row["LeadId"], row["ContactId"]) for row in front.rows("CampaignMember")] == [(lead, None)]
    assert front.destination.read(front.api, ["l1"], TEXT) == {"l1": BEST}
    front.do(Op.LEAVE, {"l1": {}})
    assert front.rows("CampaignMember") == []


def test_person_accounts_join_by_their_contacts(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account has the shop's id, the contact behind it joins; nobody, and two of a kind, are told of."""
    monkeypatch.setenv("SF_CLIENT_ID", "octo-app-3")
    monkeypatch.setenv("SF_CLIENT_SECRET", "octo-secret-3")
    sandbox.twin("salesforce").orgs[2].insert("Campaign", {"Name": "Winback"})
    settings = {**SETTINGS, "people": "PersonAccount", "status": None}
    with closing(Front(sandbox, settings, number=2)) as front:
        (person,) = front.people("c1", kind="Account")
        told = front.do(Op.UPSERT, {"c1": BEST, "c9": BEST})
        assert (told["c1"].created, told["c9"].outcome) == (True, REFUSED)
        contact = front.org.tables["Account"][person]["PersonContactId"]
        assert [(row["ContactId"], row["Status"]) for row in front.rows("CampaignMember")] == [
            (contact, "Sent")
        ]
        assert front.destination.read(front.api, ["c1"], TEXT) == {"c1": BEST}
        front.do(Op.LEAVE, {"c1": {}})
        assert front.rows("CampaignMember") == []


@pytest.fixture
def segment(front: Front, tmp_path: Path) -> World:
    """A sync that keeps a segment of known contacts in the campaign, of whom people had added one."""
    front.people(*(f"c{n}" for n in range(1, 7)))
    add(front, "c6", "Winback", "Responded")
    said: dict[str, Any] = {
        "destination": {**SALESFORCE.settings, **SETTINGS},
        "key": {"from": "customer_id", "to": "Octo_Id__c"},
        "fields": [{"from": "segment", "to": "Octo_Segment__c", "nulls": "clear"}],
        "guards": {"max_removed": "100%", "max_changed": "100%"},
        "mode": "mirror",
        "verify": 1.0,
    }
    return world(tmp_path, front.sandbox, SALESFORCE, **said)


@pytest.mark.parametrize("kind", ["drop_after", "throttle"])
def test_a_segment_is_kept_through_every_fault(segment: World, front: Front, kind: str) -> None:
    """People come, change and go while a call goes wrong: members are the segment's, and people's own stay,
    although the ledger never heard who was created by the call without a reply."""
    days = [range(1, 4), range(2, 7), range(4, 6), range(1, 6)]
    for after, numbers in zip((6, 4, 5, 3), days, strict=True):
        segment.sandbox.fault("salesforce", kind, after=after)
        segment.have([row(n, segment=f"day {after}") for n in numbers]).deliver()
        segment.sandbox.vendors["salesforce"].faults.clear()
        assert segment.deliver().exit_code == 0
        held = {key: found["Octo_Segment__c"] for key, found in members(front).items() if key != "c6"}
        assert held == {f"c{n}": f"day {after}" for n in numbers if n != 6}
        assert members(front)["c6"]["Status"] == "Responded"
    assert segment.plan().changes == 0
