"""JSON records into and out of an org: one at a time, or up to 200 in a call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from connectors.sandbox.salesforce.objects import RELATED
from connectors.sandbox.salesforce.org import NOT_FOUND, Org, Record, Saved
from connectors.sandbox.salesforce.values import CallError, RowError, from_json

MOST_ROWS = 200
ROLLED_BACK = RowError(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
)
Told = list[dict[str, Any]]


class Rows:
    """What the sObject and collections resources do, for one caller's org."""

    def __init__(self, org: Org) -> None:
        self.org = org

    def read(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values of one JSON record, under the fields' own names."""
        related = {n: v for n, v in given.items() if isinstance(v, dict) and (name, n) in RELATED}
        plain = {n: v for n, v in given.items() if n != "attributes" and n not in related}
        values, fields = self.org.named(name, plain), self.org.visible(name)
        read = {n: v if n == "Id" else from_json(fields[n], v) for n, v in values.items()}
        return read | {RELATED[name, n][0]: self.referred(RELATED[name, n][1], v) for n, v in related.items()}

    def referred(self, target: str, said: Mapping[str, Any]) -> str | RowError:
        """The id of the record that has this external id; its row's refusal where none or several have."""
        ((field, value),) = ((n, v) for n, v in said.items() if n != "attributes")
        key = self.org.key_field(target, field).name
        found = self.org.matching(target, key, value)
        if len(found) == 1:
            return found[0]
        if found:
            told = f"{key}: more than one record found for external id field: {found}"
            return RowError("DUPLICATE_EXTERNAL_ID", told)
        told = f"Foreign key external ID: {str(value).lower()} not found for field {key} in entity {target}"
        return RowError("INVALID_FIELD", told)

    def create(self, sobject: str, given: Mapping[str, Any]) -> Saved:
        name = self.org.object_name(sobject)
        return self.org.insert(name, self.read(name, given))

    def update(self, name: str, id_: str, given: Mapping[str, Any]) -> Saved:
        return self.org.update(name, id_, self.read(name, given))

    def upsert(self, sobject: str, field: str, given: Mapping[str, Any]) -> Saved:
        name = self.org.object_name(sobject)
        return self.org.upsert(name, self.org.key_field(name, field), self.read(name, given))

    def matching(self, sobject: str, field: str, value: str) -> list[str]:
        name = self.org.object_name(sobject)
        return self.org.matching(name, self.org.key_field(name, field).name, value)

    def one(self, sobject: str, field: str, value: str) -> tuple[str, Record]:
        """(object, record as the caller may see it); CallError 404 when there is none."""
        name = self.org.object_name(sobject)
        found = self.matching(sobject, field, value)
        if not found:
            raise NOT_FOUND
        record = self.org.tables[name][found[0]]
        return name, {field: record.get(field) for field in self.org.visible(name)}

    def create_many(self, asked: Mapping[str, Any]) -> Told:
        """POST composite/sobjects: objects may be mixed."""
        names = [self.typed(row) for row in self.listed(asked)]
        rows = [self.read(name, row) for name, row in zip(names, asked["records"], strict=True)]
        each = [partial(self.org.insert, *pair) for pair in zip(names, rows, strict=True)]
        return self.carried_out(each, all_or_none=bool(asked.get("allOrNone")), created=False)

    def update_many(self, asked: Mapping[str, Any]) -> Told:
        """PATCH composite/sobjects: every record names its id."""
        names = [self.typed(row) for row in self.listed(asked)]
        rows = [self.read(name, row) for name, row in zip(names, asked["records"], strict=True)]
        each = [partial(self.changed, *pair) for pair in zip(names, rows, strict=True)]
        return self.carried_out(each, all_or_none=bool(asked.get("allOrNone")), created=False)

    def changed(self, name: str, values: dict[str, Any]) -> Saved:
        id_ = values.pop("Id", None)
        if not id_:
            raise RowError("MISSING_ARGUMENT", "Id not specified in an update call")
        return self.org.update(name, id_, values)

    def upsert_many(self, sobject: str, field: str, asked: Mapping[str, Any]) -> Told:
        """PATCH composite/sobjects/X/Field: every row of a key that comes twice is refused."""
        name = self.org.object_name(sobject)
        key = self.org.key_field(name, field)
        rows = [self.read(name, row) for row in self.listed(asked)]
        if any(self.typed(row) != name for row in asked["records"]):
            raise CallError(400, "INVALID_TYPE", "all records must be of the type in the URL")
        twice = self.org.duplicates(rows, key)

        def one(values: dict[str, Any]) -> Saved:
            if str(values.get(key.name)).lower() in twice:
                told = f"Duplicate external id specified: {values[key.name]}"
                raise RowError("DUPLICATE_VALUE", told, (key.name,))
            return self.org.upsert(name, key, values)

        each = [partial(one, values) for values in rows]
        return self.carried_out(each, all_or_none=bool(asked.get("allOrNone")), created=True)

    def delete_many(self, ids: Iterable[str], all_or_none: bool) -> Told:
        """DELETE composite/sobjects: ids of any objects."""
        each = [partial(self.dropped, id_) for id_ in ids]
        return self.carried_out(each, all_or_none=all_or_none, created=False)

    def dropped(self, id_: str) -> Saved:
        return self.org.delete(self.owner(id_), id_)

    def owner(self, id_: str) -> str:
        for name, prefix in self.org.prefixes.items():
            if id_.startswith(prefix):
                return name
        raise RowError("MALFORMED_ID", f"malformed id {id_}")

    def listed(self, asked: Mapping[str, Any]) -> Told:
        """The records of a call; CallError 400 for none, too many or something else."""
        records = asked.get("records")
        if not isinstance(records, list) or not records:
            raise CallError(400, "JSON_PARSER_ERROR", "Missing required parameter: records")
        if len(records) > MOST_ROWS:
            told = "record limit reached. cannot submit more than 200 records into this call"
            raise CallError(400, "EXCEEDED_ID_LIMIT", told)
        return records

    def typed(self, row: Mapping[str, Any]) -> str:
        kind = row.get("attributes", {}).get("type")
        if not kind:
            raise CallError(400, "INVALID_INPUT", "every record must have attributes with a type")
        return self.org.object_name(kind)

    def carried_out(self, each: Sequence[Callable[[], Saved]], *, all_or_none: bool, created: bool) -> Told:
        """A reply row per change, in order. `created` is said by upserts only; a refused row says neither
        id nor created, as recorded."""
        before = self.org.snapshot() if all_or_none else {}
        told = [self.carry_out(change, created) for change in each]
        if all_or_none and not all(row["success"] for row in told):
            self.org.restore(before)
            undone = {"success": False, "errors": [ROLLED_BACK.told()]}
            return [undone if row["success"] else row for row in told]
        return told

    def carry_out(self, change: Callable[[], Saved], created: bool) -> dict[str, Any]:
        try:
            saved = change()
        except RowError as error:
            return {"success": False, "errors": [error.told()]}
        told: dict[str, Any] = {"id": saved.id, "success": True, "errors": []}
        return told | {"created": saved.created} if created else told
