"""What is particular to Google: requests that take half an hour, failures told by place, consent said aloud."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.destinations.google_audience.ads import refused_members
from connectors.destinations.google_audience.destination import GoogleAudience
from connectors.destinations.google_audience.verdict import Verdict, verdict
from connectors.sandbox.google_audience.account import Refused
from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.courier import Surroundings
from octo_dagster.delivery.ledger_tables import CHANGELOG
from octo_dagster.errors import ConfigError, Fatal, PlanRefused, Retryable, Unanswered
from octo_dagster.model import Change, FieldType, Op, Outcome
from octo_dagster.run import settle_only
from tests.conftest import Clock
from tests.contract.sitting import Sitting
from tests.vendors.google_audience import GOOGLE, VENDOR
from tests.vendors.hashed import sha256
from tests.world import World, row

ADA, BOB = "ada@example.com", "bob@example.com"
HALF_AN_HOUR = 1_800.0


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    """A mirror of the customers in one list."""
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", GOOGLE.env["GOOGLE_SERVICE_ACCOUNT"])
    return World(tmp_path, sandbox, "google_audience").say(**VENDOR.said())


def twin(shop: World) -> Any:
    return shop.sandbox.twin("google_audience")


def held(shop: World) -> list[str]:
    return [email for email, *_ in VENDOR.held(shop.sandbox.address)]


def reasons(shop: World) -> dict[str, str]:
    query = sa.select(CHANGELOG).where(CHANGELOG.c.outcome == "rejected")
    return {line["key"]: line["reason"] for line in shop.project.ledger.read(query)}


class Hasty(World):
    """A world whose runs look once and go."""

    @property
    def around(self) -> Surroundings:
        return Surroundings(sandbox=self.sandbox.address, sleep=self.slept.append, patience=0.0)


@dataclass
class Patient(World):
    """A world in which waiting takes the clock's time."""

    clock: Clock = field(default_factory=Clock)

    @property
    def around(self) -> Surroundings:
        return Surroundings(sandbox=self.sandbox.address, sleep=self.clock.sleep, clock=self.clock)


def slow(shop: World, clock: Clock) -> None:
    """Google as it is in life."""
    twin(shop).clock, twin(shop).job_seconds, twin(shop).token_seconds = clock, HALF_AN_HOUR, 1e9


def test_a_run_waits_for_google(shop: World, sandbox: Sandbox) -> None:
    """What is sent is worked on for half an hour side by side; who leaves is out before who is new is told."""
    patient = Patient(shop.folder, sandbox, "google_audience", shop.said)
    slow(shop, patient.clock)
    patient.have([row(1), row(2)])
    began = patient.clock()
    report = patient.deliver()
    assert (report.tally.accepted, report.exit_code) == (2, 0)
    assert HALF_AN_HOUR <= patient.clock() - began < 2 * HALF_AN_HOUR
    patient.have([row(2), row(3)])
    began = patient.clock()
    assert patient.deliver().exit_code == 0
    assert 2 * HALF_AN_HOUR <= patient.clock() - began < 4 * HALF_AN_HOUR
    assert held(shop) == ["customer2@example.com", "customer3@example.com"]


def test_google_takes_its_time(shop: World, sandbox: Sandbox) -> None:
    """A run out of patience leaves its request, claiming nothing; the next one asks, believes the answer, and
    sends nothing."""
    clock = Clock()
    slow(shop, clock)
    shop = Hasty(shop.folder, sandbox, "google_audience", shop.said)
    first = shop.have([row(n) for n in range(1, 6)]).deliver()
    assert (first.tally.accepted, first.tally.waiting, first.exit_code) == (0, 5, 6)
    soon = shop.plan()
    assert (soon.changes, soon.counts.waiting) == (0, 5)
    clock.sleep(HALF_AN_HOUR)
    assert settle_only(shop.sync, shop.project, shop.around) == {"accepted": 5}
    sent = len(twin(shop).bodies)
    assert (shop.deliver().exit_code, len(twin(shop).bodies)) == (0, sent)
    assert len(held(shop)) == 5


