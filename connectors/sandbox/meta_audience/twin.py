"""Meta's twin: two ad accounts, their customer file audiences, and the people in them.

Written from the guide and the references of the Marketing API v25.0, `facebook-business` 26, and exchanges
recorded in 2020 and 2022 (grouparoo). Any version in the path is answered alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from connectors.sandbox.meta_audience.audience import Audience, Refused, invalid, rows_of, session_of
from connectors.sandbox.twin import Twin, route

TOKEN = "sandbox-token"  # noqa: S105 - no secret
THROTTLED = "There have been too many calls to this ad-account. Wait a bit and try again."
NOBODY = (
    "Unsupported {} request. Object with ID '{}' does not exist, cannot be loaded due to missing permissions"
)


class MetaAudience(Twin):
    """`https://graph.facebook.com`: accounts `1001` and `1002`, one token for both, `sandbox-token`."""

    name: ClassVar[str] = "meta_audience"
    keys: ClassVar[Mapping[str, str]] = {"META_AUDIENCE_ACCESS_TOKEN": TOKEN}
    settings: ClassVar[Mapping[str, str]] = {"ad_account": "1001", "audience": "Octo customers"}
    own_faults: ClassVar[frozenset[str]] = frozenset({"transient", "updating"})
    """`transient`: an error Meta calls so, after the call was carried out; `updating`: 2650, before it."""

    def reset(self) -> None:
        self.accounts: dict[str, dict[str, Audience]] = {"1001": {}, "1002": {}}
        """Account → its audiences by id."""
        self.strange: set[str] = set()
        """Hashes Meta counts as invalid for reasons of its own."""
        self.smallest = 0
        """Fewer people than this a removal must not leave (Meta does not say how many; over 100)."""
        self.denied: set[str] = set()
        """Permissions the token was not given."""
        self.bodies: list[tuple[str, str, dict[str, str]]] = []
        """Every write asked for: method, path, form. For tests that prove what never leaves."""
        self.percent = 1
        self.minutes = 0
        self.newest = 23849182047670000

    def holdings(self) -> Mapping[str, list[dict[str, Any]]]:
        every = [(account, one) for account, some in self.accounts.items() for one in some.values()]
        return {
            "members": [
                {"audience": one.name, "account": account, **person.shown()}
                for account, one in every
                for person in one.people
            ],
            "audiences": [
                {"id": one.id, "name": one.name, "account": account, "people": len(one.people)}
                for account, one in every
            ],
        }

    def authenticate(self, request: Request) -> Response | None:
        header = request.headers.get("Authorization", "").removeprefix("Bearer ")
        given = header or request.values.get("access_token", "")
        if not given:
            return self.refused(Refused(104, "An access token is required to request this resource."), 400)
        if given != TOKEN:
            return self.refused(Refused(190, "Invalid OAuth access token - Cannot parse access token"), 401)
        return None

    def refusal(self, error: HTTPException) -> Response:
        return self.refused(Refused(2500, f"Unknown path components: {error.description}"))

    def throttled(self, wait: float) -> Response:
        self.minutes = max(1, round(wait / 60))
        reply = self.metered(self.refused(Refused(80003, THROTTLED, 2446079)))
        self.minutes = 0
        return reply

    def broken(self, status: int) -> Response:
        trouble = Refused(2, "Service temporarily unavailable")
        trouble.body["is_transient"] = True
        return self.refused(trouble, status)

    def refused(self, error: Refused, status: int = 400) -> Response:
        return said({"error": {**error.body, "fbtrace_id": "Az732jExHaoZeTVY1sDg8pE"}}, status)

    def metered(self, reply: Response) -> Response:
        """The reply with the header that tells how much of the quota is used."""
        usage = {
            "type": "custom_audience",
            "call_count": 100 if self.minutes else self.percent,
            "total_cputime": 1,
            "total_time": 1,
            "estimated_time_to_regain_access": self.minutes,
        }
        reply.headers["x-business-use-case-usage"] = json.dumps({"1001": [usage]}, separators=(",", ":"))
        return reply

    def answer(self, request: Request) -> Response:
        with self.lock:
            if request.method != "GET":
                self.bodies.append((request.method, request.path, request.values.to_dict()))
        try:
            return self.metered(super().answer(request))
        except Refused as refused:
            return self.metered(self.refused(refused))

    def audiences(self, account: str) -> dict[str, Audience]:
        if account not in self.accounts:
            raise Refused(100, NOBODY.format("get", f"act_{account}"), 33)
        return self.accounts[account]

    def audience(self, number: str, method: str) -> Audience:
        for audiences in self.accounts.values():
            if number in audiences:
                return audiences[number]
        raise Refused(100, NOBODY.format(method, number), 33)

    @route("GET", "/<version>/act_<account>")
    def get_account(self, request: Request, version: str, account: str) -> Response:
        self.audiences(account)
        known = {"account_id": account, "name": f"Octo sandbox {account}"}
        return said({**chosen(request, known), "id": f"act_{account}"})

    @route("GET", "/<version>/me/permissions")
    def get_permissions(self, request: Request, version: str) -> Response:
        rows = [
            {"permission": name, "status": "declined" if name in self.denied else "granted"}
            for name in ("ads_management", "ads_read", "business_management")
        ]
        return said({"data": rows})

    @route("GET", "/<version>/act_<account>/customaudiences")
    def get_audiences(self, request: Request, version: str, account: str) -> Response:
        every = list(reversed(self.audiences(account).values()))
        ids = [one.id for one in every]
        start = ids.index(request.args["after"]) + 1 if request.args.get("after") in ids else 0
        limit = int(request.args.get("limit", 25))
        page = every[start : start + limit]
        body: dict[str, Any] = {"data": [{**chosen(request, shown(one)), "id": one.id} for one in page]}
        if page:
            body["paging"] = {"cursors": {"before": page[0].id, "after": page[-1].id}}
            if start + limit < len(every):
                body["paging"]["next"] = f"{request.base_url}?after={page[-1].id}"
        return said(body)

    @route("POST", "/<version>/act_<account>/customaudiences")
    def create_audience(self, request: Request, version: str, account: str) -> Response:
        form = given(request)
        sources = ("USER_PROVIDED_ONLY", "PARTNER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED")
        if not form.get("name") or form.get("subtype") != "CUSTOM":
            raise Refused(100, "(#100) The parameters name and subtype are required")
        if form.get("customer_file_source") not in sources:
            raise Refused(100, "Invalid parameter", 1870053)
        return said({"id": self.add_audience(account, str(form["name"])).id})

    def add_audience(self, account: str, name: str) -> Audience:
        """A new audience. Meta allows two of one name."""
        self.newest += 1000
        made = Audience(str(self.newest), name, "CUSTOM")
        self.audiences(account)[made.id] = made
        return made

    @route("GET", "/<version>/<number>")
    def get_audience(self, request: Request, version: str, number: str) -> Response:
        found = self.audience(number, "get")
        return said({**chosen(request, shown(found)), "id": found.id})

    @route("DELETE", "/<version>/<number>")
    def delete_audience(self, request: Request, version: str, number: str) -> Response:
        self.audience(number, "delete")
        for audiences in self.accounts.values():
            audiences.pop(number, None)
        return said({"success": True})

    @route("POST", "/<version>/<number>/users")
    def add_users(self, request: Request, version: str, number: str) -> Response:
        return self.exchange(request, number, lambda audience: audience.add)

    @route("DELETE", "/<version>/<number>/users")
    def remove_users(self, request: Request, version: str, number: str) -> Response:
        return self.exchange(request, number, lambda audience: audience.remove)

    def exchange(
        self,
        request: Request,
        number: str,
        verb: Callable[[Audience], Callable[[list[dict[str, str]]], None]],
    ) -> Response:
        """Let people in or out; the answer is counts, and never says who."""
        audience = self.audience(number, request.method.lower())
        form = given(request)
        rows = rows_of(form.get("payload"))
        session_of(form.get("session"))
        if self.fault("updating"):
            raise Refused(2650, "(#2650) Failed to update the custom audience: an update is in progress")
        wrong = set(invalid(rows, self.strange))
        good = [row for place, row in enumerate(rows) if place not in wrong]
        if request.method == "DELETE" and self.smallest and len(audience.people) - len(good) < self.smallest:
            words = (
                "You cannot remove users from this audience because it will result in a low audience size."
            )
            title = "Audience Size too Low"
            raise Refused(200, "Permissions error", 1870047, error_user_title=title, error_user_msg=words)
        verb(audience)(good)
        if self.fault("transient"):
            return self.broken(400)
        session = form.get("session") or {}
        body = {
            "audience_id": number,
            "session_id": str(session.get("session_id", 4229955495815004260)),
            "num_received": len(rows),
            "num_invalid_entries": len(wrong),
            "invalid_entry_samples": {},
        }
        return said(body)


def given(request: Request) -> dict[str, Any]:
    """The parameters of a write, wherever they are: query, form or JSON body; JSON in a form is read."""
    sent = {**request.values.to_dict(), **(request.get_json(silent=True) or {})}
    return {name: read(value) for name, value in sent.items() if name in PARAMETERS} | {
        name: value for name, value in sent.items() if name not in PARAMETERS
    }


PARAMETERS = ("payload", "session")


def read(value: Any) -> Any:
    """A parameter that is JSON. Refused when it is none."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise Refused(100, "(#100) param payload must be a valid JSON object") from error


def shown(audience: Audience) -> dict[str, Any]:
    return {"name": audience.name, "subtype": audience.subtype}


def chosen(request: Request, known: Mapping[str, Any]) -> dict[str, Any]:
    """The fields asked for; Meta shows nothing but the id unasked."""
    asked = re.split(r",", request.args.get("fields", ""))
    return {name: value for name, value in known.items() if name in asked}


def said(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")
