"""The one way out: a session that routes, paces, logs and classifies every call to a vendor.

Vendor libraries are handed this session (`Destination.connect`), so simple-salesforce, zenpy and
gspread obey the same pace, the same timeouts and the same reading of failures as our own calls.
The line that matters is drawn here: *could not connect* means not sent (`Retryable`), *no answer*
means maybe sent (`Unanswered`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from octo_dagster.delivery.pace import Pace
from octo_dagster.destination import AnyDestination
from octo_dagster.errors import ConfigError, DeliveryError, Fatal, Retryable, Unanswered

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 120.0
READ_TRIES = 5
"""A GET without an answer changed nothing, so it goes again by itself; all else the courier decides."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: no headers, no body, no query, so no secret. A path may name a key: count, never store."""

    method: str
    path: str
    status: int | None
    seconds: float


class Exchange(HTTPAdapter):
    """Sends one request: paced, timed out, routed to the sandbox when there is one, classified."""

    def __init__(
        self,
        destination: AnyDestination,
        pace: Pace,
        log: Callable[[Call], None],
        sandbox: str | None,
        sleep: Callable[[float], None],
    ) -> None:
        self.destination = destination
        self.pace = pace
        self.log = log
        self.sandbox = sandbox
        self.routes = routes(destination, sandbox)
        self.sleep = sleep
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        path = urlsplit(request.url or "").path
        request.url = self.routed(request.url or "")
        for attempt in range(1, READ_TRIES + 1):
            try:
                return self.once(path, request, *args, **options)
            except Unanswered:
                if request.method not in ("GET", "HEAD") or attempt == READ_TRIES:
                    raise
                self.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def once(
        self, path: str, request: requests.PreparedRequest, *args: Any, **options: Any
    ) -> requests.Response:
        self.pace.wait(path)
        options["timeout"] = (CONNECT_SECONDS, ANSWER_SECONDS)
        started = time.monotonic()
        status = None
        try:
            response = super().send(request, *args, **options)
            status = response.status_code
            if not options.get("stream"):
                response.content  # noqa: B018  read here, so that a body cut short is classified too
        # `from None`: what requests says holds the whole address, query and all, and tracebacks are logged.
        except requests.exceptions.ConnectTimeout:
            raise Retryable(f"{self.destination.type}: cannot connect: timed out") from None
        except requests.exceptions.ConnectionError as error:
            raise unreached(self.destination.type, error) from None
        except requests.exceptions.RequestException as error:
            raise Unanswered(f"{self.destination.type}: no answer: {type(error).__name__}") from None
        finally:
            self.log(Call(request.method or "", path, status, time.monotonic() - started))
        failure = self.destination.failure(response) or moved(self.destination.type, request, response)
        if failure is not None:
            raise failure
        return response

    def close(self) -> None:
        """End the connections and let go of the pace, which is this session's own."""
        super().close()
        self.pace.close()

    def routed(self, url: str) -> str:
        """The address to call: a vendor's host is the sandbox's when there is one, and no other host is."""
        for host, target in self.routes.items():
            if url == host or url.startswith((f"{host}/", f"{host}?")):
                return target + url[len(host) :]
        if self.sandbox and not url.startswith(self.sandbox):
            host = urlsplit(url).netloc
            raise Fatal(f"{self.destination.type}: {host} is not among its hosts, so not in the sandbox")
        return url


def unreached(vendor: str, error: requests.exceptions.ConnectionError) -> DeliveryError:
    """Not sent if the connection was never made; maybe sent if it broke afterwards."""
    if "NewConnectionError" in repr(error) or "NameResolutionError" in repr(error):
        return Retryable(f"{vendor}: cannot connect")
    return Unanswered(f"{vendor}: the connection broke before an answer came")


def moved(
    vendor: str, request: requests.PreparedRequest, response: requests.Response
) -> DeliveryError | None:
    """A write sent elsewhere: followed, it would become a GET, which succeeds and writes nothing."""
    if not response.is_redirect or request.method in ("GET", "HEAD"):
        return None
    return Fatal(f"{vendor}: {response.status_code}: the address has moved to {response.headers['Location']}")


def routes(destination: AnyDestination, sandbox: str | None) -> Mapping[str, str]:
    """Vendor host → sandbox address. Without a sandbox nothing is rewritten."""
    if not sandbox:
        return {}
    return {host: f"{sandbox.rstrip('/')}/{twin}" for host, twin in destination.hosts().items()}


def session(
    destination: AnyDestination,
    pace: Pace,
    log: Callable[[Call], None] = lambda call: None,
    sandbox: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> requests.Session:
    """A session for this destination. `sandbox` (or OCTO_SANDBOX) sends its hosts' calls there."""
    sandbox = sandbox or os.environ.get("OCTO_SANDBOX")
    if sandbox and urlsplit(sandbox).hostname not in ("127.0.0.1", "localhost"):
        raise ConfigError(f"OCTO_SANDBOX: {sandbox} is not on this machine's loopback")
    exchange = Exchange(destination, pace, log, sandbox, sleep)
    made = requests.Session()
    made.trust_env = False
    made.mount("https://", exchange)
    made.mount("http://", exchange)
    return made
