"""Meta's Graph API as the destination needs it: an ad account, its audience by name, people in and out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from connectors.destinations.meta_audience.identifiers import FIELDS, Row
from octo_dagster.errors import BatchRejected, Fatal, Unanswered

HOST = "https://graph.facebook.com"
PAGE = 500
ROWS = 10_000
"""Of one call. Who is taken back by all he was told by may be in several."""
TOO_SMALL = 1870047
"""Subcode of the answer to a removal that would leave too few people (recorded in 2020)."""


@dataclass(frozen=True, slots=True)
class Graph:
    """One ad account. The token goes in a header: neither in an address nor beside personal data."""

    session: requests.Session
    token: str = field(repr=False)
    version: str
    ad_account: str
    name: str
    """The audience's."""
    source: str
    found: dict[str, str] = field(default_factory=dict)
    """The audience's id, once it is known."""

    def call(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, form: Any = None
    ) -> requests.Response:
        """One call; what is not for the caller to read was refused by `failure` before."""
        return self.session.request(
            method,
            f"{HOST}/{self.version}/{path}",
            params=query,
            data=form,
            headers={"Authorization": f"Bearer {self.token}"},
            allow_redirects=False,
        )

    def get(self, path: str, **query: Any) -> Any:
        return content(self.call("GET", path, query))

    def audience(self, *, create: bool = False) -> str:
        """The id of the audience of this name, the oldest; made when missing, if told to; else empty."""
        if self.name not in self.found:
            same = [one["id"] for one in self.audiences() if one["name"] == self.name]
            if not same and not create:
                return ""
            self.found[self.name] = min(same, key=int) if same else self.made()
        return self.found[self.name]

    def audiences(self) -> list[Mapping[str, str]]:
        """The customer file audiences of the account."""
        rows: list[Mapping[str, str]] = []
        after: dict[str, str] = {}
        while True:
            page = self.get(
                f"act_{self.ad_account}/customaudiences", fields="id,name,subtype", limit=PAGE, **after
            )
            rows += [one for one in listed(page) if one.get("subtype", "CUSTOM") == "CUSTOM"]
            cursor = page.get("paging", {})
            if "next" not in cursor:
                return rows
            after = {"after": cursor["cursors"]["after"]}

    def made(self) -> str:
        form = {"name": self.name, "subtype": "CUSTOM", "customer_file_source": self.source}
        reply = self.call("POST", f"act_{self.ad_account}/customaudiences", form=form)
        told = content(reply)
        if "id" not in told:
            raise Unanswered("meta_audience: a new audience has no id")
        return str(told["id"])

    def add(self, audience: str, rows: Sequence[Row], session_id: int) -> None:
        """People into the audience. One call is a session of its own, ended with it: nothing waits for a
        batch that may never come, and one sent twice is two sessions that say the same.

        BatchRejected when Meta counted an entry as invalid or missing: it does not say which."""
        session = {
            "session_id": session_id,
            "batch_seq": 1,
            "last_batch_flag": True,
            "estimated_num_total": len(rows),
        }
        form = {"payload": payload(rows), "session": json.dumps(session)}
        counted(content(self.call("POST", f"{audience}/users", form=form)), rows)

    def remove(self, audience: str, rows: Sequence[Row]) -> str | None:
        """People out of the audience, by as many calls as their rows need; in Meta's words why it will not
        have it so small, if that is so.

        The people are in the body, as in the guide's example: an address would be too long, and logged."""
        for start in range(0, len(rows), ROWS):
            some = rows[start : start + ROWS]
            told = content(self.call("DELETE", f"{audience}/users", form={"payload": payload(some)}))
            if "error" in told:
                return (
                    f"AUDIENCE_TOO_SMALL: {told['error'].get('error_user_msg') or told['error']['message']}"
                )
            counted(told, some)
        return None


def payload(rows: Sequence[Row]) -> str:
    """People as columns Meta knows; who lacks one has an empty place there."""
    schema = [name for name in FIELDS if any(name in row for row in rows)]
    return json.dumps({"schema": schema, "data": [[row.get(name, "") for name in schema] for row in rows]})


def counted(told: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """BatchRejected unless every entry was received and none was invalid; Unanswered where it is not told."""
    if not {"num_received", "num_invalid_entries"} <= told.keys():
        raise Unanswered(f"meta_audience: of {len(rows)} entries it is not told how many were received")
    received, invalid = int(told["num_received"]), int(told["num_invalid_entries"])
    if invalid or received < len(rows):
        raise BatchRejected(
            f"meta_audience: of {len(rows)} entries {received} were received and {invalid} were invalid"
        )


def content(reply: requests.Response) -> dict[str, Any]:
    """The reply's JSON object. Unanswered when it has none."""
    try:
        told = reply.json()
    except requests.exceptions.JSONDecodeError as error:
        raise Unanswered(f"meta_audience: {reply.status_code} without JSON") from error
    if not isinstance(told, dict):
        raise Unanswered(f"meta_audience: {reply.status_code} with JSON that says nothing")
    return told


def trouble(reply: requests.Response) -> Mapping[str, Any]:
    """The error a reply tells of; empty when it tells none, or cannot be read."""
    try:
        told = reply.json()
    except requests.exceptions.JSONDecodeError:
        return {}
    error = told.get("error") if isinstance(told, dict) else None
    return error if isinstance(error, dict) else {}


def minutes_to_wait(reply: requests.Response) -> float | None:
    """Seconds until Meta lets this account call again, as its header says; None when it does not say."""
    try:
        told = json.loads(reply.headers.get("x-business-use-case-usage", "{}"))
    except json.JSONDecodeError:
        return None
    waits = [use.get("estimated_time_to_regain_access", 0) for uses in told.values() for use in uses]
    longest = max(waits, default=0)
    return 60.0 * longest if longest else None


def listed(reply: Any) -> list[Mapping[str, Any]]:
    """The rows of a reply that is a list; Fatal when it is none."""
    rows = reply.get("data")
    if not isinstance(rows, list):
        raise Fatal("meta_audience: the reply is no list")
    return rows