def test_a_country_code_edited_while_google_works(shop: World) -> None:
    """By the file of today other people are meant than were sent: nothing is asked, until it is as it was."""
    clock = Clock()
    slow(shop, clock)
    there = shop.said["destination"]
    fields = [{"from": "segment", "to": "phone"}]
    shop.say(destination={**there, "calling_code": "33"}, fields=fields)
    shop = Hasty(shop.folder, shop.sandbox, "google_audience", shop.said)
    shop.have([row(n, segment=f"061234567{n}") for n in range(1, 5)])
    assert shop.deliver().tally.waiting == 4
    shop.say(destination=there)
    with pytest.raises(PlanRefused, match="calling_code=33"):
        settle_only(shop.sync, shop.project, shop.around)
    clock.sleep(HALF_AN_HOUR)
    shop.say(destination={**there, "calling_code": "33"})
    assert settle_only(shop.sync, shop.project, shop.around) == {"accepted": 4}


@pytest.mark.parametrize("since", ["", "0123456789ab="])
def test_a_request_noted_by_another_version(shop: World, since: str) -> None:
    """A note that does not say in which order people were sent, or says another, blames nobody: all go again."""
    slow(shop, Clock())
    shop = Hasty(shop.folder, shop.sandbox, "google_audience", shop.said)
    assert shop.have([row(1), row(2)]).deliver().tally.waiting == 2
    (left,) = shop.project.ledger.unsettled(shop.sync.name)
    verb, _, request = str(left.token).split("=", 2)
    shop.project.ledger.token(left.id, f"{verb}={since}{request}")
    assert settle_only(shop.sync, shop.project, shop.around) == {"again": 2}


def test_who_leaves_meanwhile_is_taken_back_once_it_is_known(shop: World) -> None:
    """A customer who withdraws while Google works on adding him is taken back by the next run."""
    clock = Clock()
    slow(shop, clock)
    shop = Hasty(shop.folder, shop.sandbox, "google_audience", shop.said)
    shop.have([row(1), row(2)]).deliver()
    clock.sleep(HALF_AN_HOUR)
    report = shop.have([row(2)]).deliver()
    assert (report.tally.waiting, report.exit_code) == (1, 6)
    clock.sleep(HALF_AN_HOUR)
    assert (shop.deliver().exit_code, held(shop)) == (0, ["customer2@example.com"])


def test_failures_are_told_by_name(shop: World) -> None:
    """What Google finds wrong with a record while it works is that customer's, with Google's reason."""
    twin(shop).refuses = {sha256("customer3@example.com"): "PROCESSING_ERROR_REASON_INVALID_FORMAT"}
    report = shop.have([row(n) for n in range(1, 6)]).deliver()
    assert (report.tally.accepted, report.tally.rejected, report.exit_code) == (4, 1, 4)
    assert reasons(shop) == {"customer3@example.com": "INVALID_FORMAT"}
    twin(shop).refuses = {}
    assert (shop.deliver().tally.accepted, len(held(shop))) == (1, 5)


def test_failures_without_a_name_are_nobody_s_success(shop: World) -> None:
    """Where Google counts a failure and names nobody, nobody is believed to be in, and all go again."""
    twin(shop).refuses = {sha256("customer3@example.com"): "PROCESSING_ERROR_REASON_INVALID_FORMAT"}
    twin(shop).counts_only = True
    report = shop.have([row(n) for n in range(1, 6)]).deliver()
    assert (report.tally.accepted, report.tally.unsent, report.exit_code) == (0, 5, 5)
    twin(shop).refuses = {}
    assert (shop.deliver().exit_code, len(held(shop))) == (0, 5)


ERRORS: list[tuple[str, list[dict[str, Any]], Verdict]] = [
    ("SUCCESS", [], Verdict({}, {})),
    (
        "PARTIAL_SUCCESS",
        [{"reason": "PROCESSING_ERROR_REASON_NO_CONSENT", "recordCount": "1", "recordIndices": [1]}],
        Verdict({"b": "NO_CONSENT"}, {}),
    ),
    (
        "PARTIAL_SUCCESS",
        [{"reason": "PROCESSING_ERROR_REASON_INTERNAL_ERROR", "recordCount": "2", "recordIndices": [0, 2]}],
        Verdict({}, {"a": Outcome.UNSENT, "c": Outcome.UNSENT}),
    ),
    (
        "PARTIAL_SUCCESS",
        [{"reason": "PROCESSING_ERROR_REASON_NO_CONSENT", "recordCount": "2", "recordIndices": [0]}],
        Verdict({"a": "NO_CONSENT"}, {"b": Outcome.UNKNOWN, "c": Outcome.UNKNOWN}),
    ),
    ("PARTIAL_SUCCESS", [], Verdict({}, dict.fromkeys("abc", Outcome.UNKNOWN))),
    (
        "FAILED",
        [{"reason": "PROCESSING_ERROR_REASON_NO_CONSENT", "recordCount": "3"}],
        Verdict(dict.fromkeys("abc", "NO_CONSENT"), {}),
    ),
    ("FAILED", [], Verdict(dict.fromkeys("abc", "FAILED"), {})),
]


