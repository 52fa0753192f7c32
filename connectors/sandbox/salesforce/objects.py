"""What the objects of a Salesforce org are made of, in the words of `describe`.

The standard fields below say what real orgs' `describe` says; `test_salesforce_evidence.py` compares
every one of them with recorded replies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "int": "xsd:int",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
}
NUMBERS = frozenset({"double", "currency", "percent", "int"})


@dataclass(frozen=True, slots=True)
class SField:
    """One field. Flags by letter: Createable, Updateable, Nillable, Lookup by it, Defaulted on create,
    External id, unique (Q), Restricted picklist."""

    name: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    flags: str = "CUN"
    values: tuple[str, ...] = ()
    label: str = ""

    @property
    def custom(self) -> bool:
        return self.name.endswith(("__c", "__pc"))

    @property
    def title(self) -> str:
        return self.label or self.name.removesuffix("__c").replace("_", " ")

    def has(self, flag: str) -> bool:
        return flag in self.flags


def table(text: str) -> dict[str, SField]:
    """Lines of `name type size flags [value|value…]`; size is a length, or precision.scale of a number."""
    fields = {}
    for line in filter(None, text.splitlines()):
        name, kind, size, flags, *values = line.split(maxsplit=4)
        length, precision, scale = sized(kind, size)
        listed = tuple(values[0].split("|")) if values else ()
        fields[name] = SField(name, kind, length, precision, scale, flags.replace("-", ""), listed)
    return fields


def sized(kind: str, size: str) -> tuple[int, int, int]:
    """(length, precision, scale) of a field whose size is written so."""
    if kind not in NUMBERS:
        return int(size), 0, 0
    precision, _, scale = size.partition(".")
    return 0, int(precision), int(scale or 0)


SYSTEM = """
Id id 18 LD
IsDeleted boolean 0 D
CreatedDate datetime 0 D
CreatedById reference 18 D
LastModifiedDate datetime 0 D
LastModifiedById reference 18 D
SystemModstamp datetime 0 D
"""
PERSON = """
LastName string 80 CU
FirstName string 40 CUN
Salutation picklist 40 CUN Mr.|Ms.|Mrs.|Dr.|Prof.
Name string 121 -
Title string 128 CUN
Phone phone 40 CUN
MobilePhone phone 40 CUN
Fax phone 40 CUN
Email email 80 CUNL
Description textarea 32000 CUN
LeadSource picklist 255 CUN Web|Phone Inquiry|Partner Referral|Purchased List|Other
CleanStatus picklist 40 CUNR Matched|Different|Acknowledged|NotFound|Inactive|Pending|SelectMatch|Skipped
"""
CONTACT = """
AccountId reference 18 CUN
MailingStreet textarea 255 CUN
MailingCity string 40 CUN
MailingState string 80 CUN
MailingPostalCode string 20 CUN
MailingCountry string 80 CUN
MailingLatitude double 18.15 CUN
MailingLongitude double 18.15 CUN
HomePhone phone 40 CUN
ReportsToId reference 18 CUN
Department string 80 CUN
Birthdate date 0 CUN
EmailBouncedReason string 255 CUN
EmailBouncedDate datetime 0 CUN
IsEmailBounced boolean 0 D
PhotoUrl url 255 N
"""
LEAD = """
Company string 255 CU
Street textarea 255 CUN
City string 40 CUN
State string 80 CUN
PostalCode string 20 CUN
Country string 80 CUN
Website url 255 CUN
Status picklist 255 CUD Open - Not Contacted|Working - Contacted|Closed - Converted|Closed - Not Converted
Industry picklist 255 CUN
Rating picklist 255 CUN Hot|Warm|Cold
AnnualRevenue currency 18.0 CUN
NumberOfEmployees int 0 CUN
IsConverted boolean 0 CD
ConvertedDate date 0 N
"""
ACCOUNT = """
Name string 255 CU
Type picklist 40 CUN
ParentId reference 18 CUN
BillingStreet textarea 255 CUN
BillingCity string 40 CUN
BillingPostalCode string 20 CUN
BillingCountry string 80 CUN
Phone phone 40 CUN
AccountNumber string 40 CUN
Website url 255 CUN
Industry picklist 40 CUN
AnnualRevenue currency 18.0 CUN
NumberOfEmployees int 0 CUN
Description textarea 32000 CUN
"""
CUSTOMER = """
Name string 80 D
"""
CAMPAIGN = """
Name string 80 CU
IsActive boolean 0 CUD
Type picklist 40 CUN
Status picklist 40 CUN
Description textarea 32000 CUN
"""
MEMBER = """
CampaignId reference 18 C
LeadId reference 18 CN
ContactId reference 18 CN
Status picklist 40 CUN
HasResponded boolean 0 D
FirstRespondedDate date 0 N
"""
MEMBER_STATUS = """
CampaignId reference 18 C
Label string 765 CU
SortOrder int 0 CUN
IsDefault boolean 0 CUD
HasResponded boolean 0 CUD
"""
TASK = """
WhoId reference 18 CUN
WhatId reference 18 CUN
OwnerId reference 18 CUD
Subject combobox 255 CUN
ActivityDate date 0 CUN
Status picklist 255 CUD Not Started|In Progress|Completed|Waiting on someone else|Deferred
Priority picklist 255 CUD Normal|High|Low
Description textarea 32000 CUN
IsClosed boolean 0 D
"""
RECORD_TYPE = """
Name string 80 CU
DeveloperName string 80 CU
SobjectType picklist 40 C
IsActive boolean 0 CUD
"""
PERMISSION_SET = """
Name string 80 CU
IsOwnedByProfile boolean 0 D
"""
ASSIGNMENT = """
AssigneeId reference 18 C
PermissionSetId reference 18 C
"""
ACCESS = """
PermissionsApiEnabled boolean 0 -
PermissionsCustomizeApplication boolean 0 -
PermissionsManageProfilesPermissionsets boolean 0 -
PermissionsEditTask boolean 0 -
"""
PERMISSIONS = """
ParentId reference 18 C
SobjectType picklist 40 C
Field picklist 255 C
PermissionsRead boolean 0 CUD
PermissionsEdit boolean 0 CUD
"""

OBJECTS = {
    "Contact": ("003", table(SYSTEM + PERSON + CONTACT)),
    "Lead": ("00Q", table(SYSTEM + PERSON + LEAD)),
    "Account": ("001", table(SYSTEM + ACCOUNT)),
    "Customer__c": ("a00", table(SYSTEM + CUSTOMER)),
    "Organization": ("00D", table(SYSTEM + "Name string 80 U\nIsSandbox boolean 0 -")),
    "Campaign": ("701", table(SYSTEM + CAMPAIGN)),
    "CampaignMember": ("00v", table(SYSTEM + MEMBER)),
    "CampaignMemberStatus": ("01Y", table(SYSTEM + MEMBER_STATUS)),
    "Task": ("00T", table(SYSTEM + TASK)),
    "RecordType": ("012", table(SYSTEM + RECORD_TYPE)),
    "PermissionSet": ("0PS", table(SYSTEM + PERMISSION_SET)),
    "PermissionSetAssignment": ("0Pa", table(SYSTEM + ASSIGNMENT)),
    "UserPermissionAccess": ("0Uu", table(SYSTEM + ACCESS)),
    "FieldPermissions": ("01k", table(SYSTEM + PERMISSIONS)),
}
"""Object → (first three characters of its ids, its standard fields). `Customer__c` is the one object a
person of this org has made: like any custom object with an auto-number name it requires nothing. Contact,
Lead and Account are as recorded; the other standard objects are as the Object Reference lists them."""

RELATED = {
    ("CampaignMember", "Contact"): ("ContactId", "Contact"),
    ("CampaignMember", "Lead"): ("LeadId", "Lead"),
    ("CampaignMember", "Campaign"): ("CampaignId", "Campaign"),
    ("Contact", "Account"): ("AccountId", "Account"),
    ("PermissionSetAssignment", "PermissionSet"): ("PermissionSetId", "PermissionSet"),
}
"""(Object, relationship) → (the field that holds the other's id, the other object). `Who` and `What` of a
task are not among them: each may be one of several objects, so they have no fields of their own."""


def described(field: SField) -> dict[str, Any]:
    """The field as `describe` lists it, with every member a real one has."""
    return {
        **dict.fromkeys(ALWAYS_FALSE, False),
        **dict.fromkeys(ALWAYS_NULL),
        "aggregatable": field.type not in {"boolean", "textarea"},
        "byteLength": field.length if field.type in {"id", "reference"} else field.length * 3,
        "createable": field.has("C"),
        "custom": field.custom,
        "defaultedOnCreate": field.has("D"),
        "digits": 8 if field.type == "int" else 0,
        "externalId": field.has("E"),
        "filterable": field.length <= 4000,
        "groupable": field.type in {"string", "picklist", "email", "phone", "url", "date", "boolean"},
        "idLookup": field.has("L") or field.has("E"),
        "label": field.title,
        "length": field.length,
        "name": field.name,
        "nillable": field.has("N"),
        "permissionable": field.has("N") or field.custom,
        "picklistValues": [
            {
                "active": True,
                "defaultValue": field.has("D") and value == field.values[0],
                "label": value,
                "validFor": None,
                "value": value,
            }
            for value in field.values
        ],
        "precision": field.precision,
        "referenceTo": [],
        "restrictedPicklist": field.has("R"),
        "scale": field.scale,
        "soapType": SOAP_TYPES.get(field.type, "xsd:string"),
        "sortable": field.length <= 4000,
        "type": field.type,
        "unique": field.has("Q"),
        "updateable": field.has("U"),
    }


ALWAYS_FALSE = """
    aiPredictionField autoNumber calculated cascadeDelete caseSensitive dependentPicklist
    deprecatedAndHidden displayLocationInDecimal encrypted formulaTreatNullNumberAsZero highScaleNumber
    htmlFormatted nameField namePointing polymorphicForeignKey queryByDistance restrictedDelete
    searchPrefilterable writeRequiresMasterRead
""".split()  # noqa: SIM905  a list of forty lines says no more
ALWAYS_NULL = """
    calculatedFormula compoundFieldName controllerName defaultValue defaultValueFormula extraTypeInfo
    filteredLookupInfo inlineHelpText mask maskType referenceTargetField relationshipName relationshipOrder
""".split()  # noqa: SIM905
