"""A YAML file as a checked value; every mistake addressed `file: field.sub: what`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from octo_dagster.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


def load(path: Path, model: type[Model], context: Mapping[str, Any] | None = None) -> Model:
    """The file as a `model`, its `name` the file's. ConfigError lists all mistakes at once."""
    try:
        return model.model_validate({"name": path.stem} | read(path), context=dict(context or {}))
    except ValidationError as error:
        raise ConfigError(*(f"{path.name}: {line}" for line in mistakes(error))) from None


def read(path: Path) -> dict[str, Any]:
    """The file's mapping. ConfigError when it is not YAML, or not a mapping."""
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: not YAML: {error}") from None
    if not isinstance(told, dict):
        raise ConfigError(f"{path.name}: must be a mapping of keys to values")
    return told


def mistakes(error: ValidationError) -> list[str]:
    """One line for each, `field.sub: what`. Never the value, which may be a secret.

    What is wrong between several fields has no place of its own: its message names them."""
    return [
        f"{place(fault['loc'])}{fault['msg'].removeprefix('Value error, ')}"
        for fault in error.errors(include_url=False, include_input=False)
    ]


def place(parts: tuple[int | str, ...]) -> str:
    return f"{'.'.join(str(part) for part in parts)}: " if parts else ""
