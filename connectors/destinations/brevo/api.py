"""Brevo's HTTP as the destination needs it: calls, the list by its name, contacts, jobs and their reports."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import requests

from octo_dagster.errors import Fatal, Retryable, Unanswered

HOST = "https://api.brevo.com"
PAGE = 1000
"""Most contacts in one page of `GET /contacts`; `…/lists/{id}/contacts` would give 500."""
STEPS_BACK = 5
"""How often a list may move under its reader before he comes upon somebody new."""
FOLDERS_PAGE = 50

Contact = Mapping[str, Any]
"""A contact as Brevo shows it: `email`, `listIds`, `attributes` and more."""


@dataclass(frozen=True, slots=True)
class Api:
    """One account. The key goes with calls to Brevo's API only, never to the host of a report."""

    session: requests.Session
    key: str = field(repr=False)
    folder: str
    list_name: str
    numbers: dict[str, int] = field(default_factory=dict)
    """The id the list's name was found to mean."""

    def call(
        self, method: str, path: str, body: Any = None, params: Mapping[str, Any] | None = None
    ) -> requests.Response:
        """One call below `/v3`. The caller reads the status; `Brevo.failure` has seen it before."""
        headers = {"api-key": self.key, "accept": "application/json"}
        data = None
        if body is not None:
            headers["content-type"] = "application/json"
            data = json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=float).encode()
        return self.session.request(
            method, f"{HOST}/v3{path}", params=params, data=data, headers=headers, allow_redirects=False
        )

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The reply to a GET that must succeed."""
        return content(expected(self.call("GET", path, params=params), 200))

    def made(self, path: str, body: Any) -> int:
        """The id of something newly made."""
        return int(content(expected(self.call("POST", path, body), 201))["id"])

    def list_id(self, *, create: bool = False) -> int | None:
        """The list's id: the oldest of its name in the sync's folder. Made when missing, if told to."""
        if self.list_name not in self.numbers:
            folder = self.named("/contacts/folders", "folders", self.folder)
            found = folder and self.named(f"/contacts/folders/{folder}/lists", "lists", self.list_name)
            if not found and not create:
                return None
            folder = folder or self.made("/contacts/folders", {"name": self.folder})
            self.numbers[self.list_name] = found or self.made(
                "/contacts/lists", {"name": self.list_name, "folderId": folder}
            )
        return self.numbers[self.list_name]

    def named(self, path: str, kind: str, name: str) -> int | None:
        """The oldest of the folders or lists that have this name."""
        return min((one for one, title in self.titles(path, kind).items() if title == name), default=None)

    def titles(self, path: str, kind: str) -> dict[int, str]:
        """Id → name of all folders, or of the lists of one."""
        found: dict[int, str] = {}
        offset = 0
        while True:
            rows = self.get(path, {"limit": FOLDERS_PAGE, "offset": offset, "sort": "asc"}).get(kind) or []
            found |= {int(row["id"]): str(row["name"]) for row in rows}
            offset += FOLDERS_PAGE
            if len(rows) < FOLDERS_PAGE:
                return found

    def contact(self, key: str) -> Contact | None:
        """One contact, by e-mail address or, when it has no `@`, by EXT_ID."""
        reply = self.call("GET", one(key), params=kind(key))
        if reply.status_code in (400, 404):
            return None  # not there, or an address Brevo would not have taken either
        found: Contact = content(expected(reply, 200))
        return found

    def contacts(self, list_id: int, keys: Collection[str], since: datetime | None) -> Iterator[Contact]:
        """The list's contacts that matter to these keys, in the fewest calls: pages, or one by one.

        More contacts than asked for may come. `since` leaves out what was not modified after it."""
        left, pages = {fold(key) for key in keys}, self.pages(list_id, since)
        more: int | None = 2 * PAGE
        while left and more is not None:
            if len(left) <= -(-more // PAGE):
                single = (self.contact(key) for key in sorted(left))
                yield from (found for found in single if found and list_id in found["listIds"])
                return
            contacts, more = next(pages, ((), None))
            for found in contacts:
                if list_id in found["listIds"]:
                    left -= names(found)
                    yield found

    def pages(self, list_id: int, since: datetime | None) -> Iterator[tuple[Sequence[Contact], int]]:
        """A list's contacts, every one at least once whoever leaves it meanwhile, and how many are to come.

        All behind somebody who leaves move up, and one of them over the edge of the page that was read. So a
        page begins with the last of the one before; where it does not, the reader steps back. Retryable when
        the list moves faster than that."""
        offset = last = stepped = 0
        while stepped <= STEPS_BACK:
            page = self.page(list_id, offset, since)
            contacts, more = page["contacts"], int(page["count"]) - offset - PAGE
            if offset and (contacts[0]["id"] > last if contacts else more <= -PAGE):
                offset, stepped = max(0, offset - PAGE + 1), stepped + 1
                continue
            yield contacts, max(0, more)
            if more <= 0 or not contacts:
                return
            stepped = 0 if contacts[-1]["id"] > last else stepped
            offset, last = offset + PAGE - 1, max(last, contacts[-1]["id"])
        raise Retryable("brevo: the list changes faster than it can be read")

    def page(self, list_id: int, offset: int, since: datetime | None) -> Any:
        """Oldest first, so that a contact added meanwhile moves none to another page."""
        params: dict[str, Any] = {"listIds": list_id, "limit": PAGE, "offset": offset, "sort": "asc"}
        if since is not None:
            params["modifiedSince"] = utc(since).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return self.get("/contacts", params)

    def process(self, number: str) -> Mapping[str, Any] | None:
        """A background job; None when Brevo does not know it (any more)."""
        reply = self.call("GET", f"/processes/{number}")
        if reply.status_code in (400, 404):
            return None
        found: Mapping[str, Any] = content(expected(reply, 200))
        return found

    def report(self, url: str) -> list[list[str]]:
        """The cells of a report file, wherever Brevo keeps it; none when it is no longer to be had."""
        reply = self.session.get(url)
        if reply.status_code != 200:
            return []
        text = reply.content.decode("utf-8-sig", errors="replace")
        delimiter = ";" if ";" in text.partition("\n")[0] else ","
        return list(csv.reader(io.StringIO(text), delimiter=delimiter))


def content(reply: requests.Response) -> Any:
    """The reply's JSON, decimals exact. Unanswered when it has none."""
    try:
        return reply.json(parse_float=Decimal)
    except requests.exceptions.JSONDecodeError as error:
        raise Unanswered(f"brevo: {reply.status_code} without JSON") from error


def expected(reply: requests.Response, status: int) -> requests.Response:
    """The reply, when it has this status. Fatal otherwise: the account is not as it must be."""
    if reply.status_code != status:
        raise Fatal(f"brevo: {reply.status_code} {reply.text[:300]}")
    return reply


def one(key: str) -> str:
    return f"/contacts/{quote(key, safe='')}"


def kind(key: str) -> dict[str, str]:
    return {"identifierType": "email_id" if "@" in key else "ext_id"}


def fold(key: str) -> str:
    """A key as compared: addresses ignore case, external ids are taken as they are."""
    return key.lower() if "@" in key else key


def names(contact: Contact) -> set[str]:
    """Every key a contact answers to."""
    return {fold(str(name)) for name in (contact.get("email"), contact["attributes"].get("EXT_ID")) if name}


def utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment
