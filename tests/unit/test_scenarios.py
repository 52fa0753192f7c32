"""Scenarios never go backwards, never do a day twice, and say what they did."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octo_dagster import document
from octo_dagster.errors import ConfigError
from octo_dagster.scenarios import enrolment
from octo_dagster.scenarios.enrolment import Report, advance
from octo_dagster.scenarios.followed import scenario_state
from octo_dagster.scenarios.scenario import Scenario, check, rule_sql
from octo_dagster.scoring import profile
from octo_dagster.warehouse import Warehouse
from tests.scenario_cases import Rows, fill, run, run_again, scenarios_of, table
from tests.scoring_cases import arrow

ROOT = Path(__file__).parents[2]
START = date(2024, 6, 1)
IDS = list("abcdefghijklmnop")
TOLD: dict[str, Any] = {
    "big": {
        "rule": "orders >= 2",
        "place": 1,
        "holdout": "20%",
        "steps": [{"channel": "email"}, {"channel": "call", "or": "mail", "after": 2}, {"channel": "ads", "after": 3}],
        "lasts": 4,
        "again_after": 2,
    },
    "small": {"rule": "orders == 1", "steps": [{"channel": "email", "after": 1}], "lasts": 3, "again_after": 5},
}  # fmt: skip
SCENARIOS = scenarios_of(TOLD)
Base = dict[str, Rows]


def order(customer: str | None, hours: int) -> dict[str, Any]:
    at = datetime.fromisoformat("2024-05-28") + timedelta(hours=hours)
    return {"customer_id": customer, "ordered_at": at, "net_amount": Decimal(10), "status": "completed"}


def unsubscription(customer: str, hours: int) -> dict[str, Any]:
    at = datetime.fromisoformat("2024-05-28") + timedelta(hours=hours)
    return {"customer_id": customer, "occurred_at": at, "event_type": "unsubscribed"}


CONSENT = st.sampled_from([True, True, False, None])
CUSTOMERS = st.lists(st.tuples(CONSENT, CONSENT), min_size=16, max_size=16).map(
    lambda said: [
        {"customer_id": i, "email_consent": e, "call_consent": c} for i, (e, c) in zip(IDS, said, strict=True)
    ]
)
HOURS = st.integers(0, 24 * 20)
BASES = st.fixed_dictionaries(
    {
        "customers": CUSTOMERS,
        "orders": st.lists(st.builds(order, st.sampled_from([*IDS, None]), HOURS), max_size=40),
        "message_events": st.lists(st.builds(unsubscription, st.sampled_from(IDS), HOURS), max_size=6),
    }
)
# Few, as each is many runs that write tables; many customers in each instead.
small = settings(max_examples=2)


def runs(base: Base, days: Sequence[int]) -> list[Rows]:
    """All enrolments after each of these runs, days after the start."""
    with tempfile.TemporaryDirectory() as root:
        warehouse = Warehouse(Path(root))
        fill(warehouse, base)
        return [run_again(warehouse, SCENARIOS, START + timedelta(days=day))[1] for day in days]


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["scenario"], row["customer_id"], row["entered_on"]


@small
@given(BASES)
def test_nobody_ever_goes_back(base: Base) -> None:
    """From run to run no enrolment is lost, no step sinks, what has ended stays as it is, and nobody is in two."""
    before: dict[Any, dict[str, Any]] = {}
    for rows in runs(base, [0, 1, 4, 9]):
        now = {key(row): row for row in rows}
        assert len(now) == len(rows)
        inside = [row["customer_id"] for row in rows if row["left_on"] is None]
        assert len(inside) == len(set(inside))
        for name, row in before.items():
            assert now[name]["step"] >= row["step"]
            assert row["left_on"] is None or now[name] == row
        before = now


@small
@given(BASES)
def test_who_buys_or_unsubscribes_is_out(base: Base) -> None:
    """After a run nobody is inside who bought or unsubscribed since he entered, by the end of its day."""
    for day, rows in zip((0, 2, 8), runs(base, [0, 2, 8]), strict=True):
        end = datetime.fromisoformat("2024-06-01") + timedelta(days=day + 1)
        for row in (row for row in rows if row["left_on"] is None):
            for name, at, last in (
                ("orders", "ordered_at", "last_order_at"),
                ("message_events", "occurred_at", "last_unsubscribe_at"),
            ):
                mine = [x[at] for x in base[name] if x["customer_id"] == row["customer_id"] and x[at] < end]
                assert max(mine, default=None) == row[last]


@small
@given(BASES)
def test_skipped_days_are_caught_up_with(base: Base) -> None:
    """Of who entered on the first day, a run a week later knows the same as runs of the days in between."""
    daily, at_once = runs(base, [0, 1, 2, 3, 5, 7])[-1], runs(base, [0, 7])[-1]
    columns = ("customer_id", "step", "step_on", "action", "next_action_on", "left_on", "left_because")

    def first(rows: Rows) -> Rows:
        return [
            {
                name: row[name]
                for name in columns
                if row["left_on"] is None or name not in {"step", "step_on", "action"}
            }
            for row in rows
            if row["entered_on"] == START
        ]

    assert first(daily) == first(at_once)


@small
@given(BASES, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(base: Base, dice: Any) -> None:
    """Shuffled tables give the same enrolments, in the same order."""
    shuffled = {name: dice.sample(rows, len(rows)) for name, rows in base.items()}
    assert runs(shuffled, [0, 4]) == runs(base, [0, 4])


@small
@given(BASES)
def test_another_customer_changes_nothing(base: Base) -> None:
    """Somebody more in the base moves nobody else."""
    more = base | {
        "customers": [*base["customers"], {"customer_id": "z", "email_consent": True}],
        "orders": [*base["orders"], order("z", 0), order("z", 24 * 6)],
    }
    others = [[row for row in rows if row["customer_id"] != "z"] for rows in runs(more, [0, 4])]
    assert others == runs(base, [0, 4])


@small
@given(BASES)
def test_what_comes_later_is_never_seen(base: Base) -> None:
    """Orders and unsubscriptions after the day of the run make no difference."""
    end = datetime.fromisoformat("2024-06-05")
    at = {"orders": "ordered_at", "message_events": "occurred_at"}
    before = {n: [r for r in rows if n not in at or r[at[n]] < end] for n, rows in base.items()}
    assert runs(base, [0, 3]) == runs(before, [0, 3])


@small
@given(BASES)
def test_the_same_day_twice_is_the_same(base: Base) -> None:
    """A second run of one day, on the same data, changes nothing in any table: not even what entered that day."""
    with tempfile.TemporaryDirectory() as root:
        warehouse = Warehouse(Path(root))
        run(warehouse, base, SCENARIOS, START)
        names = ("scenario_enrolments", "scenario_state", "scenario_uplift")
        seen = []
        for _ in range(2):
            report, _ = run_again(warehouse, SCENARIOS, START + timedelta(days=3))
            seen.append([report.scenarios, *(table(warehouse, name) for name in names)])
    assert seen[0] == seen[1]


PERSON = [{"customer_id": "a", "email_consent": True, "call_consent": True}]


def test_a_second_run_of_the_day_takes_back_what_no_longer_holds(tmp_path: Path) -> None:
    """Who entered in the morning's run and bought at noon was never in it, says the evening's."""
    warehouse = Warehouse(tmp_path)
    _, rows = run(warehouse, {"customers": PERSON, "orders": [order("a", 0)]}, SCENARIOS, START)
    assert [(row["scenario"], row["left_on"]) for row in rows] == [("small", None)]
    noon = [order("a", 0), order("a", 4 * 24 + 12)]
    _, rows = run(warehouse, {"customers": PERSON, "orders": noon}, SCENARIOS, START)
    assert [(row["scenario"], row["left_on"]) for row in rows] == [("big", None)]


def test_an_earlier_day_is_left_alone_and_said(tmp_path: Path) -> None:
    """A run for a day before the newest writes nothing and says why."""
    warehouse = Warehouse(tmp_path)
    base: Base = {"customers": PERSON, "orders": [order("a", 0)]}
    run(warehouse, base, SCENARIOS, START)
    version = warehouse.version("scenario_enrolments")
    report, rows = run(warehouse, base, SCENARIOS, START - timedelta(days=1))
    assert (
        report.left_alone
        == "the scenarios stand at 2024-06-01: a run for 2024-05-31 does not rewrite what came after"
    )
    assert (report.version, warehouse.version("scenario_enrolments"), len(rows)) == (version, version, 1)


def test_a_consent_that_is_withdrawn_ends_the_action(tmp_path: Path) -> None:
    """The action goes the day after the consent went, is not brought back, and the next step is as usual."""
    warehouse = Warehouse(tmp_path)
    orders = [order("a", 0), order("a", 1)]
    seen: list[tuple[Any, ...]] = []
    for day, consent in ((0, True), (1, False), (2, True)):
        people = [{"customer_id": "a", "email_consent": consent, "call_consent": True}]
        base: Base = {"customers": people, "orders": orders}
        _, (row,) = run(
            warehouse, base, scenarios_of({"big": TOLD["big"] | {"holdout": 0}}), START + timedelta(days=day)
        )
        seen.append((row["step"], row["action"], row["action_name"], row["skipped"]))
    assert seen == [
        (1, "email", "email", None),
        (1, None, None, "consent withdrawn"),
        (2, "call", "call", None),
    ]


def test_a_file_that_changes_takes_nobody_back(tmp_path: Path) -> None:
    """Steps moved to later days, or taken out, leave those who are past them where they are."""
    warehouse = Warehouse(tmp_path)
    fill(warehouse, {"customers": PERSON, "orders": [order("a", 0)]})
    seen: list[tuple[Any, ...]] = []
    for day, after in ((0, 2), (2, 2), (3, 10), (10, 10)):
        steps = [{"channel": "email"}, {"channel": "call", "after": after}]
        scenarios = scenarios_of({"x": {"rule": "orders >= 1", "steps": steps}})
        _, (row,) = run_again(warehouse, scenarios, START + timedelta(days=day))
        seen.append((row["step"], row["action"], row["actions"], row["step_on"].isoformat()))
    assert seen == [(1, "email", 1, "2024-06-01"), *[(2, "call", 2, "2024-06-03")] * 3]


def test_who_may_not_be_contacted_never_enters(tmp_path: Path) -> None:
    """A shop's column `do_not_contact` keeps people out, and ends every action of those inside."""
    warehouse = Warehouse(tmp_path)
    scenarios = scenarios_of({"all": {"rule": "orders >= 1", "steps": [{"channel": "mail"}]}})
    warehouse.replace("orders", arrow("orders", [order("a", 0), order("b", 0)]))
    people = arrow("customers", [{"customer_id": "a"}, {"customer_id": "b"}])
    seen: list[list[tuple[Any, ...]]] = []
    for banned in ([True, None], [True, True]):
        warehouse.replace("customers", people.append_column("do_not_contact", pa.array(banned)))
        day = START + timedelta(days=len(seen))
        advance(warehouse, scenarios, profile.profile_sql((), day), day)
        rows = table(warehouse, "scenario_state")
        seen.append([(row["customer_id"], row["scenario_action"], row["scenario_skipped"]) for row in rows])
    assert seen == [[("b", "mail", None)], [("b", None, "consent withdrawn")]]


