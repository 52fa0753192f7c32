"""Scores of a user's own, in a small project each: YAML points, a YAML expression, SQLAlchemy and pandas."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from assets import lineage
from octo_dagster.config import Project
from octo_dagster.errors import ConfigError
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring import profile
from octo_dagster.scoring.explain import explain
from tests.orders import SCHEMA, Rows, rows_of

AS_OF = date(2024, 6, 30)
CUSTOMERS = [
    # id, email, consent, company_size, created_at
    ("a", "a@shop.fr", True, 120, "2023-01-01"),
    ("b", "b@other.fr", False, 10, "2024-06-30T22:00:00"),
    ("c", None, None, None, None),
    ("d", "d@shop.fr", True, 45, "2024-07-01"),
]
ORDERS = [("a", "2024-06-01", "250.00"), ("a", "2024-01-01", "9.99"), ("b", "2024-02-01", "30.00")]
SOURCE = {
    "source": {"type": "files", "folder": "data"},
    "tables": {
        "customers": {
            "from": "customers.csv",
            "columns": {"customer_id": "id", "email": "mail", "email_consent": "ok", "company_size": "size"},
        },
        "orders": {
            "from": "orders.csv",
            "columns": {"order_id": "id", "ordered_at": "at", "net_amount": "sum"},
        },
    },
}
SPENT = '''
"""What a customer spent."""
from __future__ import annotations
from datetime import date
from typing import Any
import sqlalchemy as sa
from octo_dagster.score import Tables, score
from octo_dagster.scoring.portable import midnight_after

@score(reads=("orders",), columns={"spent": ("decimal", "Paid in all"), "purchases": ("integer", "How many")})
def spending(tables: Tables, *, as_of: date) -> sa.Select[Any]:
    """What a customer spent."""
    orders = tables["orders"].c
    return (
        sa.select(orders.customer_id, sa.func.sum(orders.net_amount), sa.func.count().label("purchases"))
        .where(orders.ordered_at < sa.cast(sa.literal(str(midnight_after(as_of)), sa.Text), sa.DateTime))
        .group_by(orders.customer_id)
    )
'''.replace("sa.func.sum(orders.net_amount)", "sa.func.sum(orders.net_amount).label('spent')")
LAST_DIGIT = '''
"""A frame score."""
from __future__ import annotations
from datetime import date
import pandas as pd
from octo_dagster.score import Frames, frame_score

@frame_score(reads=("orders",), columns={"largest_order": ("decimal", "The largest sum paid at once")})
def largest(tables: Frames, *, as_of: date, least: int = 0) -> pd.DataFrame:
    """The largest order."""
    orders = tables.frame("orders")
    found = orders[orders.net_amount > least].groupby("customer_id", as_index=False).net_amount.max()
    return found.rename(columns={"net_amount": "largest_order"}).sort_values("customer_id")
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with two tables and two scores in Python."""
    write(tmp_path, "sources/shop.yaml", SOURCE)
    scores = tmp_path / "assets" / "scores"
    scores.mkdir(parents=True)
    (scores / "spending.py").write_text(SPENT)
    (scores / "largest.py").write_text(LAST_DIGIT)
    warehouse = Project(tmp_path, tmp_path / ".octo").warehouse
    rows = [
        {
            "customer_id": customer,
            "email": email,
            "email_consent": consent,
            "company_size": size,
            "created_at": datetime.fromisoformat(known) if known else None,
        }
        for customer, email, consent, size, known in CUSTOMERS
    ]
    warehouse.replace("customers", pa.Table.from_pylist(rows))
    orders = [
        {
            "order_id": str(number),
            "customer_id": customer,
            "ordered_at": datetime.fromisoformat(at),
            "status": "completed",
            "net_amount": Decimal(amount),
        }
        for number, (customer, at, amount) in enumerate(ORDERS)
    ]
    warehouse.replace("orders", pa.Table.from_pylist(orders, schema=SCHEMA))
    return tmp_path


