"""Meta by others' word: recorded traffic is played to the twin, and Meta's own SDK works with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import requests
from facebook_business.adobjects.adaccount import AdAccount
from facebook_business.adobjects.customaudience import CustomAudience
from facebook_business.api import FacebookAdsApi
from facebook_business.exceptions import FacebookRequestError
from facebook_business.session import FacebookSession

from connectors.sandbox.server import Sandbox
from octo_dagster.model import Change, Op
from tests.contract.sitting import Sitting
from tests.vendors.hashed import sha256
from tests.vendors.meta_audience import META

RECORDED = Path(__file__).parents[3] / "../shared/recordings/meta.jsonl"
LIST = CustomAudience.Schema.MultiKeySchema


@pytest.fixture
def api(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[FacebookAdsApi]:
    """Meta's SDK in front of the twin."""
    # Meta's SDK takes its address from this constant of its own and from nowhere else
    monkeypatch.setattr(FacebookSession, "GRAPH", f"{sandbox.address}/meta_audience")
    session = FacebookSession(access_token="sandbox-token")
    with closing(session.requests):
        yield FacebookAdsApi(session, api_version="v26.0")


def test_meta_s_own_sdk_fills_an_audience(api: FacebookAdsApi, sandbox: Sandbox) -> None:
    """Make an audience, add people by several identifiers, remove one, list audiences: all by the SDK."""
    account = AdAccount("act_1001", api=api)
    form = {"name": "SDK", "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY"}
    audience = account.create_custom_audience(params=form)
    people = [["ada@example.com", "Ada"], ["bob@example.com", "Bob"]]
    told = audience.add_users([LIST.email, LIST.fn], people, is_raw=True).json()
    assert (told["num_received"], told["num_invalid_entries"], told["invalid_entry_samples"]) == (2, 0, {})
    gone = audience.remove_users([LIST.email], [["ada@example.com"]], is_raw=True).json()
    assert gone["audience_id"] == audience["id"]
    (left,) = sandbox.twin("meta_audience").holdings()["members"]
    assert (left["EMAIL"], left["FN"]) == (sha256("bob@example.com"), sha256("bob"))
    assert [one["name"] for one in account.get_custom_audiences(fields=["id", "name"])] == ["SDK"]


def test_both_call_alike(api: FacebookAdsApi, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the same people, what our calls say is what the SDK's say, and the twin answers them alike."""
    monkeypatch.setenv("META_TOKEN", "sandbox-token")
    front = Sitting(META, sandbox.address)
    with closing(front.http):
        front.upsert({"ada@example.com": {"FN": "Ada", "PHONE": "+33612345678"}})
        front.carry_out(Op.LEAVE, Change("ada@example.com"))
    twin = sandbox.twin("meta_audience")
    (number,) = twin.accounts["1001"]
    audience = CustomAudience(number, api=api)
    values = [["ada@example.com", "33612345678", "Ada"]]
    audience.add_users([LIST.email, LIST.phone, LIST.fn], values, is_raw=True)
    audience.remove_users([LIST.email, LIST.phone], [values[0][:2]], is_raw=True)
    calls = [(method, path, form) for method, path, form in twin.bodies if path.endswith("/users")]
    ours, theirs = (
        [(m, payload(form)) for m, _, form in calls[:2]],
        [(m, payload(f)) for m, _, f in calls[2:]],
    )
    assert ours == theirs
    assert twin.holdings()["members"] == []


def payload(form: Mapping[str, str]) -> Any:
    """What is said of people; `is_raw` is the SDK's own, and no documented parameter."""
    return {name: value for name, value in json.loads(form["payload"]).items() if name != "is_raw"}


def test_the_sdk_reads_the_twin_s_errors(api: FacebookAdsApi, sandbox: Sandbox) -> None:
    """A throttled call, an unknown audience and a wrong column are the SDK's own exceptions, with Meta's codes."""
    sandbox.fault("meta_audience", "throttle", seconds=120)
    account = AdAccount("act_1001", api=api)
    with pytest.raises(FacebookRequestError) as busy:
        account.api_get(fields=["account_id"])
    assert busy.value.api_error_code() == 80003
    with pytest.raises(FacebookRequestError) as nobody:
        CustomAudience("7", api=api).remove_users([LIST.email], [["a@example.com"]], is_raw=True)
    assert (nobody.value.api_error_code(), nobody.value.api_error_subcode()) == (100, 33)
    with pytest.raises(FacebookRequestError) as strange:
        made(account).add_users(["UID"], [["7"]], is_raw=True, pre_hashed=True)
    assert "Raw PII type is invalid" in str(strange.value.api_error_message())


def made(account: AdAccount) -> CustomAudience:
    form = {"name": "X", "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY"}
    return account.create_custom_audience(params=form)


@pytest.mark.skipif(
    not RECORDED.exists(),
    reason="../shared/recordings is not here: other people's calls, not ours to publish",
)
def test_the_twin_answers_as_meta_did(sandbox: Sandbox) -> None:
    """Played in order, each recorded call gets an answer of the same status, with the same keys and types, and
    with the same counts; ids are the twin's own."""
    twin = sandbox.twin("meta_audience")
    twin.accounts["542676646349772"] = {}
    ids: dict[str, str] = {}
    with requests.Session() as session:
        session.trust_env = False
        lines = [json.loads(line) for line in RECORDED.read_text("utf-8").splitlines()]
        for line in lines:
            replayed(session, sandbox.address, line, ids)
    assert len(lines) == 28
    assert twin.accounts["542676646349772"] == {}


def replayed(session: requests.Session, address: str, line: Mapping[str, Any], ids: dict[str, str]) -> None:
    """One recorded exchange, asked anew."""
    path = line["path"]
    for theirs, ours in ids.items():
        path = path.replace(theirs, ours)
    query = {name: unquote(value) for name, value in line["query"].items() if name != "id"}
    query["access_token"] = "sandbox-token"
    body = {name: value for name, value in line["request"].items() if name != "id"} or None
    url = f"{address}/meta_audience{path}"
    reply = session.request(line["method"], url, params=query, json=body, timeout=30)
    was, now = line["response"], reply.json()
    assert reply.status_code == line["status"], (line, now)
    assert shape(now) == shape(was), (line, now)
    assert [now.get(name) for name in COUNTS] == [was.get(name) for name in COUNTS]
    if line["method"] == "POST" and path.endswith("/customaudiences"):
        ids[was["id"]] = now["id"]
    if "x-business-use-case-usage" in line["headers"]:
        usage = "x-business-use-case-usage"
        assert shape(uses(reply.headers[usage])) == shape(uses(line["headers"][usage]))


COUNTS = ("num_received", "num_invalid_entries", "invalid_entry_samples", "name", "subtype", "success")


def uses(header: str) -> Any:
    return [use for some in json.loads(header).values() for use in some]


def shape(value: Any) -> Any:
    """The keys and types of a reply."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__
