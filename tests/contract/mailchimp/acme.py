"""What the tests round the audience Acme ask of it."""

from __future__ import annotations

from collections.abc import Callable

from connectors.sandbox.mailchimp.audience import Audience
from octo_dagster.model import Change, Op, Outcome
from tests.contract.sitting import Sitting

ADA, BOB, EVE = "ada@shop.example", "bob@shop.example", "eve@shop.example"
Sit = Callable[..., Sitting]


def statuses(audience: Audience) -> dict[str, str]:
    return {member.email: member.status for member in audience.members.values()}


def outcomes(sitting: Sitting, op: Op, *changes: Change) -> dict[str, tuple[Outcome, str | None]]:
    return {key: (one.outcome, one.reason) for key, one in sitting.carry_out(op, *changes).items()}