def write(folder: Path, name: str, said: Mapping[str, Any]) -> None:
    path = folder / "assets" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(said)))


def project(folder: Path, **scores: Mapping[str, Any]) -> Project:
    """The project with these YAML files in `assets/scores/`."""
    for name, said in scores.items():
        write(folder, f"scores/{name}.yaml", said)
    return Project(folder, folder / ".octo")


def worked_out(made: Project, name: str) -> Rows:
    """The table of a score, after all that come before it."""
    for score in made.scores.values():
        scoring.run(score, made.warehouse, AS_OF)
    return rows_of(made.warehouse, name)


def column(rows: Rows, name: str) -> dict[str, Any]:
    return {row["customer_id"]: row[name] for row in rows}


LEAD: Mapping[str, Any] = {
    "description": "Whom to call first",
    "points": [
        {"when": "email_consent", "points": 10, "because": "may be written to"},
        {"when": "email.endswith('@shop.fr') and purchases >= 2", "points": 25},
        {"of": "spent", "per": 50, "points": 2, "most": 9},
        {"when": "company_size < 50", "points": -5},
    ],
}


def test_points(folder: Path) -> None:
    """Points add up over columns of customers, of what sources carry and of other scores; with their reasons."""
    rows = worked_out(project(folder, lead=LEAD), "lead")
    assert column(rows, "lead") == {"a": 44, "b": -5, "c": 0}
    assert column(rows, "lead_because") == {
        "a": "+10 may be written to; +25 email.endswith('@shop.fr') and purchases >= 2; +9 spent",
        "b": "-5 company_size < 50",
        "c": None,
    }


def test_a_customer_not_known_yet_has_no_row(folder: Path) -> None:
    """Whom the shop first knew after the day is not there; who has no such date is."""
    assert set(column(worked_out(project(folder, lead=LEAD), "lead"), "lead")) == {"a", "b", "c"}


def test_what_is_on_the_profile_and_explained(folder: Path) -> None:
    """All four kinds of a user's scores are columns of the profile, and `explain` tells what led to them."""
    worth = {"expression": "spent / purchases", "type": "decimal"}
    made = project(folder, lead={**LEAD, "scale": "decile"}, worth=worth, largest={"least": 9})
    assert list(made.scores) == ["largest", "spending", "lead", "worth"]
    worked_out(made, "lead")
    profile.build(made.warehouse, list(made.scores.values()), AS_OF)
    a = next(row for row in rows_of(made.warehouse, profile.TABLE) if row["customer_id"] == "a")
    told = {name: a[name] for name in ("lead", "lead_points", "worth", "largest_order", "spent")}
    assert told == {
        "lead": 7,
        "lead_points": 44,
        "worth": Decimal("129.9950"),
        "largest_order": Decimal("250.00"),
        "spent": Decimal("259.99"),
    }
    lines = explain(made.warehouse, "a", made.chosen(["lead", "worth"])).lines()
    assert any("44 points: +10 may be written to; +25" in line for line in lines), lines
    assert any("7 of 10, by the share of customers below" in line for line in lines), lines
    assert any("spent / purchases = 129.9950: spent = 259.99, purchases = 2" in line for line in lines), lines


def test_reasons_in_french(folder: Path) -> None:
    """A written score tells its points and place in French too; what its file says stays as it is."""
    made = project(
        folder, lead={**LEAD, "scale": "decile"}, none={"points": [{"when": "email_consent", "points": 1}]}
    )
    lead, none = made.scores["lead"], made.scores["none"]
    assert lead.because is not None
    assert none.because is not None
    row = {"lead": 7, "lead_points": 44, "lead_because": "+10 may be written to"}
    assert lead.because(row, lead.in_force, "fr") == [
        "44 points\xa0: +10 may be written to",
        "7 sur 10, selon la part des clients situés en dessous",
    ]
    assert none.because({"none": 0, "none_because": ""}, none.in_force, "fr") == [
        "0 point\xa0: rien de la liste ne s'applique à ce client"
    ]


