"""What Meta is told of a person, held against Meta's own examples, recorded traffic and its SDK."""

from __future__ import annotations

import random
import string

import pytest
from facebook_business.adobjects.customaudience import CustomAudience

from connectors.destinations.meta_audience.identifiers import FIELDS, normal, row, spelled, stale, unfit
from octo_dagster.model import Change

EXAMPLES = {
    # The Conversions API's parameters, which are hashed alike.
    ("EMAIL", " John_Smith@gmail.com "): "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f",
    ("PHONE", "+1 (650) 555-1212"): "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176",
    # Sent to Meta in 2022 and accepted (recordings/meta.jsonl).
    ("EMAIL", "brian@demo.com"): "2e5b5d0a3c2f708e9cfc1eb6396c60814862229246a84697da56931761b8e6e7",
    ("FN", "Brian"): "f3fe5a51a2be8c6dc715028858fcba82ee021be7687e4f95b45086b8ffb1a23f",
}


@pytest.mark.parametrize(("name", "value"), EXAMPLES)
def test_meta_s_own_examples(name: str, value: str) -> None:
    """Each gives the hash that Meta's documents show or that Meta took."""
    assert spelled(name, value, None) == EXAMPLES[name, value]


NORMAL = [
    ("EMAIL", "\tAda.Lovelace+Octo@Gmail.com\n", "ada.lovelace+octo@gmail.com"),
    ("EMAIL", "nowhere@example", None),
    ("EMAIL", "two@at@example.com", None),
    ("EMAIL", "\u200bada@example.com\ufeff", "ada@example.com"),
    ("EMAIL", "zoë@exämple.com", "zoë@exämple.com"),
    ("EMAIL", "<ada@example.com>", None),
    ("EMAIL", "mailto:ada@example.com", None),
    ("EMAIL", "ada@example.com;", None),
    ("EMAIL", "ada@example.com,bob", None),
    ("EMAIL", "ada@example..com", None),
    ("PHONE", "0033 6 12 34 56 78", "33612345678"),
    ("PHONE", "+44 (0)844 412 4653", "448444124653"),
    ("PHONE", "06 12 34 56 78", None),
    ("PHONE", "+12", None),
    ("FN", "Zoë-Marie d'Arc", "zoëmariedarc"),
    ("FN", "שלום", "שלום"),
    ("LN", " ... ", None),
    ("CT", "Saint-Étienne 42", "saintétienne"),
    ("ZIP", "SW1A 1AA", "sw1a1aa"),
    ("ZIP", "94035-1234", "94035"),
    ("ZIP", " 00-950", "00950"),
    ("ZIP", "1000-205", "1000205"),
    ("ZIP", "123-4567", "1234567"),
    ("ZIP", "１２３-４５６７", "1234567"),
    ("ZIP", "12345-678", "12345678"),
    ("ZIP", "-", None),
    ("COUNTRY", "FR", "fr"),
    ("COUNTRY", "Germany", None),
    ("GEN", "Female", "f"),
    ("GEN", "Mme", "f"),
    ("GEN", "Mlle.", "f"),
    ("GEN", "Fe\u0301minin", "f"),
    ("GEN", "Monsieur", "m"),
    ("GEN", "M.", "m"),
    ("GEN", "Homme", "m"),
    ("GEN", "divers", None),
    ("GEN", "Mx", None),
    ("GEN", "Firma", None),
    ("MADID", "AECE52E7-03EE-455A-B3C4-E57283966239", "aece52e7-03ee-455a-b3c4-e57283966239"),
    ("MADID", "not an id", None),
]


@pytest.mark.parametrize(("name", "value", "wanted"), NORMAL)
def test_each_kind_has_one_form(name: str, value: str, wanted: str | None) -> None:
    """Spelled however, an identifier has one form; what nobody could be found by has none."""
    assert normal(name, value, None) == wanted


@pytest.mark.parametrize(
    ("value", "code", "wanted"),
    [
        ("06 12 34 56 78", "33", "33612345678"),
        ("33612345678", "33", "33612345678"),
        ("+44 844 412 4653", "33", "448444124653"),
        ("06 1234 5678", "39", "390612345678"),
        ("(650) 555-1212", "1", "16505551212"),
        ("1 650 555 1212", "1", "16505551212"),
        ("612 345 678", "34", "34612345678"),
        ("392 123 4567", "39", "393921234567"),
        ("39 392 123 4567", "39", "393921234567"),
        ("39 02 123 4567", "39", "39021234567"),
        ("91234 56789", "91", "919123456789"),
        ("55 99123 4567", "55", "5555991234567"),
        ("55 11 3123 4567", "55", "551131234567"),
        ("701 123 4567", "7", "77011234567"),
        ("7 701 123 4567", "7", "77011234567"),
        ("8 701 123 4567", "7", "77011234567"),
        ("44 (0)7700 900123", "44", "447700900123"),
        ("011 33 6 12 34 56 78", "1", "33612345678"),
        ("00 33 6 12 34 56 78", "1", "33612345678"),
        ("0033 6 12 34 56 78", "81", "33612345678"),
        ("0693 12 34 56", "33", "262693123456"),
        ("0690 12 34 56", "33", "590690123456"),
    ],
)
def test_a_national_number_is_of_the_country_said(value: str, code: str, wanted: str) -> None:
    """With `calling_code` a number without country is one of that country, dialled as there; any other stays
    what it is."""
    assert normal("PHONE", value, code) == wanted


