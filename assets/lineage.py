"""Which column comes from which, from a tool's field back to the shop's own column."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Mapping

import dagster as dg
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.sql import visitors

from assets import keys
from octo_dagster.canonical import contracts as canonical
from octo_dagster.canonical.contracts import CONTRACTS
from octo_dagster.canonical.intake import TableIntake
from octo_dagster.config import Project
from octo_dagster.delivery.plan import Plan
from octo_dagster.score import Score
from octo_dagster.scoring.profile import ProfileReport
from octo_dagster.scoring.settings import FAR, declared_tables, expression
from octo_dagster.sync import Mapping as Mapped
from octo_dagster.sync import Sync

Origin = tuple[str, str]
"""(table, column)."""


def of_table(project: Project, name: str) -> dg.TableColumnLineage:
    """Canonical column → the shop's columns it is read from."""
    told: dict[str, list[dg.TableColumnDep]] = {}
    for intake in project.intakes.values():
        if name in intake.tables:
            for column, origin in intake.tables[name].columns.items():
                if origin.from_:
                    dep = dg.TableColumnDep(keys.raw(intake, name), origin.from_)
                    told.setdefault(column, []).append(dep)
    return dg.TableColumnLineage(told)


def of_score(score: Score, scores: Mapping[str, Score]) -> dg.TableColumnLineage:
    """Score column → the columns its expression reads, found by walking the expression itself; nothing of a
    score that computes with frames. `scores`: the others, by whose tables it may be fed."""
    tables = declared_tables(score, scores)
    if tables is None or score.by_frames:
        return dg.TableColumnLineage({})
    query = expression(score, tables, FAR, score.given, score.name)
    return dg.TableColumnLineage(
        {column.name: deps(origins(query.selected_columns[column.name], set())) for column in score.columns}
    )


def of_profile(report: ProfileReport) -> dg.TableColumnLineage:
    """Profile column → the tables' columns, as the profile itself tells."""
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(keys.table(table), column) for table, column in found]
            for name, found in report.lineage.items()
        }
    )


def of_sync(sync: Sync) -> dg.TableColumnLineage:
    """Field at the tool → the columns it is filled from."""
    reads = keys.table(sync.reads)
    told = {sync.key.to: [dg.TableColumnDep(reads, sync.key.from_)]}
    for mapping in sync.fields:
        told[mapping.to] = [dg.TableColumnDep(reads, column) for column in columns(mapping)]
    return dg.TableColumnLineage(told)


def passed_on(asset: dg.AssetKey, fields: Iterable[str]) -> dg.TableColumnLineage:
    """Every field from the field of the same name of another asset."""
    return dg.TableColumnLineage({name: [dg.TableColumnDep(asset, name)] for name in fields})


def columns(mapping: Mapped) -> list[str]:
    """The columns one field is filled from; none for a constant."""
    if mapping.template is not None:
        return list(dict.fromkeys(name for _, name, *_ in string.Formatter().parse(mapping.template) if name))
    return [mapping.from_] if mapping.from_ else []


def deps(found: Iterable[Origin]) -> list[dg.TableColumnDep]:
    return [dg.TableColumnDep(keys.table(table), column) for table, column in sorted(set(found))]


def origins(element: sa.ClauseElement, seen: set[int]) -> Iterator[Origin]:
    """The base tables' columns an expression is made of, through every subquery."""
    for part in visitors.iterate(element):
        if isinstance(part, sa.ScalarSelect):
            for column in part.element.selected_columns:
                yield from origins(column, seen)
        elif isinstance(part, sa.ColumnClause) and part.table is not None:
            yield from behind(part.table, part, seen)


def behind(table: sa.FromClause, column: sa.ColumnClause[object], seen: set[int]) -> Iterator[Origin]:
    """A base table's column is an origin; a subquery's column is whatever its select says of that name."""
    if isinstance(table, sa.TableClause):
        yield table.name, column.name
    elif isinstance(table, sa.Subquery | sa.CTE) and isinstance(table.element, sa.SelectBase):
        inner = table.element.selected_columns[column.key]
        if id(inner) not in seen:
            seen.add(id(inner))
            yield from origins(inner, seen)


def raw_schema(told: TableIntake) -> dg.TableSchema:
    """The shop's own columns that are pulled."""
    return dg.TableSchema([dg.TableColumn(name, "as the source has it") for name in told.wanted])


def table_schema(name: str) -> dg.TableSchema:
    """A canonical table's columns and what each may hold."""
    return dg.TableSchema(
        [
            dg.TableColumn(
                field.name,
                field.type,
                canonical.told(field) or None,
                dg.TableColumnConstraints(
                    nullable=not field.required, unique=CONTRACTS[name].key == (field.name,)
                ),
            )
            for field in CONTRACTS[name].fields
        ]
    )


def score_schema(score: Score) -> dg.TableSchema:
    """A score's columns; those of its key are never empty."""
    about = {"customer_id": ("text", "one row per customer")}
    about |= {column.name: (column.type, column.description) for column in score.columns}
    return dg.TableSchema(
        [
            dg.TableColumn(
                name,
                *about[name],
                dg.TableColumnConstraints(nullable=name not in score.key, unique=score.key == (name,)),
            )
            for name in score.output
        ]
    )


def profile_schema(project: Project, schema: pa.Schema) -> dg.TableSchema:
    """The profile's columns as they are now, told in the words of the tables they come from."""
    about = {field.name: canonical.told(field) for field in CONTRACTS["customers"].fields}
    about |= {c.name: c.description for score in project.told_scores for c in score.columns}
    return dg.TableSchema([dg.TableColumn(f.name, str(f.type), about.get(f.name)) for f in schema])


def sync_schema(sync: Sync, plan: Plan | None = None) -> dg.TableSchema:
    """The tool's fields; their types once a plan has worked them out."""
    types = plan.types if plan else {}
    said = [(sync.key.to, "the key")] + [(m.to, filled(m)) for m in sync.fields]
    return dg.TableSchema([dg.TableColumn(name, str(types.get(name, "")), how) for name, how in said])


def filled(mapping: Mapped) -> str:
    """How one field gets its value."""
    if mapping.from_:
        told = f"from {mapping.from_}"
    elif mapping.template is not None:
        told = f"“{mapping.template}”"
    else:
        told = f"always {mapping.constant!r}"
    return told + (", written once" if mapping.create_only else "")