def test_reasons_hold_no_personal_data(folder: Path) -> None:
    """An expression over an address is told without the address, however the score goes on to tools."""
    said = {"expression": "case when email like '%@shop.fr' then spent end"}
    rows = worked_out(project(folder, own=said), "own")
    assert [(row["customer_id"], row["own_because"]) for row in rows] == [("a", "spent = 259.99")]


def test_asset_settings_are_kept_with_the_table(folder: Path) -> None:
    """What the file said is kept with the version it made, as plain values."""
    made = project(folder, lead=LEAD)
    worked_out(made, "lead")
    note = made.warehouse.note("lead")
    assert note["settings"]["points"][0]["when"] == "email_consent"
    assert set(note["reads"]) == {"customers", "spending"}


@pytest.mark.parametrize(
    ("said", "scores"),
    [
        ({"scale": "decile"}, {"a": 7, "b": 1, "c": 4}),
        ({"scale": "1-100"}, {"a": 67, "b": 1, "c": 34}),
        ({"scale": "1-100", "by": "range"}, {"a": 100, "b": 1, "c": 11}),
        ({"only": "email is not None", "scale": "1-100"}, {"a": 51, "b": 1}),
        ({"only": "email_consent", "scale": "1-100", "by": "range"}, {"a": 1}),
    ],
)
def test_scales(folder: Path, said: Mapping[str, Any], scores: Mapping[str, int]) -> None:
    """By rank, the share of customers that are lower counts; by range, the distance; `only` says among whom."""
    assert column(worked_out(project(folder, lead={**LEAD, **said}), "lead"), "lead") == scores


def test_equal_points_are_equal_on_any_scale(folder: Path) -> None:
    """Customers with the same points share a class, whatever the order of rows."""
    flat = {"points": [{"when": "customer_id is not None", "points": 3}]}
    for scale in ({"scale": "decile"}, {"scale": "1-100"}, {"scale": "1-100", "by": "range"}):
        assert set(column(worked_out(project(folder, flat={**flat, **scale}), "flat"), "flat").values()) == {
            1
        }


