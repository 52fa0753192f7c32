"""Which properties HubSpot's destination makes and writes, and which values it refuses before the call."""

from __future__ import annotations

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.model import FieldType, Op, Outcome
from tests.contract.hubspot.front import ADA, BY_ID, Front

OK, NO = Outcome.ACCEPTED, Outcome.REJECTED


def test_the_key_is_made_with_unique_values(sandbox: Sandbox) -> None:
    """Missing properties are made in a group of their own, the key's with unique values, the others without."""
    front = Front(sandbox, **BY_ID)
    report = front.destination.ensure_fields(
        front.api, {"octo_id": FieldType.TEXT, "octo_rfm": FieldType.TEXT}, create=True
    )
    made = front.account.properties
    assert report.created == ("octo_id", "octo_rfm")
    assert (made["octo_id"].unique, made["octo_rfm"].unique) == (True, False)
    assert {made[name].group for name in report.created} == {"octo"}
    front.close()


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("hs_email_optout", FieldType.BOOLEAN, "who may be written to"),
        ("hs_email_optout_4711", FieldType.BOOLEAN, "who may be written to"),
        ("hs_marketable_status", FieldType.TEXT, "who may be written to"),
        ("hs_legal_basis", FieldType.TEXT, "who may be written to"),
        ("hs_additional_emails", FieldType.TEXT, "HubSpot's own"),
        ("num_associated_deals", FieldType.INTEGER, "calculated or read-only"),
        ("createdate", FieldType.DATETIME, "calculated or read-only"),
        ("firstname", FieldType.INTEGER, "holds no integer"),
        ("lifecyclestage", FieldType.LIST, "holds no list"),
        ("RFM Segment", FieldType.TEXT, "lower-case letters, digits and _: rfm_segment"),
    ],
)
def test_fields_that_cannot_be_mapped(front: Front, name: str, kind: FieldType, why: str) -> None:
    """What is consent's, HubSpot's own, read-only or of another type is named, and nothing is made."""
    before = set(front.account.properties)
    report = front.destination.ensure_fields(front.api, {name: kind}, create=True)
    (line,) = report.problems
    assert line.startswith(f"{name}: ")
    assert why in line
    assert set(front.account.properties) == before


def test_a_key_that_is_not_unique_is_named(front: Front) -> None:
    """A property somebody made without unique values cannot be the key, and cannot be changed."""
    front.account.properties["octo_id"].unique = False
    report = front.destination.ensure_fields(front.api, {"octo_id": FieldType.TEXT}, create=True)
    assert [line.partition(":")[0] for line in report.problems] == ["octo_id"]


def test_choices_are_added_and_none_is_lost(front: Front) -> None:
    """A list's new choices are added beside those people made; one with a semicolon is refused by name."""
    tags = front.account.properties["octo_likes"]
    tags.options = [{"label": "Theirs", "value": "theirs", "displayOrder": 0, "hidden": True}]
    told = front.do(Op.UPSERT, {"a1": {"octo_likes": ["tea", "jam"]}, "b1": {"octo_likes": ["a;b"]}})
    assert (told["a1"].outcome, told["b1"].outcome) == (OK, NO)
    assert {one["value"] for one in tags.options} == {"theirs", "jam", "tea"}
    assert "semicolon" in (told["b1"].reason or "")
    front.reset()
    front.upsert({"c1": {"octo_likes": ["tea"]}})
    assert front.asked() == ["POST /contacts/batch/upsert"]


def test_a_choice_that_cannot_be_added_refuses_its_row_only(front: Front) -> None:
    """Where HubSpot will not take a choice, rows without it go through."""
    tags = front.account.properties["octo_likes"]
    tags.options = [{"label": "tea", "value": "green", "displayOrder": 0, "hidden": False}]
    told = front.do(Op.UPSERT, {"a1": {"octo_likes": ["tea"]}, "b1": {"octo_likes": ["green"]}})
    assert (told["a1"].outcome, told["b1"].outcome) == (NO, OK)
    assert [one["value"] for one in tags.options] == ["green"]


def test_a_choice_of_one_is_checked_before_the_call(front: Front) -> None:
    """Text for a property of fixed choices must be one of them."""
    told = front.do(Op.UPSERT, {"a1": {"lifecyclestage": "vip"}, "b1": {"lifecyclestage": "lead"}})
    assert told["a1"].reason == "lifecyclestage: vip: not among the choices of the property"
    assert told["b1"].outcome is OK


def test_a_stage_that_goes_back_is_not_believed(front: Front) -> None:
    """HubSpot keeps a later lifecycle stage and says nothing of it: the row is rejected, not lost."""
    front.upsert({"a1": {"lifecyclestage": "customer"}})
    told = front.do(Op.UPSERT, {"a1": {"lifecyclestage": "lead", "octo_rfm": "a"}})
    assert told["a1"].reason == "lifecyclestage: HubSpot keeps 'customer'"


def test_an_address_is_never_emptied(front: Front) -> None:
    """Neither by a value that is empty nor by taking back: a contact keeps its address and its key."""
    front.upsert({"a1": {"email": ADA, "octo_rfm": "a"}})
    assert front.do(Op.UPSERT, {"a1": {"email": None}})["a1"].reason == "email: cannot be emptied"
    assert front.do(Op.CLEAR, {"a1": {"email": None, "octo_rfm": None}})["a1"].outcome is OK
    assert front.contact(ADA).properties == {"email": ADA, "octo_id": "a1"}


def test_dates_are_read_in_both_spellings(front: Front) -> None:
    """Milliseconds since 1970 and ISO 8601 are one date, and numbers keep their decimals."""
    front.upsert({"a1": {"octo_last": "2026-11-22", "octo_spent": 7, "octo_best": True}})
    held = front.account.find("octo_id", "a1")
    assert held is not None
    held.properties["octo_last"] = "1795305600000"
    assert front.read("a1", names=("octo_last",)) == {"a1": {"octo_last": "2026-11-22"}}
