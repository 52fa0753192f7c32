"""The files shown for Files in `connectors/README.md` do what is said of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
import yaml

from connectors.sandbox.server import Sandbox
from tests.world import World

README = (Path(__file__).parents[3] / "connectors" / "README.md").read_text("utf-8")
SHOWN = {
    name: yaml.safe_load(text)
    for name, text in re.findall(r"```yaml\n# assets/syncs/(file_\w+)\.yaml\n(.*?)```", README, re.DOTALL)
}


def person(number: int) -> dict[str, Any]:
    return {
        "customer_id": f"c{number}",
        "email": f"customer{number}@example.com",
        "phone": f"+3361234567{number}",
        "first_name": "Zoë",
        "last_name": str(number),
        "postcode": f"0100{number}",
        "score": number * 1.5,
    }


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox, request: pytest.FixtureRequest) -> World:
    """A project with three customers."""
    made = World(tmp_path, sandbox, "file")
    made.project.warehouse.replace("customer_profile", pa.Table.from_pylist([person(n) for n in (1, 2, 3)]))
    return made


def say(shop: World, name: str) -> World:
    """This file, but for the audience, which is another file."""
    shop.said.clear()
    return shop.say(**{key: value for key, value in SHOWN[name].items() if key != "audience"})


def test_the_call_list_shown_is_delivered(shop: World) -> None:
    """Ranked, with decimal commas, semicolons and the mark Excel looks for; delivered again, nothing is left."""
    assert set(SHOWN) == {"file_calls", "file_letters"}
    assert say(shop, "file_calls").deliver().exit_code == 0
    assert shop.deliver().planned == 0
    written = (shop.sandbox.twin("file").folders.folder("srv-exports") / "calls.csv").read_bytes()
    assert written.decode("utf-8-sig").split("\r\n") == [
        "id;email;phone;score",
        *(
            f"c{n};customer{n}@example.com;+3361234567{n};{f'{n * 1.5:.1f}'.replace('.', ',')}"
            for n in (3, 2, 1)
        ),
        "",
    ]
    assert written.startswith(b"\xef\xbb\xbf")


def test_the_letters_shown_are_delivered(shop: World) -> None:
    """Each customer is in one workbook, with the zero of his postcode."""
    assert say(shop, "file_letters").deliver().exit_code == 0
    shop.project.warehouse.replace("customer_profile", pa.Table.from_pylist([person(n) for n in (2, 3, 4)]))
    assert shop.deliver().exit_code == 0
    folder = shop.sandbox.twin("file").folders.folder("sftp-octo-files-printer-example-22-in")
    files = sorted(folder.glob("letters-20*.xlsx"), key=lambda path: path.stat().st_mtime_ns)
    rows = [list(openpyxl.load_workbook(f).worksheets[0].iter_rows(2, values_only=True)) for f in files]
    assert [sorted(found) for found in rows] == [
        [("c1", "Zoë 1", "01001"), ("c2", "Zoë 2", "01002"), ("c3", "Zoë 3", "01003")],
        [("c4", "Zoë 4", "01004")],
    ]
