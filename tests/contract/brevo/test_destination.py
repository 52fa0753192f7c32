"""What Brevo's destination promises beyond the common exam: consent, clearing, quiet losses, few calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from connectors.destinations.brevo.destination import Brevo
from connectors.sandbox.brevo.account import Account, Attribute, Contact
from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.http import Call, session
from octo_dagster.delivery.pace import UNPACED
from octo_dagster.errors import BatchRejected, Fatal, Retryable, Unanswered
from octo_dagster.model import Batch, Change, Fields, FieldType, Op, Outcome, Receipt

ADA, BOB, EVE = "ada@example.com", "bob@example.com", "eve@example.com"
TYPES = {
    "RFM": FieldType.TEXT,
    "SPENT": FieldType.DECIMAL,
    "VIP": FieldType.BOOLEAN,
    "LAST": FieldType.DATE,
    "SMS": FieldType.TEXT,
}


class Desk:
    """A signed-in destination, its twin, and the calls that went between them."""

    def __init__(
        self, sandbox: Sandbox, http: requests.Session, destination: Brevo, calls: list[Call]
    ) -> None:
        self.sandbox, self.destination, self.calls = sandbox, destination, calls
        self.api = destination.connect(http)
        self.twin = sandbox.twin("brevo")
        self.account: Account = self.twin.accounts["sandbox-key"]
        self.destination.ensure_fields(self.api, TYPES, create=True)

    def contact(self, email: str) -> Contact:
        found = self.account.find("EMAIL", email)
        assert found is not None
        return found

    def stranger(self, email: str, **attributes: Any) -> Contact:
        """A contact somebody else made."""
        made = self.account.create(self.twin.clock())
        self.account.identify(made, "EMAIL", email)
        for name, value in attributes.items():
            assert self.account.write(made, name, value)
        return made

    def batch(self, op: Op, records: dict[str, Fields], key_field: str = "EMAIL") -> Batch:
        changes = tuple(Change(key, fields) for key, fields in records.items())
        types = {key_field: FieldType.TEXT, **TYPES}
        return Batch("b1", op, changes, key_field, types, opened_at=datetime.now(UTC) - timedelta(seconds=1))

    def start(self, op: Op, records: dict[str, Fields], key_field: str = "EMAIL") -> Batch:
        """Send, and hand back the batch with its token."""
        batch = self.batch(op, records, key_field)
        return replace(batch, token=self.destination.send(self.api, batch).token)

    def settled(self, batch: Batch) -> dict[str, Receipt]:
        """Look until the job is done; key → receipt."""
        for _ in range(20):
            answer = self.destination.settle(self.api, batch)
            assert answer is not None
            if answer.token is None:
                return {receipt.key: receipt for receipt in answer.receipts}
        raise AssertionError(f"{batch.token} never ends")

    def do(self, op: Op, records: dict[str, Fields], key_field: str = "EMAIL") -> dict[str, Receipt]:
        batch = self.batch(op, records, key_field)
        sent = self.destination.send(self.api, batch)
        if sent.token:
            return self.settled(replace(batch, token=sent.token))
        return {receipt.key: receipt for receipt in sent.receipts}

    def counted(self, method: str, part: str) -> int:
        return sum(call.method == method and part in call.path for call in self.calls)


@pytest.fixture
def desk(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A new account with the mapped fields made; calls are counted from here on."""
    monkeypatch.setenv("BREVO_API_KEY", "sandbox-key")
    destination = Brevo.model_validate(
        {"type": "brevo", "api_key": {"env": "BREVO_API_KEY"}, "list": "Octo customers"}
    )
    calls: list[Call] = []
    made = session(destination, UNPACED, calls.append, sandbox.address, lambda seconds: None)
    with closing(made):
        ready = Desk(sandbox, made, destination, calls)
        calls.clear()
        yield ready


FORBIDDEN = {"all", "emailBlacklisted", "smsBlacklisted", "emailBlacklist", "smsBlacklist", "consentGroupIds"}


