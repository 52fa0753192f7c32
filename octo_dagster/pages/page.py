"""A page of Octo's own: where it is found, what answers there, where it stands in the menu."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter

Group = Literal["people", "scores", "tools"]
GROUPS: tuple[Group, ...] = ("people", "scores", "tools")
"""The parts of the menu, in order; the words `menu.people` … are their names."""


@dataclass(frozen=True, slots=True)
class Page:
    """One entry of the menu and what answers below its path. A module that holds one as `page` is found."""

    name: str
    """The words `menu.<name>` are its name in the menu."""
    path: str
    """Where the entry leads; the router's own paths are written in full."""
    router: APIRouter
    group: Group = "people"
    order: int = 50
    """Within its group, smallest first."""


def pages() -> list[Page]:
    """Every page there is, in the menu's order."""
    return sorted(found(), key=lambda page: (GROUPS.index(page.group), page.order, page.name))


def found() -> Iterator[Page]:
    """The `page` of every module below `octo_dagster.pages`."""
    here = importlib.import_module("octo_dagster.pages")
    for told in pkgutil.walk_packages(here.__path__, f"{here.__name__}."):
        page = vars(importlib.import_module(told.name)).get("page")
        if isinstance(page, Page):
            yield page
