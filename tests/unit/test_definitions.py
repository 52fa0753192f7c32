"""The code location loads from the project's files alone, and says what it must to Dagster."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
import yaml

from assets import keys
from assets.factory import definitions
from assets.jobs import base, night
from assets.resources import Day, Setup
from octo_dagster.config import Project
from octo_dagster.errors import ConfigError
from octo_dagster.serving.reading import Copy
from octo_dagster.sync import Sync

ROOT = Path(__file__).parents[2]
LOAD = """
import socket, dagster as dg
def refuse(*_): raise OSError("the network was used")
socket.socket.connect = refuse
from octo_dagster.definitions import defs
dg.Definitions.validate_loadable(defs)
print(len(list(defs.resolve_all_asset_specs())))
"""


def loaded(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Load the code location in a process with these variables and no others of ours."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    said = kept | {"OCTO_PROJECT": str(ROOT), "OCTO_HOME": str(folder / ".octo")} | env
    command = [sys.executable, "-W", "error", "-c", LOAD]
    return subprocess.run(command, env=said, cwd=ROOT, capture_output=True, text=True, check=False)


def test_loads_without_secrets_or_network(tmp_path: Path) -> None:
    """With no variable set and no network, every definition loads, nothing warns, no table is opened."""
    done = loaded(tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20
    assert not (tmp_path / ".octo").exists()


def test_the_workspace_names_this_module() -> None:
    """`workspace.yaml` and `pyproject.toml` both lead to `octo_dagster.definitions`."""
    (place,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    assert place["python_module"]["module_name"] == "octo_dagster.definitions"
    assert 'code_location_target_module = "octo_dagster.definitions"' in (ROOT / "pyproject.toml").read_text()


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    """A mistake in a file stops the loading with the file and the field."""
    (tmp_path / "assets" / "syncs").mkdir(parents=True)
    (tmp_path / "assets" / "syncs" / "letters.yaml").write_text("destination: {type: nowhere}\n")
    with pytest.raises(ConfigError, match=r"letters\.yaml: .*nowhere"):
        definitions(Setup(Project(tmp_path, tmp_path / ".octo")))


def test_an_empty_project_loads(tmp_path: Path) -> None:
    """A folder with nothing in it is a project nobody has filled in yet."""
    made = definitions(Setup(Project(tmp_path, tmp_path / ".octo")))
    dg.Definitions.validate_loadable(made)
    assert made.sensors == []


def test_shipped_settings(tmp_path: Path) -> None:
    """The shipped `dagster.yaml` is one Dagster accepts, with a limit of one for every pool and no telemetry."""
    shutil.copy(ROOT / "assets" / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1
        assert not instance.telemetry_enabled


def test_one_pool_an_account() -> None:
    """Syncs to one account share a pool, whatever list they keep; another key is another account."""

    def pool(**changed: object) -> str:
        told = {"type": "brevo", "api_key": {"env": "BREVO_API_KEY"}, "list": "A"} | changed
        project = Project(ROOT, ROOT)
        sync = project.sync("brevo_contacts")
        return keys.account_pool(type(sync.destination).model_validate(told))

    assert pool() == pool(list="B") == "brevo/api.brevo.com/BREVO_API_KEY"
    assert pool(api_key={"env": "OTHER"}) != pool()


def test_two_syncs_into_one_object(tmp_path: Path) -> None:
    """Two syncs that write to the same object at a tool meet in one asset."""
    folder = tmp_path / "assets" / "syncs"
    folder.mkdir(parents=True)
    for name in ("one", "two"):
        shutil.copy(ROOT / "assets" / "syncs" / "brevo_contacts.yaml", folder / f"{name}.yaml")
    graph = definitions(Setup(Project(tmp_path, tmp_path))).resolve_asset_graph()
    parents = graph.get(dg.AssetKey(["contacts_in_brevo"])).parent_keys
    assert parents == {dg.AssetKey(["one_delivery"]), dg.AssetKey(["two_delivery"])}
    assert isinstance(Project(tmp_path, tmp_path).sync("one"), Sync)


def test_a_plan_needs_its_audience(tmp_path: Path) -> None:
    """The plan of a sync with an audience comes after the audience's rule and after the table it picks from."""
    shutil.copytree(ROOT / "assets" / "audiences", tmp_path / "assets" / "audiences")
    (tmp_path / "assets" / "syncs").mkdir()
    told = (ROOT / "assets" / "syncs" / "brevo_contacts.yaml").read_text() + "audience: best_customers\n"
    (tmp_path / "assets" / "syncs" / "letters.yaml").write_text(told)
    graph = definitions(Setup(Project(tmp_path, tmp_path))).resolve_asset_graph()
    needed = {dg.AssetKey(["audiences", "best_customers"]), dg.AssetKey(["customer_profile"])}
    assert graph.get(dg.AssetKey(["letters_plan"])).parent_keys == needed


def test_switched_on(tmp_path: Path) -> None:
    """Schedules and the sensor are off until a person, or OCTO_AUTOMATE, switches them on."""
    project = Project(ROOT, tmp_path)
    for on, word in ((False, "STOPPED"), (True, "RUNNING")):
        made = definitions(Setup(project, on=on))
        repository = made.get_repository_def()
        assert {sensor.default_status.value for sensor in repository.sensor_defs} == {word}
        assert {schedule.default_status.value for schedule in repository.schedule_defs} == {word}


def test_the_night_leaves_nothing_out(tmp_path: Path) -> None:
    """Everything that can be materialised is materialised every night: a table forgotten there goes stale
    while every run is green. `refresh_base` does the same, but for plans and deliveries."""
    project = Project(ROOT, tmp_path)
    graph = definitions(Setup(project)).resolve_asset_graph()
    sent = {key for sync in project.syncs.values() for key in (keys.plan(sync), keys.delivery(sync))}
    assert sent
    assert set(night(project)) == graph.materializable_asset_keys
    assert set(base(project)) == graph.materializable_asset_keys - sent


def test_one_day_for_a_run() -> None:
    """The day is the one the run was asked for on; a repeated run keeps the day of the run it repeats."""
    seen = []

    @dg.op
    def look(day: Day) -> None:
        seen.append(day.day)

    @dg.job(resource_defs={"day": Day()})
    def twice() -> None:
        look.alias("one")()
        look.alias("two")()

    with dg.DagsterInstance.ephemeral() as instance:
        first = twice.execute_in_process(instance=instance)
        record = instance.get_run_record_by_id(first.run_id)
        assert record is not None
        assert seen == [record.create_timestamp.date()] * 2
        told = {"resources": {"day": {"config": {"as_of": "2017-12-31"}}}}
        twice.execute_in_process(instance=instance, run_config=told)
    assert [day.isoformat() for day in seen[2:]] == ["2017-12-31"] * 2


def test_what_the_api_answers_from_is_an_asset(tmp_path: Path) -> None:
    """In a project that is served, the copy is made after the profile, every night and by itself."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "project.yaml").write_text("serve: true\n")
    project = Project(tmp_path, tmp_path / ".octo")
    made = definitions(Setup(project))
    copy = dg.AssetKey(keys.SERVED)
    assert keys.PROFILE in made.resolve_asset_graph().get(copy).parent_keys
    assert copy in night(project)
    project.warehouse.replace("customer_profile", pa.table({"customer_id": ["c1"]}), {"as_of": "2026-11-22"})
    assets = [asset for asset in made.assets or () if isinstance(asset, dg.AssetsDefinition)]
    assert dg.materialize(assets, selection=[copy], resources=made.resources).success
    assert Copy(project.home).customer("c1") == {"customer_id": "c1"}
