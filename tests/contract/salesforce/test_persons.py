"""Leads and person accounts: upserted by external id as contacts are, each with its own ways."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.errors import Fatal
from octo_dagster.model import Change, Fields, FieldType, Op, Outcome
from tests.contract.salesforce.front import Front
from tests.vendors.salesforce import SALESFORCE

PERSON = {
    "LastName": FieldType.TEXT,
    "PersonEmail": FieldType.TEXT,
    "Octo_Segment__pc": FieldType.TEXT,
    "Octo_Orders__c": FieldType.INTEGER,
}
ADA: Fields = {
    "LastName": "Lovelace",
    "PersonEmail": "ada@example.com",
    "Octo_Segment__pc": "best",
    "Octo_Orders__c": 3,
}
LEAD = {"LastName": FieldType.TEXT, "Company": FieldType.TEXT, "Octo_Segment__c": FieldType.TEXT}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SALESFORCE.env}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def persons(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """An org with person accounts."""
    monkeypatch.setenv("SF_CLIENT_ID", "octo-app-3")
    monkeypatch.setenv("SF_CLIENT_SECRET", "octo-secret-3")
    with closing(Front(sandbox, {"object": "PersonAccount"}, PERSON, number=2)) as made:
        yield made


@pytest.fixture
def leads(sandbox: Sandbox) -> Iterator[Front]:
    with closing(Front(sandbox, {"object": "Lead"}, LEAD)) as made:
        yield made


def kind(front: Front, name: str) -> str:
    """The id of a record type."""
    return str(next(row["Id"] for row in front.rows("RecordType") if row["DeveloperName"] == name))


def accounts(front: Front) -> dict[str, dict[str, Any]]:
    return {row["Octo_Id__c"]: row for row in front.rows("Account")}


def carry_out(front: Front, way: str, **changes: Fields) -> dict[str, Outcome]:
    """By a call, or by a bulk job."""
    front.settings = {**front.settings, "bulk_from": 1 if way == "job" else 2_000}
    told = front.open().sitting.carry_out(Op.UPSERT, *(Change(key, said) for key, said in changes.items()))
    return {key: receipt.outcome for key, receipt in told.items()}


@pytest.mark.parametrize("way", ["call", "job"])
def test_a_new_account_is_a_person(persons: Front, way: str) -> None:
    """It gets the record type of people, and with it a contact; a second delivery changes the same one."""
    assert carry_out(persons, way, c1=ADA) == {"c1": Outcome.ACCEPTED}
    ada = accounts(persons)["c1"]
    assert (ada["IsPersonAccount"], ada["RecordTypeId"]) == (True, kind(persons, "PersonAccount"))
    contact = persons.org.tables["Contact"][ada["PersonContactId"]]
    assert (contact["Email"], contact["Octo_Segment__c"]) == ("ada@example.com", "best")
    carry_out(persons, way, c1={**ADA, "LastName": "King"})
    assert (len(persons.rows("Account")), accounts(persons)["c1"]["Name"]) == (1, "King")
    read = persons.destination.read(persons.api, ["c1"], PERSON)
    assert read == {"c1": {**ADA, "LastName": "King"}}


@pytest.mark.parametrize("way", ["call", "job"])
def test_the_record_type_of_one_that_is_there_is_peoples(persons: Front, way: str) -> None:
    """A person somebody made a VIP stays one, though the ledger has never heard of the account."""
    persons.people("c1", kind="Account", RecordTypeId=kind(persons, "Vip"))
    carry_out(persons, way, c1=ADA, c2=ADA)
    assert accounts(persons)["c1"]["RecordTypeId"] == kind(persons, "Vip")
    assert accounts(persons)["c2"]["RecordTypeId"] == kind(persons, "PersonAccount")


@pytest.mark.parametrize("way", ["call", "job"])
def test_a_business_is_not_made_a_person(persons: Front, way: str) -> None:
    """An account of that id which is a business is refused, and stays as it was."""
    persons.org.insert("Account", {"Name": "Acme", "Octo_Id__c": "c1"})
    assert carry_out(persons, way, c1=ADA, c2=ADA) == {"c1": Outcome.REJECTED, "c2": Outcome.ACCEPTED}
    assert (accounts(persons)["c1"]["Name"], accounts(persons)["c1"]["IsPersonAccount"]) == ("Acme", False)


def test_another_record_type_of_people(persons: Front) -> None:
    """`record_type` says which; one that is none of people's is told of before the first call."""
    persons.settings = {**persons.settings, "record_type": "Vip"}
    persons.open().do(Op.UPSERT, {"c1": ADA})
    assert accounts(persons)["c1"]["RecordTypeId"] == kind(persons, "Vip")
    persons.settings = {**persons.settings, "record_type": "Business_Account"}
    (told,) = persons.open().report.problems
    assert told == "record_type: there is no Business_Account of persons; there are PersonAccount, Vip"
    with pytest.raises(Fatal, match="no record type Business_Account"):
        persons.do(Op.UPSERT, {"c2": ADA})