def test_a_scenario_or_customer_that_is_gone_is_left(tmp_path: Path) -> None:
    """A scenario whose file is deleted, and a customer no longer in the base, end on the day that is seen."""
    warehouse = Warehouse(tmp_path)
    base: Base = {
        "customers": [{"customer_id": i} for i in "ab"],
        "orders": [order("a", 0), order("b", 0), order("b", 1)],
    }
    run(warehouse, base, SCENARIOS, START)
    fewer = {"customers": [{"customer_id": "b"}], "orders": [order("b", 0), order("b", 1)]}
    report, rows = run(warehouse, fewer, [SCENARIOS[1]], START + timedelta(days=1))
    assert [(r["customer_id"], r["left_on"].isoformat(), r["left_because"]) for r in rows] == [
        ("a", "2024-06-02", "gone"),
        ("b", "2024-06-02", "removed"),
    ]
    assert [(moved.scenario, dict(moved.left)) for moved in report.scenarios] == [
        ("small", {"gone": 1}),
        ("big", {"removed": 1}),
    ]


def test_a_scenario_by_another_name_does_not_begin_anew(tmp_path: Path) -> None:
    """Who was in a file that is renamed has his rest first: nobody gets the same first email twice."""
    warehouse = Warehouse(tmp_path)
    base: Base = {"customers": [{"customer_id": "a", "email_consent": True}], "orders": [order("a", 0)]}
    told = {"rule": "orders >= 1", "steps": [{"channel": "email"}], "again_after": 30, "lasts": 60}
    run(warehouse, base, scenarios_of({"old": told}), START)
    seen = [
        dict(
            run(warehouse, base, scenarios_of({"new": told}), START + timedelta(days=day))[0]
            .scenarios[0]
            .actions
        )
        for day in (3, 32, 33)
    ]
    assert seen == [{}, {}, {"email": 1}]


