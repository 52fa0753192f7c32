"""Each vendor as the proofs meet it: how a small shop maps onto it, and what it holds in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.vendors.examinee import Examinee

Held = tuple[str, str | None, int | None]
"""A record Octo stands for: key, segment, orders. One emptied by a removal is not among them."""


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """One destination and its twin in a process of its own."""

    examinee: Examinee
    whole_only: bool = False
    """Whether it sits the exams only with OCTO_PROVE=all: another object of a vendor that sits them anyway."""
    table: str
    """The twin's table of records."""
    key: str
    """Where that table has the key."""
    segment: str
    orders: str
    prepare: Callable[[str], None] = lambda address: None
    """What people have at the vendor before Octo comes (the contacts that are to join a campaign, say), given
    the sandbox's address."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What differs from the examinee's settings."""
    fields: tuple[Mapping[str, Any], ...] = ()
    """Mapped besides: what the vendor cannot be without."""
    instead: tuple[Mapping[str, Any], ...] = ()
    """How it is told of segment and orders where it keeps no columns: as something people are found by."""
    shown: Callable[[Mapping[str, Any]], Held] | None = None
    """What a record of the table says of ours, where that is no matter of columns."""
    key_field: str | None = None
    key_from: str = "email"
    on_remove: str | None = None
    member: Callable[[Mapping[str, Any]], bool] = lambda row: True
    """Whether a record of the table is in the list the sync keeps."""
    most: int = 25_000
    """The customers of its largest exam: fewer where its twin, or who reads it for the test, knows fewer."""
    longest: int | None = None
    """Characters of the longest segment it takes; None where it is an e-mail address that it refuses."""
    writes: tuple[str, ...]
    """The calls that write records: patterns of `METHOD path`."""
    least: tuple[int, int, int]
    """The fewest such calls for 300 new records, for 3 changed ones, for 1 that is taken back."""
    lost: str
    """A call that writes a few changed records: a pattern of its path."""
    may_call: tuple[str, ...]
    """Every call the connector may ever make, as patterns that match the whole of `METHOD path`. What is
    not here it cannot do: empty a list, delete by a filter, subscribe anybody."""
    others: Callable[[Any], None]
    """What other people do in the account, given the twin, once customers 1 to 3 are delivered: they make
    records Octo never heard of, and give these three what Octo does not map (columns, tags, lists), of whom
    the second unsubscribes where the vendor knows such a thing."""
    theirs: Callable[[Any], Any]
    """All of that as the twin holds it now, in any form that can be compared."""

    def poison(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """What makes it refuse this row."""
        if self.longest is not None:
            return {"segment": "x" * (self.longest + 1)}
        return {"email": f"{row['customer_id']}@nowhere"}

    def refuses(self, row: Mapping[str, Any]) -> bool:
        """Whether it refuses this row."""
        if self.longest is not None:
            return len(row["segment"] or "") > self.longest
        return str(row["email"]).endswith("@nowhere")

    @property
    def name(self) -> str:
        return self.examinee.name

    def said(self) -> dict[str, Any]:
        """The sync's file: a mirror, so that it creates, changes and takes back."""
        columns = (
            {"from": "segment", "to": self.segment, "nulls": "clear"},
            {"from": "orders", "to": self.orders, "nulls": "clear"},
        )
        said: dict[str, Any] = {
            "reads": "customer_profile",
            "destination": {**self.examinee.settings, **self.settings},
            "mode": "mirror",
            "key": {"from": self.key_from, "to": self.key_field or self.examinee.key_field},
            "fields": [*(self.instead or columns), *self.fields],
            "guards": {"max_removed": "100%", "max_changed": "100%", "max_invalid": "100%"},
            "verify": 3,
        }
        return said | ({"on_remove": self.on_remove} if self.on_remove else {})

    def held(self, address: str) -> list[Held]:
        """What the sandbox at this address holds of ours, one entry a record, sorted."""
        reply = requests.get(f"{address}/_sandbox/{self.name}/holdings", timeout=60)
        rows = [row for row in reply.json().get(self.table, []) if self.member(row)]
        records = [(self.shown or self.columns)(row) for row in rows]
        return sorted(record for record in records if record[1:] != (None, None))

    def columns(self, row: Mapping[str, Any]) -> Held:
        """Key, segment and orders of a record that has a column for each."""
        return row[self.key], row.get(self.segment) or None, whole(row.get(self.orders))


def whole(value: Any) -> int | None:
    return None if value is None else int(float(value))
