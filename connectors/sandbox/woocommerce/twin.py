"""WooCommerce's twin: `/wp-json/wc/v3` of one shop in Paris. Read only: it is a source.

From the REST API reference (woocommerce.github.io/woocommerce-rest-api-docs), the collection parameters of
WooCommerce 9.9 as its own generator lists them, and WordPress's date_query, whose `after` is exclusive."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from math import ceil
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from connectors.sandbox.goods import CATEGORIES, Order
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
    keys: ClassVar[Mapping[str, str]] = {"WOOCOMMERCE_KEY": KEYS[0], "WOOCOMMERCE_SECRET": KEYS[1]}

    def put(self, table: str, number: int, **fields: Any) -> None:
        """Make or change a record: it is modified now."""
        record = self.records[table].setdefault(number, {"id": number, **stamped("created", self.now())})
        record |= fields | stamped("modified", self.now())

    def customer(self, number: int, email: str, *, name: str = "Zoé", consents: bool = True) -> None:
        billing = {"phone": "", "country": "FR", "postcode": "75011"}
        told = {"first_name": name, "last_name": "", "role": "customer"}
        self.put("customers", number, email=email, billing=billing, **told)

    def product(
        self, number: int, name: str, *, category: str = CATEGORIES[0], price: Decimal = Decimal("19.90")
    ) -> None:
        kinds = [{"id": 9 + CATEGORIES.index(category), "name": category}]
        told = {"short_description": "", "stock_status": "instock", "permalink": "https://x"}
        told |= {"status": "publish"}
        self.put("products", number, name=name, images=[], categories=kinds, price=str(price), **told)

    def order(self, order: Order) -> None:
        lines = [
            {"id": one.number, "product_id": one.product, "quantity": one.quantity, "price": float(one.price)}
            | {"subtotal": str(one.full), "subtotal_tax": "0.00"}
            | {"total": str(one.full - one.off), "total_tax": "0.00"}
            for one in order.lines
        ]
        self.put(
            "orders",
            order.number,
            status={"returned": "refunded"}.get(order.state, order.state),
            currency="EUR",
            customer_id=order.customer or 0,
            total=str(order.total),
            discount_total=str(order.off),
            discount_tax="0.00",
            refunds=[{"id": 1, "reason": "", "total": f"-{order.refund}"}] if order.refund else [],
            line_items=lines,
        )

    def authenticate(self, request: Request) -> Response | None:
        given = request.headers.get("Authorization", "").removeprefix("Basic ")
        if given == base64.b64encode(":".join(KEYS).encode()).decode():
            return None
        if not given:
            return refused("woocommerce_rest_cannot_view", "Sorry, you cannot list resources.", 401)
        return refused("woocommerce_rest_authentication_error", "Consumer key is invalid.", 401)

    def refusal(self, error: HTTPException) -> Response:
        return refused("rest_no_route", "No route was found matching the URL and request method.", 404)

    def broken(self, status: int) -> Response:
        return refused("internal_server_error", "There has been a critical error on this website.", status)

    @route("GET", "/wp-json/wc/v3/<any(orders, products, customers):table>")
    def listed(self, request: Request, table: str) -> Response:
        asked = request.args
        try:
            page, size = int(asked.get("page", 1)), int(asked.get("per_page", 10))
            start = int(asked.get("offset", (page - 1) * size))
        except ValueError:
            return invalid("page")
        by = asked.get("orderby", "date" if table != "customers" else "name")
        if not 1 <= size <= 100 or page < 1 or start < 0:
            return invalid("per_page")
        if by not in ORDER_BY[table]:
            return invalid("orderby")
        found = [one for one in self.records[table].values() if shown(table, one, asked)]
        found.sort(key=ORDERS.get(by, ORDERS["id"]), reverse=asked.get("order", "desc") == "desc")
        slice_ = found[start : start + size]
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
