"""The promise: whatever is wrong with files or rows is said with its address, and stops no more than it must."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from octo_dagster import cli
from octo_dagster.delivery.plan import Options, definition
from octo_dagster.errors import ConfigError, OctoError
from octo_dagster.run import prepare
from tests.world import FIELDS, World, row

SECRET = "xkeysib-very-secret"
BREVO = {"type": "brevo", "api_key": {"env": "BREVO_API_KEY"}, "list": "Octo customers"}
SALESFORCE = {
    "type": "salesforce",
    "domain": "octo",
    "object": "Contact",
    "auth": {"client_id": {"env": "SF_CLIENT_ID"}, "client_secret": {"env": "SF_CLIENT_SECRET"}},
}

WRONG_FILES: list[tuple[Mapping[str, Any], str]] = [
    ({"nonsense": 1}, "nonsense: Extra inputs are not permitted"),
    ({"destination": {"type": "hub"}}, "destination: unknown type 'hub'; known: brevo, "),
    ({"destination": "brevo"}, "destination: unknown type 'nothing'"),
    ({"destination": {**BREVO, "api_key": SECRET}}, "destination.api_key: "),
    ({"destination": {**BREVO, "api_key": {"env": "A", "value": SECRET}}}, "destination.api_key.value: "),
    ({"destination": {"type": "brevo", "list": "x"}}, "destination.api_key: Field required"),
    ({"destination": {**BREVO, "lst": "x"}}, "destination.lst: Extra inputs are not permitted"),
    ({"destination": {**SALESFORCE, "auth": {}}}, "destination.auth"),
    ({"mode": "sideways"}, "mode: Input should be 'upsert'"),
    (
        {"destination": BREVO, "key": {"from": "email", "to": "EMAIL"}, "mode": "create_only"},
        "mode: brevo cannot",
    ),
    ({"on_remove": "leave", "mode": "mirror"}, "on_remove: webhook can clear, delete"),
    ({"fields": []}, "fields: Tuple should have at least 1 item"),
    (
        {"fields": [{"from": "orders", "to": "a"}, {"from": "segment", "to": "a"}]},
        "fields: a is mapped more than once",
    ),
    ({"fields": [{"from": "orders", "to": "email"}]}, "fields: email is the key and cannot be mapped again"),
    ({"fields": [{"to": "a"}]}, "fields.0: give exactly one of from, constant, template"),
    (
        {"fields": [{"from": "orders", "to": "a", "nulls": "default"}]},
        "fields.0: `nulls: default` and `default`",
    ),
    ({"fields": [{"from": "orders", "to": "a", "type": "number"}]}, "fields.0.type: Input should be 'text'"),
    ({"fields": [{"from": "orders", "to": ""}]}, "fields.0.to: String should have at least 1 character"),
    ({"guards": {"max_removed": -1}}, "guards.max_removed"),
    ({"guards": {"max_removed": "lots%"}}, "guards.max_removed"),
    ({"key": {"from": "email"}}, "key.to: Field required"),
]


def problems(shop: World) -> tuple[str, ...]:
    """What is wrong with the project's files."""
    with pytest.raises(ConfigError) as caught:
        shop.plan()
    return tuple(caught.value.problems)


@pytest.mark.parametrize(("said", "problem"), WRONG_FILES)
def test_a_mistake_in_a_sync(shop: World, said: Mapping[str, Any], problem: str) -> None:
    """A mistake in a sync's file is addressed by file and field, and never shows what may be a secret."""
    told = problems(shop.have([row(1)]).say(**said))
    assert any(line.startswith(f"customers.yaml: {problem}") for line in told), told
    assert SECRET not in str(told)


WRONG_NAMES: list[tuple[Mapping[str, Any], str]] = [
    ({"fields": [{"from": "nope", "to": "a"}]}, "customers.yaml: customer_profile has no column 'nope'"),
    ({"audience": "nobody"}, "customers.yaml: audience: there is no 'nobody'"),
    ({"reads": "nothing"}, "nothing"),
    ({"consent": "segment"}, "customers.yaml: consent: segment is not a column of true and false"),
]


