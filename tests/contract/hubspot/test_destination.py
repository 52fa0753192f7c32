"""What HubSpot's destination promises beyond the exam every destination sits."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from connectors.destinations.hubspot.destination import HubSpot
from connectors.sandbox.server import Sandbox
from octo_dagster.errors import Retryable
from octo_dagster.model import Op
from tests.contract.hubspot.front import (
    ADA,
    BOB,
    BY_ID,
    EVE,
    NO,
    OK,
    Front,
    by_email,
    with_list,
)
from tests.vendors.hubspot import HUBSPOT

# calls ---------------------------------------------------------------------------------------------


def test_a_hundred_contacts_are_one_call(front: Front) -> None:
    """By a property of the shop's, new or known: one call a hundred, and nothing is looked up."""
    records: dict[str, Any] = {f"k{n}": {"octo_rfm": f"r{n}"} for n in range(100)}
    for _ in range(2):
        front.upsert(records)
        assert front.asked() == ["POST /contacts/batch/upsert"]
        front.calls.clear()
    assert front.destination.limits(Op.UPSERT, 25_000).rows == 100


@by_email
def test_by_address_those_who_are_there_are_updated_by_id(front: Front) -> None:
    """Nobody is upserted by address, as what that does not mention could be emptied: updated by id, or created."""
    front.person(ADA, firstname="Ada", phone="123")
    told = front.do(Op.UPSERT, {ADA: {"octo_rfm": "best"}, BOB: {"octo_rfm": "new"}})
    assert {key: (receipt.outcome, receipt.created) for key, receipt in told.items()} == {
        ADA: (OK, False),
        BOB: (OK, True),
    }
    assert front.asked() == [f"POST /contacts/batch/{verb}" for verb in ("read", "update", "create")]
    assert front.named(ADA) == {"firstname": "Ada", "phone": "123", "octo_rfm": "best"}


@by_email
@pytest.mark.parametrize("multi_status", [True, False])
def test_who_comes_between_the_look_and_the_call_keeps_what_is_his(front: Front, multi_status: bool) -> None:
    """Somebody fills in a form in that moment: his contact is updated, by id, and is not Octo's to delete."""
    front.twin.multi_status = multi_status

    def fill_in(reply: requests.Response, **_: Any) -> None:
        if "batch/read" in str(reply.request.url) and not list(front.account.there()):
            front.person(ADA, firstname="Ada", phone="123")

    front.http.hooks["response"].append(fill_in)
    told = front.do(Op.UPSERT, {ADA: {"octo_rfm": "best"}})
    assert (told[ADA].outcome, told[ADA].created) == (OK, False)
    assert front.named(ADA) == {"firstname": "Ada", "phone": "123", "octo_rfm": "best"}
    assert len(list(front.account.there())) == 1


@with_list
def test_a_thousand_join_the_list_in_one_call(front: Front) -> None:
    """With a list ten hundreds are one batch: ten calls for the contacts and one for who is in it."""
    ids = front.key_field != "email"
    front.upsert({f"k{n}" if ids else f"k{n}@example.com": {"octo_rfm": "r"} for n in range(250)})
    calls = front.asked()
    assert calls.count(f"POST /contacts/batch/{'upsert' if ids else 'create'}") == 3
    assert sum("/memberships/add" in call for call in calls) == 1
    (best,) = front.account.lists.values()
    assert (best.processing, len(best.members)) == ("MANUAL", 250)
    assert front.destination.limits(Op.UPSERT, 25_000).rows == 1_000


@pytest.mark.parametrize("version", ["2026-09", "2026-03", "v3"])
def test_every_version_of_the_api_is_spoken(version: str, sandbox: Sandbox) -> None:
    """Contacts, properties and lists go by the paths of the version that is set."""
    front = Front(sandbox, version=version, list="Best").ready()
    front.upsert({ADA: {"octo_rfm": "best"}})
    assert front.read(ADA, names=("octo_rfm",)) == {ADA: {"octo_rfm": "best"}}
    assert front.do(Op.LEAVE, {ADA: {}})[ADA].outcome is OK
    assert front.read(ADA) == {}
    paths = {call.path for call in front.calls}
    assert paths
    assert all((f"/crm/{'v3/' if version == 'v3' else ''}") in path and version in path for path in paths)
    front.close()


# whose contact it is -------------------------------------------------------------------------------


def test_contacts_that_were_there_are_given_the_key(front: Front) -> None:
    """Who is in HubSpot already is found by the address the sync maps, and carries the key from then on."""
    front.person(ADA, firstname="Ada")
    record: dict[str, Any] = {"a1": {"email": ADA, "octo_rfm": "best"}, "b1": {"email": BOB}}
    told = front.do(Op.UPSERT, record)
    assert (told["a1"].outcome, told["a1"].created) == (OK, False)
    assert (told["b1"].outcome, told["b1"].created) == (OK, True)
    assert front.contact(ADA).properties == {
        "email": ADA,
        "firstname": "Ada",
        "octo_id": "a1",
        "octo_rfm": "best",
    }
    front.reset()
    front.upsert(record)
    assert front.asked() == ["POST /contacts/batch/upsert"]


