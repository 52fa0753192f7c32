"""An org with person accounts: accounts that are people, each with a contact of its own behind it.

After "Person Account Record Types" in the API guide: a record type with `IsPersonType` makes an account a
person; its name is made of its first and last name; custom fields of contacts show on it as `__pc`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from connectors.sandbox.salesforce.objects import SField, table
from connectors.sandbox.salesforce.values import RowError

if TYPE_CHECKING:
    from connectors.sandbox.salesforce.org import Org, Record

OF_PERSONS = table("""
FirstName string 40 CUN
LastName string 80 CUN
Salutation picklist 40 CUN Mr.|Ms.|Mrs.|Dr.|Prof.
PersonEmail email 80 CUN
PersonMobilePhone phone 40 CUN
PersonBirthdate date 0 CUN
PersonMailingCity string 40 CUN
PersonMailingPostalCode string 20 CUN
""")
OF_ALL = table("""
IsPersonAccount boolean 0 D
PersonContactId reference 18 N
RecordTypeId reference 18 CUN
""")
SHARED = {"FirstName": "FirstName", "LastName": "LastName", "PersonEmail": "Email"}
"""A person account's field → the same of its contact."""


def enable(org: Org) -> None:
    """What Salesforce's support does on request, and nobody can undo."""
    org.fields["Account"] |= OF_PERSONS | OF_ALL
    org.fields["RecordType"]["IsPersonType"] = SField("IsPersonType", "boolean", flags="D")
    kinds = (("Business_Account", False), ("PersonAccount", True), ("Vip", True))
    for name, is_person in kinds:
        asked = {"Name": name, "DeveloperName": name, "SobjectType": "Account", "IsActive": True}
        org.add("RecordType", asked | {"IsPersonType": is_person})


def enabled(org: Org) -> bool:
    return "IsPersonAccount" in org.fields["Account"]


def mirrored(org: Org, name: str, field: SField) -> None:
    """A custom field of contacts shows on person accounts, where records are not found by it."""
    if name == "Contact" and enabled(org):
        flags = field.flags.replace("E", "").replace("Q", "")
        shown = replace(field, name=f"{field.name.removesuffix('__c')}__pc", flags=flags)
        org.fields["Account"][shown.name] = shown
        for record in org.tables["Account"].values():
            record[shown.name] = False if shown.type == "boolean" else None


def owner(name: str, field: str) -> tuple[str, str]:
    """Whose permission decides who sees a field: that of a contact's, for its shadow on a person account."""
    if field.endswith("__pc"):
        return "Contact", f"{field.removesuffix('__pc')}__c"
    return name, field


def before_insert(org: Org, values: dict[str, Any]) -> None:
    """Decide what a new account is. Without a record type, a last name says that it is a person."""
    kinds = {row["DeveloperName"]: row for row in org.tables["RecordType"].values()}
    said = org.tables["RecordType"].get(values.get("RecordTypeId") or "")
    kind = said or kinds["PersonAccount" if values.get("LastName") else "Business_Account"]
    values["RecordTypeId"] = kind["Id"]
    check(values, bool(kind["IsPersonType"]))
    if kind["IsPersonType"] and values.get("LastName") is None:
        told = "Required fields are missing: [LastName]"
        raise RowError("REQUIRED_FIELD_MISSING", told, ("LastName",))


def before_update(org: Org, record: Record, values: dict[str, Any]) -> None:
    """A person stays a person, and a business a business."""
    check(values, record["IsPersonAccount"])
    kind = org.tables["RecordType"].get(values.get("RecordTypeId") or record["RecordTypeId"], {})
    if kind.get("IsPersonType") != record["IsPersonAccount"]:
        told = "Record Type ID: this ID value isn't valid for the user"
        raise RowError("INVALID_CROSS_REFERENCE_KEY", told, ("RecordTypeId",))
    if "LastName" in values and values["LastName"] is None:
        told = "Required fields are missing: [LastName]"
        raise RowError("REQUIRED_FIELD_MISSING", told, ("LastName",))


def check(values: dict[str, Any], is_person: bool) -> None:
    """RowError for fields that this kind of account does not have."""
    of_person = {name for name in values if name in OF_PERSONS or name.endswith("__pc")}
    wrong = sorted({"Name"} & values.keys() if is_person else of_person)
    if wrong:
        told = f"Account: bad field names on insert/update call: {', '.join(wrong)}"
        raise RowError("INVALID_FIELD_FOR_INSERT_UPDATE", told, tuple(wrong))


def after_write(org: Org, record: Record) -> None:
    """The name and the contact of a person follow the account."""
    kind = org.tables["RecordType"].get(record["RecordTypeId"] or "", {})
    record["IsPersonAccount"] = bool(kind.get("IsPersonType"))
    if not record["IsPersonAccount"]:
        return
    record["Name"] = " ".join(filter(None, (record["FirstName"], record["LastName"])))
    custom = {name: f"{name.removesuffix('__pc')}__c" for name in record if name.endswith("__pc")}
    same = {theirs: record[ours] for ours, theirs in (SHARED | custom).items()}
    contact = org.tables["Contact"].get(record["PersonContactId"] or "")
    if contact is None:
        record["PersonContactId"] = org.add("Contact", {**same, "AccountId": record["Id"]})
    else:
        org.write("Contact", contact, same)
