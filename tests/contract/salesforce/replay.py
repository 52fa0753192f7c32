"""Salesforce's twin without a socket: requests sent to it as they were once sent to a real org."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from werkzeug.test import Client as Wire
from werkzeug.wrappers import Request

from connectors.sandbox.salesforce.twin import Salesforce


def app(twin: Salesforce) -> Any:
    """The twin as a WSGI application, without a socket."""
    return Request.application(twin.answer)


class Replay:
    """Sends recorded requests to a twin, recorded ids replaced by those the twin gave instead."""

    def __init__(self) -> None:
        self.twin = Salesforce()
        self.wire = Wire(app(self.twin))
        form = {"grant_type": "client_credentials", "client_id": "octo-app", "client_secret": "octo-secret"}
        token = self.wire.post("/services/oauth2/token", data=form).json or {}
        self.headers = {"Authorization": f"Bearer {token['access_token']}"}
        self.ids: dict[str, str] = {}
        self.field("email_field__c", {"type": "Email", "label": "email field"})
        key = {"type": "Text", "length": 191, "externalId": True, "unique": True}
        self.field("Custom_External_ID__c", {**key, "label": "Custom External ID"})

    def field(self, name: str, metadata: Mapping[str, Any]) -> None:
        body = {"FullName": f"Contact.{name}", "Metadata": metadata}
        made = self.send("POST", "/services/data/v61.0/tooling/sobjects/CustomField", json=body)
        assert made.status_code == 201
        self.twin.orgs[0].granted["Contact", name] = "edit"

    def send(self, method: str, path: str, **options: Any) -> Any:
        return self.wire.open(path, method=method, headers=self.headers, **options)

    def ours(self, text: str) -> str:
        for theirs, mine in self.ids.items():
            text = text.replace(theirs, mine)
        return text

    def again(self, row: Mapping[str, Any]) -> Any:
        """The twin's reply to a recorded request; learns the ids it gives."""
        body = json.loads(self.ours(json.dumps(row["request"]))) if row["request"] else None
        query = {name: unquote(self.ours(value)) for name, value in (row.get("query") or {}).items()}
        reply = self.send(row["method"], self.ours(row["path"]), json=body, query_string=query)
        told = row["response"] if isinstance(row["response"], list) else [row["response"]]
        mine = reply.json if isinstance(reply.json, list) else [reply.json]
        for theirs, own in zip(told, mine, strict=False):
            if theirs.get("id") and own.get("id"):
                self.ids[theirs["id"]] = own["id"]
        return reply
