"""The way out of a REST source: every call is routed, timed out, paced, tried again, and its reply judged.

Nothing that is read here changes anything at the vendor, so a call without an answer may always go again.
What stays wrong is a SourceError that names the path and the vendor's own code, never a query, a header or a
body: they hold keys and people's addresses."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from connectors.sources.rest.auth import renewed
from octo_dagster.errors import ConfigError, SourceError
from octo_dagster.source import Outside

TIMEOUT = (10.0, 120.0)
TRIES = 6
LONGEST_WAIT = 600.0
"""A vendor that wants more patience than that has the pull begin again later."""
RESETS = ("Retry-After", "x-sib-ratelimit-reset", "RateLimit-Reset", "X-RateLimit-Reset")


class Reply(requests.Response):
    """A reply whose numbers stay as they are spelled: `19.90` is text and never a float."""

    def json(self, **_: Any) -> Any:
        """The body, read once. ValueError when it is not JSON."""
        if "body" not in vars(self):
            self.body = json.loads(self.content, parse_float=str, parse_constant=str)
        return self.body


class Missing(SourceError):
    """There is no such path: a record whose own list was asked for is gone."""


class Web(HTTPAdapter):
    """Sends one request, in the sandbox where there is one, until it is answered or has to be given up."""

    def __init__(self, host: str, twin: str | None, outside: Outside, most_a_second: float | None) -> None:
        super().__init__()
        self.host = host
        self.outside = outside
        self.sandbox = chosen(outside)
        self.target = f"{self.sandbox}/{twin}" if self.sandbox and twin else None
        self.gap = 1 / most_a_second if most_a_second else 0.0
        self.next = 0.0
        self.auth: Any = None
        self.renewing = False

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """The reply, of which the caller may believe that it is JSON and no refusal."""
        options["timeout"] = TIMEOUT
        options["stream"] = False
        path = urlsplit(request.url or "").path
        request.url = self.routed(request.url or "")
        for tried in range(1, TRIES + 1):
            reply = self.once(request, *args, **options)
            if reply is not None and reply.status_code == 401 and self.renew(request):
                reply = self.once(request, *args, **options)
            wait = 2.0**tried / 2 if reply is None else patience(reply, 2.0**tried / 2)
            if wait is None and reply is not None:
                return self.judged(path, reply)
            if tried < TRIES and wait is not None:
                self.sleep(path, wait)
        raise SourceError(f"{self.host}: {path}: gave up after {TRIES} tries: {said(reply)}")

    def once(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response | None:
        """The reply; None when there was none, or it broke off."""
        self.pace()
        try:
            reply = super().send(request, *args, **options)
            reply.content  # noqa: B018  read here, so that a body cut short is no answer either
        except requests.exceptions.RequestException:
            return None
        reply.__class__ = Reply
        return reply

    def renew(self, request: requests.PreparedRequest) -> bool:
        """Sign in again: a token that ran out in the middle of a list is no reason to begin anew."""
        if self.auth is None or self.renewing:
            return False
        self.renewing = True
        try:
            return renewed(self.auth, request)
        finally:
            self.renewing = False

    def pace(self) -> None:
        if self.gap:
            now = self.outside.clock()
            if now < self.next:
                self.outside.sleep(self.next - now)
            self.next = max(now, self.next) + self.gap

    def sleep(self, path: str, seconds: float) -> None:
        if seconds > LONGEST_WAIT:
            raise SourceError(f"{self.host}: {path}: over its quota for another {seconds:.0f} seconds")
        self.outside.sleep(seconds)

    def routed(self, url: str) -> str:
        """The address to call. A reply that names another host than the source's gets no key of ours."""
        parts = urlsplit(url)
        if self.target and url.startswith(f"{self.target}/"):
            return url
        if f"{parts.scheme}://{parts.netloc}" != self.host:
            raise SourceError(f"{self.host}: refers to another host, {parts.netloc}: not followed")
        if self.sandbox and not self.target:
            raise SourceError(f"{self.host}: is not in the sandbox; name its twin: `sandbox: shopify`")
        return self.target + url[len(self.host) :] if self.target else url

    def judged(self, path: str, reply: requests.Response) -> requests.Response:
        """The reply, if it is what was asked for."""
        where = f"{self.host}: {path}"
        if reply.status_code in (401, 403):
            raise SourceError(f"{where}: {said(reply)}: the key is wrong, ended, or may not read this")
        if reply.status_code == 404:
            raise Missing(f"{where}: {said(reply)}")
        if reply.status_code >= 400:
            raise SourceError(f"{where}: {said(reply)}")
        if 300 <= reply.status_code < 400:
            return reply
        try:
            body = reply.json()
        except ValueError:
            raise SourceError(f"{where}: {reply.status_code}, but no JSON") from None
        if isinstance(body, dict) and body.get("errors"):
            raise SourceError(f"{where}: {said(reply)}")  # GraphQL refuses with 200
        return reply


