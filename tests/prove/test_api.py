"""The read API against its own description, for as long as it takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from schemathesis import GenerationMode

from tests.fuzz import fuzzed
from tests.reading import published

pytestmark = pytest.mark.prove

EXAMPLES = 400 if os.environ.get("OCTO_PROVE") == "all" else 25


def test_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked, allowed or not, of each of its operations, no answer is other than it says."""
    monkeypatch.setenv("HOOK_SECRET", "knock knock")
    asked = fuzzed(published(tmp_path), EXAMPLES, (GenerationMode.POSITIVE, GenerationMode.NEGATIVE))
    assert len(asked) == 14
