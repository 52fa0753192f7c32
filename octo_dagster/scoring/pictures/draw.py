"""A score's picture, drawn as the score declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from octo_dagster.score import Score
from octo_dagster.scoring.pictures.charts import Rows, bars, matrix
from octo_dagster.scoring.pictures.plane import rfm_heatmap


def draw(score: Score, rows: Rows) -> bytes:
    """A PNG of the rows of the score's `picture.query`. ValueError for a score without a picture."""
    if score.picture is None:
        raise ValueError(f"{score.name} has no picture")
    settings: Mapping[str, Any] = score.in_force
    if score.picture.kind == "plane":
        return rfm_heatmap(rows, int(settings.get("bins", 6)))
    return {"bars": bars, "matrix": matrix}[score.picture.kind](rows, score.picture.title)
