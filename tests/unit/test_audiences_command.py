"""`octo audiences`: sizes, movements, overlap, and a rule tried before it is saved."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from octo_dagster.audiences import memberships
from octo_dagster.cli import main
from octo_dagster.config import Project
from octo_dagster.scoring.profile import TABLE as PROFILE

Octo = Callable[..., "Done"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three audiences, two of them taking turns, over four customers; looked at on two days."""
    write(tmp_path, "audiences/late.yaml", rule="last_order_on < days_ago(90)", description="Long away")
    write(tmp_path, "audiences/many.yaml", rule="orders >= 2", description="Came again")
    write(tmp_path, "audiences/all_told.yaml", include=["late", "many"])
    write(tmp_path, "priorities/turns.yaml", audiences=["late", "many"])
    for day, orders in ((date(2024, 6, 29), [1, 1, 2, 0]), (date(2024, 6, 30), [2, 1, 2, 0])):
        project = Project(tmp_path, tmp_path / ".octo")
        project.warehouse.replace(PROFILE, customers(orders), {"as_of": day.isoformat()})
        memberships.track(project.warehouse, project.conditions(), day)
    return tmp_path


def customers(orders: list[int]) -> pa.Table:
    last = [date(2024, 1, 1), date(2024, 6, 1), date(2024, 6, 1), None]
    return pa.table(
        {
            "customer_id": ["a", "b", "c", "d"],
            "orders": orders,
            "last_order_on": pa.array(last, pa.date32()),
            "email": ["a@x", "b@x", None, None],
            "email_consent": [True, None, True, None],
        }
    )


def write(folder: Path, name: str, **said: Any) -> None:
    path = folder / "assets" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(said))


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def octo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Octo:
    """`octo audiences` in this process, for a project folder."""

    def run(folder: Path, *words: str) -> Done:
        monkeypatch.setenv("OCTO_PROJECT", str(folder))
        monkeypatch.setenv("OCTO_HOME", str(folder / ".octo"))
        monkeypatch.setattr(sys, "argv", ["octo", "audiences", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_sizes_movements_and_overlap(folder: Path, octo: Octo) -> None:
    """Each audience as it is now, with who came and left on the last day and what any two share."""
    told = json.loads(octo(folder, "--overlap", "--json").stdout)
    sizes = {one["audience"]: (one["customers"], one["reached_by"]) for one in told["audiences"]}
    assert sizes == {"all_told": (2, {"email": 1}), "late": (1, {"email": 1}), "many": (1, {"email": 0})}
    assert (told["last"]["as_of"], told["last"]["since"]) == ("2024-06-30", "2024-06-29")
    assert {one["audience"]: one["entered"] for one in told["last"]["movements"]}["many"] == 0
    shared = {(one["a"], one["b"]): one["customers"] for one in told["overlap"]}
    assert shared == {("all_told", "late"): 1, ("all_told", "many"): 1, ("late", "many"): 0}


def test_as_people_read_it(folder: Path, octo: Octo) -> None:
    """At a terminal: a line for each audience, and the overlap as a matrix."""
    done = octo(folder, "--overlap")
    assert done.returncode == 0
    for words in ("2024-06-30", "Came again", "50.0%", "1 (100%)"):
        assert words in done.stdout, done.stdout


def test_a_rule_before_there_is_a_file(folder: Path, octo: Octo) -> None:
    """The size of a rule nobody saved; nothing is written."""
    before = Project(folder, folder / ".octo").warehouse.version("audience_members")
    told = json.loads(
        octo(folder, "--rule", "orders >= 1 and last_order_on >= days_ago(30)", "--json").stdout
    )
    assert told["audiences"][0]["customers"] == 2
    assert told["last"] is None
    assert Project(folder, folder / ".octo").warehouse.version("audience_members") == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rule", "ordrs > 1"), "column 'ordrs' is unknown; did you mean 'orders'?"),
        (("--rule", "orders >"), "cannot be read at character"),
    ],
)
def test_a_rule_that_is_wrong(folder: Path, octo: Octo, words: tuple[str, ...], message: str) -> None:
    """A wrong rule is explained and ends with the exit code of a wrong file."""
    done = octo(folder, *words)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_file_that_is_wrong_and_no_profile_yet(
    folder: Path, octo: Octo, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A rule that does not fit the profile is told by file; without a profile that is said."""
    write(folder, "audiences/many.yaml", rule="orders >= 'two'")
    done = octo(folder)
    assert (done.returncode, "many.yaml: rule: 'orders' holds a number" in done.stderr) == (2, True)
    bare = tmp_path_factory.mktemp("bare")
    (bare / "assets").mkdir()
    done = octo(bare)
    assert (done.returncode, "there is no table 'customer_profile'" in done.stderr) == (2, True)
