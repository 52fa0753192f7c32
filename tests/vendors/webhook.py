"""A webhook, as the exams and the proofs meet it."""

from __future__ import annotations

from typing import Any

from octo_dagster.model import FieldType
from tests.vendors.examinee import Examinee
from tests.vendors.vendor import Vendor

WEBHOOK = Examinee(
    settings={
        "type": "webhook",
        "url": "https://hooks.example.com/octo",
        "secret": {"env": "WEBHOOK_SECRET"},
        "readable": True,
    },
    env={"WEBHOOK_SECRET": "sandbox-key"},
    second_settings={"url": "https://hooks.example.com/octo-two"},
    wrong={"WEBHOOK_SECRET": "not-the-key"},
    key_field="email",
    types={kind.value: kind for kind in FieldType},
    poison={"text": "x" * 1_001},
    creates_fields=False,
    sessions=False,
)


def others(twin: Any) -> None:
    """Another system writes to the same hook: a record, and a field beside ours."""
    twin.hooks["octo"]["stranger@example.com"] = {"segment": "theirs", "note": "theirs"}
    for number in (1, 2, 3):
        twin.hooks["octo"][f"customer{number}@example.com"]["note"] = f"theirs {number}"


def theirs(twin: Any) -> Any:
    """Their notes, and their own record."""
    held = twin.hooks["octo"]
    return [held["stranger@example.com"], {key: record.get("note") for key, record in held.items()}]


VENDOR = Vendor(
    examinee=WEBHOOK,
    table="octo",
    key="key",
    segment="segment",
    orders="orders",
    longest=1_000,
    writes=(r"POST /octo$",),
    # 500 records in a call.
    least=(1, 1, 1),
    lost="octo$",
    may_call=(r"POST /octo(-two)?(/read)?",),
    others=others,
    theirs=theirs,
)