def patience(reply: requests.Response, otherwise: float) -> float | None:
    """Seconds to wait before this call goes again, `otherwise` where nobody says; None when it need not."""
    if reply.status_code == 429 or throttled(reply):
        return asked(reply)
    if reply.status_code == 403 and parsed(reply) is None:
        return otherwise  # Mailchimp's front door under heavy load; the API itself refuses in JSON
    if reply.status_code == 408 or reply.status_code >= 500:  # 520 to 524 are of what stands before a shop
        return asked(reply) if "Retry-After" in reply.headers else otherwise
    return None


def asked(reply: requests.Response) -> float:
    """How long the vendor says, in whichever way it says it."""
    for header in RESETS:
        if text := reply.headers.get(header):
            if re.fullmatch(r"\d+(\.\d+)?", text) and float(text) < 1e9:
                return float(text)
            if header == "Retry-After" and "," in text and (now := reply.headers.get("Date")):
                return max(0.0, (parsedate_to_datetime(text) - parsedate_to_datetime(now)).total_seconds())
    cost = cost_of(reply)
    if cost:
        lacking = float(cost["requestedQueryCost"]) - float(cost["throttleStatus"]["currentlyAvailable"])
        return max(0.5, lacking / float(cost["throttleStatus"]["restoreRate"]) + 0.1)
    return 5.0


def throttled(reply: requests.Response) -> bool:
    """GraphQL's way of saying 429 (Shopify: `errors[].extensions.code`)."""
    return any(
        isinstance(one, dict) and (one.get("extensions") or {}).get("code") == "THROTTLED"
        for one in listed(reply, "errors")
    )


def cost_of(reply: requests.Response) -> Mapping[str, Any] | None:
    body = parsed(reply)
    found = ((body.get("extensions") or {}) if isinstance(body, dict) else {}).get("cost")
    return found if isinstance(found, dict) and "throttleStatus" in found else None


def listed(reply: requests.Response, name: str) -> list[Any]:
    body = parsed(reply)
    found = body.get(name) if isinstance(body, dict) else None
    return found if isinstance(found, list) else []


def parsed(reply: requests.Response) -> Any:
    try:
        return reply.json()
    except ValueError:
        return None


def said(reply: requests.Response | None) -> str:
    """A refusal in short: its status and the vendor's code, and its words where they can hold no address."""
    if reply is None:
        return "no answer"
    body = parsed(reply)
    told = body if isinstance(body, dict) else {}
    first = (listed(reply, "errors") or [told])[0]
    words = first if isinstance(first, dict) else {"message": first}
    code = (
        words.get("code")
        or told.get("error")
        or (words.get("extensions") or {}).get("code")
        or told.get("code")
    )
    text = words.get("detail") or words.get("message") or words.get("title") or told.get("errors")
    short = str(text)[:200] if isinstance(text, str) and "@" not in text else ""
    return " ".join(str(part) for part in (reply.status_code, code, short) if part)


def chosen(outside: Outside) -> str | None:
    """The sandbox's address; ConfigError unless it is on this machine."""
    sandbox = outside.sandbox or os.environ.get("OCTO_SANDBOX")
    if sandbox and urlsplit(sandbox).hostname not in ("127.0.0.1", "localhost"):
        raise ConfigError(f"OCTO_SANDBOX: {sandbox} is not on this machine's loopback")
    return sandbox.rstrip("/") if sandbox else None
