"""What Google is told of a person, held against Google's own library and examples."""

from __future__ import annotations

import random
import string

import pytest
from google.ads.datamanager_util.format import Encoding, Formatter

from connectors.destinations.google_audience.identifiers import identifiers, member, normal, stale, unfit
from octo_dagster.model import Change
from tests.vendors.hashed import sha256

PLACE = {"given_name": "Ada", "family_name": "Lovelace", "region_code": "fr", "postal_code": "75001"}
ORACLE = Formatter()

NORMAL = [
    ("email", " Ada.Lovelace+Octo@Gmail.com ", "adalovelace@gmail.com"),
    ("email", "a.b+c@googlemail.com", "ab@googlemail.com"),
    ("email", "Ada.Lovelace+Octo@Example.com", "ada.lovelace+octo@example.com"),
    ("email", "...@gmail.com", None),
    ("email", "nowhere@example", None),
    ("phone", "0033 6 12 34 56 78", "+33612345678"),
    ("phone", "06 12 34 56 78", None),
    ("given_name", " Zoë-Marie d'Arc ", "zoë-marie d'arc"),
    ("region_code", "fr", "FR"),
    ("region_code", "France", None),
    ("postal_code", " SW1A 1AA ", "SW1A 1AA"),
]


@pytest.mark.parametrize(("name", "value", "wanted"), NORMAL)
def test_each_kind_has_one_form(name: str, value: str, wanted: str | None) -> None:
    """Spelled however, an identifier has one form; what nobody could be found by has none."""
    assert normal(name, value, None) == wanted


def test_google_s_own_example() -> None:
    """The guide's number of the United States, whose country only the setting tells."""
    assert normal("phone", "(800)555-0100", "1") == "+18005550100"


CHANCE = random.Random("google")
DOMAINS = ("gmail.com", "GoogleMail.com", "example.com", "shop.example.co.uk")


def some(signs: str, least: int, most: int) -> str:
    return "".join(CHANCE.choices(signs, k=CHANCE.randint(least, most)))


def test_all_is_hashed_as_google_s_library_hashes_it() -> None:
    """For whatever address, number and name, our hash is that of the Formatter, wherever there is one."""
    for _ in range(500):
        local = some(string.ascii_letters, 1, 3) + some(string.ascii_letters + "0123456789.+_-", 0, 10)
        email = f" {local}@{CHANCE.choice(DOMAINS)}\n"
        number = f"+49 {some('123456789', 3, 4)}{some(' .-', 0, 2)}{some('0123456789', 5, 7)} "
        name = some(string.ascii_letters + "éÉßłŁçØ שלום", 1, 12) + CHANCE.choice("aé'.-")
        fields = {**PLACE, "phone": number, "family_name": name}
        found = {
            key: value for one in identifiers("email", email, fields, None) for key, value in one.items()
        }
        assert found == {
            "emailAddress": ORACLE.process_email_address(email, Encoding.HEX),
            "phoneNumber": ORACLE.process_phone_number(number, Encoding.HEX),
            "address": {
                "givenName": ORACLE.process_given_name("Ada", Encoding.HEX),
                "familyName": ORACLE.process_family_name(name, Encoding.HEX),
                "regionCode": ORACLE.process_region_code("fr"),
                "postalCode": ORACLE.process_postal_code("75001"),
            },
        }


def test_an_address_is_whole_or_not_at_all() -> None:
    """Google refuses a place without one of its four parts, so none is sent then."""
    whole = identifiers("email", "a@example.com", PLACE, None)
    assert len(whole) == 2
    for name in PLACE:
        assert identifiers("email", "a@example.com", PLACE | {name: " "}, None) == whole[:1]


def test_who_is_unfit_is_told_without_his_data() -> None:
    """The reason names the field, never the value; without consent there is a reason, too."""
    for name, value in (("email", "ada"), ("phone", "0612345678"), ("region_code", "Frankreich")):
        key, fields = (value, {}) if name == "email" else ("ada@example.com", {name: value})
        reason = unfit("email", Change(key, fields), None)
        assert reason is not None
        assert (reason.partition(":")[0], value in reason) == (name, False)
    for said in (False, None):
        reason = unfit("email", Change("ada@example.com", {"ad_user_data": said}), None)
        assert reason is not None
        assert reason.startswith("ad_user_data: no consent")
    assert unfit("email", Change("ada@example.com", {"ad_user_data": True, "phone": ""}), None) is None


def test_what_is_no_longer_true_grows_stale() -> None:
    """A changed number and a changed place are to be taken back; a field that is not sent is as it was."""
    before = {**PLACE, "phone": "+33612345678"}
    phone, place = identifiers("email", "a@example.com", before, None)[1:]
    assert phone == {"phoneNumber": sha256("+33612345678")}

    def old(**fields: str | bool | None) -> list[object]:
        return [*stale("email", Change("a@example.com", fields, before=before), None)]

    assert old(phone="+33699999999") == [phone]
    assert old(phone=None, family_name="King") == [phone, place]
    assert old(phone="0033 612345678", given_name="ADA ") == []
    assert old(ad_user_data=False) == identifiers("email", "a@example.com", before, None)
    assert stale("email", Change("a@example.com", {"phone": None}), None) == []


def test_consent_is_said_in_so_many_words() -> None:
    """A member without a consent of his own has none in the request; the request's then counts."""
    assert member([{"emailAddress": "x"}]) == {"userData": {"userIdentifiers": [{"emailAddress": "x"}]}}
    said = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_DENIED"}
    assert member([], said)["consent"] == said