@pytest.mark.parametrize(("status", "counts", "wanted"), ERRORS)
def test_what_a_status_means(status: str, counts: list[dict[str, Any]], wanted: Verdict) -> None:
    """Each record named has its reason; one that may have failed unnamed is never taken for accepted."""
    fate = {"requestStatus": status, "errorInfo": {"errorCounts": counts}}
    assert verdict(fate, ["a", "b", "c"]) == wanted


COUNTED = [
    ("audienceMembersIngestionStatus", "userDataIngestionStatus", "SUCCESS", {"recordCount": "3"}, {}),
    ("audienceMembersIngestionStatus", "userDataIngestionStatus", "SUCCESS", {}, {}),
    ("audienceMembersIngestionStatus", "userDataIngestionStatus", "SUCCESS", {"recordCount": "2"}, "abc"),
    ("audienceMembersRemovalStatus", "userDataRemovalStatus", "SUCCESS", {"recordCount": "0"}, "abc"),
    ("audienceMembersRemovalStatus", "userDataRemovalStatus", "PARTIAL_SUCCESS", {"recordCount": "2"}, "ac"),
]


@pytest.mark.parametrize(("kind", "inner", "status", "told", "doubted"), COUNTED)
def test_a_count_that_is_short_is_nobody_s_success(
    kind: str, inner: str, status: str, told: dict[str, str], doubted: str
) -> None:
    """Where Google counts fewer records than it was sent, whoever it does not name is unknown."""
    reason = "PROCESSING_ERROR_REASON_INVALID_FORMAT"
    errors = [{"reason": reason, "recordCount": "1", "recordIndices": [1]}] if status != "SUCCESS" else []
    fate = {"requestStatus": status, kind: {inner: told}, "errorInfo": {"errorCounts": errors}}
    assert verdict(fate, ["a", "b", "c"]).otherwise == dict.fromkeys(doubted, Outcome.UNKNOWN)


def test_records_google_lost_are_sent_again(shop: World) -> None:
    """A request that succeeded with fewer records than it was sent is not believed, neither of those it added
    nor of those it let go."""
    twin(shop).overlooks = 1
    report = shop.have([row(n) for n in range(1, 6)]).deliver()
    assert (report.tally.accepted, report.tally.unsent, report.exit_code) == (0, 5, 5)
    twin(shop).overlooks = 0
    assert (shop.deliver().exit_code, len(held(shop))) == (0, 5)
    twin(shop).overlooks = 1
    assert shop.have([row(n) for n in range(2, 6)]).deliver().exit_code == 5
    twin(shop).overlooks = 0
    assert (shop.deliver().exit_code, len(held(shop))) == (0, 4)


def test_a_request_nothing_is_said_of_yet(shop: World) -> None:
    """A status without any destination is one that is not decided: it is asked again, and then believed."""
    twin(shop).quiet_looks = 2
    assert shop.have([row(1), row(2)]).deliver().exit_code == 0
    assert (twin(shop).quiet_looks, len(held(shop))) == (0, 2)


def test_a_member_google_refuses_at_once(front: Sitting, sandbox: Sandbox) -> None:
    """A 400 that names members costs those and no others, which go again at once, without halving."""
    assert isinstance(front.destination, GoogleAudience)
    api, nowhere = front.api, {"destinations": [{"operatingAccount": {"accountId": "1000000001"}}]}
    number = api.list_id(fill=True, create=True)
    good = {"userData": {"userIdentifiers": [{"emailAddress": sha256(ADA)}]}}
    clear = {"userData": {"userIdentifiers": [{"emailAddress": ADA}]}}
    short = {"userData": {"userIdentifiers": [{"emailAddress": "00ff"}]}}
    body = front.destination.body(api, "ingest", number, [("a", good), ("b", clear), ("c", short)])
    reply = api.call("POST", "audienceMembers:ingest", body)
    assert (reply.status_code, refused_members(reply)) == (
        400,
        {
            1: "INVALID_HEX_ENCODING: Email is not hex encoded.",
            2: "INVALID_SHA256_FORMAT: Email is not hex encoded.",
        },
    )
    other = api.call("POST", "audienceMembers:ingest", body | nowhere)
    assert (other.status_code, refused_members(other)) == (400, {})


