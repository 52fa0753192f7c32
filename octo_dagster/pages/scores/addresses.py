"""Which page shows a score: for links from Dagster."""

from __future__ import annotations

from collections.abc import Mapping

SHOWN: Mapping[str, tuple[str, ...]] = {
    "/rfm": ("rfm",),
    "/movement": ("rfm_trend", "rfm_history", "rfm_transitions"),
    "/rhythm": (
        *("rhythm", "rhythm_by_category", "rhythm_of_categories", "rhythm_shares_by_category"),
        *("rhythm_shares_by_cohort", "return_chance_check"),
    ),
    "/pressure": ("marketing_pressure", "responsiveness"),
    "/promotion": ("promotion_sensitivity",),
    "/recommendations": ("recommendations", "related_products", "category_recommendations", "recommended"),
    "/calls": ("reactivation",),
}
"""Path of a page → the scores it shows."""


def page_of(score: str) -> str | None:
    """The path of the page that shows a score; None for one without a page of its own."""
    return next((path for path, scores in SHOWN.items() if score in scores), None)
