"""`octo init` and `octo check --connect`: from an empty folder to a first careful delivery."""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from connectors.registry import destinations
from connectors.sandbox.server import Sandbox
from octo_dagster import begin, show
from octo_dagster.cli import app
from octo_dagster.config import Project
from octo_dagster.destination import Survey
from octo_dagster.errors import ConfigError, OctoError
from tests.vendors.brevo import BREVO
from tests.vendors.every import EXAMINEES
from tests.vendors.examinee import Examinee
from tests.vendors.webhook import WEBHOOK

PEOPLE = [
    {
        "customer_id": f"c{n}",
        "email": f"customer{n}@example.com",
        "email_consent": True,
        "first_name": "Ada",
        "last_name": f"Number {n}",
        "phone": f"+33 6 12 34 56 7{n}",
        "postal_code": "75001",
        "orders": n,
        "first_order_at": datetime.fromisoformat(f"2026-11-0{n}T10:00:00"),
        "rfm_recency": 6,
        "rfm_frequency_monetary": 6,
        "rfm_segment": "Best active customers",
        "rfm_orders": n,
        "rfm_revenue": Decimal("12.50"),
        "rfm_last_order_at": date(2026, 11, n),
        "rfi_label": "recent purchase",
        "passive_segment": None,
        "promophilia_class": "low",
    }
    for n in range(1, 9)
]


