"""Audiences together: who is in them in the end, and what is wrong with a set of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from octo_dagster.audiences.roster import Audience, Priority, Roster, roster
from octo_dagster.config import Project
from octo_dagster.errors import ConfigError

ASSETS = Path(__file__).parents[2] / "assets"
ROWS = pa.table(
    {
        "customer_id": pa.array(["1", "2", "3", "4"]),
        "orders": pa.array([1, 2, 3, None], pa.int64()),
        "city": pa.array(["Lyon", None, "Paris", None]),
        "consent": pa.array([True, None, False, None]),
    }
)
NEVER = date(2024, 6, 30)


def rostered(audiences: Mapping[str, Mapping[str, Any]], **lists: Sequence[str]) -> Roster:
    """Audiences and lists as their files would say."""
    return roster(
        {name: Audience(name=name, **said) for name, said in audiences.items()},
        {name: Priority(name=name, audiences=tuple(listed)) for name, listed in lists.items()},
    )


def members(of: Roster, name: str, rows: pa.Table = ROWS) -> str:
    """The ids of the audience's customers, one after the other."""
    condition = of.sql(name, rows.schema, NEVER)
    with duckdb.connect() as connection:
        connection.register("profile", rows)
        found = connection.sql(f"select customer_id from profile where {condition} order by 1").fetchall()
        nulls = connection.sql(f"select count(*) from profile where ({condition}) is null").fetchall()
    assert nulls == [(0,)], "a membership is true or false"
    return "".join(row[0] for row in found)


@pytest.mark.parametrize(
    ("said", "ids"),
    [
        ({"rule": "orders >= 2"}, "23"),
        ({"rule": "orders >= 2", "include": ["lyon"]}, "123"),
        ({"include": ["lyon", "many"]}, "13"),
        ({"rule": "orders >= 1", "exclude": ["lyon"]}, "23"),
        ({"rule": "orders >= 1", "exclude": ["lyon", "many"]}, "2"),
        ({"include": ["many"], "exclude": ["many"]}, ""),
        ({"rule": "orders is None", "exclude": ["agreed"]}, "4"),
        ({"rule": "orders is None", "exclude": ["refused"]}, "4"),
        ({"rule": "consent", "include": ["many"]}, "13"),
        ({"rule": "customer_id is not None", "exclude": ["not_lyon"]}, "124"),
        ({"include": ["all_but_lyon"], "exclude": ["many"]}, "24"),
    ],
)
def test_include_and_exclude(said: Mapping[str, Any], ids: str) -> None:
    """In it by its rule or an included audience, and in none it excludes; an empty value does neither."""
    others: dict[str, Mapping[str, Any]] = {
        "lyon": {"rule": "city == 'Lyon'"},
        "not_lyon": {"rule": "city != 'Lyon'"},
        "many": {"rule": "orders >= 3"},
        "agreed": {"rule": "consent"},
        "refused": {"rule": "not consent"},
        "all_but_lyon": {"rule": "customer_id is not None", "exclude": ["lyon"]},
    }
    assert members(rostered({**others, "it": said}), "it") == ids


def test_a_customer_is_in_the_first_of_a_list() -> None:
    """Of a priority list each customer is in the first audience that is for him; a null rule passes him on."""
    said = {
        "agreed": {"rule": "consent"},
        "some": {"rule": "orders <= 2"},
        "rest": {"rule": "customer_id is not None"},
        "apart": {"rule": "customer_id is not None"},
    }
    of = rostered(said, letters=["agreed", "some", "rest"])
    assert [members(of, name) for name in said] == ["1", "2", "34", "1234"]


def test_a_list_changes_nothing_where_an_audience_is_named() -> None:
    """What an audience says is what includes and excludes see; lists decide last, for the listed only."""
    said: dict[str, Mapping[str, Any]] = {
        "first": {"rule": "orders >= 2"},
        "second": {"rule": "orders >= 1"},
        "both": {"include": ["second"]},
        "neither": {"rule": "customer_id is not None", "exclude": ["second"]},
    }
    of = rostered(said, turns=["first", "second"])
    assert [members(of, name) for name in said] == ["23", "1", "123", "4"]


