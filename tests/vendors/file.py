"""Files, as the exams and the proofs meet them: in a bucket. Folders and servers have tests of their own."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.file.twin import Object
from octo_dagster.model import FieldType
from tests.vendors.examinee import Examinee
from tests.vendors.vendor import Vendor

BUCKET = {
    "bucket": "octo-exports",
    "region": "eu-west-3",
    "access_key": {"env": "S3_ACCESS_KEY"},
    "secret_key": {"env": "S3_SECRET_KEY"},
}
FILE = Examinee(
    settings={"type": "file", "name": "customers.csv", "to": BUCKET},
    env={"S3_ACCESS_KEY": "octo-access", "S3_SECRET_KEY": "octo-secret"},
    second_settings={"to": {**BUCKET, "bucket": "octo-two"}},
    wrong={"S3_SECRET_KEY": "not-the-secret"},
    key_field="email",
    types={kind.value: kind for kind in FieldType},
    poison={"text": "x" * 32_768},
    creates_fields=False,
    sessions=False,
    tells_wait=False,
)
STRANGER = {"email": "stranger@example.com", "note": "theirs"}


def noted(content: bytes) -> bytes:
    """The file after somebody wrote a column of notes and a row of his own into it."""
    head, *lines = content.decode().splitlines()
    blanks = "," * head.count(",")
    notes = [f"{head},note", *(f"{line},theirs" for line in lines)]
    return "\r\n".join([*notes, f"stranger@example.com{blanks},theirs", ""]).encode()


def theirs_in(rows: list[dict[str, Any]]) -> list[Any]:
    """The note on the third customer, who stays, and the stranger."""
    staying = ("customer3@example.com", "stranger@example.com")
    return [(row["email"], row["note"]) for row in rows if row["email"] in staying]


def others(twin: Any) -> None:
    """Somebody writes into the file, and keeps another one beside it."""
    held = twin.buckets["octo-exports"]
    held["customers.csv"] = Object(noted(held["customers.csv"].content), 0.0)
    held["theirs.csv"] = Object(b"email\r\nstranger@example.com\r\n", 0.0)


def theirs(twin: Any) -> Any:
    """What he wrote into the file, and his own."""
    held = twin.holdings()
    return [*theirs_in(held["octo-exports/customers.csv"]), held["octo-exports/theirs.csv"]]


VENDOR = Vendor(
    examinee=FILE,
    table="octo-exports/customers.csv",
    key="email",
    segment="segment",
    orders="orders",
    longest=32_767,
    writes=(r"PUT /octo-exports/",),
    # The file is written once for a batch of up to 200,000.
    least=(1, 1, 1),
    lost="customers.csv",
    may_call=(r"(GET|HEAD|PUT) /octo-(exports|two)/customers\.csv",),
    others=others,
    theirs=theirs,
)
