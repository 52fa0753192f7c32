"""What holds for every page of the menu: usable by keyboard, on a phone, without scripts, in both languages."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from octo_dagster.pages.page import pages
from tests.pages.conftest import Served, Visit

PATHS = sorted(
    {page.path for page in pages()} | {"/customers/c10", "/audiences/best_customers", "/audiences/new"}
)

FAULTS = """() => {
  const faults = [];
  const seen = (element) => element.offsetParent !== null || element.tagName === 'SUMMARY';
  const named = (element) => (element.labels && element.labels.length) || element.getAttribute('aria-label')
    || element.getAttribute('aria-labelledby') || element.textContent.trim() || element.querySelector('img[alt]:not([alt=""])');
  for (const element of document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a[href], summary'))
    if (!named(element)) faults.push('no name: ' + element.outerHTML.slice(0, 90));
  if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1');
  let level = 0;
  for (const heading of document.querySelectorAll('main h1, main h2, main h3, main h4')) {
    const now = Number(heading.tagName[1]);
    if (now > level + 1) faults.push('a heading leaves one level out: ' + heading.textContent);
    level = now;
  }
  const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
  for (const id of ids.filter((id, at) => ids.indexOf(id) !== at)) faults.push('an id twice: ' + id);
  for (const image of document.querySelectorAll('img:not([alt])')) faults.push('no alt: ' + image.src.slice(0, 60));
  for (const name of ['aria-labelledby', 'aria-describedby', 'aria-controls'])
    for (const element of document.querySelectorAll(`[${name}]`))
      for (const id of element.getAttribute(name).split(' '))
        if (!document.getElementById(id)) faults.push(`${name} leads nowhere: ${id}`);
  for (const table of document.querySelectorAll('table'))
    if (!table.querySelector('th[scope]')) faults.push('a table without headings');
  for (const element of document.querySelectorAll('button, select, summary, input:not([type=hidden], [type=checkbox], [type=radio])'))
    if (seen(element) && element.getBoundingClientRect().height < 43.5 && !element.closest('[hidden]'))
      if (element.checkVisibility()) faults.push('a small target: ' + element.outerHTML.slice(0, 90));
  if (document.documentElement.scrollWidth > window.innerWidth) faults.push('scrolls sideways');
  if (document.querySelector('main [onclick], main [style]:not(canvas)')) faults.push('an inline style or script');
  return faults;
}"""
"""What a person with a keyboard, a screen reader or a small screen would stumble over, said by the page."""


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_for_everybody(shop: Served, visit: Visit, path: str) -> None:
    """On a phone, in French: everything has a name, headings are in order, targets are large, nothing scrolls
    sideways, nothing comes from elsewhere, and the console is silent."""
    page = visit(shop, path, language="fr", phone=True)
    assert page.locator("html").get_attribute("lang") == "fr"
    assert page.evaluate(FAULTS) == []


@pytest.mark.parametrize("path", PATHS)
def test_a_page_says_its_words(shop: Served, path: str) -> None:
    """In either language a page answers, says what it is, and leaves no text out."""
    cookies = {"octo_session": shop.session(may_act=False)}
    told: dict[str, Any] = {}
    for language in ("en", "fr"):
        reply = httpx2.get(f"{shop.address}{path}", cookies={**cookies, "octo_language": language})
        assert reply.status_code == 200
        assert f'<html lang="{language}">' in reply.text
        told[language] = reply.text.partition("<main")[2]
    assert told["en"] != told["fr"]


def test_the_keyboard_goes_everywhere(shop: Served, visit: Visit) -> None:
    """The first tab leads past the menu to the content; the next ones go through the menu in its order, and
    what has the focus is seen to have it."""
    page = visit(shop, "/audiences")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
    page.reload()
    order = []
    for _ in range(5):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.getAttribute('href')"))
    assert order == ["#main", "/", "/", "/customers", "/audiences"]
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


CONTRAST = """() => {
  const style = getComputedStyle(document.documentElement);
  const light = (name) => {
    const hex = style.getPropertyValue(name).trim().slice(1);
    const [r, g, b] = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
      .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const pairs = [['--ink', '--ground'], ['--soft', '--ground'], ['--soft', '--paper'], ['--accent', '--ground'],
    ['--accent', '--accent-soft'], ['--accent-ink', '--accent'], ['--wrong', '--wrong-soft'],
    ['--warn', '--warn-soft'], ['--good', '--good-soft'], ['--ink', '--accent-soft']];
  return pairs.map(([a, b]) => [a, b, Math.round(ratio(a, b) * 100) / 100]).filter(([, , r]) => r < 4.5);
}"""


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out(shop: Served, visit: Visit, dark: bool) -> None:
    """Every colour of text has 4.5 times the light or the dark of what it stands on (WCAG AA), by day and night."""
    page = visit(shop, "/nowhere", dark=dark)
    assert page.evaluate(CONTRAST) == []