def test_a_run_says_what_it_did(tmp_path: Path) -> None:
    """The report counts who entered, left, is held out, and what the day's steps do; as plain values too."""
    base: Base = {
        "customers": [{"customer_id": str(n), "email_consent": n % 2 == 0} for n in range(100)],
        "orders": [order(str(n), 1) for n in range(100)] + [order(str(n), 2) for n in range(100)],
    }
    report, rows = run(Warehouse(tmp_path), base, SCENARIOS, START)
    big = report.scenarios[0]
    held = sum(row["holdout"] for row in rows)
    assert (big.scenario, big.entered, big.enrolled, big.holdout, dict(big.left)) == (
        "big",
        100,
        100,
        held,
        {},
    )
    assert 10 <= held <= 30
    assert big.actions["email"] + big.skipped["no consent"] + held == 100
    assert report.as_dict()["as_of"] == "2024-06-01"
    assert isinstance(report, Report)


def test_the_holdout_is_the_same_everywhere() -> None:
    """Who is held out hangs on the scenario and the customer only: the share holds, and no day changes it."""
    base: Base = {"customers": [], "orders": []}
    for n in range(1000):
        base["customers"].append({"customer_id": f"c{n}"})
        base["orders"] += [order(f"c{n}", 1), order(f"c{n}", 2)]
    first, again = runs(base, [0])[0], runs({n: r[::-1] for n, r in base.items()}, [5])[0]
    held = {row["customer_id"] for row in first if row["holdout"]}
    assert held == {row["customer_id"] for row in again if row["holdout"]}
    assert 160 <= len(held) <= 240


