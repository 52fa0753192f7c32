"""Shopify's twin: the GraphQL Admin API 2026-10 of one shop, and the client credentials grant. Read only.

From shopify.dev: a query's cost is held against a leaky bucket and what it did not come to is given back; one
query may cost 1,000 points at most, and who is over it hears `THROTTLED` with status 200; tokens of custom
apps last a day. A list's cursor holds the last record's sort value and id, so what is edited meanwhile moves
to the end and nothing is skipped."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from connectors.sandbox.goods import CATEGORIES, Order
from connectors.sandbox.shop import Record, Shop
from connectors.sandbox.shopify.cost import MOST_POINTS, cost, spent
from connectors.sandbox.twin import route

VERSIONS = ("2026-01", "2026-04", "2026-07", "2026-10")
"""Supported in November 2026: a version lives a year."""
CLIENT = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
TOKEN_SECONDS = 86_399
UPDATED = re.compile(r"updated_at:(>=|>)'([^']+)'")


class Shopify(Shop):
    """`https://{shop}.myshopify.com`, for the app `sandbox-client` with the secret `sandbox-secret`."""

    name: ClassVar[str] = "shopify"
    keys: ClassVar[Mapping[str, str]] = {f"SHOPIFY_{name.upper()}": value for name, value in CLIENT.items()}

    def reset(self) -> None:
        super().reset()
        self.tokens: dict[str, float] = {}
        self.scope = "read_all_orders,write_customers,read_orders,read_products"
        """What the app was granted: who may write may read, which is then not said."""
        self.given = 0
        self.bucket, self.restore = 2_000.0, 100.0
        """The standard plan: points at most, points a second."""
        self.available, self.seen = self.bucket, 0.0

    def put(self, table: str, number: int, **fields: Any) -> None:
        kind = table[:-1].capitalize()
        known = {"id": f"gid://shopify/{kind}/{number}", "legacyResourceId": str(number)}
        now = self.now().isoformat().replace("+00:00", "Z")
        record = self.records[table].setdefault(number, known | {"createdAt": now, "processedAt": now})
        record |= fields | {"updatedAt": now}

    def customer(self, number: int, email: str, *, name: str = "Zoé", consents: bool = True) -> None:
        state = "SUBSCRIBED" if consents else "NOT_SUBSCRIBED"
        address = {"emailAddress": email, "marketingState": state}
        none = {"defaultPhoneNumber": None, "defaultAddress": None}
        self.put("customers", number, firstName=name, lastName=None, defaultEmailAddress=address, **none)

    def product(
        self, number: int, name: str, *, category: str = CATEGORIES[0], price: Decimal = Decimal("19.90")
    ) -> None:
        least = {"minVariantPrice": money(price)["shopMoney"]}
        told = {"productType": category, "vendor": "Octo", "description": "", "status": "ACTIVE"}
        none = {"onlineStoreUrl": None, "featuredMedia": None}
        self.put("products", number, title=name, priceRangeV2=least, **none, **told)

    def order(self, order: Order) -> None:
        lines = [
            {"id": f"gid://shopify/LineItem/{one.number}", "name": "", "quantity": one.quantity}
            | {"currentQuantity": one.quantity, "product": one.product, "originalTotalSet": money(one.full)}
            | {"discountedTotalSet": money(one.full), "withCodeDiscounts": money(one.full - one.off)}
            | {"discountAllocations": [{"allocatedAmountSet": money(one.off)}] if one.off else []}
            for one in order.lines
        ]
        self.put(
            "orders",
            order.number,
            test=False,
            cancelledAt="2026-01-01T00:00:00Z" if order.state == "cancelled" else None,
            displayFinancialStatus="REFUNDED" if order.state == "returned" else "PAID",
            currencyCode="EUR",
            sourceName="web",
            customer=order.customer,
            currentTotalPriceSet=money(order.total - order.refund),
            currentTotalDiscountsSet=money(order.off),
            lines=lines,
        )

    def stock(self) -> int:
        """On Shopify Plus, whose bucket a first load does not empty."""
        self.bucket, self.restore = 20_000.0, 1_000.0
        return super().stock()

    def expire(self) -> None:
        self.tokens.clear()

    def authenticate(self, request: Request) -> Response | None:
        if request.path == "/admin/oauth/access_token":
            return None
        token = request.headers.get("X-Shopify-Access-Token", "")
        if self.tokens.get(token, 0) > self.clock():
            return None
        said = "[API] Invalid API key or access token (unrecognized login or wrong password)"
        return answer({"errors": said}, 401)

    def refusal(self, error: HTTPException) -> Response:
        return answer({"errors": "Not Found"}, 404)

    @route("POST", "/admin/oauth/access_token")
    def grant(self, request: Request) -> Response:
        told = request.form
        if told.get("grant_type") != "client_credentials":
            return answer({"error": "unsupported_grant_type"}, 400)
        if any(told.get(name) != value for name, value in CLIENT.items()):
            return answer({"error": "application_cannot_be_found"}, 400)
        self.given += 1
        token = f"shpat_sandbox_{self.given}"
        self.tokens[token] = self.clock() + TOKEN_SECONDS
        return answer({"access_token": token, "scope": self.scope, "expires_in": TOKEN_SECONDS})

    @route("POST", "/admin/api/<version>/graphql.json")
    def query(self, request: Request, version: str) -> Response:
        from graphql import graphql_sync, parse, validate  # noqa: PLC0415  a sandbox without it starts sooner

        if version not in VERSIONS:
            return answer({"errors": "Not Found"}, 404)
        told = request.get_json()
        asked, variables = told["query"], told.get("variables") or {}
        document = parse(asked)
        faults = validate(self.schema, document)
        if faults:
            return answer({"errors": [{"message": one.message} for one in faults]})
        points = cost(self.schema, document, variables)
        if points > MOST_POINTS:
            return answer({"errors": [coded("MAX_COST_EXCEEDED", f"Query cost is {points}")]})
        if (refused := self.spend(points)) is not None:
            return refused
        roots: Record = {"customers": self.customers, "products": self.products, "orders": self.orders}
        roots["order"] = self.order_by_id
        made = graphql_sync(self.schema, asked, root_value=roots, variable_values=variables)
        if made.errors:
            return answer({"errors": [{"message": one.message} for one in made.errors]})
        actual = spent(self.schema, document, made.data)
        self.available = min(self.bucket, self.available + points - actual)
        reply = answer({"data": made.data, "extensions": {"cost": self.status(points, actual)}})
        self.served()
        return reply

    @cached_property
    def schema(self) -> Any:
        from graphql import build_schema  # noqa: PLC0415

        return build_schema((Path(__file__).parent / "schema.graphql").read_text(encoding="utf-8"))

    def spend(self, points: int) -> Response | None:
        """Take the points, or refuse."""
        now = self.clock()
        self.available = min(self.bucket, self.available + (now - self.seen) * self.restore)
        self.seen = now
        if points > self.available:
            body = {"errors": [coded("THROTTLED", "Throttled")], "extensions": {"cost": self.status(points)}}
            return answer(body)
        self.available -= points
        return None

    def status(self, points: int, actual: int | None = None) -> Record:
        throttle = {
            "maximumAvailable": self.bucket,
            "currentlyAvailable": int(self.available),
            "restoreRate": self.restore,
        }
        return {"requestedQueryCost": points, "actualQueryCost": actual, "throttleStatus": throttle}

    def order_by_id(self, info: Any, **asked: Any) -> Record | None:
        """One order, by its global id; null when there is none."""
        found = self.records["orders"].get(int(asked["id"].rpartition("/")[2]))
        return self.shown("orders", found) if found else None

    def orders(self, info: Any, **asked: Any) -> Record:
        return self.connection("orders", asked, {"PROCESSED_AT": "processedAt"})

    def customers(self, info: Any, **asked: Any) -> Record:
        return self.connection("customers", asked, {})

    def products(self, info: Any, **asked: Any) -> Record:
        return self.connection("products", asked, {})

    def connection(self, table: str, asked: Record, known: dict[str, str]) -> Record:
        names = {"UPDATED_AT": "updatedAt", "CREATED_AT": "createdAt"} | known
        column = names.get(asked["sortKey"])
        told = UPDATED.search(asked.get("query") or "")
        found = [(one.get(column, "") if column else "", n) for n, one in self.records[table].items()]
        found.sort(reverse=asked["reverse"])
        if told:
            sign, since = told.groups()
            keep = self.records[table]
            found = [key for key in found if later(keep[key[1]]["updatedAt"], sign, since)]
        if asked.get("after"):
            start = tuple(json.loads(base64.b64decode(asked["after"])))
            found = [key for key in found if key > start]
        page = found[: asked["first"]]
        cursor = base64.b64encode(json.dumps(page[-1]).encode()).decode() if page else None
        info = {"hasNextPage": len(found) > len(page), "hasPreviousPage": False, "endCursor": cursor}
        return {"nodes": [self.shown(table, self.records[table][n]) for _, n in page], "pageInfo": info}

    def shown(self, table: str, record: Record) -> Record:
        """A record with what it refers to: the twin keeps ids."""
        if table != "orders":
            return record
        buyer = self.records["customers"].get(record.get("customer") or 0)
        return {**record, "customer": buyer, "lineItems": lambda info, **asked: self.lines(record, asked)}

    def lines(self, order: Record, asked: Record) -> Record:
        start = int(base64.b64decode(asked["after"])) if asked.get("after") else 0
        end = start + asked["first"]
        known = self.records["products"]
        nodes = [{**line, "product": known.get(line["product"])} for line in order["lines"]]
        cursor = base64.b64encode(str(min(end, len(nodes))).encode()).decode() if nodes else None
        info = {"hasNextPage": len(nodes) > end, "hasPreviousPage": start > 0, "endCursor": cursor}
        return {"nodes": [whole(line) for line in nodes[start:end]], "pageInfo": info}


def whole(line: Record) -> Record:
    """A line as GraphQL asks for it: `discountedTotalSet` takes an argument."""
    before, after = line["discountedTotalSet"], line["withCodeDiscounts"]
    choose = {True: after, False: before}
    return {**line, "discountedTotalSet": lambda info, **asked: choose[asked["withCodeDiscounts"]]}


def money(amount: Decimal | str, currency: str = "EUR") -> Record:
    """A `MoneyBag` of a shop whose customers pay in its own currency."""
    one = {"amount": str(amount), "currencyCode": currency}
    return {"shopMoney": one, "presentmentMoney": one}


def later(updated: str, sign: str, since: str) -> bool:
    at = datetime.fromisoformat(updated)
    told = datetime.fromisoformat(since).replace(tzinfo=datetime.fromisoformat(since).tzinfo or UTC)
    return at >= told if sign == ">=" else at > told


def coded(code: str, message: str) -> Record:
    return {"message": message, "extensions": {"code": code}}


def answer(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")
