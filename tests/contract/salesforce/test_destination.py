"""What only Salesforce does: field permissions, certificates, a quota for the whole org, its spelling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.destinations.salesforce.destination import Salesforce
from connectors.destinations.salesforce.org import as_value, in_csv, in_json, literal, packed
from connectors.destinations.salesforce.replies import receipt, removed
from connectors.sandbox.salesforce.objects import SField
from connectors.sandbox.salesforce.soql import parse
from connectors.sandbox.server import Sandbox
from octo_dagster.errors import BatchRejected, ConfigError, Fatal, Retryable
from octo_dagster.model import Change, FieldType, Op, Outcome, Value
from tests.contract.sitting import Sitting
from tests.vendors.salesforce import SALESFORCE

CONTACT = replace(
    SALESFORCE,
    settings={**SALESFORCE.settings, "object": "Contact"},
    types={"LastName": FieldType.TEXT, "Email": FieldType.TEXT, "Vip__c": FieldType.BOOLEAN},
    prepare=lambda twin: twin.add_key("Contact", "Octo_Id__c"),
)


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SALESFORCE.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def twin(sandbox: Sandbox) -> Any:
    made = sandbox.twin("salesforce")
    made.job_seconds = 0.0
    made.add_key("Customer__c", "Octo_Id__c")
    made.add_key("Contact", "Octo_Id__c")
    return made


@pytest.fixture
def contacts(sandbox: Sandbox, twin: Any) -> Iterator[Sitting]:
    """Signed in, sending contacts by collections."""
    made = Sitting(CONTACT, sandbox.address)
    with closing(made.http):
        yield made.ready()


# records -------------------------------------------------------------------------------------------


def people(count: int) -> list[Change]:
    return [
        Change(f"k{n}", {"LastName": f"N{n}", "Email": f"n{n}@example.com", "Vip__c": True})
        for n in range(count)
    ]


def test_clearing_a_contact_keeps_its_name(contacts: Sitting) -> None:
    """A field that must not be empty stays; the others are emptied."""
    contacts.carry_out(Op.UPSERT, *people(1))
    told = contacts.carry_out(Op.CLEAR, Change("k0", dict.fromkeys(CONTACT.types)))
    assert told["k0"].outcome is Outcome.ACCEPTED
    assert contacts.read("k0") == {"k0": {"LastName": "N0", "Email": None, "Vip__c": False}}


def test_locked_rows_go_again(contacts: Sitting, twin: Any) -> None:
    """A row that somebody else was writing is unsent rather than rejected."""
    twin.orgs[0].locked_rows = 1
    told = contacts.carry_out(Op.UPSERT, *people(2))
    assert [told[key].outcome for key in ("k0", "k1")] == [Outcome.UNSENT, Outcome.ACCEPTED]


@pytest.mark.parametrize("op", [Op.CLEAR, Op.DELETE])
def test_a_key_of_two_records_is_taken_back_from_neither(contacts: Sitting, twin: Any, op: Op) -> None:
    """Where the key is not unique after all nobody knows which record is meant: rejected, both stay."""
    for _ in range(2):
        twin.orgs[0].add("Contact", {"LastName": "A", "Title": "CEO", "Octo_Id__c": "k1"})
    told = contacts.carry_out(op, Change("k1", {"Title": None}))
    assert (told["k1"].outcome, (told["k1"].reason or "")[:21]) == (Outcome.REJECTED, "DUPLICATE_EXTERNAL_ID")
    assert [found["Title"] for found in twin.holdings()["Contact"]] == ["CEO", "CEO"]


def test_a_record_that_goes_away_meanwhile_is_taken_back(contacts: Sitting, twin: Any) -> None:
    """Deleted by somebody between our look and our call: as good as done."""
    id_ = twin.orgs[0].add("Contact", {"LastName": "A"})
    twin.orgs[0].delete("Contact", id_)
    destination: Any = contacts.destination
    [receipt] = destination.work.delete(contacts.api, {"k1": id_})
    assert receipt.outcome is Outcome.ACCEPTED


def test_clearing_nothing_clears_nothing(contacts: Sitting) -> None:
    """A removal that names no field leaves the record as it is."""
    contacts.carry_out(Op.UPSERT, *people(1))
    before = contacts.read("k0")
    assert contacts.carry_out(Op.CLEAR, Change("k0"))["k0"].outcome is Outcome.ACCEPTED
    assert contacts.read("k0") == before


def test_refusals_name_code_and_field(contacts: Sitting) -> None:
    """A rejected row says the vendor's code, words and fields."""
    told = contacts.carry_out(Op.UPSERT, Change("k1", {"LastName": "A", "Email": "badone"}))
    assert told["k1"].reason == "INVALID_EMAIL_ADDRESS: Email: invalid email address: badone (Email)"


