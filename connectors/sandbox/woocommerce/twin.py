"""WooCommerce's twin: `/wp-json/wc/v3` of one shop in Paris. Read only: it is a source.

From the REST API reference (woocommerce.github.io/woocommerce-rest-api-docs), the collection parameters of
WooCommerce 9.9 as its own generator lists them, and WordPress's date_query, whose `after` is exclusive."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from math import ceil
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from connectors.sandbox.shop import Record, Shop
from connectors.sandbox.twin import route

KEYS = ("ck_sandbox", "cs_sandbox")
ZONE = ZoneInfo("Europe/Paris")
ORDER_BY = {
    "orders": ("date", "id", "include", "title", "slug", "modified"),
    "products": ("date", "id", "include", "title", "slug", "modified", "price", "popularity", "rating"),
    "customers": ("id", "include", "name", "registered_date"),
}


class WooCommerce(Shop):
    """A shop with the key `ck_sandbox` and the secret `cs_sandbox`."""

    name: ClassVar[str] = "woocommerce"

    def put(self, table: str, number: int, **fields: Any) -> None:
        """Make or change a record: it is modified now."""
        record = self.records[table].setdefault(number, {"id": number, **stamped("created", self.now())})
        record |= fields | stamped("modified", self.now())

    def authenticate(self, request: Request) -> Response | None:
        given = request.headers.get("Authorization", "").removeprefix("Basic ")
        if given == base64.b64encode(":".join(KEYS).encode()).decode():
            return None
        if not given:
            return refused("woocommerce_rest_cannot_view", "Sorry, you cannot list resources.", 401)
        return refused("woocommerce_rest_authentication_error", "Consumer key is invalid.", 401)

    def refusal(self, error: HTTPException) -> Response:
        return refused("rest_no_route", "No route was found matching the URL and request method.", 404)

    @route("GET", "/wp-json/wc/v3/<any(orders, products, customers):table>")
    def listed(self, request: Request, table: str) -> Response:
        asked = request.args
        try:
            page, size = int(asked.get("page", 1)), int(asked.get("per_page", 10))
        except ValueError:
            return invalid("page")
        by = asked.get("orderby", "date" if table != "customers" else "name")
        if not 1 <= size <= 100 or page < 1:
            return invalid("per_page")
        if by not in ORDER_BY[table]:
            return invalid("orderby")
        found = [one for one in self.records[table].values() if shown(table, one, asked)]
        found.sort(key=ORDERS.get(by, ORDERS["id"]), reverse=asked.get("order", "desc") == "desc")
        slice_ = found[(page - 1) * size : page * size]
        fields = asked.get("_fields", "").split(",")
        body = [{n: v for n, v in one.items() if n in fields} if fields != [""] else one for one in slice_]
        reply = Response(json.dumps(body), mimetype="application/json")
        reply.headers["X-WP-Total"] = str(len(found))
        reply.headers["X-WP-TotalPages"] = str(ceil(len(found) / size))
        self.served()
        return reply


ORDERS: dict[str, Callable[[Record], Any]] = {
    "id": lambda one: one["id"],
    "modified": lambda one: one["date_modified_gmt"],
    "date": lambda one: one["date_created_gmt"],
}


def shown(table: str, record: Record, asked: Any) -> bool:
    """Whether a list has this record. The bin is in no list; customers are those of one role unless asked."""
    if record.get("status") == "trash":
        return False
    if table == "customers":  # no other filter by time or state exists for them
        role = asked.get("role", "customer")
        return role == "all" or bool(record.get("role", "customer") == role)
    after = asked.get("modified_after")
    column = "date_modified_gmt" if asked.get("dates_are_gmt") == "true" else "date_modified"
    return after is None or bool(record[column] > after)


def stamped(what: str, at: datetime) -> Record:
    """Both spellings of a time: the shop's own, and UTC; neither states its zone."""
    local = at.astimezone(ZONE).replace(tzinfo=None).isoformat()
    return {f"date_{what}": local, f"date_{what}_gmt": at.astimezone(UTC).replace(tzinfo=None).isoformat()}


def refused(code: str, message: str, status: int) -> Response:
    body = {"code": code, "message": message, "data": {"status": status}}
    return Response(json.dumps(body), status=status, mimetype="application/json")


def invalid(parameter: str) -> Response:
    return refused("rest_invalid_param", f"Invalid parameter(s): {parameter}", 400)
