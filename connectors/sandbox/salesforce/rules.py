"""What an org does of itself when campaigns, their members and tasks are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connectors.sandbox.salesforce.values import RowError

if TYPE_CHECKING:
    from connectors.sandbox.salesforce.org import Org, Record

CLOSED = frozenset({"Completed"})
PEOPLE = ("Contact", "Lead")


def before_insert(org: Org, name: str, values: dict[str, Any]) -> None:
    """Check and complete the values of a new record; RowError when a rule forbids it."""
    if name == "CampaignMember":
        new_member(org, values)
    if name == "Task":
        values.setdefault("Status", "Not Started")
        values.setdefault("Priority", "Normal")
        values.setdefault("OwnerId", org.acting)
    before_write(org, name, values)


def before_write(org: Org, name: str, values: dict[str, Any]) -> None:
    """What holds for new and for changed records."""
    if name == "Task" and "WhoId" in values:
        person(org, values["WhoId"])


def after_write(org: Org, name: str, record: Record) -> None:
    """Fields that follow from others."""
    if name == "Task":
        record["IsClosed"] = record["Status"] in CLOSED
    if name == "CampaignMember":
        record["HasResponded"] = record["Status"] in responded(org, record["CampaignId"])


def after_insert(org: Org, name: str, record: Record) -> None:
    """What comes with a new record: a campaign has two member statuses from the start."""
    if name == "Campaign":
        sent = {"CampaignId": record["Id"], "Label": "Sent", "SortOrder": 1, "IsDefault": True}
        org.add("CampaignMemberStatus", sent)
        answered = {"CampaignId": record["Id"], "Label": "Responded", "SortOrder": 2, "HasResponded": True}
        org.add("CampaignMemberStatus", answered)


def new_member(org: Org, values: dict[str, Any]) -> None:
    """A contact or lead joins a campaign, once. A status the campaign does not have becomes its default."""
    who = next((field for field in ("ContactId", "LeadId") if values.get(field)), None)
    if who is None or values.get("CampaignId") not in org.tables["Campaign"]:
        missing = ("CampaignId",) if who else ("ContactId", "LeadId")
        raise RowError(
            "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", missing
        )
    pair = (values["CampaignId"], values[who])
    members = org.matching("CampaignMember", who, values[who])
    if any(org.tables["CampaignMember"][id_]["CampaignId"] == pair[0] for id_ in members):
        raise RowError("DUPLICATE_VALUE", "Already a campaign member.")
    statuses = of_campaign(org, pair[0])
    if values.get("Status") not in {status["Label"] for status in statuses}:
        values["Status"] = next(status["Label"] for status in statuses if status["IsDefault"])


def of_campaign(org: Org, campaign: str) -> list[Record]:
    return [row for row in org.tables["CampaignMemberStatus"].values() if row["CampaignId"] == campaign]


def responded(org: Org, campaign: str) -> set[str]:
    return {row["Label"] for row in of_campaign(org, campaign) if row["HasResponded"]}


def person(org: Org, id_: str | None) -> None:
    """RowError unless this is the id of a contact or lead, or none."""
    if id_ is None:
        return
    if not id_.startswith(tuple(org.prefixes[name] for name in PEOPLE)):
        raise RowError("FIELD_INTEGRITY_EXCEPTION", f"Name ID: id value of incorrect type: {id_}", ("WhoId",))
    if not any(org.full_id(id_) in org.tables[name] for name in PEOPLE):
        raise RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ("WhoId",))
