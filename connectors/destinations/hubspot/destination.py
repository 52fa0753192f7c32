"""HubSpot: contacts, their properties, and membership of one static list.

    service_key: {env: HUBSPOT_SERVICE_KEY}     or the token of an older private app
    id_property: octo_id      what tells contacts apart, as `key.to` says: a property of yours, or email
    list: Octo customers      found, or made; left out, the sync keeps no list

By a property of yours a hundred contacts are one call; Octo makes it, with unique values, and gives it to
contacts that were there before by the address the sync maps. By `email` they are looked up first, because
HubSpot supports no partial upsert by address.

Consent stays the person's: what says who may be written to is refused as a field, and no call made here
subscribes, unsubscribes or makes anybody a marketing contact, empties a list, or deletes for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, Literal

import requests
from pydantic import Field

from connectors.destinations.hubspot import contacts, properties, removal
from connectors.destinations.hubspot.portal import MANY, MEMBERS, Portal, told
from octo_dagster.destination import (
    Destination,
    FieldReport,
    Limits,
    Rate,
    Secret,
    Survey,
    retry_after,
    words,
)
from octo_dagster.errors import DeliveryError, Fatal, Retryable, Unanswered
from octo_dagster.model import Batch, Fields, FieldType, Mode, Op, Receipt, Removal, Sent

WAITS = {"SECONDLY": 1.0, "TEN_SECONDLY_ROLLING": 10.0, "DAILY": 3600.0}
"""Seconds after which asking again makes sense, by the policy a 429 names; it seldom has a Retry-After."""
LOCKED_SECONDS = 2.0
"""`423 Locked`: "at least 2 seconds" (guide, Error handling)."""
LOCKED, MIGRATING, HASTE = 423, 477, 429


class HubSpot(Destination[Portal]):
    """The contacts of one HubSpot account."""

    type: Literal["hubspot"]
    service_key: Secret
    id_property: str = Field(default="email", pattern=r"^[a-z][a-z0-9_]*$")
    """The property that tells contacts apart: `email`, or one whose values are unique. Made if missing."""
    list: str | None = Field(default=None, min_length=1)
    """The name of a static list that who is sent is in."""
    group: str = Field(default="octo", pattern=r"^[a-z][a-z0-9_]*$")
    """The property group of the properties Octo makes."""
    version: Literal["2026-09", "2026-03", "v3"] = "2026-09"
    """Of the API. HubSpot no longer supports v3 from September 2027 on."""
    calls_per_10_seconds: int = Field(default=100, ge=5, le=250)
    """The account's quota, or the share Octo may use: free and starter have 100, professional 190."""

    place: ClassVar = ("list",)
    # A call may still land after its reply was lost on the way through HubSpot's gateways (502, 504).
    in_order: ClassVar = False

    @property
    def modes(self) -> frozenset[Mode]:  # type: ignore[override]  # a list makes the difference
        """Who is outside the list counts as absent, so with one Octo cannot tell new from somebody else's."""
        return frozenset({Mode.UPSERT, Mode.MIRROR}) if self.list else frozenset(Mode)

    @property
    def removals(self) -> frozenset[Removal]:  # type: ignore[override]  # only a list can be left
        return frozenset(Removal) - (set() if self.list else {Removal.LEAVE})

    @property
    def rates(self) -> tuple[Rate, ...]:  # type: ignore[override]  # the quota is the plan's, not the vendor's
        return (Rate(self.calls_per_10_seconds, 10.0),)

    def key_problem(self, key_field: str) -> str | None:
        if key_field == self.id_property:
            return None
        return f"is {key_field}, but destination.id_property is {self.id_property}"

    def hosts(self) -> Mapping[str, str]:
        return {"https://api.hubapi.com": "hubspot"}

    def connect(self, http: requests.Session) -> Portal:
        return Portal(http, self.service_key.reveal(), self.version, self.list)

    def limits(self, op: Op, rows: int) -> Limits:
        """A hundred contacts a call; with a list ten such calls and one for who is in it."""
        return Limits(rows=MEMBERS if op is Op.LEAVE or (op is Op.UPSERT and self.list) else MANY)

    def account(self, api: Portal) -> str:
        return api.number()

    def spelling(self, column: str) -> str:
        return properties.spelling(column)

    def ensure_fields(self, api: Portal, fields: Mapping[str, FieldType], *, create: bool) -> FieldReport:
        if self.list and create:
            api.list_id(create=True)
        return properties.ensure(api, properties.Wanted(fields, self.id_property, self.group), create=create)

    def send(self, api: Portal, batch: Batch) -> Sent:
        if batch.key_field != self.id_property:
            raise Fatal(f"hubspot: keyed by {batch.key_field}, but id_property is {self.id_property}")
        verbs: Mapping[Op, Callable[[Portal, str, Batch], tuple[Receipt, ...]]] = {
            Op.UPSERT: contacts.upsert,
            Op.CLEAR: removal.clear,
            Op.LEAVE: removal.leave,
            Op.DELETE: removal.delete,
        }
        return Sent(verbs[batch.op](api, self.id_property, batch))

    def read(
        self, api: Portal, keys: Iterable[str], fields: Iterable[str], since: datetime | None = None
    ) -> dict[str, Fields]:
        names = tuple(fields)
        found = api.find(self.id_property, keys, names)
        if self.list and found:
            inside = api.members(sorted({contact.id for contact in found.values()}))
            found = {key: contact for key, contact in found.items() if contact.id in inside}
        held = api.properties() if found else {}
        return {
            key: {name: properties.value(contact.properties.get(name), held.get(name)) for name in names}
            for key, contact in found.items()
        }

    def survey(self, api: Portal) -> Survey:
        found: dict[str, Any] = {}
        missing = []
        for scope, what, look in (
            ("crm.schemas.contacts.read", "find or check a field", partial(api.properties, again=True)),
            ("crm.objects.contacts.read", "read a contact", api.one_contact),
            ("crm.lists.read", "find a list", api.static_lists),
        ):
            try:
                found[scope] = look()
            except Fatal as refused:
                missing.append(f"{scope}: without it Octo cannot {what} ({refused})")
        held = found.get("crm.schemas.contacts.read", {})
        return Survey(
            fields=properties.mappable(held),
            keys=tuple(dict.fromkeys((self.id_property, "email", *properties.unique(held)))),
            places={"list": tuple(found.get("crm.lists.read", ()))},
            missing=tuple(missing),
        )

    def failure(self, response: requests.Response) -> DeliveryError | None:
        """A static key does not expire by itself, so 401 needs a person, as 403 (a scope is missing) does."""
        status = response.status_code
        said = f"hubspot: {status} {words(response)}"
        if status in (401, 403):
            return Fatal(f"hubspot: {status} {told(response)}")
        if status == HASTE:
            return Retryable(said, retry_after(response) or WAITS.get(policy(response), 10.0))
        if status in (LOCKED, MIGRATING):
            return Retryable(said, retry_after(response) or LOCKED_SECONDS)
        if status < 300 and status != 204 and "json" not in response.headers.get("Content-Type", ""):
            return Unanswered(f"{said}: not JSON")
        return super().failure(response)


def policy(response: requests.Response) -> str:
    """Which limit a 429 speaks of: as `policyName`, or in its message ("your daily limit")."""
    said = response.text.upper()
    return next((name for name in ("DAILY", "TEN_SECONDLY_ROLLING", "SECONDLY") if name in said), "")