@pytest.mark.parametrize(
    ("said", "values"),
    [
        ({"expression": "spent / 3"}, {"a": Decimal("86.6633"), "b": Decimal("10.0000")}),
        ({"expression": "company_size / 4", "type": "integer"}, {"a": 30, "b": 3}),
        ({"expression": "case when email like '%@shop.fr' then 'pro' else 'private' end", "type": "text"},
         {"a": "pro", "b": "private", "c": "private"}),
        ({"expression": "coalesce(email_consent, false)", "type": "boolean"}, {"a": True, "b": False, "c": False}),
        ({"expression": "date_diff('day', created_at, as_of)", "type": "integer"}, {"a": 546, "b": 0}),
        ({"expression": "created_at -- the day", "type": "date"}, {"a": date(2023, 1, 1), "b": date(2024, 6, 30)}),
        ({"expression": "Company_Size", "scale": "1-100"}, {"a": 51, "b": 1}),
        ({"expression": "ln(company_size)", "scale": "1-100", "by": "range"}, {"a": 100, "b": 1}),
    ],
)  # fmt: skip
def test_expressions(folder: Path, said: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """An expression gives its value in its type, rounded; who has none has no row."""
    assert column(worked_out(project(folder, own=said), "own"), "own") == values


@pytest.mark.parametrize(
    "expression", ["cast(email as integer)", "ln(company_size - 10)", "exp(10 * company_size)"]
)
def test_a_value_an_expression_cannot_take(folder: Path, expression: str) -> None:
    """A value that cannot be worked out stops the score in words that do not show it; nothing is written."""
    made = project(folder, own={"expression": expression})
    with pytest.raises(ConfigError, match=r"own: some customer's value cannot be worked out \(") as stopped:
        worked_out(made, "own")
    assert "shop.fr" not in str(stopped.value)
    assert "own" not in made.warehouse.names()


def test_a_score_over_written_scores(folder: Path) -> None:
    """Two axes are two files, and a third may read both: the order is worked out."""
    heat = {"points": [{"when": "purchases >= 1", "points": 1}]}
    size = {"expression": "coalesce(company_size, 0)", "type": "integer"}
    both = {"points": [{"of": "heat", "points": 100}, {"of": "potential", "points": 1}]}
    made = project(folder, a_both=both, heat=heat, potential=size)
    assert list(made.scores)[-1] == "a_both"
    assert column(worked_out(made, "a_both"), "a_both") == {"a": 220, "b": 110, "c": 0}


def test_a_score_that_lacks_its_tables_is_left_out(folder: Path) -> None:
    """A score over one that nothing feeds is left out with it, and what it lacks is named."""
    text = SPENT.replace("def spending", "def visiting").replace('("orders",)', '("orders", "visits")')
    text = text.replace("spent", "visited").replace("purchases", "visits_made")
    (folder / "assets" / "scores" / "visiting.py").write_text(text)
    made = project(folder, keen={"points": [{"of": "visits_made", "points": 1}]})
    assert "keen" not in made.scores
    assert made.library.dormant == {"visiting": ("visits",), "keen": ("visiting",)}


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({}, "lead.yaml: there is no score 'lead'; there are largest, spending (one of your own gives"),
        ({"least": 3}, "lead.yaml: there is no score 'lead'"),
        ({"points": []}, "lead.yaml: points: give exactly one of points, expression"),
        ({"points": [{"when": "email_consent", "points": 1}], "expression": "1"}, "lead.yaml: points: give exactly"),
        ({"points": [{"when": "email_consent", "points": 0}]}, "lead.yaml: points.0: points: nought changes"),
        ({"points": [{"points": 1}]}, "lead.yaml: points.0: give `when`"),
        ({"points": [{"when": "email_consent", "points": 1, "most": 3}]}, "lead.yaml: points.0: per and most go"),
        ({"points": [{"when": "emial_consent", "points": 1}]},
         "lead.yaml: points.0.when: column 'emial_consent' is unknown; did you mean 'email_consent'?"),
        ({"points": [{"of": "sepnt", "points": 1}]},
         "lead.yaml: points.0.of: column 'sepnt' is unknown; did you mean 'spent'?"),
        ({"points": [{"of": "email", "points": 1}]}, "lead.yaml: points.0: 'email' holds text"),
        ({"points": [{"when": "spent = 3", "points": 1}]}, "lead.yaml: points.0: cannot be read at character"),
        ({"points": [{"when": "email > 3", "points": 1}]}, "lead.yaml: points.0: 'email' holds text, and 3"),
        ({"points": [{"when": "email_consent", "points": 1}], "only": "email"}, "lead.yaml: only: 'email' holds"),
        ({"points": [{"when": "email_consent", "points": 1}], "type": "text"}, "lead.yaml: type: goes with"),
        ({"points": [{"when": "email_consent", "points": 1}], "scale": "1-10"}, "lead.yaml: scale: "),
        ({"points": [{"when": "email_consent", "points": 1}], "by": "range"}, "lead.yaml: by: range goes with"),
        ({"points": [{"when": "lead > 3", "points": 1}]}, "lead.yaml: names a column of its own"),
        ({"expression": "email", "type": "text", "scale": "decile"}, "lead.yaml: scale: needs numbers"),
        ({"expression": "email"}, "lead.yaml: expression: gives text, and type is decimal"),
        ({"expression": "email + 1"}, "lead.yaml: expression: "),
        ({"expression": "purchases +"}, "lead.yaml: expression: cannot be read: "),
        ({"expression": "orders"}, "lead.yaml: expression: column 'orders' is unknown"),
        ({"expression": "1", "colour": "red"}, "lead.yaml: colour: "),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file(folder: Path, said: Mapping[str, Any], problem: str) -> None:
    """Every mistake is said as `file: field: what` before anything runs, with the name that was meant."""
    with pytest.raises(ConfigError) as refused:
        _ = project(folder, lead=said).scores
    assert any(line.startswith(problem) for line in refused.value.problems), refused.value.problems


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Lead", "Lead.yaml: name: a score cannot be called 'Lead'"),
        ("orders", "orders.yaml: name: a score cannot be called 'orders'"),
        ("customer_profile", "customer_profile.yaml: name: a score cannot"),
        ("scenario_enrolments", "scenario_enrolments.yaml: name: a score cannot"),
        ("profile", "profile.yaml: name: a score cannot"),
        ("email", "email.yaml: name: customers has a column 'email' already"),
        ("spent", "spent.yaml: name: spending has a column 'spent' already"),
    ],
)
def test_names_that_are_taken(folder: Path, name: str, problem: str) -> None:
    """A score is not called as a table or a column there is."""
    with pytest.raises(ConfigError) as refused:
        _ = project(folder, **{name: {"expression": "1"}}).scores
    assert refused.value.problems[0].startswith(problem), refused.value.problems