def keys_in(value: Any) -> set[str]:
    """Every key anywhere in a JSON value."""
    if isinstance(value, dict):
        return set(value).union(*(keys_in(one) for one in value.values()))
    return set().union(*(keys_in(one) for one in value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("op", [Op.UPSERT, Op.LEAVE, Op.CLEAR])
def test_who_unsubscribed_stays_so(desk: Desk, op: Op) -> None:
    """No operation lifts or sets a blocklist mark, and no request can even speak of consent."""
    desk.do(Op.UPSERT, {ADA: {"RFM": "champion"}, BOB: {"RFM": "lost"}})
    ada = desk.contact(ADA)
    ada.email_blacklisted = ada.sms_blacklisted = True
    desk.do(op, {ADA: {"RFM": None if op is Op.CLEAR else "loyal"}, BOB: {"RFM": None}})
    assert (ada.email_blacklisted, ada.sms_blacklisted) == (True, True)
    assert not desk.contact(BOB).email_blacklisted
    assert not [body for _, _, body in desk.twin.bodies if keys_in(body) & FORBIDDEN]


def test_a_sync_keyed_by_ext_id_may_not_write_addresses(desk: Desk) -> None:
    """Brevo resubscribes a blocklisted contact whose address changes, so such a sync is stopped unsent."""
    batch = replace(
        desk.batch(Op.UPSERT, {"c-1": {}}, "EXT_ID"),
        types={"EXT_ID": FieldType.TEXT, "EMAIL": FieldType.TEXT},
    )
    with pytest.raises(Fatal, match="resubscribe"):
        desk.destination.send(desk.api, batch)
    assert desk.calls == []


def test_a_key_brevo_does_not_have_is_refused(desk: Desk) -> None:
    """A sync's file that names any other attribute as its key is told so before anything runs."""
    assert desk.destination.key_problem("CUSTOMER_NO") == "must be EMAIL or EXT_ID"
    assert desk.destination.key_problem("EMAIL") is None


def test_ext_id_can_be_the_key(desk: Desk) -> None:
    """A contact known by EXT_ID is updated, read and taken off the list by it."""
    made = desk.stranger(ADA, EXT_ID="c/1 ?")
    desk.do(Op.UPSERT, {"c/1 ?": {"RFM": "champion"}}, "EXT_ID")
    assert made.attributes["RFM"] == "champion"
    assert desk.destination.read(desk.api, ["c/1 ?"], ["RFM"]) == {"c/1 ?": {"RFM": "champion"}}
    desk.do(Op.LEAVE, {"c/1 ?": {}}, "EXT_ID")
    assert made.lists == set()


def test_a_plain_batch_is_one_import(desk: Desk) -> None:
    """A thousand rows without an empty value are one import."""
    desk.do(Op.UPSERT, {f"c{n}@example.com": {"RFM": "a"} for n in range(1_000)})
    assert desk.counted("POST", "/contacts/import") == 1
    assert len(desk.account.contacts) == 1_000


def test_clearing_touches_the_named_fields_only(desk: Desk) -> None:
    """Each row loses what it sends as None; other people's fields and the other rows keep theirs."""
    desk.do(Op.UPSERT, {ADA: {"RFM": "a", "VIP": True}, BOB: {"RFM": "b", "VIP": True}, EVE: {"RFM": "e"}})
    for email in (ADA, BOB, EVE):
        desk.account.write(desk.contact(email), "FIRSTNAME", "kept")
    desk.do(Op.UPSERT, {ADA: {"RFM": None, "VIP": False}, BOB: {"RFM": "B", "VIP": None}, EVE: {"RFM": "E"}})
    assert desk.contact(ADA).attributes == {"FIRSTNAME": "kept", "VIP": False}
    assert desk.contact(BOB).attributes == {"FIRSTNAME": "kept", "RFM": "B"}
    assert desk.contact(EVE).attributes == {"FIRSTNAME": "kept", "RFM": "E"}


def test_an_erasing_import_is_a_rectangle_of_blanks(desk: Desk) -> None:
    """Rows of an erasing import all name the same fields, all empty; there are never more than fields."""
    blanks = [("RFM",), ("SPENT",), ("VIP",), ("RFM", "SPENT"), ("SPENT", "VIP"), ("RFM", "SPENT", "VIP")]
    desk.do(Op.UPSERT, {f"c{n}@example.com": dict.fromkeys(names) for n, names in enumerate(blanks)})
    bodies = [body for _, path, body in desk.twin.bodies if path == "/v3/contacts/import"]
    erasing = [body for body in bodies if body["emptyContactsAttributes"]]
    assert len(bodies) - len(erasing) == 1
    assert len(erasing) == 3
    for body in erasing:
        rows = [row["attributes"] for row in body["jsonBody"]]
        assert len({tuple(row) for row in rows}) == 1
        assert {value for row in rows for value in row.values()} == {""}


def test_clear_leaves_contacts_outside_the_list_alone(desk: Desk) -> None:
    """A contact that is not in Octo's list is not emptied and not put into it."""
    made = desk.stranger(ADA, RFM="theirs")
    desk.do(Op.UPSERT, {BOB: {"RFM": "ours"}})
    told = desk.do(Op.CLEAR, {ADA: {"RFM": None}, BOB: {"RFM": None}})
    assert {receipt.outcome for receipt in told.values()} == {Outcome.ACCEPTED}
    assert (made.attributes, made.lists) == ({"RFM": "theirs"}, set())
    assert desk.contact(BOB).attributes == {}


def test_another_folders_list_of_the_same_name_is_not_ours(desk: Desk) -> None:
    """The list is looked for in the sync's folder only, and made there."""
    theirs = desk.twin.add_list(desk.account, "Octo customers", 1)
    desk.do(Op.UPSERT, {ADA: {}})
    assert desk.contact(ADA).lists.isdisjoint({theirs})
    assert {made["name"] for made in desk.account.lists.values()} == {"Octo customers"}
    assert len(desk.account.lists) == 2


def test_a_report_of_the_job_rejects_its_row(desk: Desk) -> None:
    """A row whose phone belongs to somebody else is rejected, with the report it stands in."""
    desk.stranger(EVE, SMS="+33612345678")
    told = desk.do(Op.UPSERT, {ADA: {"SMS": "+33612345678"}, BOB: {"SMS": "+33700000001"}})
    assert told[ADA].outcome is Outcome.REJECTED
    assert (told[ADA].reason or "").startswith("duplicate_phone_id: ")
    assert told[BOB].outcome is Outcome.ACCEPTED
    assert desk.destination.read(desk.api, [ADA, BOB], ["SMS"]) == {BOB: {"SMS": "+33700000001"}}


def test_a_report_is_about_whom_it_names(desk: Desk) -> None:
    """A refused row whose score reads like another customer's number does not reject that customer."""
    desk.stranger(EVE, SMS="+33612345678")
    told = desk.do(Op.UPSERT, {"7": {"SMS": "+33612345678", "RFM": "5"}, "5": {"RFM": "x"}}, "EXT_ID")
    assert {key: receipt.outcome for key, receipt in told.items()} == {
        "7": Outcome.REJECTED,
        "5": Outcome.ACCEPTED,
    }
    assert desk.destination.read(desk.api, ["7", "5"], ["RFM"]) == {"5": {"RFM": "x"}}


def test_a_key_of_the_other_kind_is_refused(desk: Desk) -> None:
    """An EXT_ID that looks like an address would be looked for as that address, which is somebody else's
    contact. Nor is an address without an @ sent."""
    stranger = desk.stranger(ADA)
    told = desk.do(Op.UPSERT, {ADA: {"RFM": "a"}, "c1": {"RFM": "b"}}, "EXT_ID")
    assert (told[ADA].reason, told["c1"].outcome) == ("EXT_ID: an @ is for addresses only", Outcome.ACCEPTED)
    assert desk.do(Op.UPSERT, {"c1": {"RFM": "z"}})["c1"].reason == "EMAIL: an address has an @"
    held = [(one.email, one.attributes) for one in desk.account.contacts.values()]
    assert held == [(ADA, {}), (None, {"EXT_ID": "c1", "RFM": "b"})]
    assert stranger.lists == set()


def test_the_key_is_not_shown_to_a_reports_host(desk: Desk) -> None:
    """Report files are fetched without the API key, every other call with it."""
    sent: list[tuple[str, bool]] = []
    desk.api.session.hooks["response"].append(
        lambda reply, **_: sent.append((reply.request.path_url, "api-key" in reply.request.headers))
    )
    desk.do(Op.UPSERT, {ADA: {}, "nowhere@example": {}})
    assert {keyed for path, keyed in sent if "/reports/" in path} == {False}
    assert {keyed for path, keyed in sent if "/v3/" in path} == {True}


def test_a_phone_without_country_is_refused_before_the_call(desk: Desk) -> None:
    """Brevo would drop it without a word, so the row is rejected here, both at once and when settled."""
    told = desk.do(Op.UPSERT, {ADA: {"SMS": "0612345678", "RFM": "a"}, BOB: {"RFM": "b"}})
    assert told[ADA].outcome is Outcome.REJECTED
    assert told[BOB].outcome is Outcome.ACCEPTED
    alone = desk.do(Op.UPSERT, {ADA: {"SMS": "0612345678"}})
    assert alone[ADA].reason == "SMS: not a phone number with + and country code"
    assert desk.account.find("EMAIL", ADA) is None


def test_a_running_job_keeps_its_token(desk: Desk) -> None:
    """While any job of the batch runs, one look is one call and nothing is decided."""
    desk.twin.job_polls = 3
    batch = desk.start(Op.UPSERT, {ADA: {"RFM": "a", "VIP": None}})
    assert (batch.token or "").count("+") == 1
    desk.calls.clear()
    answer = desk.destination.settle(desk.api, batch)
    assert answer is not None
    assert (answer.token, answer.receipts) == (batch.token, ())
    assert len(desk.calls) == 1
    assert desk.settled(batch)[ADA].outcome is Outcome.ACCEPTED


def test_a_failed_job_is_read_back(desk: Desk) -> None:
    """A failed job may have stored some of its rows, so nothing is said of any of them."""
    desk.sandbox.fault("brevo", "half_job")
    batch = desk.start(Op.UPSERT, {ADA: {"RFM": "a"}, BOB: {"RFM": "b"}})
    for _ in range(desk.twin.job_polls):
        running = desk.destination.settle(desk.api, batch)
        assert running is not None
        assert running.token == batch.token
    assert desk.destination.settle(desk.api, batch) is None
    assert desk.destination.read(desk.api, batch.keys, ["RFM"], batch.opened_at) == {ADA: {"RFM": "a"}}


@pytest.mark.parametrize("status", [400, 401])
def test_a_refusal_halfway_is_no_refusal(desk: Desk, status: int) -> None:
    """When the second import is refused the first one runs: it must not be taken for not sent."""
    desk.sandbox.fault("brevo", "error_before", path="/contacts/import", after=1, status=status)
    with pytest.raises(Unanswered, match="imports 1 of the same batch run"):
        desk.start(Op.UPSERT, {ADA: {"RFM": "a", "VIP": None}})


def test_a_forgotten_job_is_read_back(desk: Desk) -> None:
    """A job Brevo no longer knows is None: the engine reads back."""
    batch = replace(desk.start(Op.UPSERT, {ADA: {}}), token="4711")
    assert desk.destination.settle(desk.api, batch) is None


def test_half_a_batch_sent_is_not_unsent(desk: Desk) -> None:
    """When the second import is throttled the first one runs: Unanswered, not Retryable."""
    records: dict[str, Fields] = {ADA: {"RFM": "a", "VIP": None}}
    desk.sandbox.fault("brevo", "throttle", path="/contacts/import", after=1)
    with pytest.raises(Unanswered, match="imports 1 of the same batch run"):
        desk.start(Op.UPSERT, records)
    desk.sandbox.fault("brevo", "throttle", path="/contacts/import", seconds=2.5)
    with pytest.raises(Retryable) as refused:
        desk.start(Op.UPSERT, records)
    assert refused.value.wait == 2.5


def test_a_false_brevo_did_not_hear_is_seen(desk: Desk) -> None:
    """Where an import takes `false` for empty, reading back shows the old `true`."""
    desk.do(Op.UPSERT, {ADA: {"VIP": True}})
    desk.twin.deaf_to_false = True
    desk.do(Op.UPSERT, {ADA: {"VIP": False}})
    assert desk.destination.read(desk.api, [ADA], ["VIP"]) == {ADA: {"VIP": True}}


def test_fields_that_cannot_hold_their_values_are_problems(desk: Desk) -> None:
    """Wrong type, wrong case, a calculated attribute, consent: each is a line, and nothing is made of it."""
    desk.account.attributes["SCORE"] = Attribute("SCORE", "normal", "text")
    desk.account.attributes["AGE"] = Attribute("AGE", "calculated", None, value="COUNT[X]")
    before = set(desk.account.attributes)
    mapped = {
        "SCORE": FieldType.DECIMAL,
        "AGE": FieldType.INTEGER,
        "Rfm": FieldType.TEXT,
        "OPT_IN": FieldType.BOOLEAN,
        "SMS": FieldType.INTEGER,
        "RFM": FieldType.TEXT,
    }
    found = desk.destination.ensure_fields(desk.api, mapped, create=True)
    assert [line.split(":")[0] for line in found.problems] == ["SCORE", "AGE", "Rfm", "OPT_IN", "SMS"]
    assert found.existing == ("RFM",)
    assert set(desk.account.attributes) == before


def test_an_attribute_brevo_refuses_is_a_problem(desk: Desk) -> None:
    """What cannot be made is reported in Brevo's words."""
    desk.sandbox.twin("brevo").accounts["sandbox-key"].attributes.pop("RFM")
    found = desk.destination.ensure_fields(
        desk.api, {"EMAIL": FieldType.TEXT, "": FieldType.TEXT}, create=True
    )
    assert found.existing == ("EMAIL",)
    assert len(found.problems) == 1


def test_few_keys_are_read_one_by_one_and_many_by_pages(desk: Desk) -> None:
    """Two keys cost two calls; 2,200 keys three pages; who asks for the oldest stops when all are found."""
    records: dict[str, Fields] = {f"c{n}@example.com": {"RFM": "a"} for n in range(2_200)}
    desk.do(Op.UPSERT, records)
    keys = list(records)
    for asked, calls in ((keys[:2], 2), (keys, 3), (keys[:1_500], 2)):
        desk.calls.clear()
        assert len(desk.destination.read(desk.api, asked, ["RFM"])) == len(asked)
        assert len(desk.calls) == calls


def test_a_record_unchanged_since_is_still_found(desk: Desk) -> None:
    """An import that changes nothing is no modification: `since` must not make its rows look absent."""
    desk.do(Op.UPSERT, {ADA: {"RFM": "a"}, BOB: {}, EVE: {}})
    soon = datetime.now(UTC) + timedelta(minutes=5)
    assert set(desk.destination.read(desk.api, [ADA, BOB, EVE], ["RFM"], soon)) == {ADA, BOB, EVE}


def test_a_record_outside_the_list_is_absent(desk: Desk) -> None:
    """A contact Brevo has, but not in the list, does not count; nor does any before there is a list."""
    desk.stranger(ADA)
    assert desk.destination.read(desk.api, [ADA], ["RFM"]) == {}
    desk.do(Op.UPSERT, {BOB: {}})
    assert desk.destination.read(desk.api, [ADA], ["RFM"]) == {}


def test_new_choices_are_added_before_they_are_used(desk: Desk) -> None:
    """A multiple-choice attribute learns the values of the batch, once."""
    desk.destination.ensure_fields(desk.api, {"TAGS": FieldType.LIST}, create=True)
    for _ in range(2):
        desk.do(Op.UPSERT, {ADA: {"TAGS": ["wine", "cheese"]}})
    assert desk.contact(ADA).attributes["TAGS"] == ["wine", "cheese"]
    assert desk.counted("PUT", "/attributes/") == 1


def test_a_refused_removal_is_an_error_while_somebody_is_in_the_list(desk: Desk) -> None:
    """A 400 counts as done when nobody of the batch is in the list, whatever its words, and only then."""
    desk.do(Op.UPSERT, {ADA: {}})
    with pytest.raises(BatchRejected, match="Invalid email address"):
        desk.do(Op.LEAVE, {ADA: {}, "nowhere@example": {}})
    told = desk.do(Op.LEAVE, {"nowhere@example": {}, BOB: {}})
    assert {receipt.outcome for receipt in told.values()} == {Outcome.ACCEPTED}


def test_a_full_batch_fits_the_vendors_body(desk: Desk) -> None:
    """A batch of most rows and most bytes stays under the 8 MB Brevo advises; 10 MB are refused."""
    limits = desk.destination.limits(Op.UPSERT, 1_000_000)
    fields: Fields = {"RFM": "é" * ((limits.bytes or 0) // limits.rows // 2 - 6)}
    whole = len(json.dumps(fields, ensure_ascii=False).encode()) * limits.rows
    assert 0.9 * (limits.bytes or 0) < whole <= (limits.bytes or 0)
    desk.start(Op.UPSERT, {f"customer{n:022}@example.com": fields for n in range(limits.rows)})
    (call,) = [call for call in desk.sandbox.calls("brevo") if call.path == "/v3/contacts/import"]
    assert call.bytes < 8_000_000
    refused = desk.api.call("POST", "/contacts/import", {"fileBody": "x" * 10_000_000, "listIds": [1]})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_parameter")


def test_nobody_is_passed_over_while_others_leave(desk: Desk) -> None:
    """Twenty leave the list with every page of it that is read: all who stay are found."""
    keys: dict[str, Fields] = {f"old{number}@example.com": {"RFM": "x"} for number in range(2_500)}
    desk.do(Op.UPSERT, keys)
    (list_id,) = desk.contact("old0@example.com").lists

    def leave(offset: int) -> None:
        for number in range(offset // 10, offset // 10 + 20):
            desk.contact(f"old{number}@example.com").lists.discard(list_id)

    desk.twin.meanwhile = leave
    wanted = [f"old{number}@example.com" for number in range(900, 1_100)]
    assert len(desk.destination.read(desk.api, wanted, ["RFM"])) == len(wanted)


def test_a_list_that_never_stands_still_is_not_believed(desk: Desk) -> None:
    """Where every page has moved before the next is read, nothing is claimed of anybody: it goes again later."""
    desk.do(Op.UPSERT, {f"old{number}@example.com": {"RFM": "x"} for number in range(2_500)})
    here = desk.contact("old0@example.com").lists

    def turn(offset: int) -> None:
        for number in range(1_200):
            contact = desk.contact(f"old{number}@example.com")
            contact.lists = set() if contact.lists else set(here)

    desk.twin.meanwhile = turn
    with pytest.raises(Retryable, match="changes faster than it can be read"):
        desk.destination.read(
            desk.api, [f"old{number}@example.com" for number in range(2_400, 2_500)], ["RFM"]
        )
