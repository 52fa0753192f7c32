"""What HubSpot's destination promises beyond the exam every destination sits."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from connectors.destinations.hubspot.destination import HubSpot
from connectors.sandbox.server import Sandbox
from octo_dagster.errors import BatchRejected, DeliveryError, Fatal, Retryable, Unanswered
from octo_dagster.model import Batch, Change, FieldType, Mode, Op, Outcome, Removal
from tests.contract.hubspot.front import ADA, BOB, BY_EMAIL, BY_ID, EVE, TYPES, Front
from tests.vendors.hubspot import HUBSPOT, KEY

OK, NO, UNSENT = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.UNSENT


by_email = pytest.mark.parametrize("front", [BY_EMAIL], indirect=True)
either_way = pytest.mark.parametrize("front", [BY_ID, BY_EMAIL], indirect=True, ids=["id", "email"])
with_list = pytest.mark.parametrize(
    "front", [{**BY_ID, "list": "Best"}, {"list": "Best"}], indirect=True, ids=["id", "email"]
)


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


# what goes wrong -----------------------------------------------------------------------------------


@either_way
@pytest.mark.parametrize("code", [200, 207])
@pytest.mark.parametrize("echoes", [True, False])
def test_errors_are_read_whatever_the_status(front: Front, code: int, echoes: bool) -> None:
    """A row HubSpot refuses is rejected in its words, by its mark or by its id, under 207 and under 200."""
    front.twin.multi_code, front.twin.echoes = code, echoes
    front.account.rules = {"octo_rfm": "[a-z]+"}
    keys = [ADA, BOB, EVE] if front.key_field == "email" else ["a1", "b1", "e1"]
    told = front.do(Op.UPSERT, {key: {"octo_rfm": "BAD" if n == 1 else "good"} for n, key in enumerate(keys)})
    assert [told[key].outcome for key in keys] == [OK, NO, OK]
    assert (told[keys[1]].reason or "").startswith("VALIDATION_ERROR: ")
    assert "octo_rfm" in (told[keys[1]].reason or "")


@either_way
def test_a_batch_refused_whole_is_the_engines_to_halve(front: Front) -> None:
    """Where one bad row fails all, nothing is written and the batch is refused; alone, the row is rejected."""
    front.twin.multi_status = False
    front.account.rules = {"octo_rfm": "[a-z]+"}
    one, two = (ADA, BOB) if front.key_field == "email" else ("a1", "b1")
    with pytest.raises(BatchRejected, match="VALIDATION_ERROR"):
        front.do(Op.UPSERT, {one: {"octo_rfm": "good"}, two: {"octo_rfm": "BAD"}})
    assert list(front.account.there()) == []
    assert front.do(Op.UPSERT, {two: {"octo_rfm": "BAD"}})[two].outcome is NO
    front.upsert({one: {"octo_rfm": "good"}})


def test_one_refused_hundred_does_not_stop_the_others(front: Front) -> None:
    """Of a thousand, nine hundreds are done and told; the refused one is unsent, to go again by itself."""
    front.twin.multi_status = False
    front.account.rules = {"octo_rfm": "[a-z]+"}
    records: dict[str, Any] = {f"k{n}": {"octo_rfm": "BAD" if n == 250 else "good"} for n in range(1_000)}
    told = front.do(Op.UPSERT, records)
    unsent = {key for key, receipt in told.items() if receipt.outcome is UNSENT}
    assert unsent == {f"k{n}" for n in range(200, 300)}
    assert sum(receipt.outcome is OK for receipt in told.values()) == 900
    assert len(list(front.account.there())) == 900


@pytest.mark.parametrize("kind", ["throttle", "drop_before", "drop_after"])
def test_what_was_done_before_a_failure_is_told(front: Front, kind: str) -> None:
    """A call that was not carried out leaves the rest unsent; one that was not answered leaves all unknown."""
    records: dict[str, Any] = {f"k{n}": {"octo_rfm": "good"} for n in range(300)}
    front.sandbox.fault("hubspot", kind, path="upsert", after=1)
    if kind != "throttle":
        with pytest.raises(Unanswered):
            front.do(Op.UPSERT, records)
        return
    told = front.do(Op.UPSERT, records)
    assert [told[f"k{n}"].outcome for n in (0, 99, 100, 299)] == [OK, OK, UNSENT, UNSENT]
    assert len(list(front.account.there())) == 100


@either_way
def test_a_row_nobody_mentions_is_unknown(front: Front) -> None:
    """A row that is neither among the results nor among the errors gets no receipt: the engine reads back."""
    ada, bob = (ADA, BOB) if front.key_field == "email" else ("a1", "b1")
    front.upsert({ada: {"octo_rfm": "a"}, bob: {"octo_rfm": "b"}})
    front.twin.forgets = {next(front.account.there()).id}
    assert set(front.do(Op.UPSERT, {ada: {"octo_rfm": "a2"}, bob: {"octo_rfm": "b2"}})) == {bob}
    assert set(front.do(Op.CLEAR, {ada: {"octo_rfm": None}, bob: {"octo_rfm": None}})) == {bob}


def test_a_call_too_many_waits_as_long_as_its_limit(front: Front) -> None:
    """Ten seconds for the ten-secondly limit, two for a lock, an hour for the day's; never a lost row."""
    front.twin.quota = 0
    with pytest.raises(Retryable) as haste:
        front.do(Op.UPSERT, {"a1": {"octo_rfm": "a"}})
    front.twin.quota, front.twin.daily = None, 0
    with pytest.raises(Retryable) as day:
        front.do(Op.UPSERT, {"a1": {"octo_rfm": "a"}})
    front.twin.daily = 10
    waits = {}
    for status in (423, 477):
        front.sandbox.fault("hubspot", "error_before", status=status, path="upsert")
        with pytest.raises(Retryable) as locked:
            front.do(Op.UPSERT, {"a1": {"octo_rfm": "a"}})
        waits[status] = locked.value.wait
    assert (haste.value.wait, day.value.wait, waits) == (10.0, 3600.0, {423: 2.0, 477: 2.0})
    front.upsert({"a1": {"octo_rfm": "a"}})


