"""Meta (Facebook, Instagram): who is in a customer file Custom Audience.

    access_token: {env: META_TOKEN}    a system user's, with `ads_management`
    ad_account: "1234567890"
    audience: Octo best customers      found by its name, or made
    key.to: EMAIL or PHONE             the other one, names and place are fields

What leaves is hashed; an audience cannot be read back, so what Meta's counts do not confirm is refused.
People are added and removed by what names them: nothing here can replace or delete an audience.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import ClassVar, Literal

import requests
from pydantic import Field

from connectors.destinations.meta_audience.graph import (
    HOST,
    ROWS,
    TOO_SMALL,
    Graph,
    listed,
    minutes_to_wait,
    trouble,
)
from connectors.destinations.meta_audience.identifiers import (
    FIELDS,
    Row,
    alone,
    found_by,
    naming,
    row,
    stale,
    unfit,
)
from octo_dagster.destination import Destination, FieldReport, Limits, Rate, Secret, Survey, words
from octo_dagster.errors import DeliveryError, Fatal, Retryable, Unanswered
from octo_dagster.model import Batch, Change, Fields, FieldType, Mode, Op, Outcome, Receipt, Removal, Sent

THROTTLED = frozenset({4, 17, 32, 613, *range(80000, 80015)})
"""Too many calls by the app, the user, the account, or (80003) to custom audiences."""
BUSY = 2650
"""Another update of the audience is under way."""
TRANSIENT = frozenset({1, 2})
TOKEN = 190
PERMISSIONS = ("ads_management",)
COLUMNS = {"phone": "PHONE", "first_name": "FN", "last_name": "LN", "postal_code": "ZIP"}
"""What people are found by → Meta's name for it."""