def test_the_explanation_tells_step_and_next_day(tmp_path: Path) -> None:
    """`octo explain` says where the customer stands; of the holdout, that he is left alone."""
    warehouse = Warehouse(tmp_path)
    told = scenarios_of({"big": TOLD["big"] | {"holdout": 0}, "small": TOLD["small"] | {"holdout": "90%"}})
    base: Base = {
        "customers": [{"customer_id": i, "email_consent": i != "b"} for i in IDS],
        "orders": [order(i, h) for i in "ab" for h in (0, 1)] + [order("c", 0)],
    }
    run(warehouse, base, told, START)
    rows = {row["customer_id"]: row for row in table(warehouse, "scenario_state")}
    because = scenario_state.because
    assert because is not None
    assert because(rows["a"], {}) == [
        "in big since 2024-06-01",
        "step 1: email by email",
        "next step on 2024-06-03",
    ]
    assert because(rows["b"], {})[1] == "step 1 is left out: no consent"
    assert because(rows["c"], {}) == ["in small since 2024-06-01, in the holdout: followed, and left alone"]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("rule: a\nsteps: [{channel: fax}]", "x.yaml: steps.0.channel: Input should be 'email'"),
        ("rule: a\nsteps: []", "x.yaml: steps: must hold 1 to 20 steps"),
        ("rule: a\nsteps: [{channel: call, or: call}]", "x.yaml: steps.0: `or` must name another channel than call"),
        ("rule: a\nsteps: [{channel: call}, {channel: mail}]", "x.yaml: steps: step 2 must come at least a day after"),
        ("rule: a\nholdout: 95%\nsteps: [{channel: call}]", "x.yaml: holdout: Input should be less than or equal"),
        ("rule: a\nholdout: ten %\nsteps: [{channel: call}]", "x.yaml: holdout: must be a share, such as 10%"),
        ("rule: a\nsteps: [{channel: call}]\nend: 3", "x.yaml: end: Extra inputs are not permitted"),
        ("steps: [{channel: call}]", "x.yaml: rule: Field required"),
        ("rule: a\nsteps: [{channel: call}]\nstop_on: [click]", "x.yaml: stop_on.0: Input should be 'purchase'"),
    ],
)  # fmt: skip
def test_mistakes_are_told_where_they_are(text: str, mistake: str, tmp_path: Path) -> None:
    """Every mistake of a file names the file and the field."""
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as wrong:
        document.load(path, Scenario)
    assert str(wrong.value).startswith(mistake)


