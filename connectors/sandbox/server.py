"""Every twin on one port of this machine, by path: `http://127.0.0.1:PORT/{vendor}/…`.

GET    /                            the page
GET    /_sandbox/{vendor}/holdings  what the vendor holds now, table by table
GET    /_sandbox/{vendor}/calls     the calls it got, oldest first
POST   /_sandbox/{vendor}/faults    arm a fault (its fields: `faults.Fault`)
DELETE /_sandbox/{vendor}/faults    disarm all
POST   /_sandbox/{vendor}/reset     a new, empty account
POST   /_sandbox/{vendor}/expire    end every session
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

import connectors.sandbox
from connectors.sandbox.faults import Fault
from connectors.sandbox.loopback import Loopback
from connectors.sandbox.page import render
from connectors.sandbox.shop import Shop
from connectors.sandbox.twin import Twin
from connectors.sandbox.vendor import Call, Vendor


class Sandbox:
    """All vendors, served from threads of this process between `with` and its end.

    `port=0` takes a free port. `clock` is the twins' idea of now, in seconds since 1970."""

    def __init__(self, port: int = 0, clock: Callable[[], float] = time.time) -> None:
        self.stopping = threading.Event()
        self.vendors = {twin.name: Vendor(twin(clock), self.stopping.wait) for twin in twins()}
        self.server = Loopback(port, self.answer)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), name="sandbox")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def twin(self, vendor: str) -> Any:
        """The twin itself, for a test to look into or to prepare."""
        return self.vendors[vendor].twin

    def calls(self, vendor: str) -> list[Call]:
        """The calls this vendor got, oldest first."""
        return list(self.vendors[vendor].calls)

    def fault(self, vendor: str, kind: str, **fields: Any) -> None:
        """Arm a fault: `sandbox.fault("brevo", "drop_after", path="import")`."""
        self.vendors[vendor].faults.add(Fault(kind=kind, **fields))

    @property
    def shops(self) -> list[Shop]:
        """The twins that are sources of orders."""
        return [vendor.twin for vendor in self.vendors.values() if isinstance(vendor.twin, Shop)]

    def __enter__(self) -> Sandbox:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.server.shutdown()
        self.server.hang_up()
        self.thread.join()

    def answer(self, request: Request) -> Response | None:
        """The reply to one call; None when the connection is to be closed without one."""
        name = request.path.lstrip("/").partition("/")[0]
        if name in self.vendors:
            return self.vendors[name].answer(below(name, request))
        try:
            control, parts = CONTROLS.bind_to_environ(request.environ).match()
            made: Response = control(self, request, *map(self.known, parts.values()))
        except HTTPException as error:
            return Response(f"{error.description}\n", status=error.code)
        return made

    def known(self, name: str) -> Vendor:
        if name not in self.vendors:
            raise NotFound(f"no twin {name!r} here; there are: {', '.join(self.vendors)}")
        return self.vendors[name]

    def show_page(self, request: Request) -> Response:
        return Response(render(self.vendors, request.args.get("q", "")), mimetype="text/html")

    def show_holdings(self, request: Request, vendor: Vendor) -> Response:
        return as_json(vendor.holdings())

    def show_calls(self, request: Request, vendor: Vendor) -> Response:
        return as_json([asdict(call) for call in vendor.calls])

    def arm(self, request: Request, vendor: Vendor) -> Response:
        try:
            vendor.faults.add(Fault.model_validate_json(request.get_data()))
        except ValueError as error:
            return Response(f"{error}\n", status=400)
        return Response(status=204)

    def disarm(self, request: Request, vendor: Vendor) -> Response:
        vendor.faults.clear()
        return Response(status=204)

    def reset(self, request: Request, vendor: Vendor) -> Response:
        vendor.reset()
        return Response(status=204)

    def expire(self, request: Request, vendor: Vendor) -> Response:
        with vendor.twin.lock:
            vendor.twin.expire()
        return Response(status=204)


CONTROLS = Map(
    [
        Rule("/", methods=["GET"], endpoint=Sandbox.show_page),
        Rule("/_sandbox/<vendor>/holdings", methods=["GET"], endpoint=Sandbox.show_holdings),
        Rule("/_sandbox/<vendor>/calls", methods=["GET"], endpoint=Sandbox.show_calls),
        Rule("/_sandbox/<vendor>/faults", methods=["POST"], endpoint=Sandbox.arm),
        Rule("/_sandbox/<vendor>/faults", methods=["DELETE"], endpoint=Sandbox.disarm),
        Rule("/_sandbox/<vendor>/reset", methods=["POST"], endpoint=Sandbox.reset),
        Rule("/_sandbox/<vendor>/expire", methods=["POST"], endpoint=Sandbox.expire),
    ]
)


def serve(port: int, announce: Callable[[Sandbox], object], *, stocked: bool = False) -> None:
    """Serve until the process is told to stop, every shop with a made shop's orders if it is to be `stocked`;
    `announce` is told once it answers."""
    with Sandbox(port) as sandbox:
        for shop in sandbox.shops if stocked else ():
            shop.stock()
        announce(sandbox)
        sandbox.thread.join()


def twins() -> list[type[Twin]]:
    """Every twin there is: the concrete subclasses of `Twin` in the files beside this one and below."""
    found = []
    for module in pkgutil.walk_packages(connectors.sandbox.__path__, "connectors.sandbox."):
        loaded = importlib.import_module(module.name)
        found += [
            value
            for value in vars(loaded).values()
            if inspect.isclass(value) and issubclass(value, Twin) and not inspect.isabstract(value)
            if value.__module__ == loaded.__name__
        ]
    return found


def below(name: str, request: Request) -> Request:
    """The same request as the vendor sees it, without the prefix that led to its twin."""
    path = request.environ["PATH_INFO"].removeprefix(f"/{name}")
    return Request(request.environ | {"SCRIPT_NAME": f"/{name}", "PATH_INFO": path or "/"})


def as_json(value: Any) -> Response:
    """JSON with everything JSON has no word for (dates, decimals) as text."""
    return Response(json.dumps(value, default=str), mimetype="application/json")
