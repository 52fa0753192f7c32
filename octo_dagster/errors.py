"""What can go wrong, named by what to do next.

    OctoError
    ├── ConfigError           the files are wrong; nothing ran                      exit 2
    ├── PlanRefused           nothing was written                                   exit 3
    │   ├── GuardTripped        more would change than a person expects
    │   └── PlanStale           the world moved since the plan was drawn
    ├── SourceError           rows cannot be read, or too many break the contract   exit 4
    ├── Busy                  another run of the same sync is under way             exit 5
    └── DeliveryError         the destination, as a whole
        ├── Retryable           certainly not done: the same call may go again        exit 5
        │   └── OverQuota         the vendor's quota is used up for longer than one may wait
        ├── Unanswered          sent, no answer: it may have been done                exit 6
        ├── BatchRejected       refused as a whole, perhaps for one row of it         exit 4
        └── Fatal               a person must act: credentials, wrong account, gone   exit 7
            └── Expired           the session ended; signing in again may cure it

A bad row is not an exception but a value (`model.Invalid`, or a rejected `model.Receipt`); not
knowing is a state of the ledger. Nobody catches `Exception`.
"""

from __future__ import annotations

from collections.abc import Sequence


class OctoError(Exception):
    """Anything Octo stops for on purpose. `exit_code` is what the `octo` command ends with."""

    exit_code = 1


class ConfigError(OctoError):
    """The project's files are wrong; nothing ran. `problems` holds one line each, `file: field: what`."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        self.problems: Sequence[str] = problems
        super().__init__("\n".join(problems))


class PlanRefused(OctoError):
    """The plan will not be delivered; nothing was written anywhere."""

    exit_code = 3


class GuardTripped(PlanRefused):
    """More would change than a person expects. A person may allow this very plan by its id."""


class PlanStale(PlanRefused):
    """The ledger, the source table or the sync's file moved since the plan was drawn: plan again."""


class SourceError(OctoError):
    """A source cannot be read, or more of its rows break their contract than its threshold allows."""

    exit_code = 4


class Busy(OctoError):
    """Another run of the same sync is under way; this one did nothing."""

    exit_code = 5


class DeliveryError(OctoError):
    """The destination could not do what was asked, as a whole and not for one row."""

    partly = False
    """Whether calls before the one that failed may have carried out a part of the batch. The courier says so,
    which saw them."""


class Retryable(DeliveryError):
    """The call was certainly not carried out and may go again after `wait` seconds (None: back off)."""

    exit_code = 5

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class OverQuota(Retryable):
    """The vendor's quota is used up for longer than this delivery may wait; nothing was called."""


class Unanswered(DeliveryError):
    """The call was sent and never answered, or the answer says nothing: it may have been done."""

    exit_code = 6


class BatchRejected(DeliveryError):
    """The destination refused a whole batch, perhaps for one row of it; the engine halves it."""

    exit_code = 4


class Fatal(DeliveryError):
    """No call to this destination will succeed until a person acts."""

    exit_code = 7


class Expired(Fatal):
    """The session ended. The engine signs in again once; a second time it is Fatal."""
