"""Who sits the exam: a destination, and all that the exam (`contract/test_wire.py`) must be told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    by_http: bool = True
    """Whether its calls go by HTTP, so that the sandbox can refuse and break them. A database's own tests do."""
    look: Callable[[Any, Sequence[str]], dict[str, Fields]] | None = None
    """Where the vendor cannot be read: what its twin, whose holdings are given, was told of these keys."""
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
