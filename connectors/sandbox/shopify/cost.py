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


def spent(schema: Any, document: Any, held: Any) -> int:
    """The points a reply cost in the end: of its lists, what they did hold. The rest is given back."""
    return below(document.definitions[0].selection_set, schema.query_type, {}, held)


def below(selections: Any, kind: Any, variables: dict[str, Any], held: Any = None) -> int:
    """The points of what is asked for inside one object; where it is known what it holds, of that."""
    from graphql import get_named_type  # noqa: PLC0415

    points = 0
    for field in selections.selections:
        inner = get_named_type(kind.fields[field.name.value].type)
        if field.selection_set is None or inner.name in FREE:
            continue
        if held is not None:
            found = held[field.name.value]
            many = found if isinstance(found, list) else [found] if found is not None else []
            each = 2 if inner.name.endswith("Connection") else 1
            points += sum(each + below(field.selection_set, inner, variables, one) for one in many)
        elif inner.name.endswith("Connection"):
            first: Any = next(a.value for a in field.arguments if a.name.value == "first")
            most = int(first.value) if hasattr(first, "value") else int(variables[first.name.value])
            points += 2 + most * below(field.selection_set, inner, variables)
        else:
            points += 1 + below(field.selection_set, inner, variables)
    return points
