"""Responsiveness' promises: it finds what it is told to find, says when it cannot know, and never looks ahead."""

from __future__ import annotations

import tempfile
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.scores.responsiveness import LABELS, responsiveness
from octo_dagster.bench import pressure as bench
from octo_dagster.errors import ConfigError, SourceError
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring.frames import Reading
from octo_dagster.scoring.measures import contact_weeks, fatigue, leaving
from octo_dagster.scoring.settings import checked_settings, load_settings
from octo_dagster.warehouse import Warehouse
from tests import scoring_cases

AS_OF = date(2024, 6, 30)
YAML = Path(__file__).parents[2] / "assets/scores/responsiveness.yaml"
Rows = list[dict[str, Any]]
Tables = dict[str, Rows]

shared = pytest.mark.skipif(not bench.SHARED.exists(), reason="../shared, the data sets, is not here")


def outcome(tables: Tables, as_of: date = AS_OF, **chosen: Any) -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as root:
        rows = scoring_cases.computed(responsiveness, tables, Path(root), as_of, **chosen)
    return {row["customer_id"]: row for row in rows}


def sent_in(week: int, customer: str, number: int, channel: str = "email") -> dict[str, Any]:
    """A message of so many weeks ago; at most 100 a week."""
    moment = datetime.combine(AS_OF, datetime.min.time()) - timedelta(days=7 * week, minutes=number)
    name = f"{customer}/{week}/{number}"
    return {"message_id": name, "customer_id": customer, "channel": channel, "sent_at": moment}


def opened(message: dict[str, Any], kind: str = "open") -> dict[str, Any]:
    when = message["sent_at"] + timedelta(hours=1)
    told = {"message_id": message["message_id"], "customer_id": message["customer_id"], "occurred_at": when}
    return {"event_id": f"{message['message_id']} {kind}", "event_type": kind, **told}


def shop() -> Tables:
    """Weeks of 1 to 4 messages. `eager…` open all of them; `weary…` open one a week, and none of four."""
    messages, events = [], []
    for customer in [f"{kind}{n}" for kind in ("eager", "weary", "silent") for n in range(8)]:
        for week in range(40):
            count = 1 + (week + int(customer[-1])) % 4
            batch = [sent_in(week, customer, number) for number in range(count)]
            messages += batch
            answers = {"eager": count, "weary": int(count < 4), "silent": 0}[customer[:-1]]
            events += [opened(message) for message in batch[:answers]]
    return {"messages": messages, "message_events": events}


def test_it_tells_the_eager_from_the_weary() -> None:
    """Who opens every message can receive more; who opens ever fewer of more messages is saturated."""
    rows = outcome(shop())
    assert {rows[f"eager{n}"]["responsiveness"] for n in range(8)} == {"can receive more"}
    assert {rows[f"weary{n}"]["responsiveness"] for n in range(8)} == {"saturated"}
    for n in range(8):
        eager, weary = rows[f"eager{n}"], rows[f"weary{n}"]
        assert eager["marginal_feedback"] > 0.5 > 0 > weary["marginal_feedback"]
        assert eager["recommended_messages_per_week"] > weary["recommended_messages_per_week"] >= 1
        assert eager["recommended_messages_per_week"] == 4  # nobody ever got more in a week
    assert rows["eager0"]["feedback_messages"] == rows["eager0"]["feedback_received"] == 100
    assert rows["eager0"]["messages_per_week"] == Decimal("2.5")


def test_too_few_messages_is_a_label_of_its_own() -> None:
    """With seven messages there is not enough data and no figure; with eight there is one, with its doubt."""
    tables = shop()
    tables["messages"] += [sent_in(week, "seven", 0) for week in range(7)]
    tables["messages"] += [sent_in(week, "eight", 0) for week in range(8)]
    rows = outcome(tables)
    assert rows["seven"]["responsiveness"] == "not enough data"
    assert rows["seven"]["marginal_feedback"] is rows["seven"]["recommended_messages_per_week"] is None
    assert rows["eight"]["responsiveness"] != "not enough data"
    assert rows["eight"]["marginal_feedback_sd"] > 0
    french = outcome(tables, language="fr")
    assert french["seven"]["responsiveness"] == "données insuffisantes"


def test_a_shop_without_any_feedback_knows_nothing() -> None:
    """Where nobody ever opened anything, everybody is `not enough data`; without messages there are no rows."""
    silent = {"messages": shop()["messages"]}
    assert {row["responsiveness"] for row in outcome(silent).values()} == {"not enough data"}
    assert outcome({"messages": []}) == {}