def test_wrong_rules_are_told_where_they_are_and_nothing_is_written(tmp_path: Path) -> None:
    """Rules are read over the columns there are, those of steps too; a run with a wrong one writes no table."""
    told = {"x": {"rule": "ordres >= 1", "steps": [{"channel": "call", "if": "orders ="}]}}
    scenarios = scenarios_of(told)
    schema = pa.schema([("orders", pa.int64())])
    with pytest.raises(ConfigError) as wrong:
        check(scenarios, schema, date(2024, 6, 1))
    assert wrong.value.problems[0].startswith("x.yaml: rule: column 'ordres' is unknown")
    assert wrong.value.problems[1].startswith("x.yaml: steps.0.if: cannot be read")
    warehouse = Warehouse(tmp_path)
    with pytest.raises(ConfigError, match=r"x.yaml: rule: column 'ordres' is unknown"):
        run(warehouse, {"customers": PERSON, "orders": []}, scenarios, START)
    assert enrolment.TABLE not in warehouse.names()


def test_a_rule_counts_days_from_the_day_of_the_run() -> None:
    """`days_ago` may stand in a scenario's rule, and is of the run's day, not of today."""
    scenario = scenarios_of({"x": {"rule": "last_order_at < days_ago(90)", "steps": [{"channel": "email"}]}})[
        0
    ]
    schema = pa.schema([("last_order_at", pa.timestamp("us"))])
    assert "2024-03-03" in rule_sql(scenario.rule, schema, date(2024, 6, 1), scenario, "rule")


def test_the_shipped_scenarios_can_be_run() -> None:
    """Both examples load, and their rules hold over the columns of the reactivation score."""
    shipped = [document.load(path, Scenario) for path in sorted((ROOT / "assets/scenarios").glob("*.yaml"))]
    assert [(s.name, len(s.steps)) for s in shipped] == [("big_passive", 5), ("small_passive", 2)]
    flags = ("is_big_passive", "is_small_passive", "is_in_top")
    check(shipped, pa.schema([(name, pa.bool_()) for name in flags]), date(2024, 6, 1))
    channels = {channel for step in shipped[0].steps for channel in (step.channel, step.instead) if channel}
    assert channels == {"email", "ads", "call", "mail"}
