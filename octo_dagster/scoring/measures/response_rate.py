"""How often a contact's messages get a return: few messages say little, so the average speaks along."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from octo_dagster.scoring.measures.exact import UNIT, floating, millionths
from octo_dagster.scoring.portable import either, rounded

FEW, FEW_WEIGHT, MOST = 500, 5, 1000
"""With fewer contacts than `FEW` the average weighs as much as `FEW_WEIGHT` messages; never over the most."""


def rated_of(contacts: sa.Subquery) -> sa.Subquery:
    """The contacts with their response rate: (w_returned + K × average) ÷ (w_received + K).

    K, how many messages the average weighs, is by the beta-binomial moments (Kleinman 1973) of all contacts'
    plain shares, in millionths whose sums are exact; at least 1, and 5 where contacts are too few to tell."""
    c = contacts.c

    def over_all(column: Any) -> sa.ColumnElement[float]:
        return floating(sa.func.sum(column).over())

    shop = sa.select(
        *c,
        over_all(either(c.received > 0, 1, 0)).label("people"),
        over_all(c.received).label("all_received"),
        (over_all(c.returned) / sa.func.nullif(over_all(c.received), 0)).label("p"),
        (over_all(c.w_returned) / sa.func.nullif(over_all(c.w_received), 0)).label("average"),
    ).subquery("beside_all")
    t, n = shop.c, sa.func.nullif(floating(shop.c.received), 0)
    off = floating(t.returned) / n - t.p
    apart = sa.select(
        *t,
        over_all(millionths(n * off * off)).label("spread"),
        over_all(t.received * t.received).label("squares"),
    ).subquery("apart")
    a = apart.c
    k = floating(UNIT) * average_weight(a)
    rate = (floating(a.w_returned) + k * a.average) / (floating(a.w_received) + k)
    return sa.select(*a, either(a.received > 0, rounded(rate, 4)).label("response_rate")).subquery("rated")


def average_weight(a: sa.ColumnCollection[str, Any]) -> sa.ColumnElement[float]:
    """K: how many messages' worth of evidence the average is.

    The weighted squares of p_i − p are expected to be p (1 − p) ((1 − θ) (N − 1) + θ (n − Σ n_i² / n)) where
    contacts differ by θ = 1 / (K + 1); so θ is what makes it so."""
    by_chance = a.people - 1
    seen = (a.spread / UNIT) / sa.func.nullif(a.p * (1 - a.p), 0)
    room = a.all_received - a.squares / sa.func.nullif(a.all_received, 0) - by_chance
    differ = (seen - by_chance) / sa.func.nullif(room, 0)
    k = 1 / sa.func.nullif(differ, 0) - 1
    weight = sa.case(
        (a.people < FEW, FEW_WEIGHT),
        (differ * (MOST + 1) <= 1, MOST),
        (k < 1, 1),
        else_=sa.func.coalesce(k, MOST),
    )
    return sa.cast(weight, sa.Double)
