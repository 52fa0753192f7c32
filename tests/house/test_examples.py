"""The syncs that `connectors/README.md` shows are files to copy."""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "assets" / "syncs" / "examples"
SHOWN = re.compile(r"```yaml\n# assets/syncs/(\w+\.yaml)[^\n]*\n(.*?)```", re.DOTALL)


def test_the_examples_are_as_shown() -> None:
    """Each sync shown is a file of `assets/syncs/examples`, and no other is there; SNAPSHOT=write makes them anew."""
    shown = dict(SHOWN.findall((ROOT / "connectors" / "README.md").read_text("utf-8")))
    assert len(shown) > 12
    if os.environ.get("SNAPSHOT") == "write":
        EXAMPLES.mkdir(exist_ok=True)
        for path in EXAMPLES.glob("*.yaml"):
            path.unlink()
        for name, text in shown.items():
            (EXAMPLES / name).write_text(text, encoding="utf-8")
    assert {path.name: path.read_text("utf-8") for path in EXAMPLES.glob("*")} == shown
