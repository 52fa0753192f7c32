"""Nobody who is there is subscribed, unsubscribed, brought back or archived by an upsert, whatever he is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from connectors.sandbox.mailchimp.audience import Audience
from connectors.sandbox.server import Sandbox
from octo_dagster.errors import Fatal
from octo_dagster.model import Change, Op, Outcome
from tests.contract.mailchimp.acme import ADA, BOB, EVE, Sit, outcomes, statuses


def wrote(sandbox: Sandbox) -> list[Mapping[str, Any]]:
    """The members of every batch that was sent."""
    bodies = [body for _, path, body in sandbox.twin("mailchimp").bodies if re.search(r"lists/\w+$", path)]
    return [member for body in bodies for member in body["members"]]


STATUSES = ("subscribed", "unsubscribed", "cleaned", "pending", "transactional")


@pytest.mark.parametrize("new_members", ["transactional", "subscribed", "pending"])
def test_whoever_is_there_keeps_the_status(sit: Sit, audience: Audience, new_members: str) -> None:
    """Whatever a new member becomes, nobody there is subscribed, unsubscribed or asked: upsert, clear, leave."""
    for status in STATUSES:
        audience.create(f"{status}@shop.example", status, 0.0)
    before = statuses(audience)
    sitting = sit(new_members=new_members)
    changes = [Change(key, {"T_TEXT": "x"}) for key in [*before, ADA]]
    assert {told for told, _ in outcomes(sitting, Op.UPSERT, *changes).values()} == {Outcome.ACCEPTED}
    assert statuses(audience) == before | {ADA: new_members}
    assert {member.merge["T_TEXT"] for member in audience.members.values()} == {"x"}
    assert sitting.read(*before, ADA).keys() == {*before, ADA}, "whatever they are, they are found"
    sitting.carry_out(Op.CLEAR, *(Change(key, {"T_TEXT": None}) for key in before))
    assert {audience.member(key).merge["T_TEXT"] for key in before} == {""}
    sitting.carry_out(Op.LEAVE, *(Change(key) for key in before))
    assert {tuple(audience.member(key).tags) for key in before} == {()}
    assert statuses(audience) == before | {ADA: new_members}


def test_nothing_sent_names_a_status_of_somebody_there(sit: Sit, sandbox: Sandbox) -> None:
    """No member of any batch has a `status`, and tags of others are never replaced."""
    sitting = sit(new_members="subscribed")
    sitting.upsert({ADA: {"T_TEXT": "x"}})
    sitting.carry_out(Op.CLEAR, Change(ADA, {"T_TEXT": None}))
    members = wrote(sandbox)
    assert [set(member) for member in members] == [
        {"email_address", "status_if_new", "merge_fields", "tags"}
    ] * 2
    assert [member["status_if_new"] for member in members] == ["subscribed", "transactional"]
    bodies = [body for *_, body in sandbox.twin("mailchimp").bodies if "members" in (body or {})]
    assert {body["sync_tags"] for body in bodies} == {False}


def test_who_is_archived_is_told_and_left_alone(sit: Sit, audience: Audience) -> None:
    """An archived person is not brought back, as a subscriber or otherwise; the others of the batch are written."""
    audience.create(ADA, "archived", 0.0)
    sitting = sit(new_members="subscribed")
    told = outcomes(sitting, Op.UPSERT, Change(ADA, {"T_TEXT": "x"}), Change(BOB, {"T_TEXT": "x"}))
    assert told[ADA][0] is Outcome.REJECTED
    assert "archived at Mailchimp" in str(told[ADA][1])
    assert statuses(audience) == {ADA: "archived", BOB: "subscribed"}
    assert audience.member(ADA).merge == {}


def test_a_large_archive_is_looked_through_once(sit: Sit, sandbox: Sandbox, audience: Audience) -> None:
    """Three of 2,500 archived people: each asked for alone where that is fewer calls, else the pages, once."""
    for number in range(2_500):
        audience.create(f"old{number}@shop.example", "archived", 0.0)
    sitting = sit(new_members="subscribed")
    seen = len(sandbox.calls("mailchimp"))
    sitting.upsert({ADA: {"T_TEXT": "x"}})
    few = [call.path for call in sandbox.calls("mailchimp")[seen:] if call.method == "GET"]
    assert len(few) == 2
    many = [Change(f"old{number}@shop.example") for number in range(2_400, 2_600)]
    for _ in range(2):
        told = outcomes(sitting, Op.UPSERT, *many)
        assert sum(outcome is Outcome.REJECTED for outcome, _ in told.values()) == 100
    pages = [call for call in sandbox.calls("mailchimp")[seen:] if call.method == "GET"][2:]
    assert len(pages) == 3
    assert "subscribed" not in {audience.member(f"old{n}@shop.example").status for n in range(2_500)}


def test_a_forgotten_address_is_rejected_in_mailchimps_words(sit: Sit, audience: Audience) -> None:
    """Who was deleted for good is told of with the reason, and the rest of the batch is written."""
    member = audience.create(ADA, "subscribed", 0.0)
    audience.forgotten.add(member.id)
    del audience.members[member.id]
    told = outcomes(sit(), Op.UPSERT, Change(ADA), Change(BOB))
    assert told[ADA][0] is Outcome.REJECTED
    assert "permanently deleted and cannot be re-imported" in str(told[ADA][1])
    assert told[BOB] == (Outcome.ACCEPTED, None)


def test_deleting_archives_only_what_octo_left_behind(sit: Sit, audience: Audience) -> None:
    """Archived is who still is what Octo made of him; who subscribed, left or bounced since only loses our fields."""
    sitting = sit()
    sitting.upsert({key: {"T_TEXT": "x"} for key in (ADA, BOB, EVE)})
    audience.member(BOB).status = "subscribed"
    audience.member(EVE).status = "unsubscribed"
    for key in (ADA, BOB, EVE):
        assert sitting.carry_out(Op.DELETE, Change(key))[key].outcome is Outcome.ACCEPTED
    assert statuses(audience) == {ADA: "archived", BOB: "subscribed", EVE: "unsubscribed"}
    assert (audience.member(BOB).merge["T_TEXT"], audience.member(BOB).tags) == ("", [])
    assert sitting.read(ADA, BOB, EVE) == {}


def test_somebody_unconfirmed_is_emptied_not_archived(sit: Sit, audience: Audience) -> None:
    """Mailchimp archives nobody who has not confirmed yet: the fields and the tag are taken back instead."""
    sitting = sit(new_members="pending")
    sitting.upsert({ADA: {"T_TEXT": "x"}})
    assert sitting.read(ADA)[ADA]["T_TEXT"] == "x"
    assert sitting.carry_out(Op.DELETE, Change(ADA))[ADA].outcome is Outcome.ACCEPTED
    assert (statuses(audience), audience.member(ADA).merge["T_TEXT"]) == ({ADA: "pending"}, "")


def test_subscribing_unasked_stops_the_delivery(sit: Sit, sandbox: Sandbox) -> None:
    """Should Mailchimp make somebody a subscriber though told otherwise, nothing more is sent."""
    sitting = sit()
    sandbox.twin("mailchimp").deaf_to_new_status = True
    with pytest.raises(Fatal, match="1 new members were subscribed though sent as transactional"):
        sitting.upsert({ADA: {"T_TEXT": "x"}})
