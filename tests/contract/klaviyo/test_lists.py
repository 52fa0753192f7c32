"""The list a sync keeps, pages of what is there, and what a newcomer is told of an account."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.destinations.klaviyo.api import after
from octo_dagster.model import Fields, FieldType, Op
from tests.contract.klaviyo.desk import ADA, BOB, EVE, Desk

# lists ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Octo customers", 'Clients "Été" 🐙'])
def test_the_oldest_list_of_the_name_is_kept(desk: Desk, name: str) -> None:
    """However many lists there are, the one of this name is found, whatever its letters, and none is made."""
    at = Desk(desk.sandbox, list=name)
    ours = [desk.account.add_list(told, float(n)) for n, told in enumerate([*"abcdefghijkl", name, name])]
    at.do(Op.UPSERT, {ADA: {}})
    at.close()
    assert list(desk.profile(ADA).lists) == [ours[-2].id]
    assert len(desk.account.lists) == 14


def test_a_thousand_leave_in_one_call(desk: Desk) -> None:
    """A thousand are looked for a hundred at a time and leave at once; who is not there costs nothing."""
    people: dict[str, Fields] = {f"c{n}@example.com": {} for n in range(1_000)}
    desk.do(Op.UPSERT, people)
    desk.calls.clear()
    desk.do(Op.LEAVE, people)
    assert (desk.asked("DELETE", ""), desk.asked("GET", "/profiles")) == (1, 10)
    desk.do(Op.LEAVE, people)
    assert desk.asked("DELETE", "") == 1
    assert desk.destination.limits(Op.LEAVE, 5_000).rows == 1_000


def test_without_a_list_none_is_touched(bare: Desk) -> None:
    """A sync that names no list makes none, asks none, and finds whoever is in the account."""
    bare.stranger(BOB, rfm="theirs")
    bare.do(Op.UPSERT, {ADA: {"rfm": "a"}})
    assert bare.destination.read(bare.api, [ADA, BOB], ["rfm"]) == {
        ADA: {"rfm": "a"},
        BOB: {"rfm": "theirs"},
    }
    assert (bare.account.lists, bare.asked("GET", "/lists")) == ({}, 0)


def test_the_last_page_may_say_so_in_two_ways() -> None:
    """No link to a next page, or null for one, is the end."""
    ends: list[dict[str, Any]] = [{}, {"links": None}, {"links": {"next": None}}]
    assert [after(reply) for reply in ends] == [None, None, None]
    assert after({"links": {"next": "https://a.klaviyo.com/api/lists?page%5Bcursor%5D=abc"}}) == "abc"


# what there is -------------------------------------------------------------------------------------


def test_a_survey_tells_properties_and_lists(desk: Desk) -> None:
    """Properties with their types, as far as the last hundred profiles tell, and the names of the lists."""
    desk.account.add_list("Newsletter", 0.0)
    desk.stranger(ADA, rfm="best", orders=3, spent=2, vip=True, last="2026-11-22", **{"$source": "api"})
    desk.stranger(BOB, spent=2.5, at="2026-11-22T10:00:00Z", tags=["a"], odd={"a": 1}, mixed="x")
    desk.stranger(EVE, mixed=1, nothing=None)
    seen = desk.destination.survey(desk.api)
    told = {name: seen.fields[name] for name in seen.fields if name.islower() and "." not in name}
    assert (
        told.items()
        >= {
            "rfm": FieldType.TEXT,
            "orders": FieldType.INTEGER,
            "spent": FieldType.DECIMAL,
            "vip": FieldType.BOOLEAN,
            "last": FieldType.DATE,
            "at": FieldType.DATETIME,
            "tags": FieldType.LIST,
            "odd": None,
            "mixed": None,
            "first_name": FieldType.TEXT,
        }.items()
    )
    assert {"$source", "nothing"}.isdisjoint(seen.fields)
    assert (seen.keys, seen.places, seen.missing) == (("email", "external_id"), {"list": ("Newsletter",)}, ())


def test_a_survey_tells_what_it_may_not_see(desk: Desk) -> None:
    """A scope that is missing is a line, not an error."""
    desk.twin.withheld = {"profiles:read", "lists:read"}
    seen = desk.destination.survey(desk.api)
    assert [line.partition(": ")[0] for line in seen.missing] == ["profiles:read", "lists:read"]
    assert seen.places == {"list": ()}
