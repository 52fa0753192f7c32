"""Marketing pressure's promises: what was sent and heard is counted right, and equals are treated alike."""

from __future__ import annotations

import tempfile
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.scores.marketing_pressure import marketing_pressure
from octo_dagster.bench import pressure as bench
from octo_dagster.errors import ConfigError
from octo_dagster.scoring.settings import checked_settings, load_settings
from tests import scoring_cases
from tests.postgres import postgres, scores_only

__all__ = ["postgres", "scores_only"]
AS_OF = date(2024, 6, 30)
CASES = scoring_cases.paths("marketing_pressure")
YAML = Path(__file__).parents[2] / "assets/scores/marketing_pressure.yaml"
Rows = list[dict[str, Any]]
Tables = dict[str, Rows]
shared = pytest.mark.skipif(not bench.SHARED.exists(), reason="../shared, the data sets, is not here")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_duckdb_gives_the_expected_table(path: Path, tmp_path: Path) -> None:
    """The rows of the case, run by DuckDB and written to the warehouse, are the expected ones in order."""
    case = scoring_cases.read(path)
    assert scoring_cases.on_duckdb(marketing_pressure, case, tmp_path) == list(case.rows)


def test_postgres_gives_the_expected_tables(scores_only: sa.Engine) -> None:
    """The same statement run by PostgreSQL gives the expected rows of every case."""
    for path in CASES:
        case = scoring_cases.read(path)
        found = scoring_cases.on_postgres(marketing_pressure, case, scores_only)
        assert (path.stem, found) == (path.stem, case.rows)


def at(hours: int) -> datetime:
    return datetime.fromisoformat("2024-07-02") - timedelta(hours=hours)


def customer(number: int, email: bool | None, sms: bool | None) -> dict[str, Any]:
    return {"customer_id": f"c{number}", "email_consent": email, "sms_consent": sms}


CONSENT = st.none() | st.booleans()
CUSTOMERS = st.lists(st.tuples(CONSENT, CONSENT), min_size=4, max_size=4).map(
    lambda consents: [customer(number, *consent) for number, consent in enumerate(consents)]
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "customer_id": st.sampled_from(["c0", "c1", "c2"]),
            "channel": st.sampled_from(["email", "SMS", "mail", "carrier pigeon", None]),
            "sent_at": st.integers(0, 4000).map(at),
        }
    ),
    max_size=14,
).map(lambda rows: [{**row, "message_id": f"m{n}"} for n, row in enumerate(rows)])
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "message_id": st.none() | st.integers(0, 16).map("m{}".format),
            "customer_id": st.sampled_from(["c0", "c1", "c2"]),
            "event_type": st.sampled_from(["opened", "Clicked Email", "hard_bounce", "delivered", "wink"]),
            "occurred_at": st.integers(0, 4000).map(at),
        }
    ),
    max_size=14,
)
BASES = st.fixed_dictionaries({"customers": CUSTOMERS, "messages": MESSAGES, "message_events": EVENTS})
small = settings(max_examples=4)


def outcome(tables: Tables, as_of: date = AS_OF, **chosen: Any) -> Rows:
    with tempfile.TemporaryDirectory() as root:
        return scoring_cases.computed(marketing_pressure, tables, Path(root), as_of, **chosen)