def test_a_refusal_without_a_word_is_a_refusal() -> None:
    """A row that was refused with no error beside it is rejected, and ends no run."""
    told = receipt("k1", {"success": False, "errors": []})
    assert (told.outcome, told.reason) == (
        Outcome.REJECTED,
        "REFUSED: Salesforce refused the record and did not say why",
    )
    assert removed("k1", {"success": False}).outcome is Outcome.REJECTED


def test_a_contact_that_people_deleted_comes_back_whole(contacts: Sitting, twin: Any) -> None:
    """A change of one field makes it anew with what is written once only, the name it cannot be without."""
    contacts.carry_out(Op.UPSERT, *people(1))
    (made,) = twin.holdings()["Contact"]
    twin.orgs[0].delete("Contact", made["Id"])
    change = replace(people(1)[0], fields={"Vip__c": False}, known=True, before=people(1)[0].fields)
    assert contacts.carry_out(Op.UPSERT, change)["k0"].outcome is Outcome.ACCEPTED
    assert contacts.read("k0") == {"k0": {"LastName": "N0", "Email": "n0@example.com", "Vip__c": False}}


def test_a_contact_comes_back_without_what_is_mapped_no_more(contacts: Sitting, twin: Any) -> None:
    """A field that the sync once wrote, and the org has no more, keeps nobody from coming back."""
    contacts.carry_out(Op.UPSERT, *people(1))
    (made,) = twin.holdings()["Contact"]
    twin.orgs[0].delete("Contact", made["Id"])
    contacts.accepted["k0"] = {**contacts.accepted["k0"], "Gone__c": "x"}
    change = Change("k0", {"Vip__c": False}, known=True)
    assert contacts.carry_out(Op.UPSERT, change)["k0"].outcome is Outcome.ACCEPTED
    assert contacts.read("k0")["k0"]["LastName"] == "N0"


def test_a_number_the_field_would_round_is_refused(sandbox: Sandbox, twin: Any) -> None:
    """Salesforce rounds to a field's scale without a word: such a row is rejected, by call and by job, and says
    what to do; the others go, trailing zeros or not."""
    org = twin.orgs[0]
    org.fields["Contact"]["Score__c"] = SField("Score__c", "double", precision=8, scale=2)
    org.granted["Contact", "Score__c"] = org.granted["Contact", "Octo_Id__c"]
    examinee = replace(CONTACT, types={"LastName": FieldType.TEXT, "Score__c": FieldType.DECIMAL})
    for bulk_from in (2_000, 1):
        sitting = Sitting(examinee, sandbox.address, {"bulk_from": bulk_from})
        with closing(sitting.http):
            numbers = {"k1": "1.005", "k2": "1.0100", "k3": "1.5"}
            changes = [Change(key, {"LastName": "A", "Score__c": Decimal(n)}) for key, n in numbers.items()]
            told = sitting.ready().carry_out(Op.UPSERT, *changes)
        assert [told[key].outcome for key in numbers] == [
            Outcome.REJECTED,
            Outcome.ACCEPTED,
            Outcome.ACCEPTED,
        ]
        assert "keeps 2 decimals" in str(told["k1"].reason)
        assert "`round: 2` (Score__c)" in str(told["k1"].reason)
    held = {row["Octo_Id__c"]: row["Score__c"] for row in twin.holdings()["Contact"]}
    assert held == {"k2": 1.01, "k3": 1.5}


