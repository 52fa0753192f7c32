"""Somewhere to send records: its facts, its address, its verbs.

A destination is one frozen class in one file of `connectors/destinations/`. Its fields are its YAML,
its class variables are the vendor's facts, its methods turn a batch into calls and replies into
receipts. It holds no policy: it never sleeps, retries, splits, logs, counts or catches; the engine
(`deliver`, `settle`, `verify`) does that, told how by the facts.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

import requests
from pydantic import BaseModel, ConfigDict

from octo_dagster.errors import ConfigError, DeliveryError, Expired, Fatal, Retryable, Unanswered
from octo_dagster.model import Batch, Fields, FieldType, Mode, Op, Removal, Sent


class Secret(BaseModel):
    """A secret's place, never its value: `{env: NAME}` in YAML. Read at the moment of use only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: str

    def reveal(self) -> str:
        """The value now in the environment. ConfigError when the variable is not set or empty."""
        value = os.environ.get(self.env, "")
        if not value:
            raise ConfigError(f"environment variable {self.env} is not set")
        return value


@dataclass(frozen=True, slots=True)
class Limits:
    """How many changes may go in one call."""

    rows: int
    """Most changes in one batch."""
    bytes: int | None = None
    """Most bytes of a batch's fields as JSON; None when the vendor states no size."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `calls` in any `seconds`, for calls whose path matches `paths` (a regex; None: all)."""

    calls: int
    seconds: float
    paths: str | None = None


@dataclass(frozen=True, slots=True)
class FieldReport:
    """What `ensure_fields` found and did, for people to read."""

    created: tuple[str, ...] = ()
    existing: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """A line for each field that cannot be used as mapped: missing, of another type, not writable."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is in an account, for a person who connects it for the first time."""

    fields: Mapping[str, FieldType | None] = field(default_factory=dict)
    """The fields that can be mapped, as the vendor spells them; None: there, but of a type Octo does not
    write."""
    keys: tuple[str, ...] = ()
    """The fields of these that may be the sync's key, the best first."""
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Setting (`list`, `object`, `sheet`) → what it may name here, as the setting would name it."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """The fields no new record can be without → a template of the profile's columns that fills them."""
    missing: tuple[str, ...] = ()
    """A line for each permission that is missing: its name there, and what cannot be done without."""


ApiT = TypeVar("ApiT")