@small
@given(BASES, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(tables: Tables, dice: Any) -> None:
    """Shuffled tables give the same rows, byte for byte in the same order."""
    assert outcome({name: dice.sample(rows, len(rows)) for name, rows in tables.items()}) == outcome(tables)


@small
@given(BASES)
def test_what_comes_later_is_never_seen(tables: Tables) -> None:
    """A score as of the 1st of June is the same whether or not later messages and events are there."""
    as_of = date(2024, 6, 1)
    before = {
        "customers": tables["customers"],
        "messages": [row for row in tables["messages"] if row["sent_at"].date() <= as_of],
        "message_events": [row for row in tables["message_events"] if row["occurred_at"].date() <= as_of],
    }
    later = {row["message_id"] for row in tables["messages"]} - {
        row["message_id"] for row in before["messages"]
    }
    before["message_events"] = [row for row in before["message_events"] if row["message_id"] not in later]
    tables["message_events"] = [row for row in tables["message_events"] if row["message_id"] not in later]
    assert outcome(tables, as_of) == outcome(before, as_of)


@small
@given(BASES)
def test_another_contact_changes_nobodys_own_counts(tables: Tables) -> None:
    """Counts and pressure are the contact's own; only his place among the others and the average may move."""
    own = [
        name for name in marketing_pressure.output if name.startswith(("messages", "responses", "pressure_2"))
    ]
    before = {row["customer_id"]: [row[name] for name in own] for row in outcome(tables)}
    other = [{"message_id": "x", "customer_id": "z", "channel": "email", "sent_at": at(90)}]
    more = {
        **tables,
        "customers": [*tables["customers"], customer(9, True, None) | {"customer_id": "z"}],
        "messages": [*tables["messages"], *other],
    }
    after = {row["customer_id"]: [row[name] for name in own] for row in outcome(more)}
    assert before == {name: counts for name, counts in after.items() if name != "z"}


@small
@given(BASES)
def test_values_are_in_range_and_ties_share(tables: Tables) -> None:
    """Every message is of one channel, wider windows hold narrower ones, equals of equal consent share."""
    rows = outcome(tables)
    for row in rows:
        for window in (7, 28, 90):
            by_channel = [
                row[f"messages_{c}_{window}d"] for c in ("email", "sms", "letter", "push", "call", "other")
            ]
            assert sum(by_channel) == row[f"messages_{window}d"]
        assert row["messages_7d"] <= row["messages_28d"] <= row["messages_90d"]
        assert row["messages_returned_90d"] <= row["messages_90d"]
        assert row["response_rate"] is None or 0 <= row["response_rate"] <= 1
        assert 0 <= row["pressure_percentile"] <= 100
    for consent in {row["pressure_consent"] for row in rows}:
        places = {
            (r["pressure_28d"], r["pressure_percentile"]) for r in rows if r["pressure_consent"] == consent
        }
        assert len({pressure for pressure, _ in places}) == len(places)
        assert [p for _, p in sorted(places)] == sorted(p for _, p in places)


@small
@given(BASES)
def test_written_by_hand_it_is_the_same(tables: Tables) -> None:
    """The DuckDB SQL the score's cost is held against gives the same rows."""
    with tempfile.TemporaryDirectory() as root:
        by_hand = scoring_cases.by_hand("marketing_pressure", tables, AS_OF, Path(root))
    assert by_hand == outcome(tables)


def many(contacts: int, sent: int) -> Tables:
    """Contacts of whom every other always opens, and the others never."""
    numbered = [(c, m) for c in range(contacts) for m in range(sent)]
    return {
        "customers": [customer(c, True, None) for c in range(contacts)],
        "messages": [
            {"message_id": f"{c}-{m}", "customer_id": f"c{c}", "channel": "email", "sent_at": at(28 + m)}
            for c, m in numbered
        ],
        "message_events": [
            {"message_id": f"{c}-{m}", "customer_id": f"c{c}", "event_type": "open", "occurred_at": at(27)}
            for c, m in numbered
            if c % 2
        ],
    }


def test_the_average_weighs_little_where_contacts_differ() -> None:
    """With 600 contacts of two opposite habits the average weighs as one message, by hand and by the score."""
    tables = many(600, 3)
    rows = outcome(tables)
    assert {(row["customer_id"][-1] in "13579", str(row["response_rate"])) for row in rows} == {
        (True, "0.8750"),
        (False, "0.1250"),
    }
    with tempfile.TemporaryDirectory() as root:
        assert scoring_cases.by_hand("marketing_pressure", tables, AS_OF, Path(root)) == rows


def test_the_shipped_settings_are_the_defaults() -> None:
    """`marketing_pressure.yaml` shows every default, so that deleting it changes nothing."""
    told = load_settings(marketing_pressure, YAML)
    assert told == {name: marketing_pressure.settings[name].default for name in told}
    assert set(told) == set(marketing_pressure.settings) - {"language"}


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"windows": [28, 7]}, "windows: must rise from one to the next"),
        ({"pressure_days": 30}, r"pressure_days: 30 is none of the windows, \[7, 28, 90\]"),
        ({"under_below": 80}, "under_below: 80 must be below over_above, 80"),
        ({"channels": {"sms": ["E_mail"]}}, "channels: 'email' is in email and sms"),
        (
            {"channels": {name: [] for name in ("email", "sms", "letter", "push", "call")}},
            "channels: no name is listed",
        ),
        (
            {"event_types": {"opened": ["ping"], "clicked": ["PING"]}},
            "event_types: 'ping' is in clicked and opened",
        ),
        ({"event_types": {"read": ["ping"]}}, "event_types.read"),
        ({"weights": {"email": -1}}, "weights.email"),
        ({"returns": ["bounced"]}, "returns"),
    ],
)
def test_wrong_settings_are_named(chosen: dict[str, Any], message: str) -> None:
    """Crossed cuts, foreign windows, names with two meanings and unknown words are refused by name."""
    with pytest.raises(ConfigError, match=message):
        checked_settings(marketing_pressure, chosen, "marketing_pressure.yaml")


def test_because_tells_the_arithmetic() -> None:
    """`octo explain` shows what the pressure adds up from, what it is held against, and the returns."""
    (row, *_) = outcome(many(2, 3))
    assert marketing_pressure.because is not None
    in_force = marketing_pressure.in_force
    told = marketing_pressure.because(row, in_force | {"weights": in_force["weights"].model_dump()})
    assert told == [
        "3 email × 1 in 28 days = 3.00",
        "normal: percentile 50 of contacts with consent email; below 20 is under, above 80 over",
        "0 of 3 messages of 90 days got a return; with older ones, and drawn to the average: 31.2%",
    ]


@shared
def test_simulated_contacts_give_the_same_on_both_databases(scores_only: sa.Engine, tmp_path: Path) -> None:
    """Every figure of 600 contacts, enough to weigh the average by, is the same on both and by hand."""
    told = {"data": bench.SHARED / "sim_pressure_c", "where": "where contact_id <= 600"}
    with duckdb.connect() as connection:
        tables = {
            name: connection.sql(f"select * exclude (moment) from (select *, {when} as moment from ({sql.format(**told)}))"
                                 " where moment < timestamp '2025-03-01'").to_arrow_table().to_pylist()
            for name, sql, when in (
                ("messages", bench.MESSAGES, "sent_at"), ("message_events", bench.EVENTS, "occurred_at"),
            )
        }  # fmt: skip
    tables["customers"] = [customer(n, n % 3 > 0, None) | {"customer_id": str(n)} for n in range(1, 601)]
    as_of = date(2025, 2, 28)
    case = scoring_cases.Case("simulated", tables, as_of, {}, marketing_pressure.output, [])
    ours = scoring_cases.on_duckdb(marketing_pressure, case, tmp_path / "ours")
    assert len(ours) == 600
    assert ours == scoring_cases.on_postgres(marketing_pressure, case, scores_only)
    by_hand = scoring_cases.by_hand("marketing_pressure", tables, as_of, tmp_path / "hand")
    assert scoring_cases.spelled(by_hand, case.columns) == ours
