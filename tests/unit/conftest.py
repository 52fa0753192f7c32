"""The project that the read API's tests ask."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from octo_dagster.config import Project
from tests.reading import EVERYTHING, asking, published


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project with everything the API tells of; nobody writes to it."""
    return published(tmp_path_factory.mktemp("reading")).root


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Project:
    """A project of one's own with everything the API tells of."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return Project(tmp_path, tmp_path / ".octo")


@pytest.fixture
def client(project: Project) -> Iterator[TestClient]:
    """Somebody who may see everything."""
    with asking(project, EVERYTHING) as made:
        yield made
