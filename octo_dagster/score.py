"""A fact worked out for every customer: one decorated plain function.

    @score(reads=("orders",), columns={"rfm_recency": ("integer", "1 the oldest sixth … 6 the newest")})
    def rfm(tables: Tables, *, as_of: date, bins: int = 6) -> sa.Select:
        \"\"\"How recently, how often, how much.\"\"\"

Keyword-only parameters are the settings, the docstring is the description, `columns` is the contract.
The function returns a SQLAlchemy Core select in the portable subset, one row per customer, first
column `customer_id`; it never looks past `as_of`. What needs pandas or numpy is a `frame_score`: it gets
the same tables, can read them, and returns data frames.

With a `key` other than the customer it makes a table of its own (a history, a matrix), which other scores
and pages read; only one row per customer goes onto the customer profile.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, cast

import pyarrow as pa
import sqlalchemy as sa

from octo_dagster.words import Language

if TYPE_CHECKING:
    import pandas as pd

CUSTOMER = ("customer_id",)

Tables: TypeAlias = Mapping[str, sa.TableClause]
"""Table name → the SQLAlchemy table to select from."""


class Because(Protocol):
    """Why a customer has what a score says of him."""

    def __call__(
        self, row: Mapping[str, Any], settings: Mapping[str, Any], language: Language = "en", /
    ) -> list[str]:
        """His row and the settings in force → sentences in this language. Labels stay as the row has them."""


InOneLanguage = Callable[[Mapping[str, Any], Mapping[str, Any]], list[str]]

Told = tuple[str, str] | tuple[str, str, str]
ColumnsOf = Callable[[Mapping[str, Any]], Mapping[str, Told]]
"""Output columns that depend on the settings in force."""


class Frames(Mapping[str, sa.TableClause]):
    """What a `frame_score` gets: the tables, and ways to read them."""

    @abstractmethod
    def query(self, query: sa.Select[Any] | str) -> pa.Table:
        """The rows of a select, or of DuckDB SQL over the tables by their names."""

    @abstractmethod
    def frame(self, name: str) -> pd.DataFrame:
        """A whole table without what happened after the score's day; lines go with their orders."""

    @abstractmethod
    def progress(self, done: int, total: int) -> None:
        """Say how far the work has come, in customers or any other unit."""


Chunk: TypeAlias = "pd.DataFrame | pa.Table"
Live = Callable[..., "sa.Select[Any] | None"]
"""How the live lane works a score out: like the score's own function, but `orders` and `customers` hold the
touched customers' rows only, and the table of the score's own name the night's rows of all others. Gives the
rows of the touched customers exactly as the whole score would; None when these settings do not allow that."""

Computed: TypeAlias = "sa.Select[Any] | Chunk | Iterator[Chunk]"
"""What a score's function returns: a select, or (of a `frame_score`) rows, whole or in chunks."""


@dataclass(frozen=True, slots=True)
class Column:
    """One output column of a score: what people read about it, and its type."""

    name: str
    type: str
    """`integer`, `text`, `decimal`, `date`, `boolean` …: a `model.FieldType` value."""
    description: str
    of: str | None = None
    """For a class: the output column it is cut from, or by whose sum its weight is shown."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What a score's page shows: how it is drawn, and the DuckDB query over the score's table to draw."""

    kind: Literal["plane", "bars", "matrix"]
    """`plane`: columns as in `assets/scores/rfm.py`. `bars`: columns label, customers, further figures.
    `matrix`: columns row, column, customers."""
    query: str
    title: str


