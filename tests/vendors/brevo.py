"""Brevo, as the exams and the proofs meet it."""

from __future__ import annotations

from typing import Any

from octo_dagster.model import FieldType
from tests.vendors.examinee import Examinee
from tests.vendors.vendor import Vendor

BREVO = Examinee(
    settings={"type": "brevo", "api_key": {"env": "BREVO_API_KEY"}, "list": "Octo customers"},
    env={"BREVO_API_KEY": "sandbox-key"},
    second={"BREVO_API_KEY": "sandbox-key-2"},
    wrong={"BREVO_API_KEY": "not-the-key"},
    key_field="EMAIL",
    types={f"OCTO_{kind.value.upper()}": kind for kind in FieldType},
    poison={},
    poison_key="nowhere@example",
    sessions=False,
)


def others(twin: Any) -> None:
    """Somebody keeps a list and a column of his own, and the second customer unsubscribes."""
    account = twin.accounts["sandbox-key"]
    theirs = twin.add_list(account, "Theirs", 1)
    stranger = account.create(0.0)
    account.identify(stranger, "EMAIL", "stranger@example.com")
    for number, contact in enumerate(account.contacts.values()):
        contact.lists.add(theirs)
        contact.attributes["FIRSTNAME"] = f"Theirs {number}"
    account.find("EMAIL", "customer2@example.com").email_blacklisted = True


def theirs(twin: Any) -> Any:
    """Of each contact: the names, whether it is blocklisted, and the list of theirs."""
    account = twin.accounts["sandbox-key"]
    (number,) = (n for n, one in account.lists.items() if one["name"] == "Theirs")
    return {
        contact.email: (contact.attributes["FIRSTNAME"], contact.email_blacklisted, number in contact.lists)
        for contact in account.contacts.values()
    }


VENDOR = Vendor(
    examinee=BREVO,
    table="contacts",
    key="email",
    segment="OCTO_SEGMENT",
    orders="OCTO_ORDERS",
    member=lambda row: "Octo customers" in row["lists"],
    writes=(r"POST /v3/contacts/import$", r"POST .*/contacts/remove$"),
    # One import; who leaves the list does so in one call of up to 150.
    least=(1, 1, 1),
    lost="import",
    may_call=(
        r"GET /reports/.*",
        r"GET /v3/(account|contacts.*|processes/\d+|processes/.*)",
        r"POST /v3/contacts/(import|lists|folders|lists/\d+/contacts/remove|attributes/(normal|category)/\w+)",
        r"(POST|PUT) /v3/contacts(/[^/]+)?",
        r"PUT /v3/contacts/attributes/normal/\w+",
    ),
    others=others,
    theirs=theirs,
)
