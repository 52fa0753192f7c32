"""Two customers whom an ad audience knows by one value: who leaves does not take the other with him."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.ledger_tables import SYNCS
from octo_dagster.delivery.plan import Options
from octo_dagster.errors import PlanRefused
from tests.vendors.google_audience import VENDOR as GOOGLE
from tests.vendors.hashed import sha256
from tests.vendors.meta_audience import VENDOR as META
from tests.world import World, row

VENDORS = {"google_audience": GOOGLE, "meta_audience": META}
AUDIENCES = {"meta_audience": ("PHONE", "", "FN"), "google_audience": ("phone", "+", "given_name")}
"""Destination → its name for a telephone number, what it puts before the digits it hashes, and its name
for a first name."""


@pytest.fixture(params=sorted(AUDIENCES))
def shop(
    request: pytest.FixtureRequest, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> World:
    """A mirror into an ad audience; customers of as many orders have one telephone."""
    vendor = VENDORS[request.param]
    for name, value in vendor.examinee.env.items():
        monkeypatch.setenv(name, value)
    said = vendor.said()
    phone = {"template": "+33{orders}55500000", "to": AUDIENCES[request.param][0]}
    return World(tmp_path, sandbox, request.param).say(**said | {"fields": [phone]})


def found_by(shop: World) -> str:
    """Everything anybody in the audience is found by."""
    return str(shop.sandbox.twin(shop.vendor).holdings()["members"])


def telephone(shop: World, number: int) -> str:
    """The hash of a number as this vendor takes it."""
    return sha256(f"{AUDIENCES[shop.vendor][1]}33{number}55500000")


def test_who_stays_keeps_the_household_s_telephone(shop: World) -> None:
    """One of two leaves by his address alone; when the other leaves too the number goes with him."""
    shop.have([row(1, orders=7), row(2, orders=7), row(3)]).deliver()
    assert shop.have([row(2, orders=7), row(3)]).deliver().exit_code == 0
    assert telephone(shop, 7) in found_by(shop)
    assert sha256("customer1@example.com") not in found_by(shop)
    assert shop.deliver().planned == 0
    assert shop.have([row(3)]).deliver().exit_code == 0
    assert telephone(shop, 7) not in found_by(shop)


def test_both_leave_at_once(shop: World) -> None:
    """Nobody is left who could be found by it."""
    shop.have([row(1, orders=7), row(2, orders=7), row(3)]).deliver()
    shop.have([row(3)]).deliver()
    assert telephone(shop, 7) not in found_by(shop)


def test_a_number_that_changes_hands_stays(shop: World) -> None:
    """He has another telephone now; of who has his old one, or gets it in the same run, it is not taken."""
    shop.have([row(1, orders=7), row(2, orders=7), row(3)]).deliver()
    shop.have([row(1, orders=8), row(2, orders=7), row(3, orders=9)]).deliver()
    assert all(telephone(shop, number) in found_by(shop) for number in (7, 8, 9))
    shop.have([row(1, orders=8), row(2, orders=9), row(4, orders=7)]).deliver()
    assert all(telephone(shop, number) in found_by(shop) for number in (7, 8, 9))
    assert telephone(shop, 3) not in found_by(shop)


def test_who_cannot_be_told_anew_stays_as_he_is(shop: World) -> None:
    """His new number is none, so that he is held by the old one: it is not taken with another who leaves."""
    shop.have([row(1, orders=7), row(2, orders=7), row(3)]).deliver()
    report = shop.have([row(1, orders=1234), row(3)]).deliver(allow=True)
    assert (report.tally.accepted, report.tally.rejected) == (1, 1)
    assert telephone(shop, 7) in found_by(shop)
    shop.have([row(3)]).deliver(allow=True)
    assert telephone(shop, 7) not in found_by(shop)


def test_one_person_under_two_keys(shop: World) -> None:
    """Two spellings of one number are two keys and one member: he stays until neither stands for him."""
    phone, _, name = AUDIENCES[shop.vendor]
    shop.say(key={"from": "email", "to": phone}, fields=[{"from": "segment", "to": name}])
    spelled = {1: "+33 7 55 50 00 00", 2: "0033 755500000"}
    shop.have([row(number, email=email) for number, email in spelled.items()]).deliver()
    assert shop.have([row(2, email=spelled[2])]).deliver(allow=True).exit_code == 0
    assert telephone(shop, 7) in found_by(shop)
    shop.have([]).deliver(allow=True)
    assert telephone(shop, 7) not in found_by(shop)


def test_a_live_run_looks_at_the_others_too(shop: World) -> None:
    """A run of a few customers, as an order starts it, knows who else has the number."""
    shop.have([row(1, orders=7), row(2, orders=7), row(3)]).deliver()
    few = Options(near=("customer1@example.com",))
    assert shop.have([row(2, orders=7), row(3)]).deliver(few).tally.accepted == 1
    assert telephone(shop, 7) in found_by(shop)


def test_another_country_code_waits_until_nobody_is_held(shop: World) -> None:
    """What was told under one code could not be taken back under another: nothing is written until all have
    left; then it may be another."""
    there = shop.said["destination"]
    phone = [{"from": "segment", "to": AUDIENCES[shop.vendor][0]}]
    shop.say(destination=there | {"calling_code": "33"}, fields=phone)
    shop.have([row(1, segment="06 12 34 56 78"), row(2, segment="06 12 34 56 79")]).deliver()
    shop.say(destination=there | {"calling_code": "39"})
    before = found_by(shop)
    with pytest.raises(PlanRefused, match=r"calling_code=33.*calling_code=39"):
        shop.have([row(2, segment="06 12 34 56 79")]).deliver()
    assert found_by(shop) == before
    shop.say(destination=there | {"calling_code": "33"}).have([]).deliver(allow=True)
    assert found_by(shop) == "[]"
    shop.say(destination=there | {"calling_code": "39"})
    assert shop.have([row(2, segment="06 1234 5679")]).deliver().exit_code == 0
    assert sha256(f"{AUDIENCES[shop.vendor][1]}390612345679") in found_by(shop)


def test_a_place_kept_without_a_country_code(shop: World) -> None:
    """A ledger of an older version, which kept the list alone, is no reason to refuse."""
    shop.have([row(1, orders=7)]).deliver()
    ledger = shop.project.ledger
    (known,) = [line["account"] for line in ledger.read(sa.select(SYNCS))]
    with ledger.engine.begin() as connection:
        older = str(known).partition("; calling_code=")[0]
        connection.execute(sa.update(SYNCS).values(account=older))
    assert shop.have([row(1, orders=8)]).deliver().exit_code == 0
    assert telephone(shop, 8) in found_by(shop)


def test_an_audience_that_is_gone_is_not_made_with_the_few(shop: World) -> None:
    """Deleted by hand, it would come back with those alone that change, and renamed, keep who leaves: the run
    stops, whoever comes, changes or leaves; sent again in full, it is made with everybody."""
    shop.have([row(n) for n in (1, 2, 3)]).deliver()
    for lists in shop.sandbox.twin(shop.vendor).accounts.values():
        lists.clear()
    few: list[tuple[int, ...]] = [(1, 2, 3, 4), (1, 2)]
    for rows in ([row(1, orders=8), row(2), row(3)], *([row(n) for n in some] for some in few)):
        report = shop.have(rows).deliver(allow=True)
        assert (report.exit_code, report.tally.accepted) == (7, 0)
        assert "--full" in str(report.error)
    assert shop.deliver(Options(full=True), allow=True).exit_code == 0
    assert shop.deliver(allow=True).exit_code == 0
    assert [sha256(f"customer{n}@example.com") in found_by(shop) for n in (1, 2, 3)] == [True, True, False]


def test_a_number_that_is_a_number(shop: World) -> None:
    """In a column of decimals, as a spreadsheet with empty cells makes it, a telephone number gets no digit
    more."""
    field = {"from": "revenue", "to": AUDIENCES[shop.vendor][0]}
    shop.say(destination=shop.said["destination"] | {"calling_code": "49"}, fields=[field])
    assert shop.have([row(1, revenue=Decimal("301234567.00"))]).deliver().exit_code == 0
    assert sha256(f"{AUDIENCES[shop.vendor][1]}49301234567") in found_by(shop)
