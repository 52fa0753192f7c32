"""Klaviyo's twin for reading: `/api/events` with the metrics and profiles they refer to.

From the published OpenAPI file, revision 2026-07-15: 200 events in a page unless asked, cursor pages told by
`links.next`, filters by `datetime` and `timestamp`, what is to be included asked for by name."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from connectors.sandbox.twin import Twin, route

HOST = "https://a.klaviyo.com"
KEY = "pk_sandbox"
FILTER = re.compile(r"(greater-or-equal|greater-than|less-or-equal|less-than)\((datetime),([^,)]+)\)")
Record = dict[str, Any]


class KlaviyoEvents(Twin):
    """An account with the key `pk_sandbox`."""

    name: ClassVar[str] = "klaviyo_events"
    own_faults: ClassVar[frozenset[str]] = frozenset()

    def reset(self) -> None:
        self.events: list[Record] = []
        self.profiles: dict[str, str] = {}
        self.metrics: dict[str, str] = {}

    def holdings(self) -> Mapping[str, list[Record]]:
        return {"events": [{k: v for k, v in one.items() if k != "properties"} for one in self.events]}

    def happened(self, email: str, metric: str, at: datetime, **properties: Any) -> None:
        """An event, which may be of the past."""
        profile = next((one for one, known in self.profiles.items() if known == email), None)
        if profile is None:
            profile = f"01PROFILE{len(self.profiles)}"
            self.profiles[profile] = email
        self.metrics.setdefault(metric, f"M{len(self.metrics)}")
        number = f"4{len(self.events):04d}"
        made = {"id": number, "profile": profile, "metric": metric, "datetime": at, "properties": properties}
        self.events.append(made)

    def authenticate(self, request: Request) -> Response | None:
        if request.headers.get("Authorization") != f"Klaviyo-API-Key {KEY}":
            return refused(401, "not_authenticated", "Authentication credentials were not provided.")
        if "revision" not in request.headers:
            return refused(400, "invalid", "Your request is missing the revision header.")
        return None

    def refusal(self, error: HTTPException) -> Response:
        return refused(404, "not_found", "The path did not match.")

    def throttled(self, wait: float) -> Response:
        made = refused(429, "throttled", f"Request was throttled. Expected available in {wait:g} seconds.")
        made.headers["Retry-After"] = f"{wait:g}"
        return made

    @route("GET", "/api/events")
    def listed(self, request: Request) -> Response:
        asked = request.args
        size = int(asked.get("page[size]", 200))
        if not 1 <= size <= 1000 or asked.get("sort", "datetime").strip("-") not in ("datetime", "timestamp"):
            return refused(400, "invalid", "Invalid input.")
        told = asked.get("filter")
        matched = FILTER.fullmatch(told) if told else None
        if told and matched is None:
            return refused(400, "invalid_filter", "Invalid filter provided.")
        found = [one for one in self.events if matched is None or kept(one["datetime"], matched)]
        found.sort(key=rank, reverse=asked.get("sort", "").startswith("-"))
        start = json.loads(base64.b64decode(asked.get("page[cursor]", base64.b64encode(b"null"))))
        rest = [one for one in found if start is None or rank(one) > (start[0], start[1])]
        page = rest[:size]
        body: Record = {"data": [shown(one, self.metrics) for one in page]}
        body["links"] = {"self": f"{HOST}/api/events"}
        if len(rest) > size:
            cursor = base64.b64encode(json.dumps(rank(page[-1])).encode()).decode()
            body["links"]["next"] = f"{HOST}/api/events?{urlencode({**asked, 'page[cursor]': cursor})}"
        if wanted := [part for part in asked.get("include", "").split(",") if part]:
            body["included"] = list(self.included(page, wanted))
        return answer(body)

    def included(self, page: list[Record], wanted: list[str]) -> Any:
        """Each metric and profile the page refers to, once."""
        if "metric" in wanted:
            for name in {one["metric"]: None for one in page}:
                number = self.metrics[name]
                made = {
                    "name": name,
                    "created": "2024-01-01T00:00:00+00:00",
                    "integration": {"name": "Klaviyo"},
                }
                yield resource("metric", number, made)
        if "profile" in wanted:
            for number in {one["profile"]: None for one in page}:
                yield resource("profile", number, {"email": self.profiles[number]})


def rank(event: Record) -> tuple[str, str]:
    return event["datetime"].isoformat(), event["id"]


def kept(at: datetime, told: re.Match[str]) -> bool:
    limit = datetime.fromisoformat(told[3])
    limit = limit if limit.tzinfo else limit.replace(tzinfo=UTC)
    match told[1]:
        case "greater-or-equal":
            return at >= limit
        case "greater-than":
            return at > limit
        case "less-or-equal":
            return at <= limit
        case _:
            return at < limit


def shown(event: Record, metrics: Mapping[str, str]) -> Record:
    attributes = {
        "timestamp": int(event["datetime"].timestamp()),
        "event_properties": event["properties"],
        "datetime": event["datetime"].isoformat(),
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, event["id"])),
    }
    relations = {
        "profile": {"data": {"type": "profile", "id": event["profile"]}},
        "metric": {"data": {"type": "metric", "id": metrics[event["metric"]]}},
    }
    return resource("event", event["id"], attributes) | {"relationships": relations}


def resource(kind: str, number: str, attributes: Record) -> Record:
    links = {"self": f"{HOST}/api/{kind}s/{number}"}
    return {"type": kind, "id": number, "attributes": attributes, "links": links}


def refused(status: int, code: str, detail: str) -> Response:
    one = {"id": str(uuid.uuid4()), "status": status, "code": code, "title": detail, "detail": detail}
    return answer({"errors": [one | {"source": {"pointer": "/data/"}}]}, status)


def answer(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/vnd.api+json")