@dataclass(frozen=True, slots=True)
class Score:
    """A registered score. `compute` is the plain function; call it in a test with any tables."""

    name: str
    description: str
    reads: tuple[str, ...]
    """Tables it cannot do without: canonical ones, or those of other scores."""
    columns: tuple[Column, ...]
    """Every output column but `customer_id`; with another `key`, every output column."""
    compute: Callable[..., Computed]
    because: Because | None = None
    """Sentences for `octo explain` and the customer's page: what led to what."""
    optional: tuple[str, ...] = ()
    """Canonical tables it sees empty where no source feeds them."""
    key: tuple[str, ...] = CUSTOMER
    picture: Picture | None = None
    settings_from: str | tuple[str, ...] | None = None
    """The scores whose settings it shares: those of the same name it does not give itself."""
    by_frames: bool = False
    """Whether `compute` reads rows itself (`frame_score`) or returns a select."""
    columns_of: ColumnsOf | None = None
    live: Literal["own"] | Live | None = None
    """`own`: a customer's row is worked out from his own customer, order and line rows alone (and what the
    shop says of products and stores). A function: from those and the night's rows of all others. None: from
    everybody's."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """The settings a project gave; all others have their defaults."""

    @property
    def settings(self) -> Mapping[str, inspect.Parameter]:
        """The settings a YAML or a run may give: keyword-only parameters other than `as_of`."""
        parameters = inspect.signature(self.compute).parameters
        return {
            name: parameter
            for name, parameter in parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name != "as_of"
        }

    @property
    def in_force(self) -> dict[str, Any]:
        """Every setting: the default, or what the project gave."""
        return {name: p.default for name, p in self.settings.items()} | dict(self.given)

    @property
    def on_profile(self) -> bool:
        """Whether its columns go onto the customer profile: one row per customer."""
        return self.key == CUSTOMER

    @property
    def output(self) -> tuple[str, ...]:
        """The names of all columns of its table, in order."""
        names = tuple(column.name for column in self.columns)
        return (*CUSTOMER, *names) if self.on_profile else names

    def given_settings(self, settings: Mapping[str, Any]) -> Score:
        """The same score with these settings, and the columns they make."""
        chosen = replace(self, given=dict(settings))
        if self.columns_of is None:
            return chosen
        return replace(chosen, columns=declared(self.columns_of(chosen.in_force)))


def declared(columns: Mapping[str, Told]) -> tuple[Column, ...]:
    return tuple(Column(name, *told) for name, told in columns.items())


def in_languages(because: Because | InOneLanguage | None) -> Because | None:
    """As it is; of one that takes a row and settings only, one that says the same in every language."""
    if because is None or len(inspect.signature(because).parameters) > 2:
        return cast("Because | None", because)

    def alike(row: Mapping[str, Any], settings: Mapping[str, Any], language: Language = "en", /) -> list[str]:
        return because(row, settings)

    return alike


def score(  # noqa: PLR0913 - every keyword is a line of the declaration
    *,
    reads: tuple[str, ...],
    columns: Mapping[str, Told] | ColumnsOf,
    optional: tuple[str, ...] = (),
    key: tuple[str, ...] = CUSTOMER,
    because: Because | InOneLanguage | None = None,
    picture: Picture | None = None,
    settings_from: str | tuple[str, ...] | None = None,
    live: Literal["own"] | Live | None = None,
) -> Callable[[Callable[..., sa.Select[Any]]], Score]:
    """Declare a score. `columns`: output column → (type, description) or (type, description, of), in output
    order, `customer_id` left out; or a function from the settings in force to that. `live`: see `Score`.
    `because`: as `Because` says; one without `language` says the same in every language."""

    def declare(compute: Callable[..., Computed]) -> Score:
        made = Score(
            name=compute.__name__,
            description=inspect.getdoc(compute) or "",
            reads=reads,
            columns=() if callable(columns) else declared(columns),
            compute=compute,
            because=in_languages(because),
            optional=optional,
            key=key,
            picture=picture,
            settings_from=settings_from,
            columns_of=columns if callable(columns) else None,
            live=live,
        )
        return made.given_settings({})

    return declare


def frame_score(**told: Any) -> Callable[[Callable[..., Computed]], Score]:
    """Declare a score worked out from data frames: `score`'s arguments, and a function that gets `Frames`
    and returns a pandas frame or an Arrow table, or yields several. It runs on DuckDB's rows only."""

    def declare(compute: Callable[..., Computed]) -> Score:
        return replace(score(**told)(compute), by_frames=True)  # type: ignore[arg-type]

    return declare
