"""What HubSpot refuses, forgets or does not answer, and whose row or call it is."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from connectors.destinations.hubspot.destination import HubSpot
from octo_dagster.errors import BatchRejected, DeliveryError, Fatal, Retryable, Unanswered
from octo_dagster.model import Op
from tests.contract.hubspot.front import (
    ADA,
    BOB,
    EVE,
    NO,
    OK,
    UNSENT,
    Front,
    either_way,
)
from tests.vendors.hubspot import HUBSPOT, KEY


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
