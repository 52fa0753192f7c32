"""A receiver of webhooks: not a vendor but what a developer would write at the other end.

It takes any one word below its prefix (`/shop`, not `/my/shop`); each keeps its own records. Its secret is
`sandbox-key`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from werkzeug.wrappers import Request, Response

from connectors.sandbox.twin import Twin, route

SECRET = b"sandbox-key"
OLDEST_SECONDS = 300
MOST_RECORDS = 500
LONGEST_TEXT = 1_000


class Webhook(Twin):
    """Checks signature and age, answers a repeated batch as it did the first time, refuses long texts."""

    name = "webhook"
    keys: ClassVar[Mapping[str, str]] = {"WEBHOOK_SECRET": SECRET.decode()}
    settings: ClassVar[Mapping[str, str]] = {"url": "https://hooks.example.com/octo"}
    own_faults = frozenset()

    def reset(self) -> None:
        self.hooks: dict[str, dict[str, dict[str, Any]]] = {}
        self.answered: dict[str, dict[str, Any]] = {}

    def holdings(self) -> Mapping[str, list[dict[str, Any]]]:
        return {
            hook: [{"key": key, **fields} for key, fields in records.items()]
            for hook, records in self.hooks.items()
        }

    def authenticate(self, request: Request) -> Response | None:
        given = dict(
            part.partition("=")[::2] for part in request.headers.get("Octo-Signature", "").split(",")
        )
        signed = given.get("t", "").encode() + b"." + request.get_data()
        proper = hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(proper, given.get("v1", "")):
            return Response("the signature is not ours", status=401)
        if abs(self.clock() - int(given["t"])) > OLDEST_SECONDS:
            return Response("the signature is too old", status=401)
        return None

    @route("POST", "/<hook>")
    def receive(self, request: Request, hook: str) -> Response:
        batch = json.loads(request.get_data())
        if len(batch["records"]) > MOST_RECORDS:
            return Response(f"more than {MOST_RECORDS} records", status=413)
        if any(not record["key"] for record in batch["records"]):
            return Response("a record without a key", status=400)
        repeat = request.headers["Idempotency-Key"]
        if repeat not in self.answered:
            records = self.hooks.setdefault(hook, {})
            before = set(records)
            rejected = list(self.carry_out(batch, records))
            self.answered[repeat] = {
                "rejected": rejected,
                "created": [key for key in records if key not in before],
            }
        return reply(self.answered[repeat])

    @route("POST", "/<hook>/read")
    def show(self, request: Request, hook: str) -> Response:
        records = self.hooks.get(hook, {})
        keys = [key for key in json.loads(request.get_data())["keys"] if key in records]
        return reply({"records": [{"key": key, "fields": records[key]} for key in keys]})

    def carry_out(
        self, batch: Mapping[str, Any], records: dict[str, dict[str, Any]]
    ) -> Iterator[dict[str, str]]:
        """Do as the batch says; yield what is refused."""
        for record in batch["records"]:
            key, fields = record["key"], record["fields"]
            long = [name for name, value in fields.items() if len(str(value)) > LONGEST_TEXT]
            if long:
                yield {"key": key, "reason": f"TOO_LONG: over {LONGEST_TEXT} characters ({', '.join(long)})"}
            elif batch["op"] == "delete":
                records.pop(key, None)
            elif batch["op"] == "upsert" or key in records:
                records.setdefault(key, {}).update(fields)


def reply(body: Mapping[str, Any]) -> Response:
    return Response(json.dumps(body), mimetype="application/json")
