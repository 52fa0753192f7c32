"""Everything the OpenAPI allows, and what it does not, asked of the read API by Schemathesis."""

from __future__ import annotations

from collections import Counter
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from octo_dagster.api.app import app
from octo_dagster.api.keys import Keys
from octo_dagster.config import Project
from tests.reading import EVERYTHING
from tests.unit.test_push import TILL

REAL: dict[str, str | dict[str, str]] = {
    "customer_id": "c1",
    "product_id": "p1",
    "table": "orders",
    "source": "till",
    "name": {"tables": "customer_profile", "audiences": "best", "syncs": "customers"},
}
"""What there is, for half of the questions: any other name is soon refused."""


def fuzzed(project: Project, examples: int, modes: tuple[GenerationMode, ...]) -> Counter[str]:
    """How often each operation was asked; fails at the first answer that is not described, and at what breaks.

    That a described question is never refused is not among the checks: which columns there are is the
    project's, and no description can say it."""
    folder = project.root / "assets" / "sources"
    folder.mkdir(parents=True)
    (folder / "till.yaml").write_text(TILL)
    secret = Keys(project.home).add("fuzz", EVERYTHING | {"events": "*"}, 1_000_000)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app(project))
    asked: Counter[str] = Counter()

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        asked[case.operation.label] += 1
        if asked[case.operation.label] % 2 and case.meta.generation.mode is GenerationMode.POSITIVE:
            case.path_parameters = {name: real(case, name) for name in case.path_parameters or {}}
        headers = {"Authorization": f"Bearer {secret}"}
        case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

    for found in schema.get_all_operations():
        for mode in modes:
            given(case=found.ok().as_strategy(generation_mode=mode))(ask)()  # type: ignore[union-attr]
    return asked


def real(case: Any, name: str) -> str:
    """The value of a part of the path that there is."""
    known = REAL.get(name, "none")
    return known if isinstance(known, str) else known[case.operation.path.split("/")[2]]
