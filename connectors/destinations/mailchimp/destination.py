"""Mailchimp: merge fields of an audience's members, and one tag of theirs, five hundred in a call.

    api_key: {env: MAILCHIMP_API_KEY}       ends in its data centre, as in `…-us21`
    audience: Acme newsletter               its name, or its id where two have one name
    tag: Octo customers                     optional: who is in the sync has it, who leaves loses it
    new_members: transactional              what somebody Mailchimp never heard of becomes
    key.to: EMAIL

Consent stays the person's. A status is only ever said for somebody new (`status_if_new`), so nobody there
is subscribed, unsubscribed or asked to confirm; an archived person, whom Mailchimp would take for new, is
looked for first and left alone. `new_members: subscribed` says that everyone this sync sends has opted in
with you: it needs a `consent` column. Nobody is deleted; archived are only those Octo made, while they still
are what Octo made of them.

The batch call takes `status_if_new` and `tags` though the published schema of it lists neither: the first is
in the vendor's own example of that call and in use (VingtCinq/python-mailchimp #68), the second in its
release note of 2022-01-24. Should the first ever be ignored, the reply shows it, and the delivery stops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, Literal

import requests
from pydantic import Field

from connectors.destinations.mailchimp import fields
from connectors.destinations.mailchimp.audience import ARCHIVED, Api, complaint, fold
from octo_dagster.destination import Destination, FieldReport, Limits, Secret, Survey, words
from octo_dagster.errors import ConfigError, DeliveryError, Fatal, Retryable
from octo_dagster.model import Batch, Change, FieldType, Mode, Op, Outcome, Receipt, Removal, Sent
from octo_dagster.model import Fields as Held

UNABLE = frozenset({"viewer", "author"})
"""Roles whose keys may not change contacts (help, "Manage User Levels")."""
LEFT_ALONE = (
    "archived at Mailchimp, and Octo brings nobody back: unarchive there, or leave out of the audience"
)


class Mailchimp(Destination[Api]):
    """One audience of one Mailchimp account."""

    type: Literal["mailchimp"]
    api_key: Secret
    audience: str = Field(min_length=1)
    """Its name or id."""
    tag: str | None = Field(default=None, min_length=1, max_length=100)
    """The tag of those the sync holds. Others' tags are never touched."""
    new_members: Literal["transactional", "subscribed", "pending"] = "transactional"
    """What somebody new becomes: in the audience without e-mail marketing; subscribed, where you hold the
    consent of everyone sent; or asked by Mailchimp to confirm, by mail."""
    server: str | None = Field(default=None, pattern=r"^[a-z]+\d+$")
    """The data centre, where the key does not end in it."""

    place: ClassVar[tuple[str, ...]] = ("audience", "tag")
    # A call may still be carried out after its reply was lost: Mailchimp gives a batch two minutes.
    in_order: ClassVar[bool] = False

    @property
    def modes(self) -> frozenset[Mode]:  # type: ignore[override]  # who has not the tag counts as absent
        return frozenset({Mode.UPSERT, Mode.MIRROR}) if self.tag else frozenset(Mode)

    @property
    def removals(self) -> frozenset[Removal]:  # type: ignore[override]  # without a tag there is none to leave
        able = frozenset({Removal.CLEAR, Removal.DELETE})
        return able | {Removal.LEAVE} if self.tag else able

    def key_problem(self, key_field: str) -> str | None:
        return None if key_field == fields.KEY else f"must be {fields.KEY}"

    def subscribes(self) -> bool:
        return self.new_members == "subscribed"

    def hosts(self) -> Mapping[str, str]:
        return {self.site: "mailchimp"}

    @property
    def site(self) -> str:
        """Where the account lives. ConfigError when neither the key nor the file says it."""
        _, _, centre = self.api_key.reveal().rpartition("-") if self.server is None else ("", "", self.server)
        if not centre.isalnum() or not centre[-1:].isdigit():
            raise ConfigError(
                f"mailchimp: the key in {self.api_key.env} does not end in a data centre, as in …-us21: "
                "say it as `server: us21`"
            )
        return f"https://{centre}.api.mailchimp.com"

    def connect(self, http: requests.Session) -> Api:
        return Api(http, self.site, self.api_key.reveal(), self.audience, self.tag)

    def limits(self, op: Op, rows: int) -> Limits:
        return Limits(rows=1 if op is Op.DELETE else 500)

    def account(self, api: Api) -> str:
        return str(api.get("/", {"fields": "account_id"})["account_id"])

    def ensure_fields(self, api: Api, fields_: Mapping[str, FieldType], *, create: bool) -> FieldReport:
        return fields.ensure(api, fields_, create=create)

    def send(self, api: Api, batch: Batch) -> Sent:
        verbs = {Op.UPSERT: self.upsert, Op.CLEAR: self.clear, Op.LEAVE: self.leave, Op.DELETE: self.delete}
        return Sent(verbs[batch.op](api, batch))

    def upsert(self, api: Api, batch: Batch) -> tuple[Receipt, ...]:
        away = api.archived(batch.keys)
        fit = [change for change in batch.changes if fold(change.key) not in away]
        told = self.written(api, fit, self.new_members)
        left = [key for key in batch.keys if fold(key) in away]
        return (*told.values(), *(Receipt(key, Outcome.REJECTED, LEFT_ALONE) for key in left))

    def clear(self, api: Api, batch: Batch) -> tuple[Receipt, ...]:
        """Only of members there are: the call would make the others."""
        held = {fold(found["email_address"]) for found in api.members(batch.keys)}
        blank = [change for change in batch.changes if fold(change.key) in held and merge(change)]
        told = self.written(api, blank, "transactional")
        rest = [change.key for change in batch.changes if change not in blank]
        return (*told.values(), *(Receipt(key, Outcome.ACCEPTED, created=False) for key in rest))

    def written(self, api: Api, changes: Iterable[Change], status: str) -> dict[str, Receipt]:
        """Key → what became of it. Who is in no part of the reply is in none of the receipts either."""
        asked = {fold(change.key): change for change in changes}
        if not asked:
            return {}
        reply = api.write([self.member(change, status) for change in asked.values()])
        unasked = [one for one in reply["new_members"] if one["status"] == "subscribed" != status]
        if unasked:
            raise Fatal(f"mailchimp: {len(unasked)} new members were subscribed though sent as {status}")
        told: dict[str, Receipt] = {}
        for part, created in (("new_members", True), ("updated_members", False)):
            for one in reply[part]:
                if change := asked.get(fold(one["email_address"])):
                    told[change.key] = verdict(change, one, created=created)
        for error in reply["errors"]:
            if change := asked.get(fold(str(error.get("email_address")).strip("'\""))):
                told[change.key] = Receipt(change.key, Outcome.REJECTED, reason(error))
        return told

    def member(self, change: Change, status: str) -> dict[str, Any]:
        """A member as it is sent. Nothing here can say anything of the status of somebody who is there."""
        made = {"email_address": change.key, "status_if_new": status, "merge_fields": merge(change)}
        return made | ({"tags": [self.tag]} if self.tag else {})

    def leave(self, api: Api, batch: Batch) -> tuple[Receipt, ...]:
        """Who has not the tag, or is nowhere, has left; whether an error means that is read, not guessed."""
        number = api.tag_number()
        told = api.untag(number, batch.keys)["errors"] if number is not None else []
        failed = {address: one["error"] for one in told for address in one.get("email_addresses", ())}
        still = {fold(found["email_address"]) for found in api.members(failed)}
        stuck = {fold(address): str(why) for address, why in failed.items() if fold(address) in still}
        return tuple(
            Receipt(key, Outcome.REJECTED if fold(key) in stuck else Outcome.ACCEPTED, stuck.get(fold(key)))
            for key in batch.keys
        )

    def delete(self, api: Api, batch: Batch) -> tuple[Receipt, ...]:
        """Archive who still has the status Octo gave. Who subscribed or left since is a person Mailchimp has
        a word from, which archiving would hide: of those, and of whom Mailchimp will not archive, fields and
        tag are taken back and no more."""
        kept = [change for change in batch.changes if not self.archived(api, change.key)]
        blank = dict.fromkeys(name for name in batch.types if name != fields.KEY)
        part = replace(batch, changes=tuple(replace(change, fields=blank) for change in kept))
        gone = [Receipt(key, Outcome.ACCEPTED) for key in batch.keys if key not in part.keys]
        if not kept:
            return tuple(gone)
        cleared = {one.key: one for one in self.clear(api, part)}
        refused = (
            [one for one in self.leave(api, part) if one.outcome is Outcome.REJECTED] if self.tag else []
        )
        return (*gone, *(cleared | {one.key: one for one in refused}).values())

    def archived(self, api: Api, key: str) -> bool:
        """Whether this person is archived, or nowhere, now."""
        found = api.member(key)
        if found is None or found["status"] == ARCHIVED:
            return True
        return bool(found["status"] == self.new_members) and api.archive(key)

    def read(
        self, api: Api, keys: Iterable[str], fields_: Iterable[str], since: datetime | None = None
    ) -> dict[str, Held]:
        """`since` is not used: no call gives both who has a tag and who changed, and what an upsert left as
        it was may not count as changed."""
        asked, names = {fold(key): key for key in keys}, list(fields_)
        kinds = api.fields() if asked and names else {}
        found = {fold(one["email_address"]): one for one in api.members(asked.values())}
        return {
            asked[key]: {
                name: one["email_address"] if name == fields.KEY else value
                for name, value in fields.shown(one["merge_fields"], names, kinds).items()
            }
            for key, one in found.items()
            if key in asked
        }

    def spelling(self, column: str) -> str:
        return fields.spelling(column)

    def survey(self, api: Api) -> Survey:
        role = api.get("/", {"fields": "role"}).get("role")
        audiences = api.audiences()
        there = any(self.audience in (one["id"], one["name"]) for one in audiences)
        held = api.fields() if there else {}
        return Survey(
            fields={fields.KEY: FieldType.TEXT}
            | {name: fields.LIKELY.get(fields.kind(one)) for name, one in held.items()},
            keys=(fields.KEY,),
            places={"audience": tuple(one["name"] for one in audiences)},
            missing=(f"role manager: the key is of a {role}, who may not change contacts",)
            if role in UNABLE
            else (),
        )

    def failure(self, response: requests.Response) -> DeliveryError | None:
        """A key never expires. Under heavy load Mailchimp answers a bare 403, not its problem document,
        before it looks at the call (fundamentals); 429 comes without a wait."""
        if response.status_code == 401:
            return Fatal(f"mailchimp: 401 {complaint(response)}")
        if response.status_code == 403 and "json" not in response.headers.get("Content-Type", ""):
            return Retryable(f"mailchimp: 403 {words(response)}")
        return super().failure(response)


def merge(change: Change) -> dict[str, Any]:
    return {name: fields.as_sent(value) for name, value in change.fields.items() if name != fields.KEY}


def verdict(change: Change, found: Mapping[str, Any], *, created: bool) -> Receipt:
    """The reply shows the member as it is now: what did not stick is told of, and no read is needed."""
    lost = fields.lost(merge(change), found["merge_fields"])
    if lost:
        why = f"accepted, but not stored: {', '.join(lost)}"
        return Receipt(change.key, Outcome.REJECTED, why, created, tuple(lost))
    return Receipt(change.key, Outcome.ACCEPTED, created=created)


def reason(error: Mapping[str, Any]) -> str:
    """Mailchimp's words for a member it did not take."""
    field = f" ({error['field']}: {error.get('field_message')})" if error.get("field") else ""
    return f"{error.get('error_code')}: {error['error']}{field}"