def test_consent_goes_with_everybody(shop: World) -> None:
    """Consent, terms and encoding are in each request that adds, and a removal claims no consent."""
    shop.have([row(1), row(2)]).deliver()
    shop.have([row(1)]).deliver()
    (_, added), (_, removed) = [call for call in twin(shop).bodies if "audienceMembers" in call[0]]
    assert added["consent"] == {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
    assert added["termsOfService"] == {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
    assert {added["encoding"], removed["encoding"]} == {"HEX"}
    assert "consent" not in removed
    kinds = [next(iter(one)) for one in removed["audienceMembers"][0]["userData"]["userIdentifiers"]]
    assert kinds == ["emailAddress", "phoneNumber", "address"]


def test_a_person_s_own_consent(shop: World) -> None:
    """Mapped by person, what each said stands above the request's; who did not consent is never sent, is told
    of, and is taken back where he was sent before."""
    fields = [
        {"from": "consent", "to": "ad_user_data", "nulls": "clear"},
        {"from": "consent", "to": "ad_personalization", "nulls": "clear"},
    ]
    shop.say(fields=fields, consent=None)
    consent = {"ad_user_data": "granted", "ad_personalization": "denied"}
    shop.say(destination={**GOOGLE.settings, "consent": consent})
    report = shop.have([row(1), row(2), row(3, consent=False), row(4, consent=None)]).deliver()
    assert (report.tally.accepted, report.tally.rejected, report.exit_code) == (2, 2, 4)
    assert set(reasons(shop)) == {"customer3@example.com", "customer4@example.com"}
    members = twin(shop).holdings()["members"]
    assert {one["consent"] for one in members} == {"CONSENT_GRANTED, CONSENT_GRANTED"}
    shop.have([row(1), row(2), row(3), row(4)]).deliver()
    assert len(twin(shop).holdings()["members"]) == 4
    shop.have([row(1), row(2, consent=False), row(3, consent=None)]).deliver(allow=True)
    assert [one["emails"] for one in twin(shop).holdings()["members"]] == [sha256("customer1@example.com")]


@pytest.mark.parametrize("how", [{}, {"nulls": "clear", "create_only": True}])
def test_a_consent_that_ends_in_silence_is_refused(shop: World, how: dict[str, Any]) -> None:
    """A file by which an emptied consent would leave the one that was given is refused."""
    shop.say(fields=[{"from": "consent", "to": "ad_user_data", **how}])
    with pytest.raises(ConfigError, match="ad_user_data: say `nulls: clear`"):
        shop.plan()


def test_nothing_leaves_in_clear(shop: World) -> None:
    """No address, number or name is in any body; a country and a postal code are, as Google asks."""
    shop.have([row(n, segment="Lovelace") for n in (1, 2)]).deliver()
    shop.have([row(2, segment="Babbage", orders=7)]).deliver()
    bodies = json.dumps(twin(shop).bodies)
    assert len(twin(shop).bodies) == 5
    assert "75001" in bodies
    for secret in ("customer1", "customer2", "@", "Lovelace", "lovelace", "babbage", "491100001", '"c1"'):
        assert secret not in bodies


def test_half_a_job_is_made_good(shop: World) -> None:
    """Records that failed for Google's own fault go again in the same run."""
    shop.sandbox.fault("google_audience", "half_job")
    report = shop.have([row(n) for n in range(1, 9)]).deliver()
    assert (report.tally.accepted, report.exit_code, len(held(shop))) == (8, 0, 8)


@pytest.mark.parametrize("answer", [400, 404])
def test_a_request_google_forgot(front: Sitting, sandbox: Sandbox, answer: int) -> None:
    """A request id Google does not know (any more), however it says so, is neither a success nor the end."""
    if answer == 404:
        sandbox.twin("google_audience").forgotten = Refused(
            "NOT_FOUND", "Requested entity was not found.", 404
        )
    batch = front.batch(Op.UPSERT, [Change(ADA, {})])
    sent = front.destination.send(front.api, batch)
    sandbox.twin("google_audience").requests.clear()
    assert front.destination.settle(front.api, replace(batch, token=sent.token)) is None


def test_a_removal_that_was_done_is_not_forgotten(front: Sitting, sandbox: Sandbox) -> None:
    """When the old number is taken back and the new one cannot be told, it is not as if nothing was done."""
    front.upsert({ADA: {"phone": "+33612345678"}})
    sandbox.fault("google_audience", "throttle", path=":ingest", times=1)
    with pytest.raises(Unanswered, match="taken back already"):
        front.upsert({ADA: {"phone": "+33699999999"}})


def test_quotas_say_how_long(front: Sitting, sandbox: Sandbox) -> None:
    """As long as Google says; a minute where it does not; an hour where the day is used up."""
    for details, wanted in (
        ([{"retryDelay": "7.5s"}], 7.5),
        ([{"metadata": {"quota_limit": "IngestionRequestsPerDayPerProject"}}], 3_600.0),
        ([], 60.0),
    ):
        reply = front.http.get(
            "https://datamanager.googleapis.com/v1/requestStatus:retrieve?requestId=1", **BEARER
        )
        reply.status_code = 429
        reply._content = json.dumps({"error": {"details": details}}).encode()
        failure = front.destination.failure(reply)
        assert isinstance(failure, Retryable)
        assert failure.wait == wanted


BEARER: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _bearer(front: Sitting) -> None:
    BEARER["headers"] = {"Authorization": f"Bearer {front.api.token}"}


def test_a_manager_account_goes_along(front: Sitting, sandbox: Sandbox) -> None:
    """The account that signs in is named in every request, and in the header of what concerns lists."""
    managed = Sitting(GOOGLE, front.address, {"login_account": "9000000009"})
    with closing(managed.http):
        managed.upsert({ADA: {}})
    (place,) = sandbox.twin("google_audience").bodies[-1][1]["destinations"]
    assert place["loginAccount"] == {"accountType": "GOOGLE_ADS", "accountId": "9000000009"}
    assert place["operatingAccount"] == {"accountType": "GOOGLE_ADS", "accountId": "1000000001"}


def test_terms_nobody_accepted(front: Sitting, sandbox: Sandbox) -> None:
    """Where the account never accepted the terms, a person must; the survey shows it without writing."""
    google = sandbox.twin("google_audience")
    info = {"uploadKeyTypes": ["CONTACT_ID"]}
    google.add_list("1000000001", {"displayName": "Octo customers", "ingestedUserListInfo": info})
    shown = front.destination.survey(front.api)
    assert (shown.missing, shown.places, shown.keys) == (
        (),
        {"list": ("Octo customers",)},
        ("email", "phone"),
    )
    google.terms = False
    (missing,) = front.destination.survey(front.api).missing
    assert "TERMS_AND_CONDITIONS_NOT_SIGNED" in missing
    assert google.requests == {}
    with pytest.raises(Fatal, match="TERMS_AND_CONDITIONS_NOT_SIGNED"):
        front.upsert({ADA: {}})


def test_columns_are_refused(front: Sitting) -> None:
    """A list holds no columns, and consent is a boolean."""
    text = FieldType.TEXT
    types = {"email": text, "rfm": text, "ad_user_data": text, "phone": FieldType.LIST}
    report = front.destination.ensure_fields(front.api, types, create=True)
    assert [line.partition(":")[0] for line in report.problems] == ["rfm", "ad_user_data", "phone"]
    assert front.destination.key_problem("customer_id") == "must be email or phone"
    with pytest.raises(Fatal, match="shows nobody"):
        front.destination.read(front.api, [ADA], ["phone"])


@pytest.mark.parametrize("missing", ["consent", "terms"])
def test_consent_and_terms_are_never_assumed(missing: str) -> None:
    """A file that does not say that people consented, or that the terms were accepted, is refused."""
    with pytest.raises(ValueError, match=missing):
        GoogleAudience.model_validate({k: v for k, v in GOOGLE.settings.items() if k != missing})


def test_a_secret_that_is_no_key(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong with the key's JSON, the variable is named and its content is not shown."""
    for value in ("{}", "no json", '"text"'):
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", value)
        with pytest.raises(ConfigError, match="GOOGLE_SERVICE_ACCOUNT does not hold"):
            Sitting(GOOGLE, sandbox.address)
