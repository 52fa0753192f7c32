"""`octo keys`: a key that could never open anything is not made."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from octo_dagster.api.command import keys
from octo_dagster.api.scopes import doubts
from octo_dagster.config import Project
from octo_dagster.errors import ConfigError
from tests.unit.test_push import TILL


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a profile of two columns, and a till that posts."""
    folder = tmp_path / "assets" / "sources"
    folder.mkdir(parents=True)
    (folder / "till.yaml").write_text(TILL)
    made = Project(tmp_path, tmp_path / ".octo")
    made.warehouse.replace("customer_profile", pa.table({"customer_id": ["c1"], "email": ["a@example.com"]}))
    return made


@pytest.mark.parametrize(
    ("wanted", "mistake"),
    [
        ({"customer_profil": "*"}, "no table 'customer_profil' is served; there are"),
        ({"raw_till_orders": "*"}, "no table 'raw_till_orders' is served"),
        ({"customer_profile": ["emial"]}, "customer_profile has no 'emial'; there is customer_id, email"),
        ({"sync_runs": ["runs"]}, "sync_runs has no 'runs'"),
        ({"events": ["order"]}, "events has no 'order'; there is orders"),
    ],
)
def test_a_key_for_what_is_not_there(
    project: Project, wanted: dict[str, str | list[str]], mistake: str
) -> None:
    """A misspelled table or column is refused, naming those there are: it would be a key to nothing."""
    with pytest.raises(ConfigError) as said:
        list(doubts(project, wanted))
    assert mistake in str(said.value)


def test_a_key_for_what_may_come(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that no run has made yet is warned of, and the key is made."""
    monkeypatch.setenv("OCTO_PROJECT", str(project.root))
    monkeypatch.setenv("OCTO_HOME", str(project.home))
    asked = ["add", "web", "--table", "products", "--table", "customer_profile:email"]
    told = CliRunner().invoke(keys, [*asked, "--table", "events:orders"])
    assert (told.exit_code, told.stdout.startswith("octo_")) == (0, True)
    assert "products: there is no such table yet" in told.stderr
    shown = CliRunner().invoke(keys, ["list", "--json"]).stdout
    assert '"products": "*"' in shown
    assert '"orders"' in shown