def test_the_cap_is_one_above_the_fullest_week() -> None:
    """Who never got more than one a week is not told to get four at once."""
    tables = shop()
    ones = [sent_in(week, "one", 0) for week in range(30)]
    tables["messages"] += ones
    tables["message_events"] += [opened(message) for message in ones]
    assert outcome(tables)["one"]["recommended_messages_per_week"] == 2


def test_who_got_only_bounces_has_no_row() -> None:
    """Messages that never arrived are no messages; a base of nothing else has no rows."""
    messages = [sent_in(week, "a", 0) for week in range(9)]
    bounces = [opened(message, "bounce") for message in messages]
    assert outcome({"messages": messages, "message_events": bounces}) == {}
    tables = shop()
    more = {name: tables[name] + rows for name, rows in (("messages", messages), ("message_events", bounces))}
    assert "a" not in outcome(more)


def test_only_chosen_channels_and_kinds_count() -> None:
    """Letters are left out unless asked for; with `count_opens: false` opens are no feedback."""
    tables = shop()
    tables["messages"] += [sent_in(week, "eager0", 50, "letter") for week in range(40)]
    tables["message_events"] += [
        opened(tables["messages"][0], "click"),
        opened(tables["messages"][0], "wink"),
    ]
    assert outcome(tables)["eager0"]["feedback_messages"] == 100
    both = outcome(tables, counted_channels=["email", "letter"])["eager0"]
    assert both["feedback_messages"] == 140
    assert outcome(tables)["eager0"]["feedback_received"] == 101
    assert outcome(tables, count_opens=False)["eager0"]["feedback_received"] == 1


def test_who_unsubscribed_gets_no_more() -> None:
    """The last message answered by leaving: label, cap 0 and no risk; coming back later undoes it."""
    tables = shop()
    last = [message for message in tables["messages"] if message["customer_id"] in ("eager1", "eager2")]
    tables["message_events"].append(opened(next(m for m in last if m["message_id"] == "eager1/0/0"), "unsub"))
    tables["message_events"].append(opened(next(m for m in last if m["message_id"] == "eager2/9/0"), "unsub"))
    rows = outcome(tables, minimum_unsubscribes=1)
    assert rows["eager1"]["responsiveness"] == "unsubscribed"
    assert (rows["eager1"]["recommended_messages_per_week"], rows["eager1"]["unsubscribe_risk"]) == (0, None)
    assert rows["eager2"]["responsiveness"] == "can receive more"
    assert 0 < rows["eager2"]["unsubscribe_risk"] < 1
    assert outcome(tables)["eager2"]["unsubscribe_risk"] is None  # fewer than 50 left: not told


def test_messages_per_week_are_since_the_first_one() -> None:
    """Nine messages in the last three weeks are three a week, whatever was before."""
    tables = shop()
    tables["messages"] += [sent_in(week, "new", number) for week in range(3) for number in range(3)]
    assert outcome(tables)["new"]["messages_per_week"] == 3


MESSAGES = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from(["a", "b", "c"]), st.integers(0, 30)),
    max_size=60,
    unique=True,
).map(lambda drawn: [sent_in(*row) for row in drawn])
CHOSEN = st.randoms(use_true_random=False)
small = settings(max_examples=4)


def some_opened(messages: Rows, dice: Any) -> Rows:
    kinds = ("open", "click", "unsub", "bounce")
    return [opened(message, dice.choice(kinds)) for message in messages if dice.random() < 0.4]


@small
@given(MESSAGES, CHOSEN)
def test_the_order_of_rows_changes_nothing(messages: Rows, dice: Any) -> None:
    """Shuffled messages and events give the same rows."""
    tables = {"messages": messages, "message_events": some_opened(messages, dice)}
    shuffled = {name: dice.sample(rows, len(rows)) for name, rows in tables.items()}
    assert outcome(shuffled, minimum_messages=2) == outcome(tables, minimum_messages=2)


@small
@given(MESSAGES, CHOSEN)
def test_what_comes_later_is_never_seen(messages: Rows, dice: Any) -> None:
    """As of five weeks ago the score is the same whether or not later messages and events are there."""
    as_of = AS_OF - timedelta(weeks=5)
    before = [message for message in messages if message["sent_at"].date() <= as_of]
    events = some_opened(messages, dice)
    seen = [event for event in events if event["occurred_at"].date() <= as_of]
    late = outcome({"messages": messages, "message_events": events}, as_of, minimum_messages=2)
    assert late == outcome({"messages": before, "message_events": seen}, as_of, minimum_messages=2)


