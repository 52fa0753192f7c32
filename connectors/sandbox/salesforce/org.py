"""The state of one Salesforce org: records, fields, permissions; and the rules by which they change."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from connectors.sandbox.salesforce import persons, rules
from connectors.sandbox.salesforce.objects import OBJECTS, SField
from connectors.sandbox.salesforce.values import CallError, RowError, check

Record = dict[str, Any]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SYSTEM_NAMES = ("Id", "IsDeleted", "CreatedDate", "LastModifiedDate", "SystemModstamp")
NOT_FOUND = CallError(404, "NOT_FOUND", "The requested resource does not exist")


def long_id(short: str) -> str:
    """The 18 characters of a 15-character id: three more say which letters are capitals."""
    bits = [sum(short[n + i].isupper() << i for i in range(5)) for n in (0, 5, 10)]
    return short + "".join(ALPHABET[bit] for bit in bits)


CALLER = long_id("0055g000000Octo")
"""The user that the apps run as."""
SOMEBODY = long_id("0055g000000Them")
"""Everybody else: people, and other tools."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A row that went in."""

    id: str
    created: bool


class Org:
    """One org. Not locked: the twin answers one request at a time."""

    def __init__(self, number: int, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.number = number
        self.issued = 0
        self.used = 0
        self.acting = SOMEBODY
        """Who writes; during a call of the API it is CALLER."""
        self.locked_rows = 0
        """So many of the next rows are refused as locked by somebody else."""
        self.prefixes = {name: prefix for name, (prefix, _) in OBJECTS.items()}
        self.fields = {name: dict(fields) for name, (_, fields) in OBJECTS.items()}
        self.granted: dict[tuple[str, str], str] = {}
        self.seen: dict[str, tuple[object, dict[str, SField]]] = {}
        self.tables: dict[str, dict[str, Record]] = {name: {} for name in OBJECTS}
        self.indexes: dict[tuple[str, str], dict[str, list[str]]] = {}
        self.id = self.add("Organization", {"Name": f"Octo sandbox {number}"})
        self.permission_set = self.add("PermissionSet", {"Name": "Octo"})
        self.add("PermissionSetAssignment", {"AssigneeId": CALLER, "PermissionSetId": self.permission_set})
        everything = {name: True for name in self.fields["UserPermissionAccess"] if "Permissions" in name}
        self.access = self.tables["UserPermissionAccess"][self.add("UserPermissionAccess", everything)]
        """What the caller may do; a test may take some of it away."""
        self.forbidden: set[tuple[str, str]] = set()
        """(object, createable | updateable | deletable) the caller has no permission for; with `queryable`
        the object is not there for it."""

    def new_id(self, prefix: str) -> str:
        self.issued += 1
        rest, text = self.issued, ""
        for _ in range(7):
            rest, digit = divmod(rest, 62)
            text = DIGITS[digit] + text
        return long_id(f"{prefix}5g{self.number:03d}{text}")

    def now(self) -> str:
        at = datetime.fromtimestamp(self.clock(), UTC)
        return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}+0000"

    # what there is ---------------------------------------------------------------------------------

    def object_name(self, name: str) -> str:
        """The object's own spelling; CallError 404 when there is none."""
        for known in self.tables:
            if known.lower() == name.lower():
                return known
        raise NOT_FOUND

    def visible(self, name: str) -> dict[str, SField]:
        """The fields the caller may see, by name; a custom field shows once it is granted."""
        state = (len(self.fields[name]), tuple(self.granted.items()))
        if self.seen.get(name, (None, {}))[0] != state:
            self.seen[name] = (state, self.look(name))
        return self.seen[name][1]

    def look(self, name: str) -> dict[str, SField]:
        allowed = {field: self.granted.get(persons.owner(name, field)) for field in self.fields[name]}
        granted = {
            field.name: field if allowed[field.name] == "edit" else replace(field, flags="N")
            for field in self.fields[name].values()
            if field.custom and allowed[field.name]
        }
        return {n: f for n, f in self.fields[name].items() if not f.custom} | granted

    def named(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values under the fields' own spelling; CallError 400 for a name the caller cannot see."""
        spelled = {known.lower(): known for known in self.visible(name)}
        for field in given:
            if field.lower() not in spelled:
                told = f"No such column '{field}' on sobject of type {name}"
                raise CallError(400, "INVALID_FIELD", told)
        return {spelled[field.lower()]: value for field, value in given.items()}

    def key_field(self, name: str, field: str) -> SField:
        """An external id (or other look-up field); CallError 404 when it is none."""
        for known in self.visible(name).values():
            if known.name.lower() == field.lower() and (known.has("E") or known.has("L")):
                return known
        told = f"Provided external ID field does not exist or is not accessible: {field}"
        raise CallError(404, "NOT_FOUND", told)

    def index(self, name: str, field: str) -> dict[str, list[str]]:
        """Folded value → ids, kept up to date from its first use on."""
        if (name, field) not in self.indexes:
            made: dict[str, list[str]] = {}
            for id_, record in self.tables[name].items():
                made.setdefault(str(record.get(field)).lower(), []).append(id_)
            self.indexes[name, field] = made
        return self.indexes[name, field]

    def matching(self, name: str, field: str, value: Any) -> list[str]:
        """Ids of the records whose field has this value, capitals or not."""
        if value is None:
            return []
        if field == "Id":
            return [self.full_id(str(value))] if self.full_id(str(value)) in self.tables[name] else []
        return self.index(name, field).get(str(value).lower(), [])

    @staticmethod
    def full_id(id_: str) -> str:
        return long_id(id_) if len(id_) == 15 else id_

    def column(self, name: str, field: str) -> str:
        for known in self.visible(name):
            if known.lower() == field.lower():
                return known
        raise CallError(
            400,
            "INVALID_FIELD",
            f"No such column '{field}' on entity '{name}'. If you are attempting to use a custom field, be "
            "sure to append the '__c' after the custom field name. Please reference your WSDL or the "
            "describe call for the appropriate names.",
        )

    # how it changes --------------------------------------------------------------------------------

    def insert(self, name: str, given: Mapping[str, Any]) -> Saved:
        """Create one record from values already read; RowError when a rule forbids it."""
        fields, values = self.visible(name), dict(given)
        self.guard(name, None, "createable")
        refuse(values)
        rules.before_insert(self, name, values)
        needed = [f.name for f in fields.values() if f.has("C") and not f.has("N") and not f.has("D")]
        if name == "Account" and persons.enabled(self):
            persons.before_insert(self, values)
            needed = [n for n in needed if n != "Name" or "LastName" not in values]
        missing = [n for n in needed if values.get(n) is None and fields[n].type != "boolean"]
        if missing:
            told = f"Required fields are missing: [{', '.join(missing)}]"
            raise RowError("REQUIRED_FIELD_MISSING", told, tuple(missing))
        check(fields, values, creating=True)
        self.unique(name, values, None)
        return Saved(self.add(name, values), True)

    def update(self, name: str, id_: str, values: Mapping[str, Any]) -> Saved:
        """Change one record; RowError when a rule forbids it."""
        fields = self.visible(name)
        record = self.tables[name].get(self.full_id(id_))
        if record is None:
            raise RowError("ENTITY_IS_DELETED", "entity is deleted")
        self.guard(name, record, "updateable")
        refuse(values)
        rules.before_write(self, name, dict(values))
        if name == "Account" and persons.enabled(self):
            persons.before_update(self, record, dict(values))
        empty = [n for n, v in values.items() if v is None and fields[n].has("C") and not fields[n].has("N")]
        if empty:
            told = f"Required fields are missing: [{', '.join(empty)}]"
            raise RowError("REQUIRED_FIELD_MISSING", told, tuple(empty))
        check(fields, values, creating=False)
        self.unique(name, values, record["Id"])
        self.write(name, record, values)
        return Saved(record["Id"], False)

    def upsert(self, name: str, key: SField, values: Mapping[str, Any]) -> Saved:
        """Create or change by the key field's value; RowError when it is empty or not unique."""
        if values.get(key.name) is None and key.name != "Id":
            raise RowError("MISSING_ARGUMENT", f"{key.name} not specified")
        found = self.matching(name, key.name, values.get(key.name))
        rest = {n: v for n, v in values.items() if n != "Id"}
        if len(found) > 1:
            told = f"{key.name}: more than one record found for external id field: {found}"
            raise RowError("DUPLICATE_EXTERNAL_ID", told)
        return self.update(name, found[0], rest) if found else self.insert(name, rest)

    def delete(self, name: str, id_: str) -> Saved:
        """Into the recycle bin; RowError when it is there already."""
        record = self.tables[name].get(self.full_id(id_))
        if record is None:
            raise RowError("ENTITY_IS_DELETED", "entity is deleted")
        self.guard(name, None, "deletable")
        for (table, field), index in self.indexes.items():
            if table == name:
                index[str(record.get(field)).lower()].remove(record["Id"])
        del self.tables[name][record["Id"]]
        return Saved(record["Id"], False)

    def guard(self, name: str, record: Record | None, right: str) -> None:
        """RowError for a missing permission, a row another writer holds, or a converted lead."""
        if (name, right) in self.forbidden and self.acting == CALLER:
            raise RowError("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
        if self.locked_rows and name not in {"FieldPermissions"}:
            self.locked_rows -= 1
            raise RowError("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")
        if record is not None and record.get("IsConverted"):
            raise RowError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")

    def unique(self, name: str, values: Mapping[str, Any], own: str | None) -> None:
        for field in self.visible(name).values():
            if field.has("Q") and values.get(field.name) is not None:
                others = [i for i in self.matching(name, field.name, values[field.name]) if i != own]
                if others:
                    told = (
                        f"duplicate value found: {field.name} duplicates value on record with id: {others[0]}"
                    )
                    raise RowError("DUPLICATE_VALUE", told)

    def add(self, name: str, values: Mapping[str, Any]) -> str:
        """A new record, unchecked."""
        id_ = self.new_id(self.prefixes[name])
        now = self.now()
        blank = {f.name: False if f.type == "boolean" else None for f in self.fields[name].values()}
        self.tables[name][id_] = blank | {"Id": id_, "CreatedDate": now, "CreatedById": self.acting}
        if "Name" in blank and name == "Customer__c":
            self.tables[name][id_]["Name"] = f"C-{self.issued:06d}"
        for (table, field), index in self.indexes.items():
            if table == name:
                index.setdefault(str(blank.get(field)).lower(), []).append(id_)
        self.write(name, self.tables[name][id_], values)
        rules.after_insert(self, name, self.tables[name][id_])
        return id_

    def write(self, name: str, record: Record, values: Mapping[str, Any]) -> None:
        for (table, field), index in self.indexes.items():
            if table == name and field in values:
                index[str(record.get(field)).lower()].remove(record["Id"])
                index.setdefault(str(values[field]).lower(), []).append(record["Id"])
        record.update(values)
        record["LastModifiedDate"] = record["SystemModstamp"] = self.now()
        record["LastModifiedById"] = self.acting
        if name in {"Contact", "Lead"}:
            record["Name"] = " ".join(filter(None, (record.get("FirstName"), record["LastName"])))
        rules.after_write(self, name, record)
        if name == "Account" and persons.enabled(self):
            persons.after_write(self, record)
        if name == "FieldPermissions":
            self.grant(record)

    def grant(self, record: Record) -> None:
        """A field permission in the caller's permission set takes effect at once."""
        table, _, field = str(record["Field"]).partition(".")
        if record["ParentId"] == self.permission_set and record["PermissionsRead"]:
            self.granted[table, field] = "edit" if record["PermissionsEdit"] else "read"

    def duplicates(self, rows: list[dict[str, Any]], key: SField) -> set[str]:
        """Folded keys that stand more than once in one call: all their rows are refused."""
        counted = Counter(str(row[key.name]).lower() for row in rows if row.get(key.name) is not None)
        return {value for value, count in counted.items() if count > 1}

    def snapshot(self) -> dict[str, dict[str, Record]]:
        return copy.deepcopy(self.tables)

    def restore(self, tables: dict[str, dict[str, Record]]) -> None:
        self.tables, self.indexes = tables, {}


def refuse(values: Mapping[str, Any]) -> None:
    """A reference by an external id that nobody has was read as the refusal of its row."""
    for value in values.values():
        if isinstance(value, RowError):
            raise value
