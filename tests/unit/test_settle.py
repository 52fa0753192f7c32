"""Settling: what is believed of an answer, of a silence, and of a plan that is lost."""

from __future__ import annotations

import shutil
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octo_dagster.delivery.courier import complete, judged, unlike
from octo_dagster.delivery.journal import doubtful, entry
from octo_dagster.delivery.ledger import OpenBatch, now
from octo_dagster.delivery.ledger_tables import MAYBE, UNSURE
from octo_dagster.delivery.mapping import decoded
from octo_dagster.delivery.plan import Line
from octo_dagster.delivery.settle import Sent as Way
from octo_dagster.delivery.settle import close, ranges
from octo_dagster.errors import Fatal
from octo_dagster.model import Batch, Change, Fields, FieldType, Op, Outcome, Receipt, Sent
from tests.stories.conftest import shop  # noqa: F401 - a fixture
from tests.world import World, row


def line(**said: object) -> Line:
    """A changed record that held 1 and shall hold 2."""
    told = {
        "position": 0,
        "kind": "changed",
        "key": "a",
        "spelled": "A",
        "fields": {"orders": 2},
        "fingerprint": "new",
        "before": {"orders": 1, "old": "x"},
        "created": None,
    }
    return Line(**{**told, **said})  # type: ignore[arg-type]


def batch(*keys: str) -> Batch:
    return Batch("b", Op.UPSERT, tuple(Change(key) for key in keys), "k", {"k": FieldType.TEXT})


def test_a_short_answer_loses_nobody() -> None:
    """A row the answer does not mention is unknown, or pending while a job runs; strangers do not count."""
    accepted = Receipt("a", Outcome.ACCEPTED)
    told = complete(batch("a", "b"), Sent((accepted, Receipt("stranger", Outcome.ACCEPTED))))
    assert [(r.key, r.outcome) for r in told.receipts] == [("a", Outcome.ACCEPTED), ("b", Outcome.UNKNOWN)]
    running = complete(batch("a", "b"), Sent((accepted,), token="job"))
    assert [(r.key, r.outcome) for r in running.receipts] == [("a", Outcome.ACCEPTED), ("b", Outcome.PENDING)]


HELD: list[tuple[Op, Fields, Fields | None, bool]] = [
    (Op.UPSERT, {"a": 1}, {"a": Decimal("1.0")}, True),
    (Op.UPSERT, {"a": 1}, {"a": 2}, False),
    (Op.UPSERT, {"a": None}, {}, True),
    (Op.UPSERT, {"a": None}, {"a": "still"}, False),
    (Op.UPSERT, {}, None, False),
    (Op.CLEAR, {"a": None}, None, True),
    (Op.CLEAR, {"a": None}, {"a": None}, True),
    (Op.CLEAR, {"a": None}, {"a": "still"}, False),
    (Op.DELETE, {}, None, True),
    (Op.DELETE, {}, {}, False),
    (Op.LEAVE, {}, None, True),
    (Op.LEAVE, {}, {}, False),
]


@pytest.mark.parametrize(("op", "wanted", "found", "done"), HELD)
def test_what_reading_back_proves(op: Op, wanted: Fields, found: Fields | None, done: bool) -> None:
    """A change was carried out exactly when what is held is what was asked; an acceptance else is a refusal."""
    assert (unlike(op, wanted, found) is None) is done
    receipt = judged(op, wanted, found, Receipt("a", Outcome.ACCEPTED))
    assert receipt.outcome is (Outcome.ACCEPTED if done else Outcome.REJECTED)
    assert done or receipt.reason


def test_what_the_ledger_learns() -> None:
    """Accepted fields join those held before; refused ones move nothing; a removal leaves nothing."""
    accepted = entry(line(), Op.UPSERT, Receipt("A", Outcome.ACCEPTED))
    assert decoded(accepted.fields or "") == {"orders": 2, "old": "x"}
    assert (accepted.fingerprint, accepted.keep) == ("new", False)
    assert accepted.changed == '{"orders":[1,2]}'
    refused = entry(line(), Op.UPSERT, Receipt("A", Outcome.REJECTED))
    assert (refused.keep, bool(refused.reason)) == (True, True)
    removed = entry(line(kind="removed", fields={}), Op.CLEAR, Receipt("A", Outcome.ACCEPTED))
    assert (removed.fingerprint, removed.fields, removed.keep) == (None, None, False)


def test_what_a_half_refused_record_leaves() -> None:
    """Of a record refused for one of its values the others are there: it is owed, and Octo's to take back."""
    half = Receipt("A", Outcome.REJECTED, "not stored: x", created=True, lost=("x",))
    new = entry(line(before=None, kind="added", fields={"orders": 2, "x": 3}), Op.UPSERT, half)
    assert (new.keep, new.fingerprint, new.fields) == (False, UNSURE, '{"orders":2}')
    assert (new.created, new.outcome, new.reason) == (True, "rejected", "not stored: x")
    assert entry(line(fields={}), Op.CLEAR, half).keep


def test_what_goes_again_goes_in_the_order_of_the_plan(shop: World) -> None:  # noqa: F811
    """A later run loads a batch so, and some jobs name their rows by place alone."""
    shop.have([row(n) for n in range(1, 5)])
    plan = shop.plan()
    lines = tuple(shop.project.plans.lines(shop.sync, plan.id))
    outcomes = (Outcome.UNKNOWN, Outcome.UNSENT, Outcome.UNKNOWN, Outcome.UNSENT)
    told = [Receipt(one.spelled, outcome) for one, outcome in zip(lines, outcomes, strict=True)]
    intent = OpenBatch("b", plan.id, "upsert", ((0, 4),), None, now())
    sent = Way(intent, Op.UPSERT, lines, plan)
    settled = close(shop.sync, shop.project.ledger, "run", sent, told, sure=True)
    assert settled.again == lines


def test_what_a_doubt_keeps() -> None:
    """In doubt a record stays Octo's to send and to take back: with all the fields it may hold."""
    new = doubtful(line(before=None, kind="added"), Op.UPSERT)
    assert (new.fingerprint, decoded(new.fields or "")) == (MAYBE, {"orders": 2})
    changed = doubtful(line(fields={"orders": 2, "fresh": 3}), Op.UPSERT)
    assert (changed.fingerprint, decoded(changed.fields or "")) == (
        UNSURE,
        {"orders": 1, "old": "x", "fresh": 3},
    )
    removal = doubtful(line(fields={}), Op.DELETE)
    assert (removal.fingerprint, decoded(removal.fields or "")) == (UNSURE, {"orders": 1, "old": "x"})


@given(st.sets(st.integers(0, 60)))
def test_ranges_hold_the_same_positions(positions: set[int]) -> None:
    """Positions as ranges are the same positions, in order, in as few ranges as can be."""
    made = ranges(positions)
    assert [n for a, b in made for n in range(a, b)] == sorted(positions)
    assert all(first[1] < second[0] for first, second in pairwise(made))


def test_a_lost_plan_is_said(shop: World) -> None:  # noqa: F811 - the fixture imported above
    """When the plan of an unanswered batch is gone nothing is planned over it, and the way out is said."""
    shop.sandbox.fault("webhook", "drop_after", path="^/octo$")
    shop.sandbox.fault("webhook", "error_before", path="/read$")
    assert shop.have([row(1)]).deliver().exit_code == 6
    kept = shop.folder / ".octo" / "plans"
    away = kept.rename(shop.folder / "away")
    with pytest.raises(Fatal, match="was sent and never answered, and its plan is not under"):
        shop.plan()
    shutil.copytree(away, kept)
    assert shop.deliver().exit_code == 0
