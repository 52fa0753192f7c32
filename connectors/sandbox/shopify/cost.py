"""What a query costs, as shopify.dev tells it: scalars nothing, objects 1, a list 2 and what it may hold.

Amounts cost nothing: Microsoft's connector declares 43 points for ten order lines with product, variant and a
dozen amounts each, and 23 for three (microsoft/BCApps #8545)."""

from __future__ import annotations

from typing import Any

MOST_POINTS = 1_000
FREE = {"MoneyBag", "MoneyV2", "PageInfo", "DiscountAllocation"}


def cost(schema: Any, document: Any, variables: dict[str, Any]) -> int:
    """The points asked for, as if every list were full."""
    query = document.definitions[0]
    return below(query.selection_set, schema.query_type, variables)


def below(selections: Any, kind: Any, variables: dict[str, Any]) -> int:
    """The points of what is asked for inside one object."""
    from graphql import get_named_type  # noqa: PLC0415

    points = 0
    for field in selections.selections:
        inner = get_named_type(kind.fields[field.name.value].type)
        if field.selection_set is None or inner.name in FREE:
            continue
        if inner.name.endswith("Connection"):
            first: Any = next(a.value for a in field.arguments if a.name.value == "first")
            most = int(first.value) if hasattr(first, "value") else int(variables[first.name.value])
            points += 2 + most * below(field.selection_set, inner, variables)
        else:
            points += 1 + below(field.selection_set, inner, variables)
    return points
