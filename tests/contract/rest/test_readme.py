"""The file shown for REST in `connectors/README.md` does what is said of it."""

from __future__ import annotations

import re
from pathlib import Path

from connectors.registry import sources
from octo_dagster import document
from octo_dagster.canonical.intake import Intake
from octo_dagster.canonical.pull import pull
from tests.contract.rest.conftest import at
from tests.contract.rest.front import Front

README = (Path(__file__).parents[3] / "connectors" / "README.md").read_text("utf-8")
SHOWN = dict(re.findall(r"```yaml\n# assets/sources/(shop_api)\.yaml\n(.*?)```", README, re.DOTALL))


@at("woocommerce")
def test_the_shown_source_is_read(front: Front, tmp_path: Path) -> None:
    """It loads as it is printed and brings the lines of orders that were paid, those of others not."""
    path = tmp_path / "shop_api.yaml"
    path.write_text(SHOWN["shop_api"], encoding="utf-8")
    intake = document.load(path, Intake, {"sources": sources()})
    front.stock(6)
    front.edit(2, state="cancelled")
    done = pull(intake, "order_lines", front.warehouse, front.clock.now(), front.outside)
    lines = sum(len(order.lines) for order in front.orders.values() if order.state == "completed")
    assert done.rows == lines + 1, "and a mark that order 2 has none"
