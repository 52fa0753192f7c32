"""Google's Data Ads API as the destination needs it: a user list by its name, requests and their fate."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from octo_dagster.errors import Fatal, Unanswered

HOST = "https://datamanager.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/datamanager"
LONGEST_DAYS = 540
"""What a member is kept at most without being sent again (Google Ads, since April 2025)."""
PAGE = 1000
STATUS = "requestStatus:retrieve"
UNKNOWN_REQUEST = "INVALID_REQUEST_ID"
MEMBER = re.compile(r"audience_members\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Ads:
    """One advertiser's account, seen from the account that may manage it."""

    session: requests.Session
    token: str = field(repr=False)
    operating: str
    login: str
    name: str
    """The user list's."""
    found: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """The list that its name was found to mean."""

    def call(
        self, method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None
    ) -> requests.Response:
        """One call below `/v1`. 400 is for the caller to read; `failure` has seen the rest."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if "/userLists" in path:
            headers["login-account"] = f"accountTypes/GOOGLE_ADS/accounts/{self.login}"
        data = None if body is None else json.dumps(body).encode()
        return self.session.request(
            method, f"{HOST}/v1/{path}", params=query, data=data, headers=headers, allow_redirects=False
        )

    @property
    def lists(self) -> str:
        return f"accountTypes/GOOGLE_ADS/accounts/{self.operating}/userLists"

    def user_lists(self, **query: Any) -> list[Mapping[str, Any]]:
        """The account's user lists, or those a filter lets through."""
        rows: list[Mapping[str, Any]] = []
        while True:
            page = good(self.call("GET", self.lists, query={"pageSize": PAGE, **query}))
            rows += page.get("userLists", [])
            if not page.get("nextPageToken"):
                return rows
            query["pageToken"] = page["nextPageToken"]

    def list_id(self, *, fill: bool = False, create: bool = False) -> str | None:
        """The id of the list of this name, which is one list's only; made when missing, if told to. Fatal for
        one that takes no contacts or, where it is to be filled, nobody new."""
        if self.name not in self.found:
            asked = f"display_name = {json.dumps(self.name, ensure_ascii=False)}"
            # A `*` in a filter stands for anything (AIP-160): what is found is looked at, too.
            same = [one for one in self.user_lists(filter=asked) if one["displayName"] == self.name]
            if not same and not create:
                return None
            self.found[self.name] = checked(same[0]) if same else self.made()
        found = self.found[self.name]
        return str((fillable(found) if fill else found)["id"])

    def made(self) -> Mapping[str, Any]:
        body = {
            "displayName": self.name,
            "membershipDuration": f"{LONGEST_DAYS * 86_400}s",
            "ingestedUserListInfo": {
                "uploadKeyTypes": ["CONTACT_ID"],
                "contactIdInfo": {"dataSourceType": "DATA_SOURCE_TYPE_FIRST_PARTY"},
            },
        }
        found: Mapping[str, Any] = good(self.call("POST", self.lists, body))
        return found

    def place(self, list_id: str) -> list[dict[str, Any]]:
        """The one destination of a request."""
        accounts = {"operatingAccount": self.operating, "loginAccount": self.login}
        named = {name: {"accountType": "GOOGLE_ADS", "accountId": id_} for name, id_ in accounts.items()}
        return [{**named, "productDestinationId": list_id}]

    def fate(self, request_id: str) -> Mapping[str, Any] | None:
        """What became of a request at its one destination, or nothing that is decided yet; None when Google
        does not know it."""
        reply = self.call("GET", STATUS, query={"requestId": request_id})
        if reply.status_code == 404 or (reply.status_code == 400 and UNKNOWN_REQUEST in reply.text):
            return None
        told = good(reply).get("requestStatusPerDestination") or [{}]
        if len(told) != 1:
            raise Unanswered("google_audience: the request's status is of many destinations")
        found: Mapping[str, Any] = told[0]
        return found


def checked(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """A list of contacts. Fatal for one of another kind."""
    kinds = found.get("ingestedUserListInfo", {}).get("uploadKeyTypes", [])
    if "CONTACT_ID" not in kinds or found.get("readOnly"):
        raise Fatal(f"google_audience: the list {found['displayName']!r} takes no contacts")
    return found


def trouble(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Why a list cannot be filled; nothing where it can."""
    try:
        fillable(checked(found))
    except Fatal as error:
        return (str(error),)
    return ()


def fillable(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """A list that people are added to, and kept in. Fatal for a closed one, which would take a request and
    add nobody, and for one that forgets people sooner than they are sent again."""
    named = f"google_audience: the list {found['displayName']!r}"
    if found.get("membershipStatus") == "CLOSED":
        cause = " (Google closed it, unused)" if found.get("closingReason") == "UNUSED" else ""
        raise Fatal(
            f"{named} is closed{cause} and takes nobody: open it in Google Ads (Audience manager), or give a "
            f"sync of another name another list"
        )
    days = float(str(found.get("membershipDuration", "inf")).removesuffix("s")) / 86_400
    if days < LONGEST_DAYS:
        raise Fatal(
            f"{named} forgets people after {days:.0f} days, though the sync holds them: set its "
            f"membership duration to {LONGEST_DAYS} days in Google Ads (Audience manager)"
        )
    return found


def good(reply: requests.Response) -> Any:
    """The JSON of a reply that must be a good one. Fatal otherwise: the account is not as it must be."""
    if reply.status_code != 200:
        raise Fatal(f"google_audience: {reply.status_code} {reply.text[:600]}")
    try:
        return reply.json()
    except requests.exceptions.JSONDecodeError as error:
        raise Unanswered("google_audience: 200 without JSON") from error


def refused_members(reply: requests.Response) -> Mapping[int, str]:
    """Place in the request → why, of the members a 400 names. Empty when it is not about members."""
    found: dict[int, str] = {}
    for line in violations(reply):
        places = MEMBER.findall(str(line.get("field", "")))
        if not places:
            return {}
        reason = ": ".join(str(line[part]) for part in ("reason", "description") if line.get(part))
        found[int(places[-1])] = reason or "INVALID_ARGUMENT"
    return found


def violations(reply: requests.Response) -> list[Mapping[str, Any]]:
    return [line for detail in details(reply) for line in detail.get("fieldViolations", ())]


def why(reply: requests.Response) -> str:
    """What is wrong with a request, in Google's short words; its long ones where there are none."""
    return (
        ", ".join(str(line["reason"]) for line in violations(reply) if "reason" in line) or reply.text[:300]
    )


def details(reply: requests.Response) -> Sequence[Mapping[str, Any]]:
    """The details of an error; none when it cannot be read."""
    try:
        error = reply.json()["error"]
    except (requests.exceptions.JSONDecodeError, KeyError, TypeError):
        return ()
    found: Sequence[Mapping[str, Any]] = error.get("details", ())
    return found


def wait(reply: requests.Response) -> float:
    """Seconds to wait after a 429: as it says, else until the quota's minute or day is over."""
    for detail in details(reply):
        if delay := re.fullmatch(r"(\d+(?:\.\d+)?)s", str(detail.get("retryDelay", ""))):
            return float(delay.group(1))
        if "day" in str(detail.get("metadata", {}).get("quota_limit", "")).lower():
            return 3600.0
    return 60.0
