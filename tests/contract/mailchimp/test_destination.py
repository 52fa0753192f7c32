"""What is particular to Mailchimp: what an audience keeps, how it is found and read, and what it refuses."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from connectors.destinations.mailchimp.destination import Mailchimp
from connectors.destinations.mailchimp.fields import lost
from connectors.sandbox.mailchimp.audience import Audience
from connectors.sandbox.server import Sandbox
from octo_dagster.destination import Survey
from octo_dagster.errors import BatchRejected, ConfigError, Fatal, Retryable
from octo_dagster.model import Change, Fields, FieldType, Mode, Op, Outcome, Removal
from tests.contract.mailchimp.acme import ADA, BOB, EVE, Sit, outcomes, statuses
from tests.contract.sitting import Sitting
from tests.vendors.mailchimp import MAILCHIMP

UNTAGGED = {"tag": None}


def test_a_value_the_field_does_not_take_is_named(sit: Sit, audience: Audience) -> None:
    """The reason names the merge field and says what Mailchimp said of it."""
    audience.add_field("SHIRT", "dropdown", options={"choices": ["S", "M"]})
    sitting = sit()
    told = outcomes(sitting, Op.UPSERT, Change(ADA, {"SHIRT": "XXL"}), Change(BOB, {"SHIRT": "M"}))
    assert told[ADA][0] is Outcome.REJECTED
    assert "SHIRT: Value must be one of the choices" in str(told[ADA][1])
    assert told[BOB][0] is Outcome.ACCEPTED


def test_what_did_not_stick_is_rejected_by_the_reply(sit: Sit, audience: Audience) -> None:
    """A merge field that somebody deleted meanwhile swallows its values in silence; the reply gives it away."""
    sitting = sit()
    del audience.fields["T_TEXT"]
    told = outcomes(sitting, Op.UPSERT, Change(ADA, {"T_TEXT": "x", "T_INTEGER": 3}))
    assert told == {ADA: (Outcome.REJECTED, "accepted, but not stored: T_TEXT")}


def test_nought_is_not_nothing() -> None:
    """A number that was to be emptied and reads 0 was not emptied, and one that was to be 0 and is empty is not 0."""
    assert lost({"T_INTEGER": "", "T_TEXT": ""}, {"T_INTEGER": 0, "T_TEXT": None}) == ["T_INTEGER"]
    assert lost({"T_INTEGER": 0}, {"T_INTEGER": ""}) == ["T_INTEGER"]


def test_a_field_made_required_by_others_stops_nobody(sit: Sit, audience: Audience) -> None:
    """Members go without the value of a required merge field that the sync does not map."""
    audience.fields["FNAME"].required = True
    sit().upsert({ADA: {"T_TEXT": "x"}})
    assert statuses(audience) == {ADA: "transactional"}


def test_only_the_syncs_tag_comes_and_goes(sit: Sit, audience: Audience) -> None:
    """Two syncs and a person tag one customer; when he leaves one sync he keeps the other tags."""
    audience.create(ADA, "subscribed", 0.0).tags = [audience.tag("Theirs")]
    first, second = sit(), sit(tag="Best customers")
    first.upsert({ADA: {"T_TEXT": "x"}})
    second.upsert({ADA: {"T_TEXT": "x"}})
    assert first.carry_out(Op.LEAVE, Change(ADA), Change(EVE))[ADA].outcome is Outcome.ACCEPTED
    assert [audience.tags[number] for number in audience.member(ADA).tags] == ["Theirs", "Best customers"]
    assert first.read(ADA) == {}
    assert second.read(ADA)[ADA]["T_TEXT"] == "x"


@pytest.mark.parametrize("new_members", ["transactional", "pending"])
def test_five_hundred_are_read_in_few_calls(sit: Sit, sandbox: Sandbox, new_members: str) -> None:
    """Many are read by pages of 1,000, of the unconfirmed and of the tag's people; two of them one by one."""
    sitting = sit(new_members=new_members)
    records: dict[str, Fields] = {f"customer{n}@shop.example": {"T_INTEGER": n} for n in range(500)}
    sitting.upsert(records)
    pages = 1 if new_members == "pending" else 2
    for keys, calls in ((list(records), pages), (list(records)[:2], 2)):
        seen = len(sandbox.calls("mailchimp"))
        found = sitting.destination.read(sitting.api, keys, ["T_INTEGER"])
        assert found == {key: records[key] for key in keys}
        read = [one.path for one in sandbox.calls("mailchimp")[seen:] if "members" in one.path]
        assert len(read) == calls