@pytest.mark.parametrize(("said", "problem"), WRONG_NAMES)
def test_a_name_that_names_nothing(shop: World, said: Mapping[str, Any], problem: str) -> None:
    """A column, table or audience that does not exist is named, before anything is sent."""
    told = problems(shop.have([row(1)]).say(**said))
    assert problem in "\n".join(told)
    assert not shop.sandbox.calls("webhook")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: b: c", "customers.yaml: not YAML"),
        ("- a\n- b\n", "customers.yaml: must be a mapping"),
        ("", "customers.yaml: must be a mapping"),
        ("\x00", "customers.yaml: not YAML"),
    ],
)
def test_a_file_that_is_none(shop: World, text: str, problem: str) -> None:
    """What is not YAML, or not a mapping, is said of the file."""
    (shop.folder / "assets" / "syncs" / "customers.yaml").write_text(text)
    assert problems(shop)[0].startswith(problem)


def test_a_file_in_another_encoding(shop: World) -> None:
    """A file that is not UTF-8 is said to be no YAML."""
    (shop.folder / "assets" / "syncs" / "customers.yaml").write_bytes("description: Zoë".encode("latin-1"))
    assert problems(shop)[0].startswith("customers.yaml: not YAML")


@pytest.mark.parametrize("rule", ["orders >", "nope > 1", "__import__('os')", "orders > 'many'", ""])
def test_a_bad_rule(shop: World, rule: str) -> None:
    """An audience whose rule cannot be read, or compares what cannot be compared, is refused by its file."""
    path = shop.folder / "assets" / "audiences" / "some.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"rule": rule}))
    told = problems(shop.have([row(1)]).say(audience="some"))
    assert told[0].startswith("some.yaml: rule")
    assert not shop.sandbox.calls("webhook")


def test_all_mistakes_of_all_files_at_once(shop: World) -> None:
    """Whoever mends files is told everything at once."""
    shop.say(nonsense=1, mode="sideways")
    other = shop.folder / "assets" / "syncs" / "other.yaml"
    other.write_text("destination: {type: hub}\n")
    told = problems(shop)
    assert len(told) >= 4
    assert {line.partition(":")[0] for line in told} == {"customers.yaml", "other.yaml"}


SETTINGS = [
    {"url": "https://hooks.example.com/other"},
    {"readable": False},
    {"secret": {"env": "OTHER"}},
]


@pytest.mark.parametrize("changed", SETTINGS)
def test_any_setting_of_the_destination_makes_a_plan_stale(shop: World, changed: Mapping[str, Any]) -> None:
    """A plan is for one file: whatever moves in the destination's settings makes another of it."""
    before = definition(shop.sync)
    shop.say(destination={**shop.said["destination"], **changed})
    assert definition(shop.sync) != before


def test_no_customers_at_all(shop: World) -> None:
    """An empty table of a new shop: nothing planned, nothing sent, all well."""
    report = shop.have([]).deliver()
    assert (report.planned, report.calls, report.exit_code) == (0, 0, 0)


def test_everybody_is_twice(shop: World) -> None:
    """A join gone wrong that doubles every row sends nobody, removes nobody, and is stopped by its guard."""
    shop.say(mode="mirror").have([row(n) for n in range(5)]).deliver()
    shop.have([row(n % 5, orders=n) for n in range(10)])
    plan = shop.plan()
    assert (plan.changes, plan.counts.invalid, plan.counts.rows) == (0, 10, 10)
    with pytest.raises(OctoError, match="10 of 10 would be invalid"):
        shop.deliver()


def test_every_row_is_in_one_count(shop: World) -> None:
    """Whatever the rows are, and whatever the options: the counts of a plan add up to the rows read."""
    shop.say(guards={"max_invalid": 1.0, "max_changed": 1.0}, fields=FIELDS)
    shop.have([row(n) for n in range(8)]).deliver()
    rows = [row(n, orders=n % 3) for n in range(4, 14)] + [row(20, email=None), row(5), row(21, email="\t")]
    shop.have(rows)
    for options in ({}, {"limit": 2}, {"only": ("customer7@example.com", "nobody")}, {"full": True}):
        counts = prepare(shop.sync, shop.project, Options(**options), shop.around).counts
        parts = (
            counts.added,
            counts.changed,
            counts.unchanged,
            counts.invalid,
            counts.waiting,
            counts.left_out,
        )
        assert (sum(parts), min(parts) >= 0, counts.rows) == (13, True, 13), (options, counts)


