"""What Google says became of the records of one request, by key."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from octo_dagster.model import Outcome

DECIDED = ("SUCCESS", "PARTIAL_SUCCESS", "FAILED")
PREFIX = "PROCESSING_ERROR_REASON_"
OURS = f"{PREFIX}INTERNAL_ERROR"
"""The one reason that is Google's fault and not the record's: it goes again."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whom it accepted is in neither."""

    refused: Mapping[str, str]
    """Key → reason."""
    otherwise: Mapping[str, Outcome]
    """Who is to be sent again: what was not carried out, or not known to be."""


def verdict(fate: Mapping[str, Any], keys: Sequence[str]) -> Verdict:
    """A decided request's outcome; `keys` in the order their records were sent.

    Where it counts more failures than it names, or fewer records than were sent, nobody it does not name is
    believed to be in, or out."""
    short = received(fate) < len(keys)
    if fate["requestStatus"] == "SUCCESS":
        return Verdict({}, dict.fromkeys(keys, Outcome.UNKNOWN) if short else {})
    counts = fate.get("errorInfo", {}).get("errorCounts", [])
    failed = {keys[n]: one["reason"] for one in counts for n in one.get("recordIndices", ()) if n < len(keys)}
    named = sum(len(one.get("recordIndices", ())) for one in counts)
    more = sum(int(one.get("recordCount", 0)) for one in counts) - named
    rest = [key for key in keys if key not in failed]
    if fate["requestStatus"] == "FAILED":
        failed |= dict.fromkeys(rest, counts[0]["reason"] if counts else "FAILED")
    doubtful = rest if fate["requestStatus"] != "FAILED" and (more > 0 or not counts or short) else []
    again = dict.fromkeys((key for key, reason in failed.items() if reason == OURS), Outcome.UNSENT)
    refused = {key: reason.removeprefix(PREFIX) for key, reason in failed.items() if reason != OURS}
    return Verdict(refused, {**again, **dict.fromkeys(doubtful, Outcome.UNKNOWN)})


def received(fate: Mapping[str, Any]) -> float:
    """How many records Google says it was sent, whatever became of them; infinite where it does not say."""
    for kind, inner in STATUSES:
        told = fate.get(kind, {}).get(inner, {})
        if "recordCount" in told:
            return int(told["recordCount"])
    return math.inf


STATUSES = (
    ("audienceMembersIngestionStatus", "userDataIngestionStatus"),
    ("audienceMembersRemovalStatus", "userDataRemovalStatus"),
)