def test_an_unreadable_value_refuses_the_batch(contacts: Sitting) -> None:
    """A value the vendor's parser cannot read fails the whole call, for the engine to halve."""
    with pytest.raises(BatchRejected, match="JSON_PARSER_ERROR"):
        contacts.carry_out(Op.UPSERT, *people(2), Change("k9", {"LastName": "A", "Vip__c": "maybe"}))


def test_another_key_than_the_external_id_is_a_mistake_in_the_files(contacts: Sitting) -> None:
    """A sync whose key is not the destination's external id is told so when its file is read."""
    problem = contacts.destination.key_problem("Email")
    assert problem == "is Email, but destination.external_id is Octo_Id__c"
    assert contacts.destination.key_problem("Octo_Id__c") is None


def test_long_keys_are_asked_in_several_queries(contacts: Sitting, twin: Any) -> None:
    """No address grows beyond the vendor's limit, and no key is lost at the seams."""
    keys = [f"{'ü' * 100}{n}" for n in range(120)]
    for key in keys:
        twin.orgs[0].add("Contact", {"LastName": "A", "Octo_Id__c": key})
    assert set(contacts.read(*keys)) == set(keys)


# fields and signing in -----------------------------------------------------------------------------


def test_the_key_is_made_as_a_unique_external_id(sandbox: Sandbox) -> None:
    """A missing key field is made so that records can be found by it, and only once."""
    sitting = Sitting(CONTACT, sandbox.address)
    with closing(sitting.http):
        types = {"Octo_Id__c": FieldType.TEXT, **CONTACT.types}
        made = sitting.destination.ensure_fields(sitting.api, types, create=True)
        assert (set(made.created), made.problems) == ({"Octo_Id__c", "Vip__c"}, ())
        field = sitting.api.fields()["octo_id__c"]
        assert (field["externalId"], field["unique"], field["updateable"]) == (True, True, True)


def test_fields_that_do_not_fit_are_told(contacts: Sitting) -> None:
    """Another type, a missing standard field and a field that cannot be written are problems, each once."""
    types = {"Email": FieldType.DATE, "Nickname": FieldType.TEXT, "CreatedDate": FieldType.DATETIME}
    report = contacts.destination.ensure_fields(contacts.api, types, create=True)
    assert report.problems == (
        "Nickname: there is no such standard field, or this user may not see it",
        "Email: holds email, not date",
        "CreatedDate: cannot be written by this user",
    )


def test_without_a_permission_set_no_field_is_made(sandbox: Sandbox, twin: Any) -> None:
    """A field nobody could see is not made; the report says what is wanting."""
    without = ("permission_set: name one", "Vip__c: missing")
    for name, told in ((None, without), ("Nobody", ("Vip__c: there is no permission set Nobody",))):
        sitting = Sitting(CONTACT, sandbox.address, {"permission_set": name})
        with closing(sitting.http):
            report = sitting.destination.ensure_fields(sitting.api, CONTACT.types, create=True)
        assert report.created == ()
        assert all(map(str.startswith, report.problems, told))
        assert len(report.problems) == len(told)
    assert "Vip__c" not in twin.orgs[0].fields["Contact"]


def test_a_field_made_but_never_granted_is_granted_now(sandbox: Sandbox, twin: Any) -> None:
    """A run that ended between making a field and granting it is carried on by the next."""
    sitting = Sitting(CONTACT, sandbox.address).ready()
    with closing(sitting.http):
        twin.orgs[0].granted.pop(("Contact", "Vip__c"))
        report = sitting.destination.ensure_fields(sitting.api, CONTACT.types, create=True)
    assert (report.created, report.problems) == (("Vip__c",), ())


@pytest.mark.parametrize("good", [True, False])
def test_signing_in_by_certificate(sandbox: Sandbox, twin: Any, good: bool, monkeypatch: Any) -> None:
    """The registered key opens the door; another one needs a person."""
    mine, other = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    twin.register("jwt-app", "octo@example.com", public(mine))
    monkeypatch.setenv("SF_JWT_ID", "jwt-app")
    monkeypatch.setenv("SF_JWT_KEY", private(mine if good else other).replace("\n", "\\n"))
    auth = {
        "client_id": {"env": "SF_JWT_ID"},
        "username": "octo@example.com",
        "private_key": {"env": "SF_JWT_KEY"},
    }
    if good:
        sitting = Sitting(CONTACT, sandbox.address, {"auth": auth})
        with closing(sitting.http):
            assert sitting.account() == twin.orgs[0].id
    else:
        with pytest.raises(Fatal, match="cannot sign in"):
            Sitting(CONTACT, sandbox.address, {"auth": auth})


