from __future__ import annotations

from collections.abc import Mapping

from connectors.sandbox.vendor import Vendor


def render(vendors: Mapping[str, Vendor], search: str) -> str:
    return ""