@pytest.fixture
def tools(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox that vendors' calls go to, and the credentials its twins accept."""
    monkeypatch.setenv("OCTO_SANDBOX", sandbox.address)
    for name, value in {**WEBHOOK.env, **BREVO.env}.items():
        monkeypatch.setenv(name, value)
    return sandbox


def octo(*words: str, fails: type[OctoError] | None = None) -> Any:
    """A command's JSON; or the message of the error it ends with."""
    ran = CliRunner().invoke(app, [*words, "--json"])
    if fails is not None:
        assert isinstance(ran.exception, fails), ran.output
        return str(ran.exception)
    assert ran.exit_code == 0, ran.output or ran.exception
    return json.loads(ran.stdout)


def test_a_new_project_is_good_as_it_is(tmp_path: Path) -> None:
    """The folder it writes is a project that passes `check`, with every score Octo ships waiting for a source."""
    octo("init", str(tmp_path / "shop"))
    project = Project(tmp_path / "shop", tmp_path / "shop" / ".octo")
    project.check()
    assert {"rfm", "rhythm", "recommended"} <= project.library.dormant.keys()
    assert list(project.audiences) == list(begin.AUDIENCES)


def test_nothing_is_written_over(tmp_path: Path, tools: Sandbox) -> None:
    """A second `init` leaves what a person changed, and says that a tool's file is there already."""
    octo("init", str(tmp_path), "--tool", "webhook", "--set", "url=https://hooks.example.com/octo")
    settings = tmp_path / "assets" / "project.yaml"
    settings.write_text("language: fr\n")
    assert octo("init", str(tmp_path))["written"] == []
    assert settings.read_text() == "language: fr\n"
    again = octo("init", str(tmp_path), "--tool", "webhook", "--set", "url=https://other", fails=ConfigError)
    assert "is there already" in again
    assert "hooks.example.com" in (tmp_path / "assets" / "syncs" / "webhook.yaml").read_text()


def test_what_has_to_be_said_is_asked_for(tmp_path: Path, tools: Sandbox) -> None:
    """A tool's settings that nobody can guess are named, one line each; an unknown tool or source too."""
    assert octo("init", str(tmp_path), "--tool", "webhook", fails=ConfigError) == "webhook needs --set url=…"
    assert "webhook" in octo("init", str(tmp_path), "--tool", "webhok", fails=ConfigError)
    assert "no ready source" in octo("init", str(tmp_path), "--source", "shopfy", fails=ConfigError)
    assert list((tmp_path / "assets" / "syncs").iterdir()) == []


def test_a_secret_is_named_and_never_written(
    tmp_path: Path, tools: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file holds the variable's name; without the variable nothing is written and its name is told."""
    monkeypatch.delenv("WEBHOOK_SECRET")
    url = "url=https://hooks.example.com/octo"
    told = octo("init", str(tmp_path), "--tool", "webhook", "--set", url, fails=OctoError)
    assert "WEBHOOK_SECRET is not set" in told
    monkeypatch.setenv("MY_KEY", "sandbox-key")
    octo("init", str(tmp_path), "--tool", "webhook", "--set", url, "--set", "secret=MY_KEY")
    text = (tmp_path / "assets" / "syncs" / "webhook.yaml").read_text()
    assert yaml.safe_load(text)["destination"]["secret"] == {"env": "MY_KEY"}
    assert "sandbox-key" not in text


def words(*said: str) -> str:
    """What a command tells a person, on either stream."""
    ran = CliRunner().invoke(app, [*said], env={"COLUMNS": "200"})
    return f"{ran.output}\n{ran.exception}"


def test_a_tool_that_is_not_ready_yet_leaves_a_project(
    tmp_path: Path, tools: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its secret the project is written and told of, with what to do; the same command then ends it."""
    monkeypatch.delenv("WEBHOOK_SECRET")
    same = ["init", str(tmp_path), "--tool", "webhook", "--set", "url=https://hooks.example.com/octo"]
    told = words(*same)
    assert f"wrote {tmp_path / 'assets' / 'project.yaml'}" in told
    assert "There is no sync for webhook yet" in told
    assert "WEBHOOK_SECRET is not set" in told
    monkeypatch.setenv("WEBHOOK_SECRET", "sandbox-key")
    assert f"wrote {tmp_path / 'assets' / 'syncs' / 'webhook.yaml'}" in words(*same)
    assert "is there already" in words(*same)


def test_before_the_first_run_it_is_told_to_run(
    tmp_path: Path, tools: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan without a table to plan from names the command that makes one."""
    octo("init", str(tmp_path), "--tool", "webhook", "--set", "url=https://hooks.example.com/octo")
    monkeypatch.setenv("OCTO_PROJECT", str(tmp_path))
    assert "octo run --base" in octo("plan", "webhook", fails=ConfigError)


@pytest.mark.parametrize("source", ["shopify", "woocommerce", "prestashop"])
def test_an_example_s_address_is_nobody_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """A ready source whose address nobody wrote is told of by `check`, and no key is sent there; but for in
    the sandbox, which plays it."""
    octo("init", str(tmp_path), "--source", source)
    monkeypatch.setenv("OCTO_PROJECT", str(tmp_path))
    for name in Project(tmp_path, tmp_path / ".octo").secrets():
        monkeypatch.setenv(name, "secret")
    for command in (["check"], ["run", "--base"]):
        told = octo(*command, fails=ConfigError)
        assert f"{source}.yaml: source: base_url: still the example's" in told
    monkeypatch.setenv("OCTO_SANDBOX", "http://127.0.0.1:9")
    assert octo("check")["sources"] == [source]
    monkeypatch.delenv("OCTO_SANDBOX")
    path = tmp_path / "assets" / "sources" / f"{source}.yaml"
    path.write_text(re.sub(r"(your-shop|shop)\.(myshopify|example)\.com", "shop.acme.fr", path.read_text()))
    assert octo("check")["sources"] == [source]


@pytest.mark.parametrize("kind", sorted(destinations()))
def test_every_tool_can_be_begun(kind: str) -> None:
    """Of every destination, what has to be said is known: said so, its settings are whole."""
    model = destinations()[kind]
    said: dict[str, str] = {}
    try:
        begin.filled(model, said)
    except ConfigError as error:
        said = {line.split("--set ")[1].removesuffix("=…"): "octo" for line in error.problems}
    assert begin.filled(model, said)["type"] == kind


def test_the_number_of_an_account_is_a_text() -> None:
    """Said as anybody would say it, without quotes; a number that is one stays one."""
    said = {"ad_account": "0123", "audience": "2026", "access_token": "META"}
    made = begin.filled(destinations()["meta_audience"], said)
    assert (made["ad_account"], made["audience"]) == ("0123", "2026")
    zendesk = begin.filled(destinations()["zendesk"], {"subdomain": "octo", "calls_a_minute": "700"})
    assert zendesk["calls_a_minute"] == 700


OWN = """
import sqlalchemy as sa
from octo_dagster.score import Tables, score

@score(reads=("orders",), columns={"my_orders": ("integer", "How many orders")})
def delay_between_purchases(tables: Tables, *, as_of: object) -> object:
    "Orders."
    orders = tables["orders"]
    return sa.select(orders.c.customer_id, sa.func.count().label("my_orders")).group_by(orders.c.customer_id)
"""
ORDERS = """
source: {type: files, folder: .}
tables:
  orders: {from: "*.csv", columns: {order_id: id, customer_id: who, ordered_at: at, net_amount: total, status: state}}
"""


def test_a_shipped_score_gives_way_to_ones_own(tmp_path: Path) -> None:
    """With a source of orders the shipped scores wake; one of the same name in the project is the project's."""
    octo("init", str(tmp_path))
    (tmp_path / "assets" / "sources" / "shop.yaml").write_text(ORDERS)
    (tmp_path / "assets" / "scores" / "own.py").write_text(OWN)
    project = Project(tmp_path, tmp_path / ".octo")
    assert {"rfm", "rhythm"} <= project.scores.keys()
    assert [column.name for column in project.scores["delay_between_purchases"].columns] == ["my_orders"]


@pytest.mark.parametrize("examinee", EXAMINEES, ids=lambda examinee: examinee.name)
def test_from_nothing_to_five_customers(
    examinee: Examinee, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every tool: `init` writes a sync of it, `check --connect` finds nothing amiss and
    says what is to be made, and the first five customers are delivered."""
    monkeypatch.setenv("OCTO_SANDBOX", sandbox.address)
    for name, value in examinee.env.items():
        monkeypatch.setenv(name, value)
    examinee.prepare(sandbox.twin(examinee.name))
    said = [f"--set={name}={value}" for name, value in flat(examinee.settings) if name != "type"]
    octo("init", str(tmp_path), "--tool", examinee.name, *said)
    monkeypatch.setenv("OCTO_PROJECT", str(tmp_path))
    project = Project(tmp_path, tmp_path / ".octo")
    project.warehouse.replace("customer_profile", pa.Table.from_pylist(PEOPLE), {"as_of": "2026-11-22"})
    (seen,) = octo("check", "--connect")
    assert (seen["error"], seen["problems"]) == (None, [])
    assert seen["account"]
    done = octo("deliver", examinee.name, "--limit", "5")
    assert (done["tally"]["accepted"], done["exit_code"]) == (5, 0)


@pytest.mark.parametrize(
    ("name", "place"), [("google_sheets", "tab=New"), ("sql_table", "table=marketing.people")]
)
def test_a_place_that_the_first_delivery_makes(
    name: str, place: str, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tab or a table that is not there yet is nothing to be mended: its columns are to be made."""
    (examinee,) = (one for one in EXAMINEES if one.name == name)
    monkeypatch.setenv("OCTO_SANDBOX", sandbox.address)
    for variable, value in examinee.env.items():
        monkeypatch.setenv(variable, value)
    said = dict(flat(examinee.settings)) | dict([place.split("=")])
    sets = [f"--set={key}={value}" for key, value in said.items() if key != "type"]
    octo("init", str(tmp_path), "--tool", name, *sets)
    monkeypatch.setenv("OCTO_PROJECT", str(tmp_path))
    (seen,) = octo("check", "--connect")
    assert seen["problems"] == []
    assert "rfm_segment" in seen["to_be_made"]


def test_what_the_sandbox_says_to_begin_with(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line `octo sandbox` prints works as it is printed: of every source and every tool there is a file."""
    (tmp_path / "exports").mkdir()
    printed = io.StringIO()
    show.sandboxed(Console(file=printed, width=80), sandbox)
    for line in printed.getvalue().splitlines()[1:]:
        first, *words = shlex.split(line)
        if first == "export":
            for name, _, value in (word.partition("=") for word in words):
                inner = re.fullmatch(r"\$\(cat (.*)\)", value)
                monkeypatch.setenv(name, Path(inner.group(1)).read_text("utf-8") if inner else value)
        else:
            where = {
                "shop": str(tmp_path / "shop"),
                "to.folder=/srv/exports": f"to.folder={tmp_path}/exports",
            }
            octo(*(where.get(word, word) for word in words))
    assert {path.stem for path in (tmp_path / "shop/assets/syncs").iterdir()} == set(destinations())
    assert {path.stem for path in (tmp_path / "shop/assets/sources").iterdir()} == {
        shop.name for shop in sandbox.shops
    }


def test_what_salesforce_lacks_is_known_before_the_first_try(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a permission set no field can be made: `check --connect` says so, and which there are."""
    monkeypatch.setenv("OCTO_SANDBOX", sandbox.address)
    monkeypatch.setenv("SALESFORCE_CLIENT_ID", "octo-app")
    monkeypatch.setenv("SALESFORCE_CLIENT_SECRET", "octo-secret")
    octo("init", str(tmp_path), "--tool", "salesforce", "--set", "domain=octo")
    monkeypatch.setenv("OCTO_PROJECT", str(tmp_path))
    ran = CliRunner().invoke(app, ["check", "--connect", "--json"])
    (seen,) = json.loads(ran.stdout)
    assert ran.exit_code == 7
    assert seen["problems"] == [
        "permission_set: name one of this user's; it could not see the fields Octo makes"
    ]
    assert seen["survey"]["places"]["permission_set"] == ["Octo"]


def flat(settings: Mapping[str, Any], inside: str = "") -> Iterator[tuple[str, Any]]:
    """Settings as `--set` takes them: dots for what is inside another, a secret by its variable's name."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and set(value) == {"env"}:
            yield f"{inside}{name}", value["env"]
        elif isinstance(value, Mapping):
            yield from flat(value, f"{inside}{name}.")
        else:
            yield f"{inside}{name}", json.dumps(value)


def test_an_account_without_lists_is_told_as_such(tmp_path: Path) -> None:
    """What an empty account has of lists is `none yet`, not a line that ends in the middle."""
    told = Console(file=io.StringIO(), width=100)
    show.begun(told, tmp_path, [], {}, Survey(places={"list": (), "folder": ("Mine",)}))
    lines = told.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[:2] == ["  list: there are none yet", "  folder: there are Mine"]
