"""The Data Manager API's twin: two Google Ads accounts, their user lists, and requests that take their time.

Written from Google's guides, the discovery document of 2026-11-06 and the models of `google-ads-datamanager`.
No recorded traffic is known. The token endpoint is here too; it knows the sandbox's one service account.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from connectors.sandbox.google_audience.account import (
    MOST_DESTINATIONS,
    Refused,
    UserList,
    bad,
    check_members,
    new_list,
)
from connectors.sandbox.google_sheets.twin import ACCOUNT, SERVICE_ACCOUNT
from connectors.sandbox.twin import Twin, route

AUDIENCE = "https://oauth2.googleapis.com/token"
SCOPE = "https://www.googleapis.com/auth/datamanager"
PUBLIC_KEY: Any = load_pem_private_key(ACCOUNT["private_key"].encode(), None).public_key()


@dataclass
class Asked:
    """A request that was accepted and is carried out when its time has come."""

    verb: str
    list: UserList
    body: Mapping[str, Any]
    due: float
    half: bool
    status: dict[str, Any] | None = None


class GoogleAudience(Twin):
    """`https://datamanager.googleapis.com`: accounts `1000000001` and `1000000002`, and `9000000009`, which
    manages both and is not the service account's to use alone."""

    name: ClassVar[str] = "google_audience"
    keys: ClassVar[Mapping[str, str]] = {"GOOGLE_AUDIENCE_SERVICE_ACCOUNT": SERVICE_ACCOUNT}
    settings: ClassVar[Mapping[str, str]] = {
        "ads_account": "1000000001",
        "list": "Octo customers",
        "consent.ad_user_data": "granted",
        "consent.ad_personalization": "granted",
        "terms": "accepted",
    }

    def reset(self) -> None:
        self.job_seconds = 0.0
        """How long Google works on a request; half an hour, in life."""
        self.token_seconds = 3_599.0
        self.tokens: dict[str, float] = {}
        self.accounts: dict[str, dict[str, UserList]] = {"1000000001": {}, "1000000002": {}}
        self.terms = True
        """Whether the accounts accepted the terms of Customer Match."""
        self.refuses: dict[str, str] = {}
        """Hash of an address or number → the reason Google finds for that record while it works on it."""
        self.counts_only = False
        """Whether a status counts failures and does not say which records they were."""
        self.overlooks = 0
        """How many of a request's last records are lost before they are counted."""
        self.forgotten = bad("request_id", "INVALID_REQUEST_ID")
        """What is answered of a request it does not know (any more)."""
        self.quiet_looks = 0
        """How many looks at requests find nothing said of any destination yet."""
        self.requests: dict[str, Asked] = {}
        self.bodies: list[tuple[str, Any]] = []
        """Every body sent: path, JSON. For tests that prove what never leaves."""
        self.newest = 7_000_000_000

    def holdings(self) -> Mapping[str, list[dict[str, Any]]]:
        self.work()
        every = [(account, one) for account, some in self.accounts.items() for one in some.values()]
        return {
            "members": [
                {"list": one.name, "account": account, **person.shown()}
                for account, one in every
                for person in one.people
            ],
            "lists": [
                {"id": one.id, "displayName": one.name, "account": account, "people": len(one.people)}
                for account, one in every
            ],
        }

    def expire(self) -> None:
        self.tokens.clear()

    def authenticate(self, request: Request) -> Response | None:
        if request.path == "/token":
            return None
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or self.tokens.get(token, 0.0) <= self.clock():
            words = "Request had invalid authentication credentials. Expected OAuth 2 access token."
            return said(Refused("UNAUTHENTICATED", words, 401).body, 401)
        return None

    def refusal(self, error: HTTPException) -> Response:
        return said(Refused("NOT_FOUND", str(error.description), error.code or 404).body, error.code or 404)

    def throttled(self, wait: float) -> Response:
        refused = Refused("RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).", 429)
        limit = {
            "quota_limit": "IngestionRequestsPerMinutePerProject",
            "service": "datamanager.googleapis.com",
        }
        refused.body["error"]["details"][0]["metadata"] = limit
        delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait:g}s"}
        refused.body["error"]["details"].append(delay)
        return said(refused.body, 429)

    def broken(self, status: int) -> Response:
        return said(Refused("INTERNAL", "Internal error encountered.", status).body, status)

    def answer(self, request: Request) -> Response:
        try:
            with self.lock:
                self.work()
                if request.method != "GET" and request.path != "/token":
                    self.bodies.append((request.path, request.get_json(silent=True)))
            return super().answer(request)
        except Refused as refused:
            return said(refused.body, refused.code)

    def work(self) -> None:
        """Carry out every request whose time has come, and let go whose time is over."""
        for asked in self.requests.values():
            if asked.status is None and asked.due <= self.clock():
                asked.status = self.carried_out(asked)
        for found in (one for some in self.accounts.values() for one in some.values()):
            found.forget(self.clock())

    def carried_out(self, asked: Asked) -> dict[str, Any]:
        """Do it, and say what became of it record by record."""
        members = self.seen(asked)
        failed: dict[str, list[int]] = {}
        for place, member in enumerate(members):
            reason = self.reason(asked, member, place, len(members))
            if reason:
                failed.setdefault(reason, []).append(place)
        bad_places = {place for places in failed.values() for place in places}
        good = [one for place, one in enumerate(members) if place not in bad_places]
        if asked.verb == "ingest" and asked.list.open:
            for one in good:
                asked.list.ingest(one, consent_of(asked.body, one), self.clock())
        elif asked.verb == "remove":
            asked.list.remove(good)
        return self.told(asked, failed, len(good))

    def seen(self, asked: Asked) -> list[Mapping[str, Any]]:
        """The records Google has of a request."""
        members: list[Mapping[str, Any]] = asked.body["audienceMembers"]
        return members[: max(0, len(members) - self.overlooks)]

    def reason(self, asked: Asked, member: Mapping[str, Any], place: int, count: int) -> str | None:
        """Why a record fails while Google works on it."""
        if asked.half and place >= count // 2:
            return "PROCESSING_ERROR_REASON_INTERNAL_ERROR"
        if asked.verb == "ingest" and consent_of(asked.body, member).get("adUserData") != "CONSENT_GRANTED":
            return "PROCESSING_ERROR_REASON_NO_CONSENT"
        told = [value for one in member["userData"]["userIdentifiers"] for value in one.values()]
        return next((self.refuses[one] for one in told if isinstance(one, str) and one in self.refuses), None)

    def told(self, asked: Asked, failed: Mapping[str, list[int]], good: int) -> dict[str, Any]:
        """The status of a request, as it is told from now on."""
        members = self.seen(asked)
        count = sum(len(one["userData"]["userIdentifiers"]) for one in members)
        figures = {"recordCount": str(len(members)), "userIdentifierCount": str(count)}
        kind = "audienceMembersIngestionStatus" if asked.verb == "ingest" else "audienceMembersRemovalStatus"
        inner = "userDataIngestionStatus" if asked.verb == "ingest" else "userDataRemovalStatus"
        status = "SUCCESS" if not failed else "PARTIAL_SUCCESS" if good else "FAILED"
        told: dict[str, Any] = {"requestStatus": status, kind: {inner: figures}}
        if failed:
            told["errorInfo"] = {
                "errorCounts": [
                    {"reason": reason, "recordCount": str(len(places))}
                    | ({} if self.counts_only else {"recordIndices": places})
                    for reason, places in failed.items()
                ]
            }
        return told

    @route("POST", "/token")
    def sign_in(self, request: Request) -> Response:
        """A signed assertion for a token (RFC 7523, as Google's service accounts do)."""
        assertion = request.form.get("assertion", "")
        try:
            named = jwt.decode(assertion, options={"verify_signature": False})
            if named.get("iss") != ACCOUNT["client_email"]:
                return denied("Invalid grant: account not found")
            options: Any = {"verify_exp": False, "verify_iat": False}
            claims = jwt.decode(
                assertion, PUBLIC_KEY, algorithms=["RS256"], audience=AUDIENCE, options=options
            )
        except jwt.InvalidTokenError:
            return denied("Invalid JWT Signature.")
        if SCOPE not in str(claims.get("scope", "")).split():
            return denied("Invalid OAuth scope or ID token audience provided.", "invalid_scope")
        token = f"ya29.sandbox-{uuid.uuid4().hex}"
        self.tokens[token] = self.clock() + self.token_seconds
        return said({"access_token": token, "expires_in": int(self.token_seconds), "token_type": "Bearer"})

    def lists(self, account: str) -> dict[str, UserList]:
        if account not in self.accounts:
            words = "The caller does not have permission"
            raise Refused("PERMISSION_DENIED", words, 403)
        return self.accounts[account]

    @route("GET", "/v1/accountTypes/GOOGLE_ADS/accounts/<account>/userLists")
    def get_lists(self, request: Request, account: str) -> Response:
        wanted = request.args.get("filter")
        rows = list(self.lists(account).values())
        if wanted is not None:
            found = re.fullmatch(r'display_?[nN]ame = ("(?:[^"\\]|\\.)*")', wanted)
            if not found:
                raise bad("filter", "INVALID_FILTER")
            # As AIP-160 has it, to which the reference sends its reader: `*` stands for anything.
            name = ".*".join(re.escape(part) for part in json.loads(found.group(1)).split("*"))
            rows = [one for one in rows if re.fullmatch(name, one.name, re.DOTALL)]
        start, size = (
            int(request.args.get("pageToken") or 0),
            min(int(request.args.get("pageSize") or 50), 1000),
        )
        page = rows[start : start + size]
        body: dict[str, Any] = {"userLists": [shown(account, one) for one in page]} if page else {}
        return said(body | ({"nextPageToken": str(start + size)} if start + size < len(rows) else {}))

    @route("POST", "/v1/accountTypes/GOOGLE_ADS/accounts/<account>/userLists")
    def create_list(self, request: Request, account: str) -> Response:
        return said(shown(account, self.add_list(account, read(request))))

    def add_list(self, account: str, body: Mapping[str, Any]) -> UserList:
        """A new list. No two of an account have one name."""
        self.newest += 1
        made = new_list(str(self.newest), body)
        if any(one.name == made.name for one in self.lists(account).values()):
            raise bad("user_list.display_name", "DISPLAY_NAME_ALREADY_USED")
        self.lists(account)[made.id] = made
        return made

    @route("POST", "/v1/audienceMembers:ingest")
    def ingest(self, request: Request) -> Response:
        body = read(request)
        terms = body.get("termsOfService", {}).get("customerMatchTermsOfServiceStatus")
        if terms != "ACCEPTED" or not self.terms:
            raise bad("terms_of_service", "TERMS_AND_CONDITIONS_NOT_SIGNED")
        return self.take("ingest", body)

    @route("POST", "/v1/audienceMembers:remove")
    def remove(self, request: Request) -> Response:
        return self.take("remove", read(request))

    def take(self, verb: str, body: Mapping[str, Any]) -> Response:
        """Check a request and keep it for later."""
        found = self.destination(body)
        check_members(body)
        if body.get("validateOnly"):
            return said({})
        number = str(uuid.uuid4())
        due = self.clock() + self.job_seconds
        self.requests[number] = Asked(verb, found, body, due, self.fault("half_job"))
        return said({"requestId": number})

    def destination(self, body: Mapping[str, Any]) -> UserList:
        places = body.get("destinations") or []
        if not places or len(places) > MOST_DESTINATIONS:
            raise bad("destinations", "TOO_MANY_DESTINATIONS" if places else "REQUIRED_FIELD_MISSING")
        account = places[0].get("operatingAccount", {})
        if account.get("accountType") != "GOOGLE_ADS":
            raise bad("destinations.destinations[0]", "INVALID_DESTINATION")
        found = self.lists(str(account.get("accountId"))).get(str(places[0].get("productDestinationId")))
        if found is None:
            raise bad("destinations.destinations[0].product_destination_id", "INVALID_USER_LIST_ID")
        return found

    @route("GET", "/v1/requestStatus:retrieve")
    def get_status(self, request: Request) -> Response:
        asked = self.requests.get(request.args.get("requestId", ""))
        if asked is None:
            raise self.forgotten
        if self.quiet_looks:
            self.quiet_looks -= 1
            return said({})
        status = asked.status or {"requestStatus": "PROCESSING"}
        place = asked.body["destinations"][0]
        return said({"requestStatusPerDestination": [{"destination": place, **status}]})


