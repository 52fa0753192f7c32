"""What Mailchimp really answered: 68 calls of another product's tests, made again at the twin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from connectors.sandbox.mailchimp.audience import Audience
from connectors.sandbox.mailchimp.fields import Field
from connectors.sandbox.server import Sandbox

RECORDED = Path(__file__).parents[3] / "../shared/recordings/mailchimp.jsonl"
LIST = "a36b032126"

OTHERWISE: Mapping[int, str] = {
    33: "tags: a call between, which is not recorded, had given `list three`",
    35: "tags: likewise",
    37: "tags, merge_fields: likewise",
    46: "status: the twin takes addresses at example.com, which the exams use and Mailchimp calls fake",
}
"""Number of a recorded call → what the twin answers otherwise, and why it may."""


@pytest.fixture(scope="module")
def recorded() -> list[dict[str, Any]]:
    """The calls, in their order."""
    if not RECORDED.exists():
        pytest.skip("../shared/recordings is not here: other people's calls, not ours to publish")
    return [json.loads(line) for line in RECORDED.read_text("utf-8").splitlines()]


@pytest.fixture
def audience(sandbox: Sandbox, recorded: list[dict[str, Any]]) -> Audience:
    """The audience of the recordings: its merge fields, and two people that earlier tests had archived."""
    made = Audience(LIST, "Demo-Environment")
    rows = next(one for one in recorded if one["path"].endswith("merge-fields"))["response"]["merge_fields"]
    for row in [*rows, {"merge_id": 8, "tag": "TICKET", "name": "Ticket", "type": "text"}]:
        made.fields[row["tag"]] = Field(
            row["merge_id"],
            row["tag"],
            row["name"],
            row["type"],
            public=row.get("public", True),
            options=row.get("options", {}),
        )
    for email, name in (("test3039@grouparoo.com", ""), ("testid3039@grouparoo.com", "Test2")):
        member = made.create(email, "archived", 0.0)
        member.merge["FNAME"] = name
        member.tags = [made.tag("mailchimp people")]
    sandbox.twin("mailchimp").accounts["sandboxkey-us21"].append(made)
    return made


def test_the_twin_answers_as_mailchimp_did(
    sandbox: Sandbox, audience: Audience, recorded: list[dict[str, Any]]
) -> None:
    """Status, problem, member, merge fields and tags of every recorded call, one after the other."""
    found = {}
    with requests.Session() as http:
        http.trust_env, http.auth = False, ("anybody", "sandboxkey-us21")
        for number, one in enumerate(recorded):
            if number == 51:
                del audience.fields["TICKET"]  # the later tests were recorded after it was deleted
            body = None if one["method"] == "GET" else one["request"]
            url = f"{sandbox.address}/mailchimp{one['path']}"
            reply = http.request(one["method"], url, params=one.get("query"), json=body)
            found[number] = differences(one, reply)
    told = {number: line for number, line in found.items() if line}
    assert told == {number: why.partition(":")[0] for number, why in OTHERWISE.items()}


def differences(one: Mapping[str, Any], reply: requests.Response) -> str:
    """What of a recorded reply the twin's reply has otherwise."""
    if reply.status_code != one["status"]:
        return "status"
    there = one["response"]
    here: Any = reply.json() if reply.content else ""
    if not isinstance(there, dict):
        return "" if here == there else "body"
    kind = reply.headers["Content-Type"]
    names = ["content-type"] if kind != one["headers"]["content-type"] else []
    names += [name for name in COMPARED if plain(there.get(name)) != plain(here.get(name))]
    return ", ".join(names + sorted(here.keys() - there.keys()))


COMPARED = (
    *("title", "detail", "errors", "id", "email_address", "status", "full_name", "unsubscribe_reason"),
    *("email_type", "vip", "stats", "member_rating", "list_id", "tags"),
    *("merge_fields",),
)
"""All that is compared, but for what is another number or moment each time."""


def plain(value: Any) -> Any:
    """Without links and numbers of tags, and tags in one order."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items() if name != "_links"}
    if isinstance(value, list) and value and "id" in value[0] and "tag" not in value[0]:
        return sorted(str(one["name"]) for one in value)
    if isinstance(value, list):
        return sorted((plain(one) for one in value), key=str)
    return value
