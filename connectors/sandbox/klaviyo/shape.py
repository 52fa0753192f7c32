"""What Klaviyo takes for a profile, whatever its values."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.klaviyo.account import PLACES, PLAIN
from connectors.sandbox.klaviyo.wire import invalid

COORDINATES = ("latitude", "longitude")
WRITABLE = frozenset({*PLAIN, "_kx", "location", "properties"})


def check_shape(data: Any, where: str = "/data") -> None:
    """Refused for what is no profile: unknown attributes, values of a wrong type."""
    if not isinstance(data, dict) or data.get("type") != "profile":
        raise invalid("The payload provided in the request is invalid.", where)
    attributes = data.get("attributes")
    if not isinstance(attributes, dict):
        raise invalid("'attributes' is required.", f"{where}/attributes")
    for name, value in attributes.items():
        if name not in WRITABLE:
            told = f"'{name}' is not a valid field for the resource 'profile'."
            raise invalid(told, f"{where}/attributes/{name}")
        fits = isinstance(value, dict) if name in ("location", "properties") else isinstance(value, str)
        if value is not None and not fits:
            raise invalid(f"'{name}' is of a wrong type.", f"{where}/attributes/{name}")
    for name, value in (attributes.get("location") or {}).items():
        numeric = name in COORDINATES and isinstance(value, int | float)
        if name not in PLACES or not (value is None or isinstance(value, str) or numeric):
            raise invalid(f"'{name}' is not valid here.", f"{where}/attributes/location/{name}")
