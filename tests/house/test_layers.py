"""Who may know whom: the import contracts of `pyproject.toml`, and what a process really loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[2]


def test_the_contracts_hold(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Imports go downwards only; the core knows no Dagster; a destination and its twin never meet."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    broken = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert broken == 0, capsys.readouterr().out


LOADS = "import sys; import {}; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"


@pytest.mark.parametrize(
    ("modules", "never"),
    [
        ("octo_dagster.run, connectors.registry", ("dagster", "assets", "werkzeug", "matplotlib")),
        ("connectors.sandbox.server", ("dagster", "assets", "duckdb", "sqlalchemy", "simple_salesforce")),
        ("octo_dagster.model, octo_dagster.errors", ("dagster", "pydantic", "sqlalchemy", "requests")),
    ],
)
def test_what_a_process_loads(modules: str, never: tuple[str, ...]) -> None:
    """The engine runs without Dagster, the sandbox without the engine, the nouns without anything."""
    code = LOADS.format(modules)
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(loaded.stdout.split()) & set(never) == set()


def test_every_destination_has_a_twin_of_its_name() -> None:
    """To be merged a destination needs its sandbox: a vendor without one cannot be proven."""
    from connectors.registry import destinations  # noqa: PLC0415 - loads every vendor
    from connectors.sandbox.server import twins  # noqa: PLC0415

    assert set(destinations()) <= {twin.name for twin in twins()}