def test_an_address_of_somebody_else_is_refused(front: Front) -> None:
    """A contact that has another key keeps it; the row is rejected and says which contact that is."""
    front.upsert({"a1": {"email": ADA, "octo_rfm": "best"}})
    told = front.do(Op.UPSERT, {"x9": {"email": ADA, "octo_rfm": "lost"}})
    number = front.contact(ADA).id
    assert told["x9"].outcome is NO
    assert told["x9"].reason == f"email: belongs to contact {number}, which has another octo_id"
    assert front.contact(ADA).properties["octo_rfm"] == "best"


@by_email
def test_an_address_that_cannot_be_read_hides_nobody(front: Front) -> None:
    """Should HubSpot refuse a look-up for one malformed address, the others are found, and its row is rejected."""
    front.person(ADA, firstname="Ada")
    told = front.do(
        Op.UPSERT, {ADA: {"octo_rfm": "a"}, "b;c@x.com": {"octo_rfm": "b"}, EVE: {"octo_rfm": "e"}}
    )
    assert [told[key].outcome for key in (ADA, "b;c@x.com", EVE)] == [OK, NO, OK]
    assert "INVALID_EMAIL" in (told["b;c@x.com"].reason or "")
    assert front.named(ADA) == {"firstname": "Ada", "octo_rfm": "a"}
    assert set(front.read(ADA, "b;c@x.com")) == {ADA}


@by_email
def test_two_addresses_of_one_merged_contact(front: Front) -> None:
    """After people merged two contacts, one row writes it and the other is refused, never both in turn."""
    front.upsert({ADA: {"octo_rfm": "a"}, BOB: {"octo_rfm": "b"}})
    front.account.merge(front.contact(ADA), front.contact(BOB), 0.0)
    told = front.do(Op.UPSERT, {ADA: {"octo_rfm": "a2"}, BOB: {"octo_rfm": "b2"}})
    assert (told[ADA].outcome, told[BOB].outcome) == (OK, NO)
    assert "merged in HubSpot" in (told[BOB].reason or "")
    alone = front.do(Op.UPSERT, {BOB: {"octo_rfm": "b3"}})
    assert alone[BOB].outcome is OK
    assert front.read(BOB, names=("octo_rfm",)) == {BOB: {"octo_rfm": "b3"}}
    assert len(list(front.account.there())) == 1


@by_email
def test_both_of_two_who_became_one_are_emptied(front: Front) -> None:
    """Taken back together, the one contact they are loses the columns of both, and refused, neither is called done."""
    front.upsert({ADA: {"octo_rfm": "a"}, BOB: {"octo_rfm": "b", "octo_spent": 7}})
    front.account.merge(front.contact(ADA), front.contact(BOB), 0.0)
    both: dict[str, Any] = {ADA: {"octo_rfm": None}, BOB: {"octo_rfm": None, "octo_spent": None}}
    front.twin.forgets = {front.contact(ADA).id}
    assert front.do(Op.CLEAR, both) == {}, "what HubSpot does not mention is unknown"
    front.twin.forgets = set()
    front.contact(ADA).properties |= {"octo_rfm": "a", "octo_spent": "7"}
    assert {key: one.outcome for key, one in front.do(Op.CLEAR, both).items()} == {ADA: OK, BOB: OK}
    assert front.named(ADA).keys().isdisjoint({"octo_rfm", "octo_spent"})


@by_email
def test_what_was_merged_is_not_deleted(front: Front) -> None:
    """A contact that holds another one's past is emptied of our fields; one that is ours alone is archived."""
    front.upsert({ADA: {"octo_rfm": "a"}, BOB: {"octo_rfm": "b"}})
    front.account.merge(front.contact(ADA), front.person(EVE, phone="999"), 0.0)
    told = front.do(Op.DELETE, {ADA: {}, BOB: {}})
    assert {receipt.outcome for receipt in told.values()} == {OK}
    assert [(one.properties["email"], one.properties.get("octo_rfm")) for one in front.account.there()] == [
        (ADA, None)
    ]
    assert front.contact(EVE).properties["phone"] == "999"


def test_a_batch_that_goes_again_knows_its_own(front: Front) -> None:
    """Contacts a batch made before it failed are still Octo's own when the batch goes again."""
    front.destination = HubSpot.model_validate({**HUBSPOT.settings, **BY_ID, "list": "Best"})
    front.api = front.destination.connect(front.http)
    front.sandbox.fault("hubspot", "throttle", path="memberships")
    with pytest.raises(Retryable):
        front.do(Op.UPSERT, {"a1": {"octo_rfm": "a"}})
    assert front.do(Op.UPSERT, {"a1": {"octo_rfm": "a"}})["a1"].created is True
