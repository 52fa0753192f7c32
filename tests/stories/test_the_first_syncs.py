"""The promise: a destination holds what the profile says, and nothing is sent that need not be."""

from __future__ import annotations

from octo_dagster.delivery.plan import Options
from tests.world import World, row


def held(shop: World) -> dict[str, object]:
    return {key: found.get("segment") for key, found in shop.holdings("octo").items()}


def test_first_sync_then_nothing(shop: World) -> None:
    """A first delivery sends everyone; a second one sends nobody and calls nobody."""
    shop.have([row(n) for n in range(10)])
    first = shop.deliver()
    assert (first.tally.accepted, first.exit_code, first.unaccounted) == (10, 0, 0)
    assert held(shop) == {f"customer{n}@example.com": row(n)["segment"] for n in range(10)}
    again = shop.deliver()
    assert (again.planned, again.calls, again.exit_code) == (0, 0, 0)


def test_only_what_changed(shop: World) -> None:
    """A changed customer is the only one sent; the counts say what happened to every row."""
    shop.have([row(n) for n in range(10)]).deliver()
    shop.have([row(n) for n in range(9)] + [row(9, segment="best", orders=99)])
    plan = shop.plan()
    assert (plan.counts.changed, plan.counts.unchanged, plan.counts.added) == (1, 9, 0)
    report = shop.deliver()
    assert (report.tally.accepted, report.writes) == (1, 2)
    assert shop.holdings("octo")["customer9@example.com"]["orders"] == 99


def test_a_full_resync_sends_all_and_removes_nothing(shop: World) -> None:
    """A full resync sends every record again, and never takes one back."""
    shop.say(mode="mirror", guards={"max_removed": 1.0, "max_changed": 1.0})
    shop.have([row(n) for n in range(5)]).deliver()
    shop.have([row(n) for n in range(4)])
    report = shop.deliver(Options(full=True), allow=True)
    assert (report.tally.accepted, len(held(shop))) == (4, 5)


def test_a_careful_first_try(shop: World) -> None:
    """`limit` sends so many and no more, `only` sends one customer; the rest goes next time."""
    shop.have([row(n) for n in range(10)])
    assert shop.deliver(Options(limit=3)).tally.accepted == 3
    assert shop.deliver(Options(only=("customer9@example.com",))).tally.accepted == 1
    rest = shop.deliver()
    assert rest.tally.accepted == 6
    assert len(held(shop)) == 10


def test_an_unmapped_column_sends_nothing(shop: World) -> None:
    """A change in a column that is not mapped is no change."""
    shop.have([row(1)]).deliver()
    shop.have([row(1, customer_id="other", consent=False)])
    assert shop.plan().changes == 0


def test_mapping_more_sends_again_and_mapping_less_does_not(shop: World) -> None:
    """A mapping added or renamed goes out to everyone; one taken away is no reason to send."""
    shop.have([row(n) for n in range(4)]).deliver()
    fewer = [m for m in shop.said["fields"] if m["to"] != "orders"]
    assert shop.say(fields=fewer).plan().counts.unchanged == 4
    more = [*fewer, {"from": "customer_id", "to": "number"}]
    assert shop.say(fields=more).plan().counts.changed == 4


def test_small_movements_are_tolerated(shop: World) -> None:
    """A number within its tolerance of the last one accepted is not sent, and small steps add up."""
    shop.say(fields=[{"from": "orders", "to": "orders", "tolerance": 5}])
    shop.have([row(1, orders=100)]).deliver()
    assert shop.have([row(1, orders=104)]).plan().changes == 0
    assert shop.have([row(1, orders=106)]).plan().changes == 1


def test_empty_values(shop: World) -> None:
    """An empty value is skipped, clears the field, or becomes the default, as the mapping says."""
    shop.say(
        fields=[
            {"from": "segment", "to": "kept"},
            {"from": "segment", "to": "cleared", "nulls": "clear"},
            {"from": "segment", "to": "filled", "nulls": "default", "default": "none yet"},
        ]
    )
    shop.have([row(1, segment="best")]).deliver()
    shop.have([row(1, segment=None)]).deliver(allow=True)
    found = shop.holdings("octo")["customer1@example.com"]
    assert (found["kept"], found.get("cleared"), found["filled"]) == ("best", None, "none yet")
    assert shop.plan().changes == 0


def test_create_only_field(shop: World) -> None:
    """A create-only field is written with a new record and never again."""
    first = [{"from": "segment", "to": "first", "create_only": True}, {"from": "orders", "to": "orders"}]
    shop.say(fields=first).have([row(1, segment="new")]).deliver()
    shop.have([row(1, segment="best", orders=7)]).deliver(allow=True)
    found = shop.holdings("octo")["customer1@example.com"]
    assert (found["first"], found["orders"]) == ("new", 7)


def test_constants_and_templates(shop: World) -> None:
    """A field may be the same for all, or text put together from columns."""
    shop.say(
        fields=[
            {"constant": "Octo", "to": "by"},
            {"template": "{segment} ({orders} {{orders}})", "to": "told"},
        ]
    )
    shop.have([row(1, segment="L'été", orders=3)]).deliver()
    found = shop.holdings("octo")["customer1@example.com"]
    assert (found["by"], found["told"]) == ("Octo", "L'été (3 {orders})")