def test_clearing_a_person_keeps_the_name(persons: Front) -> None:
    """Everything else that Octo wrote is empty."""
    persons.do(Op.UPSERT, {"c1": ADA})
    assert persons.do(Op.CLEAR, {"c1": dict.fromkeys(PERSON)})["c1"].outcome is Outcome.ACCEPTED
    assert persons.destination.read(persons.api, ["c1"], PERSON) == {
        "c1": {**dict.fromkeys(PERSON), "LastName": "Lovelace"}
    }


def test_fields_of_the_contact_are_made_on_contacts(persons: Front) -> None:
    """A missing `__pc` is made as a contact's `__c`; both are visible on the account."""
    assert set(persons.report.created) == {"Octo_Segment__pc", "Octo_Orders__c"}
    assert "Octo_Segment__c" in persons.org.fields["Contact"]
    assert "Octo_Segment__c" not in persons.org.fields["Account"]


def test_an_org_without_person_accounts_is_told(sandbox: Sandbox, persons: Front) -> None:
    """Before the first call; and that a person's name is not one field."""
    persons.types = {**PERSON, "Name": FieldType.TEXT}
    assert persons.open().report.problems == ("Name: a person's is made of FirstName and LastName",)
    persons.org.fields["Account"].pop("IsPersonAccount")
    assert persons.open().report.problems[0] == "object: person accounts are not enabled in this org"


# leads ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["call", "job"])
def test_a_lead_needs_a_company(leads: Front, way: str) -> None:
    """Leads are upserted by the external id; without a name or a company one is refused by its field."""
    said: dict[str, Fields] = {
        "l1": {"LastName": "Lovelace", "Company": "Analytical", "Octo_Segment__c": "best"},
        "l2": {"LastName": "King", "Octo_Segment__c": "best"},
    }
    assert carry_out(leads, way, **said) == {"l1": Outcome.ACCEPTED, "l2": Outcome.REJECTED}
    assert leads.destination.read(leads.api, ["l1", "l2"], LEAD) == {"l1": said["l1"]}


@pytest.mark.parametrize("way", ["call", "job"])
def test_a_converted_lead_is_refused_in_words(leads: Front, way: str) -> None:
    """Salesforce changes it no more; the reason says what became of it, and the others are written."""
    leads.people("l1", "l2", kind="Lead")
    next(iter(leads.org.tables["Lead"].values()))["IsConverted"] = True
    leads.settings = {**leads.settings, "bulk_from": 1 if way == "job" else 2_000}
    changes = [Change(key, {"Octo_Segment__c": "best"}) for key in ("l1", "l2")]
    told = leads.open().sitting.carry_out(Op.UPSERT, *changes)
    assert told["l2"].outcome is Outcome.ACCEPTED
    assert told["l1"].reason == (
        "CANNOT_UPDATE_CONVERTED_LEAD: cannot reference converted lead; "
        "the lead was made a contact, and Salesforce changes it no more"
    )


def test_a_converted_lead_is_let_go(leads: Front) -> None:
    """When its customer leaves there is nothing left to take back: nobody is owed for ever."""
    leads.people("l1", kind="Lead")
    next(iter(leads.org.tables["Lead"].values()))["IsConverted"] = True
    told = leads.open().sitting.carry_out(Op.CLEAR, Change("l1", {"Octo_Segment__c": None}))
    assert told["l1"].outcome is Outcome.ACCEPTED


def test_a_person_that_people_deleted_comes_back_a_person(persons: Front) -> None:
    """A change of some of his fields makes him anew with all of them, and with the record type of people."""
    carry_out(persons, "call", c1=ADA)
    persons.org.delete("Account", accounts(persons)["c1"]["Id"])
    told = persons.sitting.carry_out(Op.UPSERT, Change("c1", {"Octo_Orders__c": 4}, known=True))
    assert told["c1"].outcome is Outcome.ACCEPTED
    ada = accounts(persons)["c1"]
    assert (ada["IsPersonAccount"], ada["LastName"], ada["Octo_Orders__c"]) == (True, "Lovelace", 4)
