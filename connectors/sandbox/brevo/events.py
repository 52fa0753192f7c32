"""What became of Brevo's transactional and automated e-mails, event by event. Read only; tests put them in.

From the published OpenAPI file (`/smtp/statistics/events`): days and no times, both ends or none, at most 90
of them; the last 30 when none is asked; newest first unless `sort` says otherwise; 2,500 in a page, 5,000 at
most. The reply has no key `events` where there are none (the SDK's model has it optional)."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

from werkzeug.wrappers import Request, Response

from connectors.sandbox.brevo.account import Refused
from connectors.sandbox.brevo.contacts import Contacts
from connectors.sandbox.twin import route

MOST_DAYS = 90


class Events(Contacts):
    """The events of both accounts, oldest first."""

    events: list[dict[str, Any]]

    def happened(self, email: str, event: str, message: str, **more: Any) -> None:
        """Something became of a message, now."""
        at = datetime.fromtimestamp(self.clock(), UTC).isoformat(timespec="milliseconds")
        told = {"email": email, "date": at.replace("+00:00", "Z"), "messageId": message, "event": event}
        self.events.append(told | {"from": "shop@example.com", "subject": "", "tag": ""} | more)

    @route("GET", "/v3/smtp/statistics/events")
    def get_events(self, request: Request) -> Response:
        asked = request.args
        today = datetime.fromtimestamp(self.clock(), UTC).date()
        try:
            limit, offset = int(asked.get("limit", 2500)), int(asked.get("offset", 0))
            first = date.fromisoformat(asked.get("startDate", str(today - timedelta(days=29))))
            last = date.fromisoformat(asked.get("endDate", str(today)))
        except ValueError:
            raise Refused("invalid_parameter", "Invalid date or number") from None
        if ("startDate" in asked) != ("endDate" in asked):
            raise Refused("missing_parameter", "startDate and endDate go together")
        if not 0 <= limit <= 5000:
            raise Refused("out_of_range", "Limit exceeds max value")
        if first > last or (last - first).days > MOST_DAYS:
            raise Refused("invalid_parameter", "The date range can not exceed 90 days")
        found = [one for one in self.events if first.isoformat() <= one["date"][:10] <= last.isoformat()]
        if asked.get("sort", "desc") == "desc":
            found.reverse()
        page = found[offset : offset + limit]
        return Response(json.dumps({"events": page} if page else {}), mimetype="application/json")