@pytest.mark.parametrize(
    "behind",
    [" ext. 12", "x12", " X 12", " #12", " poste 12", " Durchwahl 3", ";ext=3", " (bureau 4)", " ou 06"],
)
def test_what_stands_behind_a_number_is_none_of_it(behind: str) -> None:
    """An extension or a remark is left out: with its digits, it would be somebody else's number."""
    assert normal("PHONE", f"Tél. : 01 23 45 67 89{behind}", "33") == "33123456789"
    assert normal("PHONE", f"+49 30 1234567{behind}", None) == "49301234567"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("+330612345678", "33612345678"),
        ("+33 (0) 6 12 34 56 78", "33612345678"),
        ("+39 06 1234 5678", "390612345678"),
        ("+٣٣٦١٢٣٤٥٦٧٨", "33612345678"),
        ("＋３３６１２３４５６７８", "33612345678"),
        ("+33 6 12 34 56 7", None),
        ("+33 6 12 34 56 78 9", None),
        ("+33 06 12 34 56 7", None),
        ("+999 123 456 789", None),
        ("+1 800 FLOWERS", None),
        ("011 33 6 12 34 56 78", None),
        ("0612345678/0712345678", None),
        ("number", None),
    ],
)
def test_a_number_told_with_its_country(value: str, wanted: str | None) -> None:
    """A zero that is only dialled at home goes, where it does; digits of any script are digits; a number as no
    country has one is none."""
    assert normal("PHONE", value, None) == wanted


def test_plain_text_is_hashed_as_meta_s_sdk_hashes_it() -> None:
    """For whatever text of plain letters and signs, our hash is the SDK's, wherever there is something to hash."""
    chance = random.Random("meta")
    for _ in range(500):
        first, last, city = (
            "".join(chance.choices(string.printable, k=chance.randint(1, 12))) for _ in "123"
        )
        zip_code = f"{chance.randrange(10**5):05}{chance.choice(['', '-1234'])}"
        email = f" {chance.choice(string.ascii_letters)}.da+octo@Example.com\n"
        values = {
            "EMAIL": email,
            "PHONE": "+33 (6) 12.34-56 78",
            "FN": first,
            "LN": last,
            "CT": city,
            "ZIP": zip_code,
        }
        told = CustomAudience.format_params([*values], [[*values.values()]], is_raw=True)["payload"]["data"][
            0
        ]
        hashes = dict(zip(values, told, strict=True))
        ours = row("EMAIL", values.pop("EMAIL"), values, None)
        assert {name: hashes[name] for name in ours if ours[name]} == {n: v for n, v in ours.items() if v}
        assert all(ours[name] for name in ("EMAIL", "PHONE", "ZIP"))


def test_who_is_unfit_is_told_without_his_data() -> None:
    """The reason names the field and what is missing, and never holds the value."""
    for name, value in (
        ("EMAIL", "ada"),
        ("PHONE", "0612345678"),
        ("COUNTRY", "Frankreich"),
        ("FN", "!!"),
        ("GEN", "divers"),
    ):
        key, fields = (value, {}) if name == "EMAIL" else ("ada@example.com", {name: value})
        reason = unfit("EMAIL", Change(key, fields), None)
        assert reason is not None
        assert (reason.partition(":")[0], value in reason) == (name, False)
    assert unfit("EMAIL", Change("ada@example.com", dict.fromkeys(FIELDS[1:], "")), None) is None


def test_only_what_names_somebody_grows_stale() -> None:
    """A number that changed is to be taken back; a name that changed, or a field not sent, is not."""
    before = {"PHONE": "+33612345678", "FN": "Ada"}
    moved = Change("a@example.com", {"PHONE": "+33699999999", "FN": "Adele"}, before=before)
    gone = Change("b@example.com", {"PHONE": None}, before=before)
    same = Change("c@example.com", {"PHONE": "0033612345678"}, before=before)
    silent = Change("d@example.com", {"FN": "Ada"}, before=before)
    old = {"PHONE": spelled("PHONE", "+33612345678", None)}
    assert [*stale("EMAIL", [moved, gone, same, silent], None)] == [old, old]