class MetaAudience(Destination[Graph]):
    """One custom audience of one ad account."""

    type: Literal["meta_audience"]
    access_token: Secret
    """A system user's token: it does not end by itself."""
    ad_account: str = Field(pattern=r"^\d+$")
    """The number behind `act_`."""
    audience: str = Field(min_length=1)
    """Its name. The oldest customer file audience of that name, or a new one."""
    source: Literal["USER_PROVIDED_ONLY", "PARTNER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED"] = (
        "USER_PROVIDED_ONLY"
    )
    """Where the people are from, as Meta asks of a new audience."""
    calling_code: str | None = Field(default=None, pattern=r"^[1-9]\d{0,2}$")
    """The country code of numbers that have none (`33`). Another one only once nobody is held any more: what
    was told by one could not be taken back by the other."""
    api_version: str = Field(default="v25.0", pattern=r"^v\d+\.0$")

    modes: ClassVar = frozenset({Mode.UPSERT, Mode.MIRROR})
    removals: ClassVar = frozenset({Removal.LEAVE})
    place: ClassVar = ("audience", "calling_code")  # a number read otherwise is another hash
    # An app in development may make 5,000 calls an hour to audiences; in production 190,000.
    rates: ClassVar = (Rate(5_000, 3600.0),)
    by_values: ClassVar = True
    in_order: ClassVar = False  # Meta carries changes out within 24 hours

    def key_problem(self, key_field: str) -> str | None:
        return None if key_field in ("EMAIL", "PHONE") else "must be EMAIL or PHONE"

    def names(self, key_field: str, key: str, fields: Fields) -> frozenset[str] | None:
        if unfit(key_field, Change(key, fields), self.calling_code):
            return None
        return frozenset(map("=".join, found_by(key_field, key, fields, self.calling_code).items()))

    def spelling(self, column: str) -> str:
        return COLUMNS.get(column, column)

    def hosts(self) -> Mapping[str, str]:
        return {HOST: self.type}

    def connect(self, http: requests.Session) -> Graph:
        token = self.access_token.reveal()
        return Graph(http, token, self.api_version, self.ad_account, self.audience, self.source)

    def limits(self, op: Op, rows: int) -> Limits:
        return Limits(rows=ROWS)

    def account(self, api: Graph) -> str:
        return str(api.get(f"act_{self.ad_account}", fields="account_id")["account_id"])

    def ensure_fields(self, api: Graph, fields: Mapping[str, FieldType], *, create: bool) -> FieldReport:
        problems = tuple(line for name, kind in fields.items() if (line := problem(name, kind)))
        return FieldReport(existing=tuple(name for name in fields if name in FIELDS), problems=problems)

    def send(self, api: Graph, batch: Batch) -> Sent:
        return self.leave(api, batch) if batch.op is Op.LEAVE else self.add(api, batch)

    def add(self, api: Graph, batch: Batch) -> Sent:
        """What is no longer true of a person goes first, or he would stay to be found by it for good."""
        reasons = {change.key: self.unfit(batch, change) for change in batch.changes}
        fit = [change for change in batch.changes if reasons[change.key] is None]
        if not fit:
            return Sent(receipts(batch, reasons))
        audience = there(api, batch)
        code = self.calling_code
        gone = [*alone(stale(batch.key_field, fit, code), batch.shared)]
        refusal = api.remove(audience, gone) if gone else None
        if refusal:  # told the new as well, he would be known by two, and the ledger know of one
            stuck = [c for c in fit if [*alone(stale(batch.key_field, [c], code), batch.shared)]]
            reasons |= {change.key: refusal for change in stuck}
            fit = [change for change in fit if reasons[change.key] is None]
        if not fit:
            return Sent(receipts(batch, reasons))
        rows = [row(batch.key_field, change.key, change.fields, code) for change in fit]
        session_id = int(batch.id[:15], 16)
        if not gone or refusal:
            api.add(audience, rows, session_id)
        else:
            after_removal(api, audience, rows, session_id)
        return Sent(receipts(batch, reasons))

    def unfit(self, batch: Batch, change: Change) -> str | None:
        return unfit(batch.key_field, change, self.calling_code)

    def leave(self, api: Graph, batch: Batch) -> Sent:
        """Everybody by all that he alone is found by: an address would miss who is known by his number."""
        audience = there(api, batch)
        told = (one for c in batch.changes for one in naming(batch.key_field, c, self.calling_code))
        rows = [*alone(told, batch.shared)]
        refusal = api.remove(audience, rows) if audience and rows else None
        return Sent(receipts(batch, dict.fromkeys(batch.keys, refusal)))

    def can_read(self) -> bool:
        return False

    def read(
        self, api: Graph, keys: Iterable[str], fields: Iterable[str], since: datetime | None = None
    ) -> dict[str, Fields]:
        raise Fatal(f"{self.type}: Meta shows nobody who is in an audience: there is nothing to compare")

    def survey(self, api: Graph) -> Survey:
        granted = {
            one["permission"] for one in listed(api.get("me/permissions")) if one["status"] == "granted"
        }
        return Survey(
            fields=dict.fromkeys(FIELDS, FieldType.TEXT),
            keys=("EMAIL", "PHONE"),
            places={"audience": tuple(str(one["name"]) for one in api.audiences())},
            missing=tuple(
                f"{name}: audiences can neither be made nor filled"
                for name in PERMISSIONS
                if name not in granted
            ),
        )

    def failure(self, response: requests.Response) -> DeliveryError | None:
        """Meta tells what went wrong by codes, mostly with status 400."""
        error = trouble(response)
        code = error.get("code")
        told = f"{self.type}: {response.status_code} {words(response)}"
        if error.get("error_subcode") == TOO_SMALL:
            return None
        if code in THROTTLED:
            return Retryable(told, minutes_to_wait(response))
        if code == BUSY:
            return Retryable(told, 60.0)
        if code == TOKEN:
            return Fatal(told)
        if error.get("is_transient") or code in TRANSIENT:
            return Unanswered(told)
        return super().failure(response) or (Fatal(told) if error else None)


def problem(name: str, kind: FieldType) -> str | None:
    """Why a field cannot be sent as mapped."""
    if name not in FIELDS:
        return f"{name}: an audience has no columns, only what people are found by: {', '.join(FIELDS)}"
    if kind in (FieldType.LIST, FieldType.BOOLEAN):
        return f"{name}: nobody is found by a {kind}"
    return None


def there(api: Graph, batch: Batch) -> str:
    """The audience's id; to add to it, the audience made if need be. Empty where there is none to be taken
    from; Fatal where one that people are in is gone."""
    held = batch.others_held()
    found = api.audience(create=batch.op is Op.UPSERT and not held)
    if not found and held:
        raise Fatal(
            f"meta_audience: there is no audience {api.name!r} any more, though people are held in it: give "
            f"it its name back, or have it made anew with everybody (octo deliver --full)"
        )
    return found


def after_removal(api: Graph, audience: str, rows: list[Row], session_id: int) -> None:
    """Add after a removal was carried out: from here on a call that was certainly not done leaves a half."""
    try:
        api.add(audience, rows, session_id)
    except (Retryable, Fatal) as error:
        raise Unanswered(f"{error}; what was no longer true is taken back already") from error


def receipts(batch: Batch, reasons: Mapping[str, str | None]) -> tuple[Receipt, ...]:
    """Everybody accepted but those with a reason."""
    return tuple(
        Receipt(key, Outcome.REJECTED if reasons[key] else Outcome.ACCEPTED, reasons[key])
        for key in batch.keys
    )
