"""PrestaShop's twin: the webservice of one shop in Paris, with JSON output. Read only.

From devdocs.prestashop-project.org (webservice: cheat sheet, list parameters) and its issue tracker: an empty
list is `[]` and not an object (#10172, #22760), times are the shop's own and state no zone, filtering by
`date_upd` needs `date=1` (#10822, code 32), an interval holds both its ends, nothing says how many records
there are."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from connectors.sandbox.goods import CATEGORIES, Order
from connectors.sandbox.shop import Record, Shop
from connectors.sandbox.twin import route

KEY = "SANDBOXWEBSERVICEKEY0000000000000"
ZONE = ZoneInfo("Europe/Paris")
INTERVAL = re.compile(r"\[([^,\]]*),([^,\]]*)\]")
SORT = re.compile(r"\[?(\w+)_(ASC|DESC)\]?")


class PrestaShop(Shop):
    """A shop whose webservice key may read."""

    name: ClassVar[str] = "prestashop"
    keys: ClassVar[Mapping[str, str]] = {"PRESTASHOP_KEY": KEY}

    def reset(self) -> None:
        super().reset()
        self.most = 0
        """Rows in one reply at most, whatever is asked, as some hosts have it; 0: no limit."""

    def put(self, table: str, number: int, **fields: Any) -> None:
        now = self.now().astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")
        record = self.records[table].setdefault(number, {"id": number, "date_add": now})
        record |= fields | {"date_upd": now}

    def customer(self, number: int, email: str, *, name: str = "Zoé", consents: bool = True) -> None:
        told = {"birthday": "0000-00-00", "newsletter": "1" if consents else "0", "deleted": "0"}
        self.put("customers", number, email=email, firstname=name, lastname="", **told)

    def product(
        self, number: int, name: str, *, category: str = CATEGORIES[0], price: Decimal = Decimal("19.90")
    ) -> None:
        told = {"manufacturer_name": None, "description_short": "", "active": "1", "price": f"{price:.6f}"}
        kind = str(9 + CATEGORIES.index(category))
        self.put("products", number, name=name, id_category_default=kind, **told)

    def order(self, order: Order) -> None:
        rows = [
            {"id": str(one.number), "product_id": str(one.product), "product_quantity": str(one.quantity)}
            | {"unit_price_tax_incl": f"{one.price:.6f}"}
            for one in order.lines
        ]
        self.put(
            "orders",
            order.number,
            id_customer=str(order.customer or 0),
            current_state={"completed": "5", "cancelled": "6", "returned": "7"}[order.state],
            id_currency="1",
            total_paid_tax_incl=f"{order.total:.6f}",
            total_discounts_tax_incl=f"{order.off:.6f}",
            associations={"order_rows": rows},
        )

    def authenticate(self, request: Request) -> Response | None:
        given = request.headers.get("Authorization", "").removeprefix("Basic ")
        if given == base64.b64encode(f"{KEY}:".encode()).decode():
            return None
        return Response("401 Unauthorized", status=401, mimetype="text/html")

    def refusal(self, error: HTTPException) -> Response:
        return refused(23, "Resource of type is not allowed", 400)

    @route("GET", "/api/<any(orders, products, customers):table>")
    def listed(self, request: Request, table: str) -> Response:
        asked = request.args
        if asked.get("output_format") != "JSON":
            return Response(f"<prestashop><{table}></{table}></prestashop>", mimetype="text/xml")
        found = list(self.records[table].values())
        for name in asked:
            if name.startswith("filter["):
                field = name[7:-1]
                if field.startswith("date_") and asked.get("date") != "1":
                    return refused(32, f'This filter does not exist. Did you mean: "{field}"?', 400)
                kept = INTERVAL.fullmatch(asked[name])
                if kept is None:
                    return refused(32, f"unreadable filter on {field}", 400)
                found = [one for one in found if kept[1] <= str(one[field]) <= kept[2]]
        if by := SORT.fullmatch(asked.get("sort", "")):
            found.sort(key=lambda one: one[by[1]], reverse=by[2] == "DESC")
        page = [shown(one, asked.get("display", "")) for one in self.limited(found, asked.get("limit"))]
        reply = answer({table: page} if page else [])
        self.served()
        return reply

    def limited(self, found: list[Record], limit: str | None) -> list[Record]:
        offset, _, count = (limit or "").rpartition(",")
        start = int(offset or 0)
        size = int(count or len(found))
        return found[start : start + (min(size, self.most) if self.most else size)]


def shown(record: Record, display: str) -> Record:
    """All fields, those listed, or the id alone."""
    if display == "full":
        return record
    names = display.strip("[]").split(",") if display else ["id"]
    return {name: record[name] for name in names}


def refused(code: int, message: str, status: int) -> Response:
    return answer({"errors": [{"code": code, "message": message}]}, status)


def answer(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")
