"""The frame round every page: who gets in, in which language, and what the browser is let do."""

from __future__ import annotations

import re
import socket
import string
import time
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import expect
from starlette.testclient import TestClient

from octo_dagster import words
from octo_dagster.pages.front import served
from octo_dagster.pages.page import pages
from octo_dagster.pages.signin import inside
from octo_dagster.words import LANGUAGES, Speaker, catalogue
from tests.pages.conftest import Served, Visit, through

PAGES = Path(words.__file__).parent / "pages"


def test_every_message_is_in_both_languages() -> None:
    """Each text is there in English and in French, with the same forms and the same places to fill."""
    for key, said in catalogue().items():
        assert set(said) == set(LANGUAGES), key
        english, french = said["en"], said["fr"]
        assert type(english) is type(french), key
        assert places(english) == places(french), key


def places(said: object) -> set[str]:
    texts = [said] if isinstance(said, str) else list(dict(said).values())  # type: ignore[call-overload]
    return {name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_text_a_template_says_is_known() -> None:
    """Every `t('key')` of a template, and the name of every page in the menu, is in the catalogue."""
    said = {
        key
        for path in PAGES.rglob("*.html")
        for key in re.findall(r"\bt\('([\w.-]+)'[,)]", path.read_text("utf-8"))
    }
    assert said
    assert sorted(said - catalogue().keys()) == []
    assert [page.name for page in pages() if f"menu.{page.name}" not in catalogue()] == []


def test_numbers_as_they_are_written() -> None:
    """Numbers, money and days are spelled as the language does."""
    english, french = Speaker("en", "EUR"), Speaker("fr", "EUR")
    assert (english.number(12345.5, 1), french.number(12345.5, 1)) == ("12,345.5", "12\u202f345,5")
    assert (english.money(-3), french.money(1234)) == (
        "\u2212€3.00",
        "1\u202f234,00\xa0€",
    )
    assert (english.day("2026-03-01"), french.day("2026-03-01")) == ("1 Mar 2026", "1er mars 2026")
    assert french.percent(0.125, 1) == "12,5\xa0%"


@pytest.mark.parametrize(
    "away", ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example"]
)
def test_signing_in_leads_nowhere_else(away: str) -> None:
    """Where one goes after signing in is an address of these pages, however another is spelled."""
    assert inside(away) == "/"
    assert inside("/customers?where=orders:gte:1") == "/customers?where=orders:gte:1"


def test_a_key_signs_in(shop: Served, visit: Visit) -> None:
    """Who has no session is asked to sign in; a key of the pages lets him in, to where he wanted to go; signing
    out ends it; a key of the API alone does not let in."""
    page = visit(shop, "/?lang=en", signed_in=False)
    assert page.url.startswith(f"{shop.address}/signin")
    page.get_by_label("Your key").fill(shop.sessions.keys.add("api only", {"rfm": "*"}))
    through(page.get_by_role("button", name="Sign in"))
    assert "not for the pages" in page.get_by_role("alert").inner_text()
    page.get_by_label("Your key").fill(shop.sessions.keys.add("person", {}, pages="look"))
    through(page.get_by_role("button", name="Sign in"))
    assert page.get_by_role("heading", level=1).inner_text() == "Today"
    kept = {cookie["name"]: cookie for cookie in page.context.cookies()}["octo_session"]
    assert (kept["httpOnly"], kept["sameSite"]) == (True, "Strict")
    assert kept["value"] not in (shop.project.home / "pages.sqlite").read_bytes().decode("latin-1")
    through(page.get_by_role("button", name="Sign out"))
    page.goto("/")
    assert "/signin" in page.url


def test_the_terminals_link_works_once(shop: Served) -> None:
    """The link `octo serve` prints signs in the first who opens it, and nobody after him."""
    word = shop.sessions.link()
    with httpx2.Client(base_url=shop.address) as first, httpx2.Client(base_url=shop.address) as second:
        assert first.get(f"/signin?once={word}").headers["location"] == "/"
        assert first.get("/").status_code == 200
        assert second.get(f"/signin?once={word}").status_code == 403
        assert second.get("/").headers["location"] == "/signin"


def test_a_revoked_key_ends_its_sessions(shop: Served) -> None:
    """A session ends with the key it was opened with."""
    secret = shop.sessions.keys.add("leaving", {}, pages="look")
    with httpx2.Client(base_url=shop.address, headers={"origin": shop.address}) as client:
        assert client.post("/signin", data={"key": secret}).status_code == 303
        assert client.get("/").status_code == 200
        shop.sessions.keys.revoke("leaving")
        assert client.get("/").headers["location"] == "/signin"


def test_no_other_site_sends_forms(shop: Served) -> None:
    """A form that another site's page sent is refused, whatever cookie comes with it."""
    cookies = {"octo_session": shop.session()}
    for headers in (
        {},
        {"origin": "https://evil.example"},
        {"origin": shop.address, "sec-fetch-site": "cross-site"},
    ):
        reply = httpx2.post(f"{shop.address}/signout", cookies=cookies, headers=headers)
        assert reply.status_code == 403
    assert httpx2.get(shop.address, cookies=cookies).status_code == 200


def test_a_proxy_may_speak_https(shop: Served) -> None:
    """Behind a proxy that speaks HTTPS, signing in works and the cookie is for HTTPS only."""
    key = shop.sessions.keys.add("behind a proxy", {}, pages="look")
    headers = {"host": "octo.example", "origin": "https://octo.example"}
    reply = httpx2.post(f"{shop.address}/signin", data={"key": key}, headers=headers)
    assert reply.status_code == 303
    told = reply.headers["set-cookie"].lower()
    assert all(word in told for word in ("secure", "httponly", "samesite=strict"))


def test_what_a_stranger_may_open(shop: Served) -> None:
    """The sign-in page and what it is drawn with; nothing whose address only begins so, however the host is
    spelled."""
    host, port = shop.address.removeprefix("http://").split(":")
    for path, name, status in (
        *(("/signin", host, b"200"), ("/signing", host, b"303"), ("/signin/../customers", host, b"303")),
        *(("/customers", "a/signin?", b"303"), ("/customers", "a/static/#", b"303")),
    ):
        with socket.create_connection((host, int(port))) as link:
            link.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            assert link.recv(12)[9:] == status, (path, name)


def test_a_form_that_cannot_be_read(shop: Served) -> None:
    """It is answered by a page in the visitor's language, which does not say what was sent."""
    headers = {"origin": shop.address, "accept-language": "fr"}
    long = httpx2.post(f"{shop.address}/signin", data={"key": "secret" * 40}, headers=headers)
    odd = httpx2.get(f"{shop.address}/calls?skip=ada@example.com", cookies={"octo_session": shop.session()})
    for reply, title in ((long, "adresse ou du formulaire"), (odd, "in the address or the form")):
        assert (reply.status_code, reply.headers["content-type"]) == (422, "text/html; charset=utf-8")
        assert title in reply.text
        assert not re.search("secretsecret|ada@example", reply.text.split("<main")[1])


def test_guessing_keys_is_told_to_wait(shop: Served) -> None:
    """After ten wrong keys an address is told to wait; who has a right one is let in from the same address, as
    behind a proxy all have one."""

    def tried(key: str) -> int:
        return httpx2.post(f"{shop.address}/signin", data={"key": key}, headers=headers).status_code

    headers = {"origin": shop.address}
    right = shop.sessions.keys.add(f"late {time.monotonic_ns()}", {}, pages="look")
    shop.sessions.wrong.clear()
    codes = [tried("x") for _ in range(12)]
    late = tried(right)
    shop.sessions.wrong.clear()
    assert codes == [403] * 10 + [429] * 2
    assert late == 303


def test_the_language_is_the_visitors(shop: Served, visit: Visit) -> None:
    """The browser's language is spoken; another that is chosen is kept."""
    page = visit(shop, "/", language="fr")
    assert page.locator("html").get_attribute("lang") == "fr"
    assert page.get_by_role("heading", level=1).inner_text() == "Aujourd'hui"
    through(page.get_by_role("link", name="English"))
    page.goto("/")
    assert page.locator("html").get_attribute("lang") == "en"


def test_the_api_and_the_pages_are_one_server(shop: Served) -> None:
    """Programs are answered below /v1, people everywhere else; an unknown page says so to who is signed in."""
    cookies = {"octo_session": shop.session()}
    assert httpx2.get(f"{shop.address}/v1/tables").json()["error"]["code"] == "unauthorized"
    assert httpx2.get(f"{shop.address}/healthz").text == "ok\n"
    unknown = httpx2.get(f"{shop.address}/nowhere", cookies=cookies)
    assert unknown.status_code == 404
    assert "There is no such page" in unknown.text
    assert httpx2.get(f"{shop.address}/static/../words.yaml", cookies=cookies).status_code == 404


def test_the_terminal_is_told_how_to_get_in(shop: Served) -> None:
    """On this machine alone the terminal has a link that signs in; for others a key must be made; without
    pages there are none."""
    for host, way in (("127.0.0.1", "/signin?once="), ("0.0.0.0", "octo keys add NAME --pages")):
        _, words = served(shop.project, host, pages=True)
        assert way in words("http://here")
    alone, words = served(shop.project, "127.0.0.1", pages=False)
    assert words("http://here") == "Octo answers at http://here/v1"
    assert TestClient(alone).get("/").status_code == 401


def test_a_link_from_elsewhere_finds_the_session(shop: Served, visit: Visit) -> None:
    """A browser hides the session when a link of another site is followed; one gets to the page nevertheless.
    Without a session one is asked to sign in."""
    link = f"data:text/html,<a href='{shop.address}/audiences'>look</a>"
    for signed_in, place in ((True, "/audiences"), (False, "/signin?next=%2Faudiences")):
        page = visit(shop, link, signed_in=signed_in)
        page.get_by_role("link").click()
        page.wait_for_load_state("networkidle")
        expect(page).to_have_url(f"{shop.address}{place}")