@small
@given(MESSAGES, CHOSEN)
def test_values_are_in_range(messages: Rows, dice: Any) -> None:
    """Chances are 0 to 1, doubts not negative, caps from 0 to the most, labels known."""
    tables = {"messages": messages, "message_events": some_opened(messages, dice)}
    for row in outcome(tables, minimum_messages=2, minimum_unsubscribes=1).values():
        assert row["responsiveness"] in LABELS["en"]
        for name in ("saturated_chance", "unsubscribe_risk"):
            assert row[name] is None or 0 <= row[name] <= 1
        assert row["marginal_feedback_sd"] is None or row["marginal_feedback_sd"] >= 0
        assert row["recommended_messages_per_week"] in (None, 0, 1, 2, 3, 4, 5, 6, 7)
        assert row["feedback_received"] <= 2 * row["feedback_messages"]


def test_parts_hold_whole_contacts_and_are_bounded() -> None:
    """Contacts are cut into ranges by messages and by number, none left out, none in two."""
    counts = np.array([3_000_000, 1_999_999, 2, 9_000_000] + [1] * 450_000)
    ranges = list(contact_weeks.parts(counts))
    assert ranges[:3] == [(0, 2), (2, 3), (3, 4)]
    assert [low for low, _ in ranges[1:]] == [high for _, high in ranges[:-1]]
    assert ranges[-1][1] == len(counts)
    assert max(high - low for low, high in ranges) <= contact_weeks.CONTACTS_AT_ONCE
    assert list(contact_weeks.parts(np.array([], dtype=np.int64))) == []


def test_weeks_fold_the_week_before_into_the_next() -> None:
    """A week's messages are felt in the next one only, and the week before the first counts only so."""
    rows = pa.table(
        {
            "customer_id": ["a", "a", "a", "b"],
            "ago": [4, 3, 0, 4],
            "sent": [5, 2, 1, 9],
            "feedback": [3, 1, 0, 9],
        }
    )
    weeks = contact_weeks.weeks_of(rows, 4)
    assert weeks.ids.to_pylist() == ["a"]
    assert (list(weeks.week), list(weeks.sent), list(weeks.before)) == ([0, 3], [2, 1], [5, 0])
    assert (list(weeks.starts), list(weeks.feedback)) == ([0, 2], [1, 0])


