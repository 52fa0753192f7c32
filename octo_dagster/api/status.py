"""How every source, score and sync stands, as `octo status --json` says it."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Depends
from starlette.responses import Response

from octo_dagster.api.customers import Ours, answer
from octo_dagster.api.syncs import for_runs
from octo_dagster.ops.status import status

router = APIRouter(prefix="/v1")


@router.get("/status", summary="How everything stands", dependencies=[Depends(for_runs)])
def standings(project: Ours) -> Response:
    """Each source, score and sync: how its last run ended and when, when it is due, how old it may be, what
    it owes, and which alerts fire. For a key that may see `sync_runs`."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return answer({"status": [one.as_dict() for one in status(project, now)]})
