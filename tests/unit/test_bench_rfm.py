"""The RFM benchmark: three ways, one table."""

from __future__ import annotations

from octo_dagster.bench.rfm import figures


def test_the_three_ways_agree_and_are_measured() -> None:
    """Octo, SQL by hand and pandas give equal tables (it raises otherwise), each with its own figures."""
    told = figures(customers=400, turns=1)
    assert 300 < told["rows"] <= 400
    assert set(told["measured"]) == {"octo", "sql", "pandas"}
    assert all(
        took["peak_mb"] > 20 and took["whole"] >= took["wall"] > 0 for took in told["measured"].values()
    )
    assert told["against_sql"]["peak_mb"] > 0