# the command ---------------------------------------------------------------------------------------------


@dataclass
class Octo:
    """The command, in a project's folder."""

    shop: World
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *arguments: str) -> tuple[int, str]:
        """Exit code and what was said, errors included."""
        self.monkeypatch.setenv("OCTO_PROJECT", str(self.shop.folder))
        self.monkeypatch.setenv("OCTO_HOME", str(self.shop.folder / ".octo"))
        self.monkeypatch.setenv("OCTO_SANDBOX", self.shop.sandbox.address)
        result = CliRunner().invoke(cli.app, arguments)
        if isinstance(result.exception, OctoError):  # `main` says it and ends with its code
            return result.exception.exit_code, str(result.exception)
        return result.exit_code, result.output


@pytest.fixture
def octo(shop: World, monkeypatch: pytest.MonkeyPatch) -> Octo:
    return Octo(shop, monkeypatch)


def test_exit_codes_of_deliver(shop: World, octo: Octo, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 done, 2 a file is wrong, 3 a guard refuses, 4 a row is rejected, 6 unheard of, 7 credentials."""
    shop.say(mode="mirror").have([row(n) for n in range(9)])
    assert octo("deliver", "customers", "--json")[0] == 0
    shop.have([row(1)])
    code, told = octo("deliver", "customers", "--json")
    assert (code, "8 of 9 would be removed" in told) == (3, True)
    shop.have([row(n) for n in range(9)] + [row(10, segment="x" * 2_000)])
    assert octo("deliver", "customers", "--json")[0] == 4
    shop.have([row(n) for n in range(9)] + [row(10)])
    shop.sandbox.fault("webhook", "drop_after", path="^/octo$")
    shop.sandbox.fault("webhook", "error_before", path="/read$")
    assert octo("deliver", "customers", "--json")[0] == 6
    assert octo("settle", "customers", "--json")[0] == 0
    monkeypatch.setenv("WEBHOOK_SECRET", "wrong")
    assert octo("deliver", "customers", "--full", "--only", "customer1@example.com", "--json")[0] == 7
    monkeypatch.delenv("WEBHOOK_SECRET")
    code, told = octo("deliver", "customers", "--full", "--only", "customer1@example.com", "--json")
    assert (code, "WEBHOOK_SECRET is not set" in told) == (2, True)
    assert octo("deliver", "nobody")[0] == octo("log", "nobody")[0] == 2


def test_a_plan_that_is_shown_is_the_plan_delivered(shop: World, octo: Octo) -> None:
    """What `octo plan` shows can be delivered by its id, once."""
    shop.have([row(1), row(2)])
    code, told = octo("plan", "customers", "--json")
    plan = json.loads(told)
    assert (code, plan["counts"]["added"], plan["guards"]) == (0, 2, [])
    code, told = octo("deliver", "customers", "--plan", plan["id"], "--json")
    assert (code, json.loads(told)["tally"]["accepted"]) == (0, 2)
    assert octo("deliver", "customers", "--plan", plan["id"])[0] == 3
    assert octo("deliver", "customers", "--plan", "unknown")[0] == 3


def test_verify_says_so_when_something_differs(shop: World, octo: Octo) -> None:
    """`octo verify` ends with 4 when another hand changed a record, and with 0 when none did."""
    shop.have([row(1), row(2)])
    octo("deliver", "customers")
    assert octo("verify", "customers", "--json")[0] == 0
    shop.sandbox.twin("webhook").hooks["octo"]["customer1@example.com"]["segment"] = "theirs"
    code, told = octo("verify", "customers", "--json")
    assert (code, json.loads(told)["drifts"]) == (
        4,
        [{"key": "customer1@example.com", "fields": ["segment"]}],
    )


def test_check_says_what_there_is(shop: World, octo: Octo, tmp_path: Path) -> None:
    """`octo check` names every file when all is good, and ends with 2 when one is not."""
    code, told = octo("check", "--json")
    assert (code, "customers" in told) == (0, True)
    shop.say(nonsense=1)
    code, told = octo("check", "--json")
    assert (code, "customers.yaml: nonsense: " in told) == (2, True)


SHOP = """
source: {type: files, folder: FOLDER}
max_rejected: 90%
tables:
  customers: {from: customers.csv, columns: {customer_id: id}}
  orders: {from: orders.csv, columns: {order_id: id, customer_id: who, ordered_at: at, net_amount: paid}}
"""


def test_every_source_row_is_told_of(shop: World, octo: Octo, tmp_path: Path) -> None:
    """`octo run` says what became of each row read; `octo rejected` shows every refused one and why."""
    sources = tmp_path / "assets" / "sources"
    sources.mkdir(parents=True)
    (sources / "csv.yaml").write_text(SHOP.replace("FOLDER", str(tmp_path)))
    (tmp_path / "customers.csv").write_text("id\n1\n1\n2\n")
    (tmp_path / "orders.csv").write_text(
        "id,who,at,paid\na,1,2024-01-01,3\nb,[9],2024-01-01,3\nc,1,soon,3\n,1,2024-01-01,3\n"
    )
    assert octo("rejected", "--json") == (0, "[]\n")
    code, told = octo("run", "--base")
    assert (code, "customer_id: unknown: 1" in told, "key: no key: 1" in told) == (0, True, True)
    rows = json.loads(octo("rejected", "orders", "--json")[1])
    assert [(row["key"], row["field"], row["value"], row["reason"]) for row in rows] == [
        (None, "key", None, "no key"),
        ("c", "ordered_at", "soon", "not a date"),
        ("b", "customer_id", "[9]", "unknown"),
    ]
    assert "[9]" in octo("rejected")[1]
    assert json.loads(octo("rejected", "customers", "--json")[1]) == []


def test_a_mended_file_is_no_longer_held_against_its_source(shop: World, octo: Octo, tmp_path: Path) -> None:
    """Lines without a key that a file no longer has are not counted again each time the file changes."""
    sources = tmp_path / "assets" / "sources"
    sources.mkdir(parents=True)
    (sources / "csv.yaml").write_text(SHOP.replace("FOLDER", str(tmp_path)))
    (tmp_path / "customers.csv").write_text("id\n1\n")
    orders = tmp_path / "orders.csv"
    good = "id,who,at,paid\na,1,2024-01-01,3\n"
    found = []
    for lines in (",1,2024-01-01,3\nb,1\n", ",1,2024-01-01,33\nb,1\n", "b,1,2024-01-01,3\n"):
        orders.write_text(good + lines)
        made = json.loads(octo("run", "--base", "--json")[1])["tables"][1]
        found.append([made[fate] for fate in ("read", "kept", "rejected", "superseded")])
    assert found == [[3, 1, 2, 0], [6, 1, 2, 3], [8, 2, 0, 6]]


def test_older_versions_do_not_loosen_the_limit(shop: World, octo: Octo, tmp_path: Path) -> None:
    """`max_rejected` is a share of the rows that count now, however often a file was read before."""
    sources = tmp_path / "assets" / "sources"
    sources.mkdir(parents=True)
    (sources / "csv.yaml").write_text(SHOP.replace("FOLDER", str(tmp_path)).replace("90%", "30%"))
    (tmp_path / "orders.csv").write_text("id,who,at,paid\n")
    for version in range(4):
        (tmp_path / "customers.csv").write_text("id\n1\n2\n" + "\n" * version)
        assert octo("run", "--base")[0] == 0
    (tmp_path / "customers.csv").write_text('id\n1\n2\n" "\n')
    code, told = octo("run", "--base")
    assert (code, "customers: 1 of 3 rows rejected" in told) == (4, True)
