"""Google Ads: who is in a Customer Match list, through the Data Ads API.

    service_account: {env: GOOGLE_SERVICE_ACCOUNT}   the key's JSON; its address is a user of the Ads account
    ads_account: "1234567890"
    list: Octo best customers                        found by its name, or made
    consent: {ad_user_data: granted, ad_personalization: granted}
    terms: accepted
    key.to: email or phone

What leaves is hashed. Google works for half an hour on what it was sent; what became of it is asked person by
person, by this run or, should it take over an hour, by the next. People are added and removed by what names
them: nothing here can empty a list, or delete one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel, ConfigDict, Field

from connectors.destinations.google_audience.ads import (
    HOST,
    LONGEST_DAYS,
    SCOPE,
    STATUS,
    Ads,
    good,
    refused_members,
    trouble,
    wait,
    why,
)
from connectors.destinations.google_audience.identifiers import (
    FIELDS,
    ROWS,
    SPELLED,
    Members,
    alone,
    hashed,
    identifiers,
    member,
    one_name,
    order,
    removals,
    stale,
    status,
    told_by,
    unfit,
)
from connectors.destinations.google_audience.verdict import DECIDED, verdict
from connectors.destinations.google_sign_in import SIGN_IN_HOST, access_token
from octo_dagster.destination import Destination, FieldReport, Limits, Rate, Secret, Survey, words
from octo_dagster.errors import DeliveryError, Fatal, Retryable, Unanswered
from octo_dagster.model import Batch, Change, Fields, FieldType, Mode, Op, Outcome, Receipt, Removal, Sent


class Consent(BaseModel):
    """What everybody this sync sends has agreed to. It is said, never assumed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ad_user_data: Literal["granted"]
    ad_personalization: Literal["granted", "denied"]

    def spelled(self) -> dict[str, str]:
        said = self.model_dump()
        return {name: f"CONSENT_{said[ours].upper()}" for ours, name in SPELLED.items()}


