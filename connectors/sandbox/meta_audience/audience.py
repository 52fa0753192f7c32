"""What one of Meta's custom audiences holds, and how it takes people in and lets them go.

Meta keeps neither what was sent nor the hashes, only who matched. The twin keeps the hashes, each for itself:
the strictest reading, in which whoever was once told by a number stays until that number is removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

NAMING = ("EMAIL", "PHONE", "MADID")
TYPES = (
    "EXTERN_ID,EMAIL,PHONE,GEN,DOBY,DOBM,DOBD,LN,FN,FI,CT,ST,ZIP,MADID,COUNTRY,PARTIALPHONE,PHONEID,"
    "STREETNAME,STREETNUM,STREETTYPE,STREET2ROW,STREETADDRESS,APPUID,PAGEUID,F5FIRST,F5LAST,EMAIL_MD5,PHONE_MD5"
)
"""As the real error names them (facebook-java-business-sdk, issue 114)."""
UNHASHED = ("EXTERN_ID", "MADID", "APPUID", "PAGEUID")
MOST_ROWS = 10_000
HASH = re.compile(r"[0-9a-f]{64}")


class Refused(Exception):
    """An error as the Graph API tells it."""

    def __init__(self, code: int, message: str, subcode: int | None = None, **more: Any) -> None:
        super().__init__(message)
        self.body = {
            "message": message,
            "type": "OAuthException",
            "code": code,
            **({} if subcode is None else {"error_subcode": subcode}),
            "is_transient": False,
            **more,
        }


@dataclass
class Person:
    """Somebody in an audience: what he may be found by, and what else was last said of him."""

    naming: dict[str, set[str]] = field(default_factory=dict)
    rest: dict[str, str] = field(default_factory=dict)

    def shown(self) -> dict[str, str]:
        return {name: " ".join(sorted(found)) for name, found in self.naming.items()} | self.rest


@dataclass
class Audience:
    """A customer file audience."""

    id: str
    name: str
    subtype: str
    people: list[Person] = field(default_factory=list)
    known: dict[tuple[str, str], Person] = field(default_factory=dict)
    """Identifier → whoever is found by it; of two, the later one."""

    def add(self, rows: list[dict[str, str]]) -> None:
        for row in rows:
            named = [(name, row[name]) for name in NAMING if row.get(name)]
            person = next((self.known[one] for one in named[:1] if one in self.known), None)
            if person is None:
                person = Person()
                self.people.append(person)
            for name, found in named:
                person.naming.setdefault(name, set()).add(found)
                self.known[(name, found)] = person
            person.rest |= {name: found for name, found in row.items() if name not in NAMING}

    def remove(self, rows: list[dict[str, str]]) -> None:
        gone = {(name, row[name]) for row in rows for name in NAMING if row.get(name)}
        for person in self.people:
            for name, found in person.naming.items():
                found -= {value for key, value in gone if key == name}
        for one in gone:
            self.known.pop(one, None)
        self.people = [person for person in self.people if any(person.naming.values())]


def rows_of(payload: Any) -> list[dict[str, str]]:
    """The rows of a payload by column. Refused where Meta refuses the whole call."""
    if not isinstance(payload, dict) or "data" not in payload:
        raise Refused(100, "(#100) Missing required parameter: payload")
    schema = payload.get("schema")
    columns = [schema] if isinstance(schema, str) else schema
    if not columns or set(columns) - set(TYPES.split(",")):
        raise Refused(100, f"(#100) Raw PII type is invalid, it should be one of {TYPES}")
    data = payload["data"]
    if not isinstance(data, list) or not data or len(data) > MOST_ROWS:
        raise Refused(100, f"(#100) data must hold 1 to {MOST_ROWS} entries")
    rows = [[row] if isinstance(row, str) else row for row in data]
    if any(not isinstance(row, list) or len(row) != len(columns) for row in rows):
        raise Refused(100, "(#100) Data is missing or does not match schema")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def invalid(rows: list[dict[str, str]], strange: set[str]) -> Iterator[int]:
    """The places of the entries Meta counts as invalid: of no hash, of nobody, `strange`."""
    for place, row in enumerate(rows):
        told = {name: value for name, value in row.items() if value}
        hashes = [value for name, value in told.items() if name not in UNHASHED]
        if not told or any(not HASH.fullmatch(value) for value in hashes) or strange & set(hashes):
            yield place


def session_of(session: Mapping[str, Any] | None) -> None:
    """Check an upload session: its id, the batch's place in it, whether it is the last."""
    if session is None:
        return
    kinds = {"session_id": int, "batch_seq": int, "last_batch_flag": bool, "estimated_num_total": int}
    wrong = [name for name, value in session.items() if type(value) is not kinds.get(name)]
    if wrong or not {"session_id", "batch_seq"} <= session.keys() or session["batch_seq"] < 1:
        raise Refused(100, "(#100) Param session must be a valid session")
