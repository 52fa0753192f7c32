"""Mailchimp's HTTP as the destination needs it: one audience by its name, its members, fields and tag."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import requests

from octo_dagster.destination import words
from octo_dagster.errors import BatchRejected, Fatal, Retryable, Unanswered

PAGE = 1000
"""Most members, fields or audiences in one page (spec, `count`)."""
STEPS_BACK = 5
"""How often a list may move under its reader before he comes upon somebody new."""
ABOUT = "email_address,status,merge_fields,tags"
FIELD = "merge_fields.tag,merge_fields.type,merge_fields.options"
EVERYBODY = {"include_cleaned": "true", "include_transactional": "true", "include_unsubscribed": "true"}
ARCHIVED, UNCONFIRMED = "archived", "pending"

Member = Mapping[str, Any]
"""A member as Mailchimp shows it: `email_address`, `status`, `merge_fields`, `tags`."""
Page = tuple[Sequence[Member], int]
"""Members, and how many more there are behind them."""


@dataclass(frozen=True, slots=True)
class Api:
    """One audience of one account, and its tag if the sync has one."""

    session: requests.Session
    site: str
    key: str = field(repr=False)
    audience: str
    tag: str | None
    known: dict[str, Any] = field(default_factory=dict)
    """What was asked once: `list`, `tag`, `fields`, `archived`."""

    def call(
        self, method: str, path: str, body: Any = None, params: Mapping[str, Any] | None = None
    ) -> requests.Response:
        """One call below `/3.0`. The caller reads the status; `Mailchimp.failure` has seen it before."""
        headers = {"Accept": "application/json"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        return self.session.request(
            method,
            f"{self.site}/3.0{path}",
            params=params,
            data=data,
            headers=headers,
            auth=("octo", self.key),
            allow_redirects=False,
        )

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The reply to a GET that must succeed."""
        return content(expected(self.call("GET", path, params=params), 200))

    def all(self, path: str, name: str, fields: str, **chosen: str) -> list[Mapping[str, Any]]:
        """Every row of a collection that is small: audiences, merge fields, tags."""
        rows: list[Mapping[str, Any]] = []
        while True:
            asked = {"count": PAGE, "offset": len(rows), "fields": f"{fields},total_items"}
            found = self.get(path, asked | chosen)
            rows += found[name]
            if not found[name] or len(rows) >= found["total_items"]:
                return rows

    # the audience, its fields, its tag -------------------------------------------------------------

    @property
    def path(self) -> str:
        """Where the audience is. Fatal when there is none of this name or id, or more than one."""
        if "list" not in self.known:
            lists = self.audiences()
            found = [one["id"] for one in lists if self.audience == one["id"]]
            found = found or [one["id"] for one in lists if self.audience == one["name"]]
            if len(found) != 1:
                have = ", ".join(f"{one['name']} ({one['id']})" for one in lists) or "none"
                many = "more than one audience" if found else "no audience"
                raise Fatal(f"mailchimp: there is {many} called {self.audience}; there are: {have}")
            self.known["list"] = f"/lists/{found[0]}"
        return str(self.known["list"])

    def audiences(self) -> list[Mapping[str, Any]]:
        return self.all("/lists", "lists", "lists.id,lists.name")

    def fields(self, *, again: bool = False) -> dict[str, Mapping[str, Any]]:
        """The merge fields by their tag; asked once unless told."""
        if again or "fields" not in self.known:
            rows = self.all(f"{self.path}/merge-fields", "merge_fields", FIELD)
            self.known["fields"] = {row["tag"]: row for row in rows}
        held: dict[str, Mapping[str, Any]] = self.known["fields"]
        return held

    def tag_number(self) -> int | None:
        """The tag's number, which is that of a static segment; None while nobody ever had the tag.

        The search finds longer names too and may not tell of all it finds; then all are looked through."""
        if self.known.get("tag") is None and self.tag is not None:
            found = self.get(f"{self.path}/tag-search", {"name": self.tag})
            number = named(self.tag, found["tags"])
            if number is None and len(found["tags"]) < found["total_items"]:
                about = "segments.id,segments.name"
                number = named(self.tag, self.all(f"{self.path}/segments", "segments", about, type="static"))
            self.known["tag"] = number
        held: int | None = self.known.get("tag")
        return held

    # who is there ----------------------------------------------------------------------------------

    def member(self, key: str) -> Member | None:
        """One member, archived or not; None when Mailchimp never heard of the address."""
        reply = self.call("GET", self.one(key), params={"fields": ABOUT})
        if reply.status_code == 404:
            return None
        found: Member = content(expected(reply, 200))
        return found

    def members(self, keys: Collection[str]) -> Iterator[Member]:
        """Those of these keys that count as held, in the fewest calls: pages, or one by one.

        More members than asked for may come."""
        if not keys or (self.tag is not None and self.tag_number() is None):
            return
        left, pages = {fold(key) for key in keys}, self.holders()
        more: int | None = 2 * PAGE
        while left and more is not None:
            if len(left) <= -(-more // PAGE):
                single = (self.member(key) for key in sorted(left))
                yield from (found for found in single if found and self.counts(found))
                return
            members, more = next(pages, ((), None))
            held = [found for found in members if self.counts(found)]
            left -= {fold(found["email_address"]) for found in held}
            yield from held

    def holders(self) -> Iterator[Page]:
        """Whom the tag holds; without a tag, the audience.

        A tag's own list cannot be asked for who has not confirmed yet (spec, List members in segment), so
        they are looked through as well, and first: who confirms meanwhile is met twice, not passed over."""
        shown = f"members.{ABOUT.replace(',', ',members.')}"
        if self.tag is None:
            yield from self.pages(f"{self.path}/members", shown, {})
            return
        yield from self.pages(f"{self.path}/members", shown, {"status": UNCONFIRMED})
        yield from self.pages(f"{self.path}/segments/{self.tag_number()}/members", shown, EVERYBODY)

    def pages(self, path: str, shown: str, chosen: Mapping[str, str]) -> Iterator[Page]:
        """Every member of a list at least once, whoever leaves it meanwhile.

        All behind somebody who leaves move up, and one of them over the edge of the page that was read. So a
        page begins with the last member of the one before; where it does not, the reader steps back until it
        begins with somebody known. Retryable when the list moves faster than that."""
        seen: set[str] = set()
        offset = stepped = 0
        while stepped <= STEPS_BACK:
            asked = {"count": PAGE, "offset": offset, "fields": f"{shown},total_items"}
            page = self.get(path, {**asked, **chosen})
            members, more = page["members"], int(page["total_items"]) - offset - PAGE
            if offset and moved(members, more, seen):
                offset, stepped = max(0, offset - PAGE + 1), stepped + 1
                continue
            new = {fold(one["email_address"]) for one in members} - seen
            seen |= new
            yield members, max(0, more)
            if more <= 0:
                return
            offset, stepped = offset + PAGE - 1, 0 if new else stepped
        raise Retryable("mailchimp: the audience changes faster than it can be read")

    def counts(self, member: Member) -> bool:
        """Whether a member counts as held: not archived, and tagged if the sync has a tag."""
        if member["status"] == ARCHIVED:
            return False
        # A tag's own list does not repeat its members' tags (spec).
        tags = member.get("tags", [{"name": self.tag}])
        return self.tag is None or any(same(one["name"], self.tag) for one in tags)

    def archived(self, keys: Collection[str]) -> set[str]:
        """Those of these keys that are archived. The audience's archive is looked through once a session
        (1,000 a call), unless asking for the keys one by one takes fewer calls."""
        if "archived" not in self.known:
            found: set[str] = set()
            chosen = {"status": ARCHIVED}
            for members, more in self.pages(f"{self.path}/members", "members.email_address", chosen):
                found |= {fold(one["email_address"]) for one in members}
                if len(keys) < -(-more // PAGE):
                    return {fold(key) for key in keys if (self.member(key) or {}).get("status") == ARCHIVED}
            self.known["archived"] = found
        held: set[str] = self.known["archived"]
        return {fold(key) for key in keys} & held

    def one(self, key: str) -> str:
        """A member's path, by the hash of the address, so that no address stands in one."""
        return f"{self.path}/members/{hashlib.md5(fold(key).encode(), usedforsecurity=False).hexdigest()}"

    # writing ---------------------------------------------------------------------------------------

    def write(self, members: Collection[Mapping[str, Any]]) -> Any:
        """Upsert up to 500 members. Tags are added, none is taken (release note of 2022-01-24); merge fields
        that somebody made required do not matter."""
        body = {"members": list(members), "update_existing": True, "sync_tags": False}
        reply = self.call("POST", self.path, body, {"skip_merge_validation": "true"})
        return content(taken(reply))

    def untag(self, number: int, keys: Collection[str]) -> Any:
        """Take the tag from up to 500 members."""
        reply = self.call("POST", f"{self.path}/segments/{number}", {"members_to_remove": list(keys)})
        return content(taken(reply))

    def archive(self, key: str) -> bool:
        """Archive a member; False when Mailchimp will not: bounced, or not confirmed yet (recorded)."""
        reply = self.call("DELETE", self.one(key))
        if reply.status_code not in (204, 404, 405):
            raise BatchRejected(f"mailchimp: {complaint(reply)}")
        return reply.status_code != 405

    def make_field(self, made: Mapping[str, Any]) -> str | None:
        """Make a merge field; what Mailchimp says when it will not."""
        reply = self.call("POST", f"{self.path}/merge-fields", made)
        return None if reply.status_code == 200 else complaint(reply)


def content(reply: requests.Response) -> Any:
    """The reply's JSON, decimals exact. Unanswered when it has none."""
    try:
        return reply.json(parse_float=Decimal)
    except requests.exceptions.JSONDecodeError as error:
        raise Unanswered(f"mailchimp: {reply.status_code} without JSON") from error


def expected(reply: requests.Response, status: int) -> requests.Response:
    """The reply, when it has this status. Fatal otherwise: the account is not as it must be."""
    if reply.status_code != status:
        raise Fatal(f"mailchimp: {reply.status_code} {complaint(reply)}")
    return reply


def complaint(reply: requests.Response) -> str:
    """What a problem document says, or the start of whatever else the reply is."""
    if "json" not in reply.headers.get("Content-Type", ""):
        return words(reply)
    said = reply.json()
    errors = "; ".join(f"{one.get('field')}: {one.get('message')}" for one in said.get("errors") or ())
    return f"{said.get('title')}: {said.get('detail')}" + (f" ({errors})" if errors else "")


def taken(reply: requests.Response) -> requests.Response:
    """The reply to a batch, unless it was refused as a whole."""
    if reply.status_code in (400, 413, 422):
        raise BatchRejected(f"mailchimp: {complaint(reply)}")
    return expected(reply, 200)


def moved(members: Sequence[Member], more: int, seen: Collection[str]) -> bool:
    """Whether a later page begins with somebody new, or is past an end that was farther off."""
    if not members:
        return more <= -PAGE
    return fold(members[0]["email_address"]) not in seen


def fold(key: str) -> str:
    """An address as compared, and as hashed."""
    return key.lower()


def named(name: str, tags: list[Mapping[str, Any]]) -> int | None:
    """The number of the tag of this name."""
    return next((int(one["id"]) for one in tags if same(one["name"], name)), None)


def same(one: str, other: str) -> bool:
    """Whether two names of tags are one tag to Mailchimp, which ignores case."""
    return one.casefold() == other.casefold()
