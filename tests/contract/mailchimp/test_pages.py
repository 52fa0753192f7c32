"""Members are read page by page while others change the audience: nobody is missed for that."""

from __future__ import annotations

import re

import pytest

from connectors.sandbox.mailchimp.audience import Audience
from connectors.sandbox.server import Sandbox
from octo_dagster.errors import Retryable
from octo_dagster.model import Change, Op, Outcome
from tests.contract.mailchimp.acme import Sit, outcomes, statuses


def old(number: int) -> str:
    return f"old{number}@shop.example"


def stocked(audience: Audience, status: str, count: int = 2_500) -> None:
    for number in range(count):
        audience.create(old(number), status, 0.0)


def test_nobody_archived_is_brought_back_when_the_archive_shrinks(
    sit: Sit, sandbox: Sandbox, audience: Audience
) -> None:
    """Forty leave the archive after its first page was read: who moved up over its edge stays archived."""
    stocked(audience, "archived")
    sitting = sit(new_members="subscribed")

    def unarchive(offset: int) -> None:
        for number in range(40):
            audience.member(old(number)).status = "unsubscribed"

    sandbox.twin("mailchimp").meanwhile = unarchive
    moved = [old(number) for number in range(950, 1_100)]
    told = outcomes(sitting, Op.UPSERT, *(Change(key, {"T_TEXT": "x"}) for key in moved))
    assert {outcome for outcome, _ in told.values()} == {Outcome.REJECTED}
    assert {statuses(audience)[key] for key in moved} == {"archived"}


def test_nobody_is_called_cleared_who_was_passed_over(sit: Sit, sandbox: Sandbox, audience: Audience) -> None:
    """Twenty lose the tag with every page of its holders: all others are found, and what is cleared is empty."""
    stocked(audience, "subscribed")
    sitting = sit()
    wanted = [old(number) for number in range(900, 1_100)]
    for first in range(0, 2_500, 500):
        sitting.upsert({old(number): {"T_TEXT": "x"} for number in range(first, first + 500)})

    def untag(offset: int) -> None:
        for number in range(offset // 10, offset // 10 + 20):
            audience.member(old(number)).tags = []

    sandbox.twin("mailchimp").meanwhile = untag
    assert len(sitting.read(*wanted)) == len(wanted)
    sitting.carry_out(Op.CLEAR, *(Change(key, {"T_TEXT": None}) for key in wanted))
    assert {audience.member(key).merge["T_TEXT"] for key in wanted} == {""}


def test_a_list_that_never_stands_still_stops_the_delivery(
    sit: Sit, sandbox: Sandbox, audience: Audience
) -> None:
    """Where every page has moved before the next is read, nothing is claimed of anybody: it goes again later."""
    stocked(audience, "archived", 3_000)
    sitting = sit(new_members="subscribed")

    def turn_round(offset: int) -> None:
        keys = list(audience.members)
        audience.members |= {key: audience.members.pop(key) for key in keys[:1_500]}

    sandbox.twin("mailchimp").meanwhile = turn_round
    with pytest.raises(Retryable, match="changes faster than it can be read"):
        sitting.upsert({old(number): {"T_TEXT": "x"} for number in range(100)})
    assert not [
        body for method, path, body in sandbox.twin("mailchimp").bodies if re.search(r"lists/\w+$", path)
    ]
