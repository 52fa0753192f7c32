"""Brevo's contact import: a job that takes time, says little, and reports refused rows in CSV files."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from connectors.sandbox.brevo.account import EMAIL, IDENTIFIERS, Account, Contact, Refused

MOST_BYTES = 10_000_000
REPORTS = {
    "ID": "duplicate_contact_id",
    "EXT_ID": "duplicate_ext_id",
    "EMAIL": "duplicate_email_id",
    "SMS": "duplicate_phone_id",
    "WHATSAPP": "duplicate_whatsapp_id",
    "LANDLINE_NUMBER": "duplicate_landline_number_id",
}
KINDS = ("invalid_emails", *REPORTS.values())
FLAGS = (
    "updateExistingContacts",
    "emptyContactsAttributes",
    "disableNotification",
    "emailBlacklist",
    "smsBlacklist",
)

Row = dict[str, Any]
"""Column → value, `EMAIL` among them."""


@dataclass
class Process:
    """One background job. It is carried out once `due`, and says so after `polls` more looks."""

    id: int
    due: float
    polls: int
    rows: list[Row] = field(default_factory=list)
    lists: list[int] = field(default_factory=list)
    flags: dict[str, bool] = field(default_factory=dict)
    half: bool = False
    done: bool = False
    reports: dict[str, str] = field(default_factory=dict)

    def status(self) -> str:
        """What a look at the job says; each look brings its end nearer."""
        if self.done and self.polls <= 0:
            return "failed" if self.half else "completed"
        self.polls -= 1
        return "in_process" if self.done else "queued"


def rows_of(body: dict[str, Any]) -> list[Row]:
    """The rows of an import's body. Refused as Brevo refuses it."""
    if isinstance(body.get("jsonBody"), list):
        rows = [flat(item) for item in body["jsonBody"]]
    elif isinstance(body.get("fileBody"), str):
        rows = [dict(row) for row in csv.DictReader(io.StringIO(body["fileBody"]), delimiter=";")]
    else:
        raise Refused("missing_parameter", "fileUrl, fileBody or jsonBody is missing")
    if not any(EMAIL.fullmatch(str(row.get("EMAIL"))) or set(row) & {*IDENTIFIERS[1:], "ID"} for row in rows):
        raise Refused(
            "invalid_parameter",
            "We could not find any valid email or SMS or Contact ID in the file you uploaded.",
        )
    return rows


def flat(item: Any) -> Row:
    if not isinstance(item, dict) or not isinstance(item.get("attributes", {}), dict):
        raise Refused("invalid_parameter", "jsonBody should be valid array of json objects")
    email = item.get("email")
    return {**item.get("attributes", {}), **({} if email is None else {"EMAIL": email})}


def flags_of(body: dict[str, Any]) -> dict[str, bool]:
    """The import's switches, with Brevo's defaults."""
    defaults = dict.fromkeys(FLAGS, False) | {"updateExistingContacts": True}
    given = {name: body[name] for name in FLAGS if name in body}
    if not all(isinstance(value, bool) for value in given.values()):
        raise Refused("invalid_parameter", "Import switches must be boolean")
    return defaults | given


def carry_out(account: Account, process: Process, now: float, *, deaf_to_false: bool) -> None:
    """Do the job: store what is fit to be stored, keep a report of every refused row."""
    refused: dict[str, list[Row]] = defaultdict(list)
    count = len(process.rows) // 2 if process.half else len(process.rows)
    for row in process.rows[:count]:
        kind = store(account, process, row, now, deaf_to_false=deaf_to_false)
        if kind:
            refused[kind].append(row)
    process.reports = {kind: report(rows) for kind, rows in refused.items()}
    process.rows, process.done = [], True


def store(account: Account, process: Process, row: Row, now: float, *, deaf_to_false: bool) -> str | None:
    """Store one row, its first identifier naming the contact. The report it belongs into when refused."""
    if row.get("EMAIL") and not EMAIL.fullmatch(str(row["EMAIL"])):
        return "invalid_emails"
    holders = dict(held(account, row))
    first = next((name for name in IDENTIFIERS if row.get(name)), None)
    contact = holders.get(first or "")
    clash = next((name for name, other in holders.items() if other is not contact), None)
    if clash:
        return REPORTS[clash]
    if first is None:
        return None
    fresh = contact is None
    contact = contact or account.create(now)
    if fresh or process.flags["updateExistingContacts"]:
        erase = process.flags["emptyContactsAttributes"] and not fresh
        changed = fill(account, contact, row, erase=erase, deaf_to_false=deaf_to_false)
        contact.modified = now if changed else contact.modified
    join(contact, process, now)
    return None


def held(account: Account, row: Row) -> Iterator[tuple[str, Contact]]:
    """Which contacts already hold the row's identifiers."""
    for name in IDENTIFIERS:
        holder = account.find(name, str(row[name])) if row.get(name) else None
        if holder:
            yield name, holder


def fill(account: Account, contact: Contact, row: Row, *, erase: bool, deaf_to_false: bool) -> bool:
    """Write a row's values: an empty one erases or, by default, changes nothing."""
    changed = False
    for name, value in row.items():
        blank = value in ("", None) or value == [] or (deaf_to_false and value is False)
        if name == "EMAIL":
            changed |= bool(value) and account.identify(contact, name, str(value))
        elif not blank:
            changed |= account.write(contact, name, value)
        elif erase:
            changed |= account.erase(contact, name)
    return changed


def join(contact: Contact, process: Process, now: float) -> None:
    """Into the lists; the blacklists only ever grow by an import."""
    if not set(process.lists) <= contact.lists:
        contact.lists |= set(process.lists)
        contact.modified = now
    contact.email_blacklisted |= process.flags["emailBlacklist"]
    contact.sms_blacklisted |= process.flags["smsBlacklist"]


def report(rows: list[Row]) -> str:
    """A report file: the refused rows as they came, semicolons between the columns."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, delimiter=";", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