def drawn(seed: int, contacts: int) -> tuple[fatigue.Sums, np.ndarray[Any, Any]]:
    """Contacts drawn from the model itself, half of them with fatigue 0.4 and half without any."""
    dice = np.random.default_rng(seed)
    d, q = np.repeat([0.0, 0.4], contacts // 2), dice.gamma(2, 0.15, contacts)
    sent = dice.poisson(2, (contacts, 52)).astype(float)
    felt = fatigue.excess(sent + fatigue.CARRIED * np.hstack([np.zeros((contacts, 1)), sent[:, :-1]]))
    got = dice.poisson(q[:, None] * sent * np.exp(-d[:, None] * felt))
    exposure = np.stack([(sent * np.exp(-g * felt)).sum(axis=1) for g in fatigue.GRID], axis=1)
    return fatigue.Sums(got.sum(axis=1).astype(float), (got * felt).sum(axis=1), exposure), d


def test_the_model_finds_the_law_it_was_drawn_from() -> None:
    """The gamma prior, the two fatigues and who has which are found again in contacts drawn from the model."""
    sums, d = drawn(7, 4000)
    prior = fatigue.learn(sums)
    assert prior.a / prior.b == pytest.approx(0.3, rel=0.1)
    assert prior.weights @ fatigue.GRID == pytest.approx(0.2, abs=0.03)
    expected = fatigue.posterior(sums, prior).chance @ fatigue.GRID
    assert expected[d == 0].mean() < 0.12 < 0.28 < expected[d > 0].mean()


def test_the_standard_deviation_covers_the_truth() -> None:
    """The true gain of one more message lies within two standard deviations for nine contacts in ten."""
    dice = np.random.default_rng(3)
    sums, d = drawn(3, 4000)
    q = dice.gamma(2, 0.15, 4000)  # the same draws as in `drawn`, which takes them first
    pressure = np.full(4000, 2.0)
    mean, deviation = fatigue.posterior(sums, fatigue.learn(sums)).marginal(pressure)
    r = {m: m * np.exp(-d * max(1.3 * m - 1, 0)) for m in (2, 3)}
    assert 0.9 < (np.abs(mean - q * (r[3] - r[2])) < 2 * deviation).mean() <= 1


def test_the_hazard_is_fitted() -> None:
    """A logistic regression finds the coefficients it was drawn from, weights taken into account."""
    dice = np.random.default_rng(5)
    seen = np.column_stack([np.ones(40_000), dice.normal(size=(40_000, 2))])
    left = (dice.random(40_000) < leaving.hazard(seen, np.array([-3, 1.0, -0.5]))).astype(float)
    kept = (left > 0) | (np.arange(40_000) % 4 == 0)
    weight = np.where(left > 0, 1.0, 4.0)
    found = leaving.logistic(seen[kept], left[kept], weight[kept])
    assert found == pytest.approx([-3, 1, -0.5], abs=0.1)


@shared
def test_simulated_contacts_are_ranked_as_the_truth_ranks_them(tmp_path: Path) -> None:
    """On 1,000 simulated contacts the order follows the true effect of one more message."""
    rows = bench.computed(tmp_path, bench.SHARED / "sim_pressure_c", 1_000)
    assert bench.rank_correlation(rows.marginal_feedback, rows.true_marginal_clicks_per_week) > 0.8


def test_the_shipped_settings_are_the_defaults() -> None:
    """`responsiveness.yaml` shows every default of its own, so that deleting it changes nothing."""
    told = load_settings(responsiveness, YAML)
    assert told == {name: responsiveness.settings[name].default for name in told}
    assert set(told) == set(responsiveness.settings) - {"language", "channels", "event_types"}


@pytest.mark.parametrize(
    "chosen",
    [
        {"weeks": 3},
        {"counted_channels": []},
        {"counted_channels": ["fax"]},
        {"more_below": 1.5},
        {"windows": [7]},
    ],
)
def test_wrong_settings_are_named(chosen: dict[str, Any]) -> None:
    """Values out of range and unknown words are refused by name."""
    with pytest.raises(ConfigError, match=next(iter(chosen))):
        checked_settings(responsiveness, chosen, "responsiveness.yaml")


def test_because_tells_the_figures() -> None:
    """`octo explain` shows what came back, what more would bring, the cap and the risk, or why there is none."""
    tables = shop()
    tables["messages"] += [sent_in(week, "seven", 0) for week in range(7)]
    rows = outcome(tables)
    assert responsiveness.because is not None
    assert responsiveness.because(rows["seven"], responsiveness.in_force) == [
        "7 messages in 52 weeks, 1.00 a week, brought 0 opens, clicks and the like",
        "not enough data: told from 8 messages on",
    ]
    told = responsiveness.because(rows["eager0"], responsiveness.in_force)
    assert told[0] == "100 messages in 52 weeks, 2.50 a week, brought 100 opens, clicks and the like"
    assert told[1].endswith(": can receive more")
    assert (
        told[3]
        == "chance to unsubscribe within 4 weeks: not enough data (fewer than 50 people have), or he has already"
    )


def test_progress_is_told(tmp_path: Path) -> None:
    """The work is told in contacts, read and then computed, up to the whole."""
    warehouse = scoring_cases.fill_warehouse(tmp_path, shop())
    steps: list[tuple[int, int]] = []
    scoring.run(responsiveness, warehouse, AS_OF, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(24, 48), (48, 48)]


def test_reading_in_parts_gives_what_reading_at_once_gives(tmp_path: Path) -> None:
    """Contacts read 300 messages at a time have the same weeks as all contacts read at once."""
    warehouse = scoring_cases.fill_warehouse(tmp_path, shop())
    force = responsiveness.in_force
    with warehouse.connect() as connection:
        reading = Reading(
            connection, scoring.tables_for(responsiveness, warehouse), AS_OF, lambda done, total: None
        )

        def weeks(at_once: int) -> list[list[tuple[str, list[int]]]]:
            question = contact_weeks.Question(
                AS_OF, 52, ("email",), ("opened",), force["channels"], force["event_types"], at_once
            )
            return [told(part) for part in contact_weeks.read(reading, question)]

        (whole,) = weeks(10**6)
        parts = weeks(300)
    assert len(parts) == 8
    assert [contact for part in parts for contact in part] == whole


def told(part: contact_weeks.Weeks) -> list[tuple[str, list[int]]]:
    """Each contact's weeks as plain values."""
    rows = np.stack([part.week, part.sent, part.feedback, part.before], axis=1).astype(int)
    return [
        (name, rows[low:high].flatten().tolist())
        for name, low, high in zip(part.ids.to_pylist(), part.starts[:-1], part.starts[1:], strict=True)
    ]


def test_a_warehouse_without_events_leaves_it_out(tmp_path: Path) -> None:
    """Without `message_events` the score cannot be worked out, and says so."""
    warehouse = Warehouse(tmp_path)
    warehouse.replace("messages", scoring_cases.arrow("messages", []))
    with pytest.raises(SourceError, match="reads message_events"):
        scoring.run(responsiveness, warehouse, AS_OF)
