"""A segment as a campaign: its customers among the campaign's members.

    object: CampaignMember
    campaign: Winback            the name, or the id, of a campaign there is: campaigns are people's
    people: Contact              or Lead, or PersonAccount: who has the external id
    status: Sent                 of those who are added; afterwards a member's status is the campaign's own

One call creates 200 members, each by the external id of its contact or lead. Salesforce upserts no members
(Object Reference, CampaignMember, Usage): whoever it says is one already is looked up and changed by id.

Only whom this user of Octo's added is taken off the campaign; every look, and so every delete, names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connectors.destinations.salesforce.org import Org, fold, literal, unsayable
from connectors.destinations.salesforce.people import People
from connectors.destinations.salesforce.records import shown, spelled, whole
from connectors.destinations.salesforce.replies import first, receipt, refused, removed
from octo_dagster.errors import Fatal
from octo_dagster.model import Batch, Change, Fields, Op, Outcome, Receipt

NAME = "CampaignMember"
TAKEN = "DUPLICATE_VALUE"
"""What a second creation of a member is refused with: `Already a campaign member`, in the user's language."""
ID_LENGTHS = (15, 18)

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Members:
    """The members of one campaign."""

    campaign: str
    people: People
    status: str | None

    def send(self, org: Org, batch: Batch) -> list[Receipt]:
        """At most 200 people, in or out."""
        return self.join(org, batch) if batch.op is Op.UPSERT else self.leave(org, batch)

    def join(self, org: Org, batch: Batch) -> list[Receipt]:
        """New members in one call; those there are, in a look and a call."""
        said = [change for change in batch.changes if unsayable(org, change) is None]
        there = self.found(org, [change.key for change in said if change.known])
        new = [replace(c, fields=whole(batch, c)) for c in said if fold(c.key) not in there]
        told, taken = self.create(org, batch, new) if new else ({}, {})
        there |= self.found(org, taken)
        told |= {key: refusal for key, refusal in taken.items() if fold(key) not in there}
        told |= self.change(
            org, batch, [c for c in said if c.key not in told and fold(c.key) in there], there
        )
        return [*refused(org, batch), *told.values()]

    def create(
        self, org: Org, batch: Batch, changes: Sequence[Change]
    ) -> tuple[dict[str, Receipt], dict[str, Receipt]]:
        """Receipts of new members, and the refusals of those who seem to be members already."""
        who, told = self.named(org, changes)
        able = [change for change in changes if change.key in who]
        fixed = {"CampaignId": self.id(org)} | ({"Status": self.status} if self.status else {})
        records = [{**spelled(org, c, batch), **fixed, **who[c.key]} for c in able]
        rows = org.collection("POST", "", records) if records else []
        taken = {}
        for change, row in zip(able, rows, strict=False):
            if row["success"]:
                told[change.key] = Receipt(change.key, Outcome.ACCEPTED, created=True)
            elif first(row)["statusCode"] == TAKEN:
                taken[change.key] = receipt(change.key, row)
            else:
                told[change.key] = self.explained(change.key, row)
        return told, taken

    def named(
        self, org: Org, changes: Sequence[Change]
    ) -> tuple[dict[str, dict[str, Any]], dict[str, Receipt]]:
        """How a new member names its person: by the external id, or, where the person is an account, by the
        id of its contact; and the refusals of those nobody is found for."""
        people = self.people
        if people.kind != "PersonAccount":
            return {c.key: {people.relation: {people.external_id: c.key}} for c in changes}, {}
        ids = people.ids(org, [change.key for change in changes])
        known = {c.key: ids.get(fold(c.key), []) for c in changes}
        told = {
            key: Receipt(key, Outcome.REJECTED, people.missing(len(found)))
            for key, found in known.items()
            if len(found) != 1
        }
        return {key: {"ContactId": found[0]} for key, found in known.items() if key not in told}, told

    def explained(self, key: str, row: Row) -> Receipt:
        """A refusal of a new member. Fields are checked beforehand, so an INVALID_FIELD is the person's."""
        told = receipt(key, row)
        if told.outcome is Outcome.REJECTED and first(row)["statusCode"] == "INVALID_FIELD":
            return Receipt(key, Outcome.REJECTED, f"{self.people.missing(0)} ({told.reason})")
        return told

    def change(
        self, org: Org, batch: Batch, changes: Iterable[Change], there: Mapping[str, list[Row]]
    ) -> dict[str, Receipt]:
        """Write the fields of members there are."""
        told: dict[str, Receipt] = {}
        work: list[Change] = []
        for change in changes:
            if len(there[fold(change.key)]) > 1:
                several = self.people.missing(len(there[fold(change.key)]))
                told[change.key] = Receipt(change.key, Outcome.REJECTED, several)
            elif change.fields:
                work.append(change)
            else:
                told[change.key] = Receipt(change.key, Outcome.ACCEPTED, created=False)
        records = [{**spelled(org, c, batch), "Id": there[fold(c.key)][0]["id"]} for c in work]
        rows = org.collection("PATCH", "", records) if records else []
        return told | {c.key: changed(c.key, row) for c, row in zip(work, rows, strict=False)}

    def leave(self, org: Org, batch: Batch) -> list[Receipt]:
        """Take those off the campaign whom Octo added; who was a member before stays one."""
        there = self.found(org, batch.keys, also=[f"CreatedById = {literal(org.me())}"])
        going = {key: there[fold(key)][0]["id"] for key in batch.keys if fold(key) in there}
        rows = org.drop(list(going.values()))
        told = {key: removed(key, row) for key, row in zip(going, rows, strict=False)}
        stayed = [key for key in batch.keys if key not in going]
        return [*told.values(), *(Receipt(key, Outcome.ACCEPTED, created=False) for key in stayed)]

    def read(self, org: Org, keys: Iterable[str], fields: Iterable[str]) -> dict[str, Fields]:
        """What is held of those who are members of this campaign."""
        asked, names = {fold(key): key for key in keys}, list(fields)
        own = [name for name in names if name != self.people.external_id]
        there = self.found(org, asked.values(), own)
        held: dict[str, Fields] = {}
        for folded, rows in there.items():
            key = {self.people.external_id: rows[0][self.people.path.lower()]}
            told = {**shown(org, rows[0], own), **key}
            held[asked[folded]] = {name: told[name] for name in names}
        return held

    def found(
        self, org: Org, keys: Iterable[str], columns: Iterable[str] = (), also: Iterable[str] = ()
    ) -> dict[str, list[Row]]:
        """Folded key → its members of this campaign, and of no other."""
        asked = list(keys)
        if not asked:
            return {}
        where = [NAME, f"CampaignId = {literal(self.id(org))}", *also]
        there: dict[str, list[Row]] = {}
        for row in org.select(["Id", *columns], self.people.path, asked, where):
            there.setdefault(fold(row[self.people.path.lower()]), []).append(row)
        return there

    def id(self, org: Org) -> str:
        """The campaign's id. Fatal where there is no such campaign, or several."""
        found = self.campaigns(org)
        if len(found) != 1:
            raise Fatal(f"salesforce: campaign: {wrong(self.campaign, len(found))}")
        return found[0]

    def campaigns(self, org: Org) -> list[str]:
        """The ids of the campaigns of this name or id. Asked once."""
        if org.campaigns is None:
            is_id = self.campaign.startswith("701") and len(self.campaign) in ID_LENGTHS
            by = "Id" if is_id else "Name"
            rows = org.query(f"SELECT Id FROM Campaign WHERE {by} = {literal(self.campaign)}")
            org.campaigns = [row["id"] for row in rows]
        return org.campaigns

    def problems(self, org: Org, fields: Iterable[str]) -> Iterable[str]:
        """What keeps people from joining: the campaign, the person's key, the status, the status mapped."""
        ids = self.campaigns(org)
        if len(ids) != 1:
            yield f"campaign: {wrong(self.campaign, len(ids))}"
        if unfound := self.people.problem(org):
            yield f"{self.people.external_id}: {unfound}"
        if self.status and len(ids) == 1 and self.status not in (known := statuses(org, ids[0])):
            yield f"status: the campaign has no member status {self.status}; it has {', '.join(known)}"
        if "Status" in fields:
            yield "Status: say `status` in the destination; afterwards a member's is the campaign's own"


def changed(key: str, row: Row) -> Receipt:
    """A member that was changed, and so not created."""
    told = receipt(key, row)
    return Receipt(key, told.outcome, told.reason, created=False) if row["success"] else told


def wrong(campaign: str, count: int) -> str:
    if count:
        return f"{count} campaigns are called {campaign}; say the id of the one that is meant"
    return f"there is no campaign {campaign}, or this user may not see it; Octo makes none"


def statuses(org: Org, campaign: str) -> list[str]:
    """The member statuses of a campaign: with any other, Salesforce gives the default one without a word."""
    rows = org.query(f"SELECT Label FROM CampaignMemberStatus WHERE CampaignId = {literal(campaign)}")
    return [str(row["label"]) for row in rows]
