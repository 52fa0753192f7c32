"""What every destination can do, on one page: `connectors/CAPABILITIES.md`, from the classes' own facts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from octo_dagster.destination import AnyDestination, Rate
from octo_dagster.model import FieldType, Mode, Op, Removal

HEAD = """# What each destination can do

Written by `SNAPSHOT=write pytest tests/house/test_capabilities.py` from the facts each class states. Modes and taking
back may depend on settings (a list, a tag): shown are those of "as set". Every destination keeps to its quota across
processes, goes on after a crash at any moment, and is tested to leave alone what others keep in the account. How each
is used: [README.md](README.md).
"""  # noqa: E501 - a page of its own width
COLUMNS = (
    "destination",
    "as set",
    "modes",
    "taking back",
    "changes in a batch",
    "quota it keeps",
    "holds",
    "makes missing fields",
    "read back",
)


@dataclass(frozen=True, slots=True)
class Shown:
    """One destination with settings, and what its exam knows of it."""

    destination: AnyDestination
    types: Collection[FieldType]
    makes_fields: bool


def page(shown: Collection[Shown]) -> str:
    """The whole page."""
    lines = [line(COLUMNS), line(["---"] * len(COLUMNS))]
    return "\n".join([HEAD, *lines, *(line(row(one)) for one in shown), ""])


def line(cells: Collection[str]) -> str:
    return f"| {' | '.join(cells)} |"


def row(one: Shown) -> tuple[str, ...]:
    """A destination's facts in words."""
    made = one.destination
    lacking = [kind.value for kind in FieldType if kind not in one.types]
    return (
        f"`{made.type}`",
        ", ".join(f"{name}: {value}" for name, value in plain(made).items()),
        listed(Mode, made.modes),
        listed(Removal, made.removals),
        f"{made.limits(Op.UPSERT, 1_000_000).rows:,}",
        quota(made.rates),
        "every type" if not lacking else f"no {', '.join(lacking)}",
        "yes" if one.makes_fields else "none are needed",
        believed(made),
    )


def plain(made: AnyDestination) -> Mapping[str, str]:
    """The settings that say where in the account records go."""
    values = {name: getattr(made, name, None) for name in made.place}
    return {name: str(value) for name, value in values.items() if isinstance(value, str | int)}


def listed(every: type[Mode] | type[Removal], these: Collection[Mode | Removal]) -> str:
    if these == frozenset(every):
        return "all"
    return ", ".join(one.value for one in every if one in these)


def quota(rates: Collection[Rate]) -> str:
    """The rates it keeps; where each endpoint has its own, how many."""
    if len(rates) > 4:
        return f"{len(rates)}, by endpoint"
    return "; ".join(map(told, rates)) or "none published"


def told(rate: Rate) -> str:
    """A rate in words."""
    span = {1.0: "a second", 60.0: "a minute", 3600.0: "an hour", 86400.0: "a day"}.get(
        rate.seconds, f"in {rate.seconds:g} s"
    )
    return f"{rate.calls:,} {span}" + (" (some calls)" if rate.paths else "")


def believed(made: AnyDestination) -> str:
    """What is read back of what was sent."""
    if not made.can_read():
        return "never: it shows nobody what it holds"
    return "every row: it drops values in silence" if made.silent else "a sample"
