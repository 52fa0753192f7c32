"""A file in or below `connectors/destinations/` or `connectors/sources/` is known here, by its `type`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import TypeVar, get_args

import connectors.destinations
import connectors.sources
from octo_dagster.destination import AnyDestination, Destination
from octo_dagster.source import Source

T = TypeVar("T")


def destinations() -> dict[str, type[AnyDestination]]:
    """`type` → class, for every destination file there is."""
    found = classes(connectors.destinations, Destination)
    return {kind(destination): destination for destination in found}


def sources() -> dict[str, type[Source]]:
    """`type` → class, for every source file there is."""
    found = classes(connectors.sources, Source)
    return {kind(source): source for source in found}


def modules() -> list[str]:
    """The modules of all destinations, for whoever forks processes: one that imports them itself needs a
    second for that."""
    package = connectors.destinations
    return [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]


def kind(model: type[AnyDestination] | type[Source]) -> str:
    """The one value its `type` literal allows."""
    return str(get_args(model.model_fields["type"].annotation)[0])


@cache
def classes(package: ModuleType, contract: type[T]) -> Sequence[type[T]]:
    """The concrete subclasses of a contract that the files of a package, and of its folders, define. Looked
    for once a process: to look takes 20 ms."""
    found = []
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        loaded = importlib.import_module(module.name)
        found += [
            value
            for value in vars(loaded).values()
            if inspect.isclass(value)
            and issubclass(value, contract)
            and not inspect.isabstract(value)
            and value.__module__ == loaded.__name__
        ]
    return tuple(found)