class GoogleAudience(Destination[Ads]):
    """One user list of one Google Ads account."""

    type: Literal["google_audience"]
    service_account: Secret
    ads_account: str = Field(pattern=r"^\d{6,12}$")
    """The advertiser's customer id, without dashes."""
    login_account: str | None = Field(default=None, pattern=r"^\d{6,12}$")
    """The manager account the service account is a user of; left out, the advertiser's own."""
    list: str = Field(min_length=1)
    """The list's name."""
    consent: Consent
    terms: Literal["accepted"]
    """Google's terms for Customer Match, which somebody of the account has to have read."""
    calling_code: str | None = Field(default=None, pattern=r"^[1-9]\d{0,2}$")
    """The country code of numbers that have none (`33`). Another one only once nobody is held any more: what
    was told by one could not be taken back by the other."""

    modes: ClassVar = frozenset({Mode.UPSERT, Mode.MIRROR})
    removals: ClassVar = frozenset({Removal.LEAVE})
    place: ClassVar = ("list", "calling_code")  # a number read otherwise is another hash
    rates: ClassVar = (
        Rate(300, 60.0, r"audienceMembers:"),
        Rate(100_000, 86_400.0, r"audienceMembers:"),
        Rate(300, 60.0, r"requestStatus:"),
    )
    by_values: ClassVar = True
    answers: ClassVar = frozenset(SPELLED)
    keeps: ClassVar = timedelta(days=LONGEST_DAYS)
    in_order: ClassVar = False  # requests are carried out side by side
    jobs_at_once: ClassVar = 100
    patience: ClassVar = 3_600.0
    poll_seconds: ClassVar = (60.0, 600.0)

    def key_problem(self, key_field: str) -> str | None:
        return None if key_field in ("email", "phone") else "must be email or phone"

    def names(self, key_field: str, key: str, fields: Fields) -> frozenset[str] | None:
        reason = unfit(key_field, Change(key, fields), self.calling_code)
        if reason:
            return frozenset() if willing(reason) else None
        return frozenset(map(one_name, identifiers(key_field, key, fields, self.calling_code)))

    def spelling(self, column: str) -> str:
        return {"first_name": "given_name", "last_name": "family_name"}.get(column, column)

    def hosts(self) -> Mapping[str, str]:
        return {HOST: self.type, SIGN_IN_HOST: self.type}

    def connect(self, http: requests.Session) -> Ads:
        token = access_token(http, self.service_account, SCOPE)
        return Ads(http, token, self.ads_account, self.login_account or self.ads_account, self.list)

    def limits(self, op: Op, rows: int) -> Limits:
        return Limits(rows=ROWS)

    def account(self, api: Ads) -> str:
        """The account's number, once Google has let us look into it."""
        good(api.call("GET", api.lists, query={"pageSize": 1}))
        return self.ads_account

    def ensure_fields(self, api: Ads, fields: Mapping[str, FieldType], *, create: bool) -> FieldReport:
        problems = tuple(line for name, kind in fields.items() if (line := problem(name, kind)))
        return FieldReport(existing=tuple(name for name in fields if name in FIELDS), problems=problems)

    def send(self, api: Ads, batch: Batch) -> Sent:
        """What is no longer true of a person goes first, or he would stay to be found by it for good."""
        reasons = dict(self.unfit(batch))
        verbs = [*self.work(batch)]
        list_id = there(api, batch) if verbs else None
        if list_id is None:
            return Sent(receipts(reasons))  # there is nothing to send, or no list to be taken from
        token: list[str] = []
        for verb, some in verbs:
            reply = posted(api, verb, self.body(api, verb, list_id, some), bool(token))
            refused = refused_members(reply) if reply.status_code == 400 else {}
            if refused:
                reasons |= {some[place][0]: why for place, why in refused.items() if place < len(some)}
                return Sent(receipts(reasons, else_=Outcome.UNSENT))
            token.append(f"{verb}={order(some)}={good(reply)['requestId']}")
        return Sent(token=" ".join(token))

    def unfit(self, batch: Batch) -> Mapping[str, str | None]:
        """Key → why this person is not sent; nobody is unfit to leave."""
        if batch.op is Op.LEAVE:
            return dict.fromkeys(batch.keys)
        return {change.key: unfit(batch.key_field, change, self.calling_code) for change in batch.changes}

    def work(self, batch: Batch) -> Iterator[tuple[str, Members]]:
        """The requests that carry a batch out, in order: always the same for the same batch."""
        field, code = batch.key_field, self.calling_code
        if batch.op is Op.LEAVE:
            yield from removals((c.key, alone(told_by(field, c, code), batch.shared)) for c in batch.changes)
            return
        reasons = self.unfit(batch)
        yield from removals(
            (c.key, alone(stale(field, c, code), batch.shared))
            for c in batch.changes
            if willing(reasons[c.key])
        )
        told = [
            (c.key, member(identifiers(field, c.key, c.fields, code), self.said(c.fields)))
            for c in batch.changes
            if reasons[c.key] is None
        ]
        if told:
            yield "ingest", told

    def said(self, fields: Fields) -> dict[str, str]:
        """What a person said of his consent himself, whole; nothing where no column of it is mapped."""
        own = {SPELLED[name]: status(fields[name]) for name in SPELLED if name in fields}
        return {**self.consent.spelled(), **own} if own else {}

    def body(self, api: Ads, verb: str, list_id: str, some: Members) -> dict[str, Any]:
        """A request. Consent and the terms go with what is added; what is removed needs neither."""
        made: dict[str, Any] = {
            "destinations": api.place(list_id),
            "audienceMembers": [one for _, one in some],
            "encoding": "HEX",
        }
        if verb == "ingest":
            made["consent"] = self.consent.spelled()
            made["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
        return made

    def settle(self, api: Ads, batch: Batch) -> Sent | None:
        reasons = dict(self.unfit(batch))
        otherwise: dict[str, Outcome] = {}
        work = [*self.work(batch)]
        asked = [[*part.split("=", 2), ""] for part in (batch.token or "").split()]
        if [part[:2] for part in asked] != [[verb, order(some)] for verb, some in work]:
            # The file was edited since, or an older version kept no order: whom a place meant is lost.
            return None
        for (_, _, request_id, *_), (_, some) in zip(asked, work, strict=True):
            fate = api.fate(request_id)
            if fate is None:
                return None
            if fate.get("requestStatus") not in DECIDED:
                return Sent(token=batch.token)
            told = verdict(fate, [key for key, _ in some])
            reasons |= told.refused
            otherwise |= told.otherwise
        return Sent(receipts(reasons, otherwise))

    def can_read(self) -> bool:
        return False

    def read(
        self, api: Ads, keys: Iterable[str], fields: Iterable[str], since: datetime | None = None
    ) -> dict[str, Fields]:
        raise Fatal(f"{self.type}: Google shows nobody who is in a list: there is nothing to compare")

    def survey(self, api: Ads) -> Survey:
        """A request that is only checked (`validateOnly`) shows what is not allowed, and changes nothing."""
        every = api.user_lists()
        lists = [one for one in every if "CONTACT_ID" in one.get("ingestedUserListInfo", {}).get(KINDS, [])]
        ours = [line for one in every if one["displayName"] == self.list for line in trouble(one)]
        missing: tuple[str, ...] = ()
        if lists:
            trial = [("", member([{"emailAddress": hashed("nobody@example.com")}]))]
            body = self.body(api, "ingest", str(lists[0]["id"]), trial) | {"validateOnly": True}
            reply = api.call("POST", "audienceMembers:ingest", body)
            missing = () if reply.status_code == 200 else (f"{HOST}: {why(reply)}",)
        return Survey(
            fields=FIELDS,
            keys=("email", "phone"),
            places={"list": tuple(str(one["displayName"]) for one in lists)},
            missing=(*missing, *ours),
        )

    def failure(self, response: requests.Response) -> DeliveryError | None:
        """A 400 is for `send` to read, but for one at the sign-in: that key is no good. A 404 of a request's
        status is for `settle`: it is forgotten."""
        if response.status_code == 429:
            return Retryable(f"{self.type}: 429 {words(response)}", wait(response))
        if response.status_code in (400, 401) and urlsplit(response.url).path.endswith("/token"):
            return Fatal(f"{self.type}: {response.status_code} {words(response)}")
        if response.status_code == 404 and not urlsplit(response.url).path.endswith(STATUS):
            return Fatal(f"{self.type}: 404 {words(response)}")
        return super().failure(response)


KINDS = "uploadKeyTypes"


def there(api: Ads, batch: Batch) -> str | None:
    """The list's id; to add to it, the list made if need be. None where there is none to be taken from; Fatal
    where one that people are in is gone."""
    fill, held = batch.op is Op.UPSERT, batch.others_held()
    found = api.list_id(fill=fill, create=fill and not held)
    if found is None and held:
        raise Fatal(
            f"google_audience: there is no list {api.name!r} any more, though people are held in it: give it "
            f"its name back, or have it made anew with everybody (octo deliver --full)"
        )
    return found


def willing(reason: str | None) -> bool:
    """Whether what was told of a person goes: not if his new record is unfit, unless he withdrew consent."""
    return reason is None or reason.startswith("ad_user_data:")


def posted(api: Ads, verb: str, body: Mapping[str, Any], half: bool) -> requests.Response:
    """A request; after another of the same batch, one that was certainly not carried out leaves a half."""
    try:
        reply = api.call("POST", f"audienceMembers:{verb}", body)
    except (Retryable, Fatal) as error:
        if half:
            raise Unanswered(f"{error}; what was no longer true is taken back already") from error
        raise
    return reply


def problem(name: str, kind: FieldType) -> str | None:
    """Why a field cannot be sent as mapped."""
    if name not in FIELDS:
        return f"{name}: a list has no columns, only what people are found by: {', '.join(FIELDS)}"
    if FIELDS[name] is FieldType.BOOLEAN and kind is not FieldType.BOOLEAN:
        return f"{name}: consent is a boolean, mapped as {kind}"
    if kind is FieldType.LIST:
        return f"{name}: nobody is found by a list"
    return None


def receipts(
    reasons: Mapping[str, str | None],
    outcomes: Mapping[str, Outcome] | None = None,
    else_: Outcome = Outcome.ACCEPTED,
) -> tuple[Receipt, ...]:
    """Who has a reason is rejected for it; of the others, what is said of them."""
    return tuple(
        Receipt(key, Outcome.REJECTED, reason) if reason else Receipt(key, (outcomes or {}).get(key, else_))
        for key, reason in reasons.items()
    )
