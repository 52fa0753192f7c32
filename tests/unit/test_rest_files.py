"""A REST source's file: every mistake is named by file and field, before anything is called."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.registry import sources
from connectors.sources.rest.records import total
from connectors.sources.rest.resource import Since, rendered
from octo_dagster import document
from octo_dagster.canonical.intake import Intake
from octo_dagster.errors import ConfigError
from octo_dagster.source import Source

EXAMPLES = sorted((Path(__file__).parents[2] / "connectors/sources/examples").glob("*.yaml"))
GOOD: dict[str, Any] = {
    "source": {
        "type": "rest",
        "base_url": "https://shop.example.com/api",
        "auth": {"by": "bearer", "token": {"env": "TOKEN"}},
        "resources": {
            "orders": {
                "path": "orders",
                "params": {"after": "{since}"},
                "since": {},
                "pages": {"by": "number", "params": {"page": "{page}"}, "size": 100, "walk": True},
            }
        },
    },
    "tables": {
        "orders": {
            "from": "orders",
            "cursor": "updated",
            "columns": {"order_id": "id", "ordered_at": "at", "net_amount": "total"},
        }
    },
}
ORDERS = "source.resources.orders"


def loaded(path: Path, told: dict[str, Any]) -> Intake:
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
    return document.load(path, Intake, {"sources": sources()})


def changed(place: str, value: Any) -> dict[str, Any]:
    told = copy.deepcopy(GOOD)
    *way, last = place.split(".")
    inside = told
    for name in way:
        inside = inside[name]
    inside[last] = value
    return told


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("source.base_url", "shop.example.com", "source.base_url: is no https address"),
        ("source.base_url", "https://me:pw@x.com", "source.base_url: holds a key: put it in the environment"),
        ("source.base_url", "https://x.com/?ws_key=1", "source.base_url: holds a key"),
        ("source.auth", {"by": "magic"}, "source.auth: Input tag 'magic' found using 'by' does not match"),
        ("source.auth.token", "abc", "source.auth.bearer.token: Input should be"),
        (f"{ORDERS}.pages", {"by": "number"}, f"{ORDERS}.pages.number.params: Field required"),
        (f"{ORDERS}.pages", {"by": "token", "path": "a"}, "pages.token: give exactly one of param, body"),
        (
            f"{ORDERS}.pages",
            {"by": "number", "params": {"page": "{page}"}, "size": 9, "anchored": True},
            "pages.number: anchored: needs {offset}",
        ),
        (f"{ORDERS}.sinse", {}, f"{ORDERS}.sinse: Extra inputs are not permitted"),
        (f"{ORDERS}.params", {}, f"{ORDERS}: since: neither params nor json holds {{since}}"),
        (f"{ORDERS}.since", None, f"{ORDERS}: params: {{since}} needs `since`"),
        (f"{ORDERS}.since", {"zone": "Paris"}, f"{ORDERS}.since.zone: no time zone is called 'Paris'"),
        (f"{ORDERS}.json", {"a": 1}, f"{ORDERS}: json: needs method POST"),
        (f"{ORDERS}.path", "x/{parent.id}", f"{ORDERS}: path: {{parent.…}} needs `parent`"),
        (f"{ORDERS}.parent", {"resource": "shops"}, "resources.orders.parent: 'shops' is no list"),
        (
            "tables.orders.from",
            "visits",
            "tables.orders.from: there is no resource 'visits'; there are orders",
        ),
        ("tables.orders.deletes", {"within": "id"}, None),
        ("tables.orders.columns.customer_id", {"from": "mail", "by": "email"}, None),
        (
            "tables.orders.columns.order_id",
            {"from": "mail", "by": "email"},
            "tables.orders: columns.order_id.by: only",
        ),
    ],
)
def test_a_mistake_is_named(place: str, value: Any, said: str | None, tmp_path: Path) -> None:
    """What is wrong is said with the file's name and the field's place; what is right is not complained of."""
    path = tmp_path / "shop.yaml"
    if said is None:
        assert loaded(path, changed(place, value)).tables
        return
    with pytest.raises(ConfigError) as refused:
        loaded(path, changed(place, value))
    assert any(line.startswith("shop.yaml: ") and said in line for line in refused.value.problems)


def test_a_cursor_needs_a_way_to_ask(tmp_path: Path) -> None:
    """A table with a cursor over a list that cannot be asked for what is new is refused with its file."""
    told = changed(ORDERS, {"path": "orders"})
    with pytest.raises(ConfigError, match=r"shop.yaml: tables.orders.cursor: orders has no `since`"):
        loaded(tmp_path / "shop.yaml", told)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_ready_files_are_good(path: Path) -> None:
    """Every ready file loads as it is, secrets unset, and shows none."""
    made = document.load(path, Intake, {"sources": sources()})
    assert isinstance(made.source, Source)
    assert '{"env":' in made.model_dump_json()


@pytest.mark.parametrize(
    ("divisor", "made"), [(4, "7.50"), ("3", "10.00"), (0, "divided by 0"), ("four", "four"), (None, None)]
)
def test_a_share_is_exact_or_no_number(divisor: Any, made: str | None) -> None:
    """What is divided is divided by a number that is there; by anything else the sum is none, and says so."""
    assert total(["price * count / bought"], {"price": "10.00", "count": 3, "bought": divisor}) == made


def test_what_needs_a_beginning_is_left_out_without_one() -> None:
    """A first load asks for everything: parameters that say since when are not sent, wherever they stand."""
    told = {"sort": "asc", "from": "{since}", "variables": {"filter": "at:>'{since}'", "n": [1, "{now}"]}}
    assert rendered(told, None, "N") == {"sort": "asc", "variables": {"n": [1, "N"]}}
    assert rendered(told, "S", "N")["variables"] == {"filter": "at:>'S'", "n": [1, "N"]}


@pytest.mark.parametrize(
    ("reached", "known"),
    [
        ("2026-11-22T11:00:00", "2026-11-22T11:00:00"),
        ("2026-11-22T13:30:00", "2026-11-22T13:00:00"),
        ("2099-01-01 00:00:00", "2026-11-22 13:00:00"),
        ("2099-01-01T00:00:00Z", "2026-11-22T12:00:00Z"),
        ("2026-11-22T13:30:00+02:00", "2026-11-22T13:30:00+02:00"),
        ("77", "77"),
        ("0000-00-00", "0000-00-00"),
        (None, None),
    ],
)
def test_a_cursor_is_never_later_than_now(reached: str | None, known: str | None) -> None:
    """At noon UTC it is one in Paris: a cursor ahead of that is cut to it, spelled as it was."""
    assert Since(zone="Europe/Paris").known(reached, 1795348800.0) == known


@pytest.mark.parametrize(
    ("begin", "since", "asked"),
    [
        ("1795219200000", {"days": 89}, "1795219200000"),
        ("1700000000000", {"days": 89}, "1787788800000"),
        ("1700000000", {"days": 89}, "1787788800"),
        ("1795219200123", {"format": "%Y-%m-%dT%H:%M:%SZ"}, "2026-11-21T00:00:00Z"),
        ("1795219200", {"format": "%Y-%m-%d"}, "2026-11-21"),
        ("1795219200000", {"exclusive": True}, "1795219199999"),
    ],
)
def test_a_cursor_that_is_a_number(begin: str, since: dict[str, Any], asked: str) -> None:
    """Seconds and milliseconds since 1970 are times: a list is asked from them as its vendor wants, and no
    longer back than the vendor can be asked, in the unit it spells."""
    now = datetime(2026, 11, 24, tzinfo=UTC)
    assert Since.model_validate(since).asked(begin, now) == asked