def test_a_python_score_may_not_write_over_a_table(folder: Path) -> None:
    """A function called as a table there is, is refused before it runs."""
    text = SPENT.replace("def spending", "def orders").replace("spent", "spent_too")
    (folder / "assets" / "scores" / "orders.py").write_text(text.replace("purchases", "orders_too"))
    with pytest.raises(ConfigError, match="scores: a score cannot be called 'orders'"):
        _ = project(folder).scores


def test_a_column_the_profile_has_already_is_told_by_check(folder: Path) -> None:
    """A score called `revenue` would fill a column the profile works out itself: `octo check` says so."""
    with pytest.raises(ConfigError, match="customer_profile: revenue comes from both orders and revenue"):
        project(folder, revenue={"expression": "spent"}).check()


def test_a_file_with_another_ending_is_told(folder: Path) -> None:
    """Settings in `largest.yml` would be left out without a word: `octo check` names the file."""
    made = project(folder)
    (folder / "assets" / "scores" / "largest.yml").write_text("least: 3")
    with pytest.raises(ConfigError, match=r"scores/largest.yml: not read; end it in .yaml"):
        made.check()


def test_misnamed_settings_are_told_the_scores_there_are(folder: Path) -> None:
    """Settings under a misspelled name are an error that names the score that was meant, never ignored."""
    with pytest.raises(ConfigError, match="did you mean 'largest'"):
        _ = project(folder, lagest={"least": 3}).scores


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def own(:\n", "own.py: line 1: "),
        ("import nothing_of_this_name\n", "own.py: No module named 'nothing_of_this_name'"),
        ("from octo_dagster.score import scores\n", "own.py: cannot import name 'scores'"),
    ],
)
def test_a_python_file_that_cannot_be_read(folder: Path, text: str, problem: str) -> None:
    """A slip in a score's Python is told by file, and by line where Python knows it."""
    (folder / "assets" / "scores" / "own.py").write_text(text)
    with pytest.raises(ConfigError) as refused:
        _ = project(folder).scores
    assert refused.value.problems[0].startswith(problem)


def test_two_files_in_a_circle(folder: Path) -> None:
    """Scores that read one another are refused by name."""
    one = {"points": [{"of": "two", "points": 1}]}
    two = {"points": [{"of": "one", "points": 1}]}
    with pytest.raises(ConfigError, match="one, two read one another in a circle"):
        _ = project(folder, one=one, two=two).scores


def test_where_its_columns_come_from(folder: Path) -> None:
    """The lineage of points names the columns of the lines; Dagster has an asset for the score."""
    made = project(folder, lead=LEAD)
    told = lineage.of_score(made.scores["lead"], made.scores).deps_by_column
    assert {(dep.asset_key.path[0], dep.column_name) for dep in told["lead"]} >= {
        ("customers", "email_consent"),
        ("customers", "email"),
        ("spending", "purchases"),
        ("spending", "spent"),
    }
