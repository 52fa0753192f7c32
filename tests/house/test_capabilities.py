"""The page of what every destination can do is what the classes say."""

from __future__ import annotations

import os
from pathlib import Path

from connectors.capabilities import Shown, page
from tests.contract.sitting import build
from tests.vendors.every import EXAMINEES

PAGE = Path(__file__).parents[2] / "connectors" / "CAPABILITIES.md"


def test_the_capabilities_are_as_written_down() -> None:
    """Every destination has its row; after a change that is meant, SNAPSHOT=write makes the page anew."""
    sorted_by_name = sorted(EXAMINEES, key=lambda examinee: examinee.name)
    shown = [Shown(build(e), set(e.types.values()), e.creates_fields) for e in sorted_by_name]
    if os.environ.get("SNAPSHOT") == "write":
        PAGE.write_text(page(shown), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page(shown)
