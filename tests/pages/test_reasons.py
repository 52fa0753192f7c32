"""Why a customer has his labels, as his page says it in English and in French."""

from __future__ import annotations

import html
import re
import string
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from octo_dagster.score import Tables, score
from octo_dagster.scoring.explain import explained
from octo_dagster.scoring.measures.segments import NAMES
from octo_dagster.words import MONTHS, Language, Speaker, catalogue
from tests.pages.conftest import Served

TOLD = tuple(french for _, french, _, _ in NAMES)
PEOPLE = tuple(f"c{i}" for i in range(0, 400, 29))
STORED = ("column.", "because.written.worth")
"""Keys of names that tables hold, and of words there are none in."""


def told(shop: Served, language: Language) -> dict[tuple[str, str], tuple[str, ...]]:
    """Score and customer → the sentences."""
    scores = [score for score in shop.project.told_scores if score.on_profile]
    warehouse = shop.project.warehouse
    with warehouse.connect() as rows:
        return {
            (score.name, one): explained(warehouse, rows, score, one, language).reasons
            for score in scores
            for one in PEOPLE
        }


def figures(sentence: str) -> Counter[int]:
    """The numbers in a sentence of either language, the parts of its days among them."""
    plain = re.sub(r"(\d\d:\d\d):\d\d", r"\1", sentence).replace("\N{NARROW NO-BREAK SPACE}", "")
    for at, month in enumerate(MONTHS["fr"], 1):
        plain = re.sub(rf"(?<=[\dr] ){re.escape(month)}(?= \d{{4}})", str(at), plain)
    return Counter(map(int, re.findall(r"\d+", plain)))


def letters(sentence: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", sentence)


def test_french_reasons_hold_the_figures_of_the_english(shop: Served) -> None:
    """Each score tells a customer's reasons in French in other words and with the same figures."""
    english, french = told(shop, "en"), told(shop, "fr")
    heard = {name for name, _ in english if any(len(english[name, one]) for one in PEOPLE)}
    assert {"rfm", "rhythm", "responsiveness", "scenario_state", "favorite_store"} < heard
    for (name, one), sentences in english.items():
        assert len(french[name, one]) == len(sentences)
        for there, here in zip(sentences, french[name, one], strict=True):
            assert figures(there) == figures(here), (there, here)
            assert name == "recommended" or letters(there) != letters(here), there


def fragments() -> Iterator[str]:
    """What English texts of Octo say between their places, as far as French does not say it too."""
    for key, said in catalogue().items():
        if not key.startswith(STORED):
            forms = [said["en"]] if isinstance(said["en"], str) else said["en"].values()
            parts = {part.strip() for form in forms for part, *_ in string.Formatter().parse(form)}
            yield from (part for part in parts if part not in str(said["fr"]))


@pytest.mark.parametrize("customer", ["c0", "c10", "c100", "c399"])
def test_a_french_page_speaks_french(shop: Served, customer: str) -> None:
    """A customer's page in French holds no English sentence of Octo's own, nor an English description of a
    column; the sentences quote labels as the page shows them elsewhere, not as the table holds them
    (the values of its columns)."""
    cookies = {"octo_session": shop.session(), "octo_language": "fr"}
    reply = httpx2.get(f"{shop.address}/customers/{customer}", cookies=cookies)
    assert reply.status_code == 200
    shown = html.unescape(re.sub(r"<dd>.*?</dd>", "", reply.text))
    described = {column.description for score in shop.project.told_scores for column in score.columns}
    assert [text for text in {*fragments(), *described} if len(text.split()) > 2 and text in shown] == []
    assert "Fréquence et montant en une seule classe" in shown
    assert "aucune probabilité donnée\xa0: trop peu de clients : 399 sur 1 000" in shown
    (segment,) = re.findall(r"<li>([^<]*)\xa0: récence \d", shown)
    assert segment in TOLD


def test_french_is_set_as_french_is() -> None:
    """Spaces before double signs do not break, points are commas, forms go by number, texts stay as they are."""
    tell = Speaker("fr").tell
    assert tell("because.pressure.rate", n=0, received=1234, longest=90, rate=0.187) == (
        "0 message sur 1\u202f234 en 90 jours a suscité un retour\xa0; en comptant les plus anciens, et ramené"
        " vers la moyenne\xa0: 18,7\xa0%"
    )
    assert tell("because.rfm.segment", segment="1.5 : x", recency=[1], both=[4, 5, 6]) == (
        "1.5 : x\xa0: récence 1 et fréquence × montant 4, 5 ou 6"
    )
    trend = {"earlier": 90, "recency": -2, "both": 0, "points": -2, "up": 2, "down": -2}
    assert "a varié de \N{MINUS SIGN}2 et la fréquence × montant de +0" in tell(
        "because.trend", trend="stable", **trend
    )


def test_reasons_in_one_language() -> None:
    """A score whose `because` takes a row and settings only says the same in every language."""

    @score(
        reads=("orders",), columns={"one": ("integer", "One")}, because=lambda row, _: [f"is {row['one']}"]
    )
    def one(tables: Tables, *, as_of: date) -> sa.Select[Any]:
        """One."""
        return sa.select(tables["orders"].c.customer_id)

    assert one.because is not None
    assert one.because({"one": 1}, {}) == one.because({"one": 1}, {}, "fr") == ["is 1"]
