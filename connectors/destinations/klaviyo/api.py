"""Klaviyo's HTTP as the destination needs it: calls, pages, the list by its name, profiles, jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from octo_dagster.errors import Fatal, Unanswered

HOST = "https://a.klaviyo.com"
REVISION = "2026-07-15"
"""Pinned: what this file was checked against. A revision is served for two years after it came out."""
PAGE = 100
"""Most profiles, or errors of a job, in one page (spec)."""
ADDRESS_CHARACTERS = 6_000
"""Of the keys in one filter: well below what proxies allow once they are quoted."""
PLAIN = re.compile(r"[\w .-]+", re.ASCII)
"""Names that stand in a filter as they are. How a filter spells others is not documented, and one that
was misread would make a new list in every run."""

Resource = Mapping[str, Any]
"""Something of Klaviyo's: `type`, `id`, `attributes`."""


@dataclass(frozen=True, slots=True)
class Api:
    """One account, reached with a private key."""

    session: requests.Session
    key: str = field(repr=False)
    list_name: str | None
    numbers: dict[str, str] = field(default_factory=dict)
    """The id the list's name was found to mean."""

    def call(
        self, method: str, path: str, body: Any = None, params: Mapping[str, Any] | None = None
    ) -> requests.Response:
        """One call. The caller reads the status; `Klaviyo.failure` has seen it before."""
        headers = {
            "Authorization": f"Klaviyo-API-Key {self.key}",
            "revision": REVISION,
            "accept": "application/vnd.api+json",
        }
        data = None
        if body is not None:
            headers["content-type"] = "application/vnd.api+json"
            data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        return self.session.request(
            method, HOST + path, params=params, data=data, headers=headers, allow_redirects=False
        )

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The reply to a GET that must succeed."""
        return content(expected(self.call("GET", path, params=params), 200))

    def pages(self, path: str, params: Mapping[str, Any]) -> Iterator[Resource]:
        """Every row of a collection. Of the link to the next page only the cursor is used: an address in
        a reply is no place to send the key to."""
        cursor: str | None = ""
        while cursor is not None:
            reply = self.get(path, {**params, "page[cursor]": cursor} if cursor else params)
            yield from reply["data"]
            cursor = after(reply)

    # the list --------------------------------------------------------------------------------------

    def list_id(self, *, create: bool = False) -> str | None:
        """The id of the sync's list: the oldest of its name. Made when missing, if told to."""
        name = self.list_name
        if name is None:
            return None
        if name not in self.numbers:
            found = self.oldest(name)
            if found is None and not create:
                return None
            self.numbers[name] = found or self.make_list(name)
        return self.numbers[name]

    def oldest(self, name: str) -> str | None:
        """The oldest list of this name."""
        params = {"sort": "created"}
        if PLAIN.fullmatch(name):
            params["filter"] = f'equals(name,"{name}")'
        rows = self.pages("/api/lists", params)
        return next((str(row["id"]) for row in rows if row["attributes"]["name"] == name), None)

    def make_list(self, name: str) -> str:
        body = {"data": {"type": "list", "attributes": {"name": name}}}
        return str(content(expected(self.call("POST", "/api/lists", body), 201))["data"]["id"])

    # profiles --------------------------------------------------------------------------------------

    def profiles(
        self, by: str, values: Iterable[str], names: Collection[str], list_id: str | None = None
    ) -> Iterator[Resource]:
        """The profiles, or those of them in a list, that `by` tells by these values.

        A list can be asked by `email` and `phone_number` only (spec)."""
        path = f"/api/lists/{list_id}/profiles" if list_id else "/api/profiles"
        asked = ",".join(sorted({"email", "external_id", "phone_number", *names}))
        for some in packed(values):
            quoted = ",".join(json.dumps(value, ensure_ascii=False) for value in some)
            params = {"filter": f"any({by},[{quoted}])", "fields[profile]": asked, "page[size]": PAGE}
            yield from self.pages(path, params)

    def members(self, profiles: Collection[Resource], list_id: str) -> set[str]:
        """The ids of those profiles that are in a list: asked by address, by phone number, or one by one."""
        found, left = set(), {str(profile["id"]): profile["attributes"] for profile in profiles}
        for by in ("email", "phone_number"):
            known = {number: value[by] for number, value in left.items() if value.get(by)}
            if known:
                found |= {str(one["id"]) for one in self.profiles(by, known.values(), (), list_id)}
            left = {number: value for number, value in left.items() if number not in known}
        for number in left:
            lists = self.get(f"/api/profiles/{number}/relationships/lists")["data"]
            found |= {number} if any(one["id"] == list_id for one in lists) else set()
        return found & {str(profile["id"]) for profile in profiles}

    # jobs ------------------------------------------------------------------------------------------

    def job(self, number: str) -> Mapping[str, Any] | None:
        """What an import job says of itself; None when Klaviyo does not know it (any more)."""
        reply = self.call("GET", f"/api/profile-bulk-import-jobs/{number}")
        if reply.status_code == 404:
            return None
        found: Mapping[str, Any] = content(expected(reply, 200))["data"]["attributes"]
        return found

    def import_errors(self, number: str) -> Iterator[Resource]:
        """Every error of an import job, over all pages."""
        return self.pages(f"/api/profile-bulk-import-jobs/{number}/import-errors", {"page[size]": PAGE})


def content(reply: requests.Response) -> Any:
    """The reply's JSON, decimals exact. Unanswered when it has none."""
    try:
        return reply.json(parse_float=Decimal)
    except requests.exceptions.JSONDecodeError as error:
        raise Unanswered(f"klaviyo: {reply.status_code} without JSON") from error


def expected(reply: requests.Response, status: int) -> requests.Response:
    """The reply, when it has this status. Fatal otherwise: the account is not as it must be."""
    if reply.status_code != status:
        raise Fatal(f"klaviyo: {reply.status_code} {reply.text[:300]}")
    return reply


def errors(reply: requests.Response) -> list[Mapping[str, Any]]:
    """The JSON:API errors of a refusal; none when it says nothing of the kind."""
    told = content(reply)
    return list(told.get("errors") or ()) if isinstance(told, dict) else []


def after(reply: Mapping[str, Any]) -> str | None:
    """The cursor of the next page; None on the last."""
    link = (reply.get("links") or {}).get("next")
    return parse_qs(urlsplit(link).query).get("page[cursor]", [None])[0] if link else None


def packed(values: Iterable[str]) -> Iterator[list[str]]:
    """Lists of values that fit into one filter and one page."""
    held: list[str] = []
    used = 0
    for value in values:
        if held and (len(held) == PAGE or used + len(value) > ADDRESS_CHARACTERS):
            yield held
            held, used = [], 0
        held.append(value)
        used += len(value) + 3
    if held:
        yield held
