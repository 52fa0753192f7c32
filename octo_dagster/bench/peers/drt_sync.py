"""One `drt run` in front of the sandbox: `python drt_sync.py FOLDER`, by the Python of `.venv-peers`.

The folder is a drt project, and its `hosts.json` says which vendor's host is which address of the sandbox.
drt knows no other host than the vendor's, so what it sends is turned round below its HTTP client; nothing
else of it is touched. Prints the wall seconds and the largest memory (MB) as JSON; drt's own words go to
standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

# Not in our own environment, and never to be.
import drt.destinations.google_sheets as sheets  # type: ignore[import-not-found]
import httpx  # type: ignore[import-not-found, unused-ignore]
from drt.cli.main import app  # type: ignore[import-not-found]
from google.oauth2 import service_account
from googleapiclient.discovery import build

SCOPE = "https://www.googleapis.com/auth/spreadsheets"


def turned_round(hosts: dict[str, str]) -> None:
    """Send httpx's calls for these hosts to these addresses."""
    send = httpx.HTTPTransport.handle_request

    def handle(self: Any, request: Any) -> Any:
        address = hosts.get(f"https://{request.url.host}")
        if address is None:
            raise httpx.ConnectError(f"no call to {request.url.host} is expected")
        request.url = httpx.URL(address + request.url.raw_path.decode())
        request.headers["Host"] = request.url.netloc.decode()
        return send(self, request)

    httpx.HTTPTransport.handle_request = handle  # type: ignore[method-assign, unused-ignore]


def spreadsheets(config: Any) -> Any:
    """Google's own client, as drt builds it, but for where it signs in and calls."""
    address = json.loads(Path("hosts.json").read_text())["https://sheets.googleapis.com"]
    key = json.loads(os.environ["GOOGLE_SERVICE_ACCOUNT"]) | {"token_uri": f"{address}/token"}
    signed = service_account.Credentials.from_service_account_info(key, scopes=[SCOPE])  # type: ignore[no-untyped-call]
    options = {"api_endpoint": address}
    return build("sheets", "v4", credentials=signed, static_discovery=True, client_options=options)


def main(folder: Path) -> None:
    """Run the project's one sync."""
    os.chdir(folder)
    os.environ["HOME"] = str(folder)
    turned_round(json.loads(Path("hosts.json").read_text()))
    sheets._build_sheets_service = spreadsheets
    started = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(SystemExit):
        app(["run"])
    wall = time.perf_counter() - started
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024  # rusage counts what came before the exec
    print(json.dumps({"wall": wall, "peak_mb": peak}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