def test_no_address_stands_in_a_path(sit: Sit, sandbox: Sandbox) -> None:
    """Members are named by the hash of their address in every call."""
    sitting = sit()
    sitting.upsert({ADA: {"T_TEXT": "x"}})
    sitting.read(ADA)
    sitting.carry_out(Op.DELETE, Change(ADA))
    assert not [call.path for call in sandbox.calls("mailchimp") if "@" in call.path or "ada" in call.path]


def test_without_a_tag_a_sync_can_hold_back_but_leave_nothing(sit: Sit) -> None:
    """With a tag, who has not got it counts as absent, so only without one can modes tell who is new."""
    tagged, plain = sit().destination, sit(**UNTAGGED).destination
    assert tagged.modes == {Mode.UPSERT, Mode.MIRROR}
    assert plain.modes == set(Mode)
    assert (Removal.LEAVE in tagged.removals, Removal.LEAVE in plain.removals) == (True, False)


def test_without_a_tag_the_whole_audience_is_read(sit: Sit, audience: Audience) -> None:
    """Members others made are found, archived ones are not, and taking back empties the fields."""
    audience.create(BOB, "subscribed", 0.0)
    audience.create(EVE, "archived", 0.0)
    sitting = sit(**UNTAGGED)
    sitting.upsert({ADA: {"T_TEXT": "x"}})
    assert {key: one["T_TEXT"] for key, one in sitting.read(ADA, BOB, EVE).items()} == {ADA: "x", BOB: None}
    sitting.carry_out(Op.CLEAR, Change(ADA, {"T_TEXT": None}), Change(EVE, {"T_TEXT": None}))
    assert sitting.read(ADA)[ADA]["T_TEXT"] is None
    assert (statuses(audience)[EVE], audience.member(ADA).tags) == ("archived", [])
    assert sitting.carry_out(Op.DELETE, Change(ADA))[ADA].outcome is Outcome.ACCEPTED
    assert sitting.read(ADA) == {}


PROBLEMS = {
    ("RFM_SEGMENT", FieldType.TEXT): "map it to RFM_SEGMEN, say",
    ("rfm", FieldType.TEXT): "map it to RFM, say",
    ("BASKET", FieldType.LIST): "keeps no list",
    ("EMAIL", FieldType.DATE): "holds text, not date",
    ("FNAME", FieldType.INTEGER): "is a text at Mailchimp, which holds no integer",
    ("FNAME", FieldType.BOOLEAN): "needs the choices true and false",
    ("ADDRESS", FieldType.TEXT): "is a address at Mailchimp",
    ("DATE", FieldType.DATE): "The merge tag is not valid",
}


@pytest.mark.parametrize(("name", "kind"), PROBLEMS)
def test_a_field_that_cannot_be_is_told_of(sit: Sit, audience: Audience, name: str, kind: FieldType) -> None:
    """What a merge field cannot hold, or cannot be called, is a problem with a way out, and nothing is made."""
    sitting, before = sit(), list(audience.fields)
    report = sitting.destination.ensure_fields(sitting.api, {name: kind}, create=True)
    assert PROBLEMS[name, kind] in report.problems[0]
    assert (report.created, list(audience.fields)) == ((), before)


def test_fields_are_made_for_nobodys_form(sit: Sit, audience: Audience) -> None:
    """Merge fields Octo makes have the right type and stand on no sign-up form."""
    sit()
    made = {tag: field for tag, field in audience.fields.items() if tag.startswith("T_")}
    assert {tag: field.type for tag, field in made.items()} == {
        "T_TEXT": "text",
        "T_INTEGER": "number",
        "T_DECIMAL": "number",
        "T_BOOLEAN": "dropdown",
        "T_DATE": "date",
        "T_DATETIME": "text",
    }
    assert not any(field.public or field.required for field in made.values())