@pytest.mark.parametrize(("status", "kind"), [(502, Unanswered), (503, Retryable), (504, Unanswered)])
def test_a_gateway_says_little(front: Front, status: int, kind: type[DeliveryError]) -> None:
    """502 and 504 may have been done, 503 was not."""
    front.sandbox.fault("hubspot", "error_before", status=status, path="upsert")
    with pytest.raises(kind):
        front.do(Op.UPSERT, {"a1": {"octo_rfm": "a"}})


@pytest.mark.parametrize(
    ("status", "kind"), [(200, Unanswered), (401, Fatal), (429, Retryable), (500, Unanswered)]
)
def test_a_page_is_no_answer(status: int, kind: type[DeliveryError]) -> None:
    """A success that is a web page, from something in between, may or may not be done; refusals stay refusals."""
    page = requests.Response()
    page.status_code, page.headers["Content-Type"] = status, "text/html"
    page._content = b"<html>Bad gateway</html>"
    failure = HubSpot.model_validate(HUBSPOT.settings).failure(page)
    assert isinstance(failure, kind)
    assert "Bad gateway" in str(failure)


def test_a_missing_scope_needs_a_person(front: Front) -> None:
    """HubSpot's own words say which scope is missing, and nothing is written."""
    front.twin.scopes[KEY] = frozenset({"crm.schemas.contacts.read"})
    with pytest.raises(Fatal, match=r"MISSING_SCOPES.*crm\.objects\.contacts\.write"):
        front.do(Op.UPSERT, {"a1": {"octo_rfm": "a"}})
    assert list(front.account.there()) == []


def test_a_property_that_is_not_unique_stops_everything(front: Front) -> None:
    """Upserting by a property whose values are not unique needs a person, and is not halved a hundred times."""
    front.account.properties["octo_id"].unique = False
    with pytest.raises(Fatal, match="non-unique"):
        front.do(Op.UPSERT, {"a1": {"octo_rfm": "a"}, "b1": {"octo_rfm": "b"}})


# the list, the account -----------------------------------------------------------------------------


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
