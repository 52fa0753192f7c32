"""Who sits the exam: one entry for every destination there is, and all that the exam must be told of it.

To add a destination, add one `Examinee`. The exam (`test_wire.py`) works out the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from octo_dagster.model import Fields, FieldType, Value

SAMPLES: Mapping[FieldType, tuple[Value, Value, Value]] = {
    FieldType.TEXT: ("Zoë Müller 🐙", "שלום, עולם", 'l\'eau; "5 > 3", a\\b & <c>'),
    FieldType.INTEGER: (42, 0, -7),
    FieldType.DECIMAL: (Decimal("1234.56"), Decimal("0.1"), Decimal("-3.5")),
    FieldType.BOOLEAN: (True, False, True),
    FieldType.DATE: ("2026-11-22", "1970-01-01", "2024-02-29"),
    FieldType.DATETIME: ("2026-11-22T23:59:59Z", "2024-02-29T00:00:00Z", "2026-03-29T01:30:00Z"),
    FieldType.LIST: (["alpha", "beta"], ["beta"], ["alpha"]),
}
"""Values the exam sends, by type: each must be read back as it was sent."""


def email(number: int) -> str:
    return f"customer{number}@example.com"


@dataclass(frozen=True)
class Examinee:
    """One destination, as the exam meets it."""

    settings: Mapping[str, Any]
    """The destination's YAML, `type` included; secrets as `{env: NAME}`."""
    env: Mapping[str, str]
    """Credentials the twin accepts, by environment variable."""
    key_field: str
    types: Mapping[str, FieldType]
    """A few mapped fields, the key's not among them. At least one TEXT; every type the vendor knows."""
    poison: Fields
    """Fields for which the twin refuses the row (with a reason), and that row only."""
    key: Callable[[int], str] = email
    """The key of the n-th customer, as this vendor spells it."""
    awkward: str = "o'brien+octo@example.com"
    """A key that is proper and needs quoting in the vendor's address or query."""
    poison_key: str | None = None
    """The poisonous row's key, where it is the key that is wrong; else a proper one."""
    second: Mapping[str, str] = field(default_factory=dict)
    """Credentials of another account at the same vendor."""
    second_settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings that name another account, where those and not the credentials do."""
    wrong: Mapping[str, str] = field(default_factory=dict)
    """Credentials the twin refuses."""
    prepare: Callable[[Any], None] = lambda twin: None
    """What a person does at the vendor first (makes the list the sync names, say); given the twin."""
    creates_fields: bool = True
    """Whether the fields of `types` are missing at first and are made by `ensure_fields`."""
    sessions: bool = True
    """Whether `twin.expire()` ends a session that signing in again would renew."""
    tells_wait: bool = True
    """Whether the vendor says how long to wait when it is asked too much."""
    samples: Mapping[FieldType, tuple[Value, Value, Value]] = field(default_factory=dict)
    """Instead of SAMPLES, where the vendor cannot hold those; say why beside it."""
    needs: Fields = field(default_factory=dict)
    """What the vendor makes no record without (a name, say); goes with every upsert of the exam."""
    cleared: Mapping[FieldType, Value] = field(default_factory=dict)
    """What a cleared field reads as, where it is not None (a Salesforce checkbox is false)."""

    @property
    def name(self) -> str:
        return str(self.settings["type"])

    def record(self, number: int) -> dict[str, Value]:
        """A full set of values for the n-th customer."""
        known = {**SAMPLES, **self.samples}
        return {name: known[kind][number % 3] for name, kind in self.types.items()}


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

SALESFORCE = Examinee(
    settings={
        "type": "salesforce",
        "domain": "octo",
        "object": "Customer__c",  # a contact cannot be without a last name, which is no fault of ours
        "auth": {"client_id": {"env": "SF_CLIENT_ID"}, "client_secret": {"env": "SF_CLIENT_SECRET"}},
        "permission_set": "Octo",
    },
    env={"SF_CLIENT_ID": "octo-app", "SF_CLIENT_SECRET": "octo-secret"},
    second={"SF_CLIENT_ID": "octo-app-2", "SF_CLIENT_SECRET": "octo-secret-2"},
    wrong={"SF_CLIENT_SECRET": "not-the-secret"},
    prepare=lambda twin: twin.add_key("Customer__c", "Octo_Id__c"),
    key_field="Octo_Id__c",
    types={f"Octo_{kind.value.capitalize()}__c": kind for kind in FieldType},
    poison={"Octo_Text__c": "x" * 256},
    cleared={FieldType.BOOLEAN: False},
)

ZENDESK = Examinee(
    settings={
        "type": "zendesk",
        "subdomain": "octo",
        "auth": {
            "client_id": {"env": "ZENDESK_CLIENT_ID"},
            "client_secret": {"env": "ZENDESK_CLIENT_SECRET"},
        },
    },
    env={"ZENDESK_CLIENT_ID": "octo-client", "ZENDESK_CLIENT_SECRET": "octo-client-secret"},
    second={"ZENDESK_CLIENT_ID": "octo-client-2", "ZENDESK_CLIENT_SECRET": "octo-client-secret-2"},
    wrong={"ZENDESK_CLIENT_SECRET": "not-the-secret"},
    key_field="external_id",
    types={f"octo_{kind.value}": kind for kind in FieldType if kind is not FieldType.LIST},
    poison={"email": "badmail"},
    needs={"name": "Ada Lovelace"},
    cleared={FieldType.BOOLEAN: False},
)

EXAMINEES = (WEBHOOK, BREVO, SALESFORCE, ZENDESK)
"""Every file of `connectors/destinations/` must be here: `test_wire.py` checks."""