class Destination(BaseModel, ABC, Generic[ApiT]):
    """The contract. `ApiT` is whatever `connect` returns: a vendor library's client, or the session."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str

    modes: ClassVar[frozenset[Mode]] = frozenset(Mode)
    removals: ClassVar[frozenset[Removal]]
    """What `mirror` may do here; the first thing a sync's `on_remove` is checked against."""
    place: ClassVar[tuple[str, ...]] = ()
    """The settings that say where in the account records go (a list, an object, a sheet), and last those by
    which values are read that name somebody there. What the ledger says is held is held there; a sync never
    moves to another place under its old name."""
    rates: ClassVar[tuple[Rate, ...]] = ()
    """The vendor's published quota, kept to across processes."""
    keys_ignore_case: ClassVar[bool] = True
    """Whether two keys that differ in case only are one record to the vendor."""
    silent: ClassVar[bool] = False
    """Whether the vendor may accept a row and drop values without saying so; accepted rows of such
    a vendor are read back before the ledger believes them."""
    in_order: ClassVar[bool] = True
    """False when a job may still land after its reply was lost: what was maybe sent is then sent
    again rather than believed absent."""
    jobs_at_once: ClassVar[int] = 1
    """How many of its jobs may run side by side; they are looked at in the order they were begun."""
    poll_seconds: ClassVar[tuple[float, float]] = (0.5, 30.0)
    """First and longest wait between two looks at an unfinished job."""
    patience: ClassVar[float] = 900.0
    """Seconds a run watches one unfinished job before it leaves it to the next run."""
    knows_for: ClassVar[float] = 0.0
    """Seconds for which `account` need not be asked again with the same credentials, where asking is dear."""
    looks: ClassVar[str | None] = None
    """The paths (a regex) of calls that write nothing though they are no GET: searches asked by POST."""
    untyped: ClassVar[bool] = False
    """Whether what it holds does not say of which type it is (a CSV file); `expect` then tells it."""

    by_values: ClassVar[bool] = False
    """Whether it knows people by values alone, which two customers may share; `names` then says which."""

    keeps: ClassVar[timedelta | None] = None
    """How long it keeps somebody without being told of him again; each is, well before. None: for ever."""

    answers: ClassVar[frozenset[str]] = frozenset()
    """The fields in which nothing is an answer, too, as in a consent. Their mappings must let it through: by
    `nulls: skip` or `create_only`, who withdraws his consent would be taken for one who gave it."""

    def names(self, key_field: str, key: str, fields: Fields) -> frozenset[str] | None:
        """What somebody is found by at a destination that knows people `by_values`: equal for equal values
        however they are spelled, and never in clear. Nothing of somebody who may not be told; None of who
        cannot be, for a value that will not do: he stays as he is there."""
        return frozenset()

    def key_problem(self, key_field: str) -> str | None:
        """Why this field cannot be the key here, for the sync's file to be refused; None when it can."""
        return None

    def subscribes(self) -> bool:
        """Whether somebody new may be written to from then on, on Octo's word: a sync must then say by which
        column of `consent`."""
        return False

    def alone(self) -> str | None:
        """What only one delivery at a time may write to, whatever its sync, by a name fit for a file; None
        where several may write at once."""
        return None

    @abstractmethod
    def hosts(self) -> Mapping[str, str]:
        """`https://host` of the vendor → name of its sandbox twin, for every host it will call."""

    @abstractmethod
    def connect(self, http: requests.Session) -> ApiT:
        """Sign in over this session, which paces, logs, classifies and routes every call."""

    def expect(self, api: ApiT, types: Mapping[str, FieldType]) -> None:
        """Told after signing in, where it is `untyped`: the mapped fields' types, the key's first."""

    @abstractmethod
    def limits(self, op: Op, rows: int) -> Limits:
        """How to cut `rows` changes of one op into batches."""

    def seal(self) -> str:
        """What tells these credentials from others without giving them away. ConfigError as `reveal`."""
        secrets = sorted((name, value) for name, value in self if isinstance(value, Secret))
        told = "\0".join([self.type, *(f"{name}={value.reveal()}" for name, value in secrets)])
        return hashlib.sha256(told.encode()).hexdigest()

    @abstractmethod
    def account(self, api: ApiT) -> str:
        """Who this is at the vendor: a stable id, compared with the one the ledger first saw."""

    @abstractmethod
    def ensure_fields(self, api: ApiT, fields: Mapping[str, FieldType], *, create: bool) -> FieldReport:
        """Make sure these fields exist with these types and can be written; create if told to.

        Fields of other people are never changed. Called before the first batch of a delivery."""

    def open(self, api: ApiT, batch: Batch) -> str | None:
        """Open a job for this batch where the vendor has an empty one to open; its token is on disk
        before `send`. Vendors without such a step return None."""
        return None

    @abstractmethod
    def send(self, api: ApiT, batch: Batch) -> Sent:
        """Carry the batch out: receipts at once, or a token to `settle` by."""

    def settle(self, api: ApiT, batch: Batch) -> Sent | None:
        """What became of a batch whose `token` is known. Called while a job runs, and after a crash.

        Receipts for decided rows; `token` kept while the job runs; None when the vendor no longer
        knows the job (the engine then reads back). Vendors without jobs never see this call."""
        return None

    def glance(self, api: ApiT, batch: Batch) -> dict[str, Fields] | None:
        """What is held of a running job's records, as `read` gives it, but leaving out whatever was not
        modified since the batch was opened; None to ask after the job at once.

        For a vendor that sells calls about jobs more dearly than calls about records."""
        return None

    @abstractmethod
    def read(
        self, api: ApiT, keys: Iterable[str], fields: Iterable[str], since: datetime | None = None
    ) -> dict[str, Fields]:
        """What the destination holds now of these keys: key as asked → the fields asked for.

        A key it does not have is absent from the result. Values come back in `model.Value` form,
        dates as dates and numbers as Decimal or int. `since` promises that only records changed
        after it matter (a vendor that can filter by it needs fewer calls). For a sync that keeps a
        list, a record not in the list counts as absent."""

    def can_read(self) -> bool:
        """Whether `read` can tell what is held. Where it cannot, there is nothing to verify."""
        return True

    def spelling(self, column: str) -> str:
        """How a new field for this column of ours is called here, by the vendor's rules and customs."""
        return column

    def survey(self, api: ApiT) -> Survey:
        """What can be mapped to and which permissions are missing; for `octo check --connect`, `octo init`.

        Writes nothing. A call refused for want of a permission is a line of `missing`, not an error."""
        return Survey()

    def failure(self, response: requests.Response) -> DeliveryError | None:
        """What this reply means for the call as a whole; None when it is for `send`/`read` to read.

        Asked by the session on every reply, before any vendor library sees it."""
        status = response.status_code
        if status == 401:
            return Expired(f"{self.type}: 401 {words(response)}")
        if status == 403:
            return Fatal(f"{self.type}: 403 {words(response)}")
        if status in {429, 503}:
            return Retryable(f"{self.type}: {status} {words(response)}", retry_after(response))
        if status >= 500:
            return Unanswered(f"{self.type}: {status} {words(response)}")
        return None


def sandbox_of(http: requests.Session) -> str | None:
    """The sandbox this session leads to; None when it leads to the world. For what is reached by other
    ways than HTTP (a folder, a database): in the sandbox it must touch nothing real."""
    return getattr(http.get_adapter("https://"), "sandbox", None)


def words(response: requests.Response) -> str:
    """The first 300 characters of a reply, for a person to read."""
    return response.text[:300]


def retry_after(response: requests.Response) -> float | None:
    """The seconds a `Retry-After` header asks for; None when absent or a date."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.replace(".", "", 1).isdigit() else None


AnyDestination = Destination[Any]