def consent_of(body: Mapping[str, Any], member: Mapping[str, Any]) -> dict[str, str]:
    """A member's own consent, else the request's."""
    return dict(member.get("consent") or body.get("consent") or {})


def shown(account: str, found: UserList) -> dict[str, Any]:
    """A user list as the API shows it; ids are numbers as text."""
    name = f"accountTypes/GOOGLE_ADS/accounts/{account}/userLists/{found.id}"
    fixed = {"name": name, "id": found.id, "readOnly": False, "accountAccessStatus": "ENABLED"}
    return {"membershipStatus": "OPEN", **found.body, **fixed, "accessReason": "OWNED"}


def read(request: Request) -> dict[str, Any]:
    """The body as an object. Refused when it is anything else."""
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise Refused("INVALID_ARGUMENT", "Invalid JSON payload received.", 400)
    named: dict[str, Any] = in_words(body)
    return named


def in_words(value: Any, name: str = "") -> Any:
    """A body whose enums are words, however they came: Google's own client sends their numbers."""
    if isinstance(value, dict):
        return {key: in_words(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [in_words(inner, name) for inner in value]
    return ENUMS[name].get(value, value) if name in ENUMS else value


CONSENT = {1: "CONSENT_GRANTED", 2: "CONSENT_DENIED"}
ENUMS: Mapping[str, Mapping[Any, str]] = {
    "accountType": {1: "GOOGLE_ADS"},
    "adPersonalization": CONSENT,
    "adUserData": CONSENT,
    "customerMatchTermsOfServiceStatus": {1: "ACCEPTED", 2: "REJECTED"},
    "dataSourceType": {1: "DATA_SOURCE_TYPE_FIRST_PARTY"},
    "encoding": {1: "HEX", 2: "BASE64"},
    "uploadKeyTypes": {1: "CONTACT_ID"},
}
"""The numbers of the words this twin knows, as `google-ads-datamanager` has them."""


def denied(words: str, error: str = "invalid_grant") -> Response:
    return said({"error": error, "error_description": words}, 400)


def said(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")