@pytest.mark.parametrize(
    ("audiences", "lists", "problem"),
    [
        ({"a": {"include": ["bests"]}, "best": {"rule": "x"}}, {},
         "a.yaml: include: there is no 'bests'; did you mean 'best'?"),
        ({"a": {"rule": "x", "exclude": ["zzz"]}}, {}, "a.yaml: exclude: there is no 'zzz'; there are a"),
        ({"a": {"rule": "x", "exclude": ["a"]}}, {}, "a.yaml: exclude: names the audience itself"),
        ({"a": {"include": ["b"]}, "b": {"include": ["a"]}}, {}, "a.yaml: include: a circle: a → b → a"),
        ({"a": {"rule": "x", "exclude": ["b"]}, "b": {"include": ["c"]}, "c": {"rule": "x", "include": ["a"]}}, {},
         "a.yaml: exclude: a circle: a → b → c → a"),
        ({"a": {"rule": "x"}, "b": {"rule": "x"}}, {"l": ["a", "bb"]}, "l.yaml: audiences: there is no 'bb'"),
        ({"a": {"rule": "x"}, "b": {"rule": "x"}}, {"l": ["a", "b", "a"]},
         "l.yaml: audiences: 'a' is twice in the list"),
        ({"a": {"rule": "x"}, "b": {"rule": "x"}}, {"l": ["a", "b"], "m": ["b", "a"]},
         "m.yaml: audiences: 'b' is in l.yaml already"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together(
    audiences: Mapping[str, Mapping[str, Any]], lists: Mapping[str, Sequence[str]], problem: str
) -> None:
    """An unknown name, a circle, and a second place in a list are refused by file and field."""
    with pytest.raises(ConfigError) as refused:
        rostered(audiences, **lists)
    assert any(line.startswith(problem) for line in refused.value.problems), refused.value.problems


def test_a_circle_is_told_once() -> None:
    """Three audiences in a circle are one mistake; one that only leads into it is none."""
    audiences = {
        "a": {"include": ["b"]},
        "b": {"include": ["c"]},
        "c": {"include": ["a"]},
        "d": {"include": ["a"]},
    }
    with pytest.raises(ConfigError) as refused:
        rostered(audiences)
    assert len(refused.value.problems) == 1


def test_the_file_at_fault_is_named() -> None:
    """A rule that does not fit the table is told in the name of its own audience, not of who includes it."""
    of = rostered({"a": {"include": ["b"]}, "b": {"rule": "ordes > 1"}})
    with pytest.raises(ConfigError, match=r"b\.yaml: rule: column 'ordes' is unknown; did you mean 'orders'"):
        of.sql("a", ROWS.schema)


def test_files_are_checked_together(tmp_path: Path) -> None:
    """`octo check` says every mistake of audiences and priority lists at once."""
    files = {
        "audiences/nobody.yaml": {"description": "no rule at all"},
        "audiences/fine.yaml": {"rule": "orders > 1"},
        "priorities/short.yaml": {"audiences": ["fine"]},
    }
    for name, said in files.items():
        path = tmp_path / "assets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(said))
    with pytest.raises(ConfigError) as refused:
        Project(tmp_path, tmp_path / ".octo").check()
    told = list(refused.value.problems)
    assert "nobody.yaml: give a rule, or audiences to include" in told
    assert any(line.startswith("short.yaml: audiences: ") for line in told)


PROFILE = pa.schema(
    {
        "customer_id": pa.string(),
        "email": pa.string(),
        "email_consent": pa.bool_(),
        "orders": pa.int64(),
        "first_order_at": pa.timestamp("us"),
        "rfm_recency": pa.int64(),
        "rfm_frequency_monetary": pa.int64(),
    }
)


def test_the_shipped_files_fit_together() -> None:
    """Every shipped audience and list has a description, and its rule runs over a profile."""
    shipped = Project(ASSETS.parent, ASSETS.parent / ".octo-none").roster
    assert shipped.audiences
    assert shipped.priorities
    for name, audience in shipped.audiences.items():
        assert audience.description
        assert members(shipped, name, PROFILE.empty_table()) == ""
    assert all(priority.description for priority in shipped.priorities.values())


def test_an_audience_in_one_line() -> None:
    """What its file says, as its asset shows it."""
    assert Audience(name="a", rule="x  >\n 1", exclude=("b", "c")).said == "rule: x > 1; exclude: b, c"


TRI = st.one_of(st.none(), st.booleans())
FLAGS = ["f0", "f1", "f2", "f3"]


@settings(max_examples=25)
@given(
    rows=st.lists(st.tuples(TRI, TRI, TRI, TRI), min_size=1, max_size=12),
    order=st.permutations(FLAGS),
    negated=st.sets(st.sampled_from(FLAGS)),
)
def test_a_list_parts_its_customers(
    rows: list[tuple[bool | None, ...]], order: list[str], negated: set[str]
) -> None:
    """Whatever is null, a customer is in at most one audience of a list, and in one if any was for him."""
    table = pa.table(
        {
            "customer_id": pa.array([f"{number:x}" for number in range(len(rows))]),
            **{flag: pa.array([row[at] for row in rows], pa.bool_()) for at, flag in enumerate(FLAGS)},
        }
    )
    said = {flag: {"rule": f"not {flag}" if flag in negated else flag} for flag in FLAGS}
    alone, listed = rostered(said), rostered(said, turns=order)
    parts = [members(listed, flag, table) for flag in FLAGS]
    union = {customer for flag in FLAGS for customer in members(alone, flag, table)}
    assert sorted("".join(parts)) == sorted(union)
