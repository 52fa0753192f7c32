"""What Salesforce says of a row, as receipts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.destinations.salesforce.org import Org, unsayable
from octo_dagster.model import Batch, Outcome, Receipt

LOCKED = "UNABLE_TO_LOCK_ROW"
"""Somebody else was writing the row at that moment: nothing is wrong with it."""
GONE = frozenset({"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "CANNOT_UPDATE_CONVERTED_LEAD"})
"""The record went away between the look and the call, or became a contact and is changed no more: for a
removal, done."""
MEANS: Mapping[str, str] = {
    "CANNOT_UPDATE_CONVERTED_LEAD": "the lead was made a contact, and Salesforce changes it no more",
}
"""What a code means, where the vendor's words do not say."""


def receipt(key: str, row: Mapping[str, Any]) -> Receipt:
    """One row of a collections reply: `CODE: message (fields)` of its first error when it was refused."""
    if row["success"]:
        return Receipt(key, Outcome.ACCEPTED, created=row.get("created"))
    error = first(row)
    return rejected(key, error["statusCode"], error["message"], ", ".join(error.get("fields") or ()))


def first(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first error of a refused row; where the reply names none, that."""
    unsaid = {"statusCode": "REFUSED", "message": "Salesforce refused the record and did not say why"}
    return next(iter(row.get("errors") or ()), unsaid)


def rejected(key: str, code: str, message: str, fields: str = "") -> Receipt:
    """A refused row; unsent when it may simply go again."""
    if code == LOCKED:
        return Receipt(key, Outcome.UNSENT, code)
    means = f"; {MEANS[code]}" if code in MEANS else ""
    return Receipt(key, Outcome.REJECTED, f"{code}: {message}{means}{f' ({fields})' if fields else ''}")


def removed(key: str, row: Mapping[str, Any]) -> Receipt:
    """A removal's row: a record that is gone already was removed."""
    if not row["success"] and first(row)["statusCode"] in GONE:
        return Receipt(key, Outcome.ACCEPTED, created=False)
    return receipt(key, row)


def refused(org: Org, batch: Batch) -> Iterator[Receipt]:
    """Those that cannot be said in Salesforce's spelling, or would be kept otherwise."""
    for change in batch.changes:
        reason = unsayable(org, change)
        if reason is not None:
            yield Receipt(change.key, Outcome.REJECTED, reason)
