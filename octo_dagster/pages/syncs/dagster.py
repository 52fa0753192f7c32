"""Dagster's webserver, asked to start a sync's delivery. Dagster itself is not needed for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from octo_dagster.errors import OctoError

ADDRESS = "OCTO_DAGSTER"
"""The environment variable with the webserver's address: `http://127.0.0.1:3000`."""
PATIENCE = 20.0
"""Seconds an answer may take: a code location may just be loading."""
WHERE = """query { repositoriesOrError { ... on RepositoryConnection {
    nodes { name location { name } jobs { name } } } ... on PythonError { message } } }"""
LAUNCH = """mutation($told: ExecutionParams!) { launchRun(executionParams: $told) { __typename
    ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } } } }"""
STATE = "query($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"


class DagsterError(OctoError):
    """Dagster could not be asked, or would not start the run; nothing was started."""

    exit_code = 5


@dataclass(frozen=True, slots=True)
class Dagster:
    """The webserver at an address."""

    address: str

    @classmethod
    def here(cls) -> Dagster | None:
        """The one of this process's environment; None where none is named."""
        address = os.environ.get(ADDRESS, "").rstrip("/")
        return cls(address) if address else None

    def page(self, run: str) -> str:
        """Where a run is shown."""
        return f"{self.address}/runs/{run}"

    def deliver(self, sync: str, plan: str, allow: bool, by: str) -> str:
        """Start the run that delivers exactly this plan; its id. The plan's id is all that it is told: no
        customer's key comes to stand in Dagster's log. DagsterError when it was not started."""
        asset = f"{sync}_delivery"
        config = {"plan": plan, **({"allow": plan} if allow else {})}
        told = {
            "selector": {**self.where(f"deliver_{sync}"), "assetSelection": [{"path": [asset]}]},
            "runConfigData": {"ops": {asset: {"config": config}}},
            "executionMetadata": {"tags": [{"key": "octo/asked_by", "value": by}]},
        }
        answer = self.ask(LAUNCH, {"told": told})["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise DagsterError(f"Dagster did not start the run: {why(answer)}")
        return str(answer["run"]["runId"])

    def where(self, job: str) -> dict[str, str]:
        """In which repository of which code location a job is."""
        found = self.ask(WHERE, {})["repositoriesOrError"]
        for one in found.get("nodes") or ():
            if job in {known["name"] for known in one["jobs"]}:
                return {
                    "repositoryLocationName": one["location"]["name"],
                    "repositoryName": one["name"],
                    "jobName": job,
                }
        raise DagsterError(
            f"Dagster at {self.address} has no job {job}. Of a new file it knows once its code is loaded "
            f"anew: {self.address}/deployment/locations, Reload all"
        )

    def state(self, run: str) -> str:
        """How a run stands: QUEUED, STARTED, SUCCESS, FAILURE …; empty for one it does not know."""
        return str(self.ask(STATE, {"run": run})["runOrError"].get("status", ""))

    def ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        body = {"query": query, "variables": dict(variables)}
        try:
            reply = httpx2.post(f"{self.address}/graphql", json=body, timeout=PATIENCE, trust_env=False)
            told = reply.raise_for_status().json()
        except (httpx2.HTTPError, ValueError) as wrong:
            raise DagsterError(f"Dagster does not answer at {self.address}: {type(wrong).__name__}") from None
        if told.get("errors"):
            raise DagsterError(f"Dagster refused the question: {told['errors'][0].get('message', '')}")
        return dict(told["data"])


def why(answer: Mapping[str, Any]) -> str:
    """What a refusal says, or at least what it is called."""
    lines = [one["message"] for one in answer.get("errors") or ()]
    return "; ".join(lines) or str(answer.get("message") or answer["__typename"])
