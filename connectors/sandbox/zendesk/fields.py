"""What a user field of Zendesk keeps, and in which words Zendesk refuses the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

LONGEST_TEXT = 65_535
MADE_AT = "2026-01-01T00:00:00Z"
"""When the account's fields are said to have been made."""
TYPES = (
    "text",
    "textarea",
    "checkbox",
    "date",
    "integer",
    "decimal",
    "regexp",
    "dropdown",
    "multiselect",
    "lookup",
)


class Refused(Exception):
    """Zendesk's error with its HTTP status."""

    def __init__(self, status: int, error: str, description: str, **more: Any) -> None:
        super().__init__(description)
        self.status = status
        self.body = {"error": error, "description": description, **more}

    @property
    def why(self) -> str:
        """The first detail, as a job's row gives it."""
        details: Mapping[str, Any] = self.body.get("details", {})
        return next((line[0]["description"] for line in details.values()), str(self.body["description"]))


def invalid(name: str, why: str) -> Refused:
    """422 for one value of a record."""
    told = f"{name.capitalize()}: {why}"
    return Refused(422, "RecordInvalid", "Record validation errors", details={name: [{"description": told}]})


def absent() -> Refused:
    return Refused(404, "RecordNotFound", "Not found")


@dataclass
class Field:
    """A user field of the account."""

    id: int
    key: str
    type: str
    title: str
    tag: str | None = None
    options: list[dict[str, Any]] = field(default_factory=list)
    active: bool = True

    def kept(self, value: Any) -> Any:
        """The value as it is kept; Refused when it is not of this type."""
        if self.type == "checkbox":
            return value is True or value in ("true", "1", 1)
        if value is None or value == "":
            return None
        if self.type in ("integer", "decimal"):
            return self.number(value)
        if self.type == "date":
            return self.day(value)
        if self.type == "dropdown" and value not in [one["value"] for one in self.options]:
            raise invalid(self.key, f"{value} is not one of the options")
        if not isinstance(value, str) or len(value) > LONGEST_TEXT:
            raise invalid(self.key, "is invalid")
        return value

    def number(self, value: Any) -> float | int:
        try:
            exact = float(value)
        except (TypeError, ValueError):
            raise invalid(self.key, "must be a number") from None
        if isinstance(value, bool) or (self.type == "integer" and exact != int(exact)):
            raise invalid(self.key, "must be a number")
        return int(value) if self.type == "integer" else exact

    def day(self, value: Any) -> str:
        """Whatever the time of day, midnight is kept (recorded)."""
        try:
            return f"{date.fromisoformat(str(value)[:10]).isoformat()}T00:00:00+00:00"
        except ValueError:
            raise invalid(self.key, "is not a date") from None

    def shown(self, site: str) -> dict[str, Any]:
        made = {
            "url": f"{site}/api/v2/user_fields/{self.id}.json",
            "id": self.id,
            "type": self.type,
            "key": self.key,
            "title": self.title,
            "description": "",
            "raw_title": self.title,
            "raw_description": "",
            "position": 0,
            "active": self.active,
            "system": False,
            "regexp_for_validation": None,
            "created_at": MADE_AT,
            "updated_at": MADE_AT,
        }
        if self.type == "checkbox":
            made["tag"] = self.tag
        return made | ({"custom_field_options": self.options} if self.type == "dropdown" else {})
