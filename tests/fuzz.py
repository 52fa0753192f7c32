"""Everything the OpenAPI allows, and what it does not, asked of the read API by Schemathesis."""

from __future__ import annotations

from collections import Counter
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from octo_dagster.api.app import MORE, REFUSALS, app
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
    schema.config.checks.negative_data_rejection.expected_statuses = [*map(str, REFUSALS | MORE), "5xx"]
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
        case.call_and_validate(headers=headers, excluded_checks=unchecked(case))

    for found in schema.get_all_operations():
        for mode in modes:
            given(case=found.ok().as_strategy(generation_mode=mode))(ask)()  # type: ignore[union-attr]
    return asked


def unchecked(case: Any) -> list[Any]:
    """The checks a case is not put to. One that is wrong for lacking its key is asked with the key, and may be
    good then: with names beside it that nobody reads, for instance."""
    header = case.meta.components.get(ParameterLocation.HEADER)
    keyless = header is not None and header.mode.is_negative and "Authorization" not in (case.headers or {})
    return [positive_data_acceptance, *([negative_data_rejection] if keyless else [])]


def real(case: Any, name: str) -> str:
    """The value of a part of the path that there is."""
    known = REAL.get(name, "none")
    return known if isinstance(known, str) else known[case.operation.path.split("/")[2]]