def test_a_number_no_float_holds_is_kept_or_told_of(sit: Sit) -> None:
    """A number goes exactly, and one that Mailchimp cannot keep exactly is not passed over in silence."""
    sitting, wide = sit(), Decimal("123456789012345678.25")
    told = outcomes(
        sitting, Op.UPSERT, Change(ADA, {"T_DECIMAL": wide}), Change(BOB, {"T_DECIMAL": Decimal("0.10")})
    )
    assert told[ADA] == (Outcome.REJECTED, "accepted, but not stored: T_DECIMAL")
    assert sitting.read(BOB)[BOB]["T_DECIMAL"] == Decimal("0.1")


def test_a_batch_of_the_wrong_shape_is_refused_whole(sit: Sit) -> None:
    """More than 500 members are a BatchRejected, which the engine halves."""
    sitting = sit()
    with pytest.raises(BatchRejected, match="Up to 500 members"):
        sitting.upsert({f"customer{n}@shop.example": {} for n in range(501)})


def test_a_bare_403_is_only_load(sit: Sit, sandbox: Sandbox) -> None:
    """Under heavy load Mailchimp answers 403 without its problem document: the call may go again."""
    sitting = sit()
    sandbox.fault("mailchimp", "overload")
    with pytest.raises(Retryable):
        sitting.upsert({ADA: {"T_TEXT": "x"}})
    sitting.upsert({ADA: {"T_TEXT": "x"}})


@pytest.mark.parametrize("audience_named", ["Nothing", "Twice"])
def test_the_audience_must_be_one(sit: Sit, sandbox: Sandbox, audience_named: str) -> None:
    """A name nobody has, or two have, needs a person, who is told what there is; an id is always one."""
    accounts = sandbox.twin("mailchimp").accounts["sandboxkey-us21"]
    accounts += [Audience("c1", "Twice"), Audience("c2", "Twice")]
    with pytest.raises(Fatal, match=r"Acme \(a1b2c3d4e5\), Twice \(c1\), Twice \(c2\)"):
        sit(audience=audience_named)
    sit(audience="c2").upsert({ADA: {"T_TEXT": "x"}})
    assert statuses(accounts[2]) == {ADA: "transactional"}


def destination(**settings: Any) -> Mailchimp:
    said = {key: value for key, value in MAILCHIMP.settings.items() if key != "server"}
    return Mailchimp.model_validate({**said, **settings})


def test_the_key_says_where_the_account_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data centre is the key's ending, or what the file says; a key without one is a mistake of the file's."""
    monkeypatch.setenv("MAILCHIMP_API_KEY", "abc-us7")
    assert destination().hosts() == {"https://us7.api.mailchimp.com": "mailchimp"}
    assert destination(server="us9").hosts() == {"https://us9.api.mailchimp.com": "mailchimp"}
    for key in ("abc", "abc-us7.evil.example/"):
        monkeypatch.setenv("MAILCHIMP_API_KEY", key)
        with pytest.raises(ConfigError, match="does not end in a data centre"):
            destination().hosts()


def test_the_account_can_be_surveyed(sit: Sit, sandbox: Sandbox) -> None:
    """A newcomer is told the audiences, the merge fields with their types, the key, and the right that lacks."""
    sitting = sit()
    sandbox.twin("mailchimp").role = "author"
    seen = sitting.destination.survey(sitting.api)
    assert isinstance(seen, Survey)
    assert (seen.keys, seen.places) == (("EMAIL",), {"audience": ("Acme",)})
    assert seen.fields["T_BOOLEAN"] is FieldType.BOOLEAN
    assert (seen.fields["ADDRESS"], seen.fields["FNAME"]) == (None, FieldType.TEXT)
    assert "author" in seen.missing[0]
    assert sitting.destination.spelling("rfm_segment") == "RFM_SEGMEN"
    with closing(Sitting(MAILCHIMP, sandbox.address, {"audience": "Elsewhere"}).http):
        other = Sitting(MAILCHIMP, sandbox.address, {"audience": "Elsewhere"})
        assert set(other.destination.survey(other.api).fields) == {"EMAIL"}
        other.http.close()


def test_a_tag_is_found_among_many_like_it(sit: Sit, audience: Audience) -> None:
    """Where a search does not tell of all it found, all tags are looked through, and the right one is left."""
    for number in range(30):
        audience.tag(f"Octo customers {number}")
    sitting = sit()
    sitting.upsert({ADA: {"T_TEXT": "x"}})
    assert set(sitting.read(ADA)) == {ADA}
    sitting.carry_out(Op.LEAVE, Change(ADA))
    assert audience.member(ADA).tags == []