def test_a_key_that_is_none_is_a_mistake_in_the_settings(sandbox: Sandbox, monkeypatch: Any) -> None:
    """A private key that cannot be read is named by its variable, and not shown."""
    monkeypatch.setenv("SF_JWT_KEY", "secret rubbish")
    auth = {"client_id": {"env": "SF_CLIENT_ID"}, "username": "a", "private_key": {"env": "SF_JWT_KEY"}}
    with pytest.raises(ConfigError, match="SF_JWT_KEY") as caught:
        Sitting(CONTACT, sandbox.address, {"auth": auth})
    assert "rubbish" not in str(caught.value)


def public(key: rsa.RSAPrivateKey) -> str:
    spelled = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return spelled.decode()


def private(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def test_octo_stops_before_the_org_runs_dry(contacts: Sitting, twin: Any) -> None:
    """Near the quota nothing more is sent; the call may go again later."""
    twin.quota, twin.orgs[0].used = 1_000, 950
    contacts.read("k0")
    with pytest.raises(Retryable, match="of the last 24 hours") as stopped:
        contacts.carry_out(Op.UPSERT, *people(1))
    assert stopped.value.wait == 3600
    assert "Contact" not in twin.holdings()


# spelling ------------------------------------------------------------------------------------------

VALUES: Mapping[FieldType, tuple[Value, Any, str]] = {
    FieldType.TEXT: ("", "", "#N/A"),
    FieldType.INTEGER: (10**17, 10**17, "100000000000000000"),
    FieldType.DECIMAL: (Decimal("1E+3"), 1000.0, "1000"),
    FieldType.BOOLEAN: (None, False, "false"),
    FieldType.LIST: (["a", "b"], "a;b", "a;b"),
    FieldType.DATE: (None, None, "#N/A"),
}


@pytest.mark.parametrize("kind", VALUES)
def test_values_are_spelled_as_the_vendor_wants(kind: FieldType) -> None:
    """JSON and CSV each have their own words for empty, true and large numbers."""
    value, json_form, csv_form = VALUES[kind]
    assert (in_json(value, kind), in_csv(value, kind)) == (json_form, csv_form)


def test_digits_are_never_lost() -> None:
    """A number with more digits than a float holds goes as text."""
    assert in_json(Decimal("123456789012.345678"), FieldType.DECIMAL) == "123456789012.345678"


def test_replies_are_read_into_our_words() -> None:
    """Datetimes come back as UTC text, whole numbers whole, several choices as a list."""
    assert as_value("2021-12-02T19:22:42.000+0100", "datetime") == "2021-12-02T18:22:42Z"
    assert as_value(Decimal("42.0"), "double") == 42
    assert as_value(Decimal("42.50"), "double") == Decimal("42.5")
    assert as_value("a;b", "multipicklist") == ["a", "b"]
    assert as_value("a;b", "string") == "a;b"


@settings(max_examples=50)
@given(st.text(min_size=1))
def test_any_key_can_be_asked_for(key: str) -> None:
    """However a key is written, the query asks for exactly it."""
    [condition] = parse(f"SELECT Id FROM Contact WHERE Octo_Id__c IN ({literal(key)})").conditions
    assert condition.values == {key.lower()}


@settings(max_examples=50)
@given(st.lists(st.text(max_size=300), max_size=200), st.integers(50, 5_000))
def test_packing_loses_and_moves_nothing(texts: list[str], room: int) -> None:
    """Every literal is in one query, in its order."""
    assert [text for pack in packed(texts, room) for text in pack] == texts


def test_old_api_versions_are_refused() -> None:
    """Collections upsert needs version 46."""
    with pytest.raises(ValueError, match="api_version"):
        Salesforce.model_validate({**SALESFORCE.settings, "api_version": "45.0"})
