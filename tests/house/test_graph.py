"""What Dagster shows of the shipped project, as text: whoever changes it sees what he changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from assets.factory import definitions
from assets.resources import Setup
from octo_dagster.config import Project

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("graph.txt")


def test_the_graph_is_as_written_down() -> None:
    """The graph is `tests/house/graph.txt`; after a change that is meant, SNAPSHOT=write makes it anew."""
    text = "\n".join(lines(definitions(Setup(Project(ROOT, ROOT / ".octo"))))) + "\n"
    if os.environ.get("SNAPSHOT") == "write":
        SNAPSHOT.write_text(text)
    assert SNAPSHOT.read_text() == text


def lines(defs: dg.Definitions) -> Iterator[str]:
    """Assets by group with what they need and their checks, then jobs, schedules and sensors."""
    graph = defs.resolve_asset_graph()
    specs = sorted(defs.resolve_all_asset_specs(), key=lambda spec: (str(spec.group_name), spec.key))
    checks: dict[dg.AssetKey, list[str]] = {}
    for check in graph.asset_check_keys:
        checks.setdefault(check.asset_key, []).append(check.name)
    group = None
    for spec in specs:
        if spec.group_name != group:
            group = spec.group_name
            yield f"{group}:"
        yield f"  {spec.key.to_user_string()}  [{', '.join(sorted(spec.kinds))}]{people(spec)}"
        if needs := sorted(dep.asset_key.to_user_string() for dep in spec.deps):
            yield f"    from {', '.join(needs)}"
        if found := sorted(checks.get(spec.key, [])):
            yield f"    checks {', '.join(found)}"
    yield "jobs:"
    repository = defs.get_repository_def()
    for job in sorted(repository.get_all_jobs(), key=lambda job: job.name):
        if not job.name.startswith("__"):
            steps = sorted(node.name for node in job.nodes_in_topological_order)
            yield f"  {job.name}: {', '.join(steps)}"
    yield "schedules:"
    for schedule in sorted(repository.schedule_defs, key=lambda schedule: schedule.name):
        yield f"  {schedule.name}: {schedule.cron_schedule} {schedule.execution_timezone} → {schedule.job_name}"
    yield "sensors:"
    for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name):
        target = sensor.job_name if sensor.targets else "no run"
        yield f"  {sensor.name}: every {sensor.minimum_interval_seconds} s → {target}"


def people(spec: dg.AssetSpec) -> str:
    return f" of {', '.join(spec.owners)}" if spec.owners else ""
