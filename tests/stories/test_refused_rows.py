"""The promise: a row that cannot be sent is counted, kept with its reason, and shown; never lost."""

from __future__ import annotations

from decimal import Decimal

import sqlalchemy as sa

from octo_dagster.delivery.ledger_tables import CHANGELOG, SNAPSHOT
from tests.world import FIELDS, World, row


def reasons(shop: World, outcome: str) -> dict[str, str]:
    """What the change log says of the rows with this outcome, newest last."""
    query = sa.select(CHANGELOG).where(CHANGELOG.c.outcome == outcome).order_by(CHANGELOG.c.id)
    return {line["key"]: line["reason"] for line in shop.project.ledger.read(query)}


def test_a_poisoned_row_does_not_spoil_the_batch(shop: World) -> None:
    """One row the destination refuses is rejected with its reason; the others land."""
    rows = [row(n) for n in range(20)]
    rows[7]["segment"] = "x" * 1_001
    report = shop.have(rows).deliver()
    assert (report.tally.accepted, report.tally.rejected, report.exit_code) == (19, 1, 4)
    assert len(shop.holdings("octo")) == 19
    assert "1000" in reasons(shop, "rejected")["customer7@example.com"]


def test_a_rejected_row_stays_owed_until_it_is_right(shop: World) -> None:
    """A rejected row goes again every run, in its newest version, with its attempts counted."""
    shop.have([row(1), row(2, segment="x" * 2_000)]).deliver()
    assert shop.plan().counts.owed == 1
    shop.deliver()
    known = shop.project.ledger.read(sa.select(SNAPSHOT).where(SNAPSHOT.c.owed.is_not(None)))
    assert [line["attempts"] for line in known] == [2]
    shop.have([row(1), row(2, segment="fine")])
    assert shop.deliver().exit_code == 0
    assert shop.holdings("octo")["customer2@example.com"]["segment"] == "fine"
    assert shop.plan().changes == 0


def test_a_rejected_change_keeps_what_was_held(shop: World) -> None:
    """When a change is rejected the ledger still knows the old values, and a later removal still works."""
    shop.say(mode="mirror", guards={"max_removed": 1.0, "max_changed": 1.0})
    shop.have([row(1), row(2)]).deliver()
    shop.have([row(1, segment="y" * 1_500), row(2)]).deliver()
    assert shop.holdings("octo")["customer1@example.com"]["segment"] == "new"
    shop.have([row(2)]).deliver()
    assert shop.holdings("octo")["customer1@example.com"].get("segment") is None


def test_rows_without_a_key_or_with_anothers(shop: World) -> None:
    """No key, or a key that two rows claim: none of them is sent, each is told why."""
    shop.say(guards={"max_invalid": 1.0})
    rows = [row(1), row(2, email=None), row(3, email="  "), row(4), row(5, email="customer4@example.com")]
    report = shop.have(rows).deliver()
    assert (report.tally.accepted, report.invalid) == (1, 4)
    assert list(shop.holdings("octo")) == ["customer1@example.com"]
    assert reasons(shop, "invalid")["customer4@example.com"] == "email: 2 rows have this key"
    assert reasons(shop, "invalid")[""] == "email: the row has no key"


def test_a_value_of_the_wrong_type(shop: World) -> None:
    """A value that cannot be read as the field's type makes its row invalid, with field and value named."""
    shop.say(fields=[{"from": "segment", "to": "rank", "type": "integer"}], guards={"max_invalid": 1.0})
    report = shop.have([row(1, segment="12"), row(2, segment="twelve")]).deliver()
    assert (report.tally.accepted, report.invalid) == (1, 1)
    assert reasons(shop, "invalid") == {"customer2@example.com": "rank: not an integer: twelve"}


def test_an_invalid_row_is_not_a_departure(shop: World) -> None:
    """A held customer whose row turns invalid is left alone, not taken back."""
    shop.say(mode="mirror", guards={"max_invalid": 1.0})
    shop.have([row(1), row(2)]).deliver()
    shop.have([row(1), row(2), row(3, email="CUSTOMER2@example.com".lower())])
    plan = shop.plan()
    assert (plan.counts.removed, plan.counts.invalid) == (0, 2)


def test_ten_megabytes_in_a_field(shop: World) -> None:
    """A field larger than any call is rejected with its size; the rest is delivered."""
    report = shop.have([row(1), row(2, segment="z" * 10_000_000)]).deliver()
    assert (report.tally.accepted, report.tally.rejected) == (1, 1)
    assert "10,000,0" in reasons(shop, "rejected")["customer2@example.com"]


def test_emoji_and_right_to_left(shop: World) -> None:
    """Text of any script arrives as it left."""
    texts = ["🐙👩‍👩‍👧", "عميل ممتاز", "לקוח", "Zoë “L'Été” \\ \n\t;,"]
    shop.have([row(n, segment=text) for n, text in enumerate(texts)]).deliver()
    assert [found["segment"] for found in shop.holdings("octo").values()] == texts
    assert shop.plan().changes == 0


def test_numbers_keep_their_digits(shop: World) -> None:
    """Money and fractions arrive exactly, and sending them once is enough."""
    shop.say(fields=FIELDS)
    shop.have([row(1, revenue=Decimal("1234567.89")), row(2, revenue=Decimal("0.10"))]).deliver()
    assert float(shop.holdings("octo")["customer1@example.com"]["revenue"]) == 1234567.89
    assert shop.plan().changes == 0
