"""Reports of campaigns that were sent: to whom, and what each did. Read only; tests put them in.

From the published Swagger (reports, sent-to, email-activity): `count` is 10 unless asked, 1,000 at most."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Request, Response

from connectors.sandbox.mailchimp.audience import hashed
from connectors.sandbox.mailchimp.members import Members
from connectors.sandbox.mailchimp.wire import API, absent, page, said
from connectors.sandbox.twin import route

Record = dict[str, Any]


class Reports(Members):
    """The reports of every campaign; both accounts see the same."""

    campaigns: dict[str, Record]
    """Campaign id → its `send_time`, its recipients and their activity."""

    def campaign(self, name: str, send_time: str) -> None:
        """A campaign was sent."""
        self.campaigns[name] = {"send_time": send_time, "sent": {}, "activity": {}}

    def sent(self, name: str, email: str, status: str = "sent") -> None:
        """To this address."""
        self.campaigns[name]["sent"][email] = status
        self.campaigns[name]["activity"][email] = []

    def did(self, name: str, email: str, action: str, timestamp: str, **more: str) -> None:
        """Who has it opened it, clicked in it, or could not be reached."""
        told = {"action": action, "timestamp": timestamp, **more}
        self.campaigns[name]["activity"][email].append(told)

    @route("GET", f"{API}/reports")
    def get_reports(self, request: Request) -> Response:
        since = request.args.get("since_send_time", "").replace("Z", "+00:00")
        found = [
            {"id": name, "campaign_title": name, "type": "regular", "emails_sent": len(one["sent"])}
            | {"send_time": one["send_time"], "list_id": "a1b2c3d4e5"}
            for name, one in self.campaigns.items()
            if one["send_time"] > since
        ]
        found.sort(key=lambda one: str(one["send_time"]), reverse=True)
        return said(request, {"reports": page(request, found), "total_items": len(found)})

    @route("GET", f"{API}/reports/<name>/sent-to")
    def get_sent_to(self, request: Request, name: str) -> Response:
        known = self.known(name)
        found = [
            {"email_id": hashed(email), "email_address": email, "status": status, "open_count": 0}
            | {"merge_fields": {}, "vip": False, "campaign_id": name, "list_id": "a1b2c3d4e5"}
            for email, status in known["sent"].items()
        ]
        told = {"sent_to": page(request, found), "campaign_id": name, "total_items": len(found)}
        return said(request, told)

    @route("GET", f"{API}/reports/<name>/email-activity")
    def get_activity(self, request: Request, name: str) -> Response:
        found = [
            {"campaign_id": name, "list_id": "a1b2c3d4e5", "list_is_active": True}
            | {"email_id": hashed(email), "email_address": email, "activity": list(did)}
            for email, did in self.known(name)["activity"].items()
        ]
        told = {"emails": page(request, found), "campaign_id": name, "total_items": len(found)}
        return said(request, told)

    def known(self, name: str) -> Record:
        if name not in self.campaigns:
            raise absent()
        return self.campaigns[name]
