"""From where pictures of products come: from the shop's own hosts, and from nowhere else."""

from __future__ import annotations

import re

from octo_dagster.pages.board import Board

HOSTS = r"""select distinct regexp_extract(image_url, '^(https?://[^/?#]+)', 1) as host
            from products where image_url like 'http%' order by host limit 20"""
"""At most twenty: the table of products says them, and a policy is sent with every page."""
ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d+)?")


def picture_hosts(board: Board) -> list[str]:
    """The origins the shop's pictures are on; none before there are products."""
    if "image_url" not in board.columns("products"):
        return []
    return [str(row["host"]) for row in board.select(HOSTS) if ORIGIN.fullmatch(str(row["host"]))]
