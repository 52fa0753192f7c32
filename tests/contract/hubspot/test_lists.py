"""The list a HubSpot sync keeps, and what there is in an account."""

from __future__ import annotations

import pytest

from connectors.destinations.hubspot.destination import HubSpot
from connectors.sandbox.server import Sandbox
from octo_dagster.errors import Fatal
from octo_dagster.model import Batch, Change, FieldType, Mode, Op, Removal
from tests.contract.hubspot.front import (
    ADA,
    BOB,
    BY_ID,
    EVE,
    OK,
    TYPES,
    Front,
    with_list,
)
from tests.vendors.hubspot import HUBSPOT, KEY


@with_list
def test_entering_and_leaving_a_list(front: Front) -> None:
    """Who is sent is in it, who leaves it stays a contact, and who was put there by others stays in."""
    ids = front.key_field != "email"
    ada, bob = ("a1", "b1") if ids else (ADA, BOB)
    front.upsert({ada: {"octo_rfm": "a"}, bob: {"octo_rfm": "b"}})
    (best,) = front.account.lists.values()
    stranger = front.person(EVE)
    best.members[stranger.id] = 0.0
    assert front.do(Op.LEAVE, {ada: {}, "nobody@example.com": {}})[ada].outcome is OK
    assert set(front.read(ada, bob)) == {bob}
    assert len(list(front.account.there())) == 3
    assert stranger.id in best.members


def test_an_active_list_is_not_ours(sandbox: Sandbox) -> None:
    """Who is in an active list its filters say: the sync stops before anything is written."""
    front = Front(sandbox, list="Active")
    front.account.add_list("Active", "DYNAMIC", 0.0)
    with pytest.raises(Fatal, match="active one"):
        front.destination.ensure_fields(front.api, TYPES, create=True)
    assert front.account.groups.keys() == {"contactinformation"}
    front.close()


def test_a_list_with_an_awkward_name(sandbox: Sandbox) -> None:
    """Whatever a list is called, it is made once and found again."""
    for _ in range(2):
        front = Front(sandbox, list="50 % & plus/minus? é").ready()
        front.upsert({ADA: {"octo_rfm": "a"}})
        front.close()
    assert [one.name for one in front.account.lists.values()] == ["50 % & plus/minus? é"]


def test_all_lists_are_seen(front: Front) -> None:
    """An account may have more static lists than a page of them."""
    for n in range(260):
        front.account.add_list(f"L{n:03}", "MANUAL", 0.0)
    assert front.api.static_lists() == [f"L{n:03}" for n in range(260)]


def test_a_property_for_a_group_that_is_there(front: Front) -> None:
    """The group of Octo's properties is made once; a later property joins it."""
    report = front.destination.ensure_fields(front.api, {"octo_later": FieldType.TEXT}, create=True)
    assert report.created == ("octo_later",)
    assert front.account.properties["octo_later"].group == "octo"


def test_what_a_sync_may_do_depends_on_the_list() -> None:
    """With a list who is outside counts as absent, so nothing is promised of who is new; without one none is left."""
    listed = HubSpot.model_validate(HUBSPOT.settings)
    free = HubSpot.model_validate({**HUBSPOT.settings, **BY_ID})
    assert listed.modes == {Mode.UPSERT, Mode.MIRROR}
    assert free.modes == set(Mode)
    assert Removal.LEAVE in listed.removals
    assert free.removals == {Removal.CLEAR, Removal.DELETE}
    assert (free.key_problem("octo_id"), listed.key_problem("email")) == (None, None)
    assert free.key_problem("email") == "is email, but destination.id_property is octo_id"


def test_a_batch_keyed_otherwise_is_not_sent(front: Front) -> None:
    """A batch whose key is not the property set is a mistake nobody should guess about."""
    change = Change(ADA, {"octo_rfm": "a"})
    with pytest.raises(Fatal, match="id_property"):
        front.destination.send(front.api, Batch("b", Op.UPSERT, (change,), "email", TYPES))


def test_what_there_is_in_an_account(front: Front) -> None:
    """Fields by type without those that may not be written, keys, static lists; nothing is written for it."""
    front.account.add_list("Active", "DYNAMIC", 0.0)
    front.account.add_list("Static", "MANUAL", 0.0)
    front.reset()
    seen = front.destination.survey(front.api)
    assert seen.fields["octo_likes"] is FieldType.LIST
    assert seen.fields["email"] is FieldType.TEXT
    assert {"hs_email_optout", "createdate", "hs_marketable_status"}.isdisjoint(seen.fields)
    assert (seen.keys, seen.places, seen.missing) == (("octo_id", "email"), {"list": ("Static",)}, ())
    assert {path for _, path, _ in front.twin.bodies} == {"/crm/lists/2026-09/search"}
    front.twin.scopes[KEY] = frozenset({"crm.schemas.contacts.read"})
    missing = front.destination.survey(front.api).missing
    assert [line.partition(":")[0] for line in missing] == ["crm.objects.contacts.read", "crm.lists.read"]


def test_the_key_is_only_in_the_header(front: Front, capsys: pytest.CaptureFixture[str]) -> None:
    """No path, body, repr or error holds the service key."""
    front.upsert({"a1": {"octo_rfm": "a"}})
    shown = f"{front.api!r} {front.calls} {front.twin.bodies}"
    assert KEY not in shown
