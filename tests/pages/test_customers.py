"""Customers: found by what is known of them, filtered by any column, and each one's whole story."""

from __future__ import annotations

import csv
import html
import io
import re
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.pages.conftest import Served, Visit, through


def ask(shop: Served, sql: str) -> Any:
    """The first row of an answer over the shop's tables."""
    with shop.project.warehouse.connect() as connection:
        return connection.sql(sql).fetchall()[0]


def column(page: Page, at: int) -> list[str]:
    return page.locator(f"tbody tr > :nth-child({at})").all_inner_texts()


@pytest.mark.parametrize(
    ("text", "found"),
    [("c10", "c10"), ("C10@Example.com", "c10"), ("06 12 00 00 10", "c10"), ("emile müller c249", "c249")],
)
def test_a_customer_is_found(shop: Served, visit: Visit, text: str, found: str) -> None:
    """By id, e-mail, telephone as one writes it, or name without its accents; nothing of it in an address."""
    page = visit(shop, "/customers")
    page.get_by_role("searchbox").fill(text)
    through(page.get_by_role("button", name="Search"))
    assert page.url == f"{shop.address}/customers/{found}"


def test_several_who_are_found_are_listed(shop: Served, visit: Visit) -> None:
    """Words that several have list them all, and the address holds a word for the search, not the search."""
    page = visit(shop, "/customers")
    page.get_by_role("searchbox").fill("Chloé Dupont")
    through(page.get_by_role("button", name="Search"))
    (many,) = ask(shop, "select count(*) from customers where first_name = 'Chloé' and last_name = 'Dupont'")
    expect(page.get_by_role("status")).to_contain_text(f"{many} customers")
    assert "Chlo" not in page.url
    assert set(column(page, 2)) == {"Chloé"}


def test_filters_by_any_column(shop: Served, visit: Visit) -> None:
    """A filter is added by a form and taken off by its chip; what it says of a person is in no address."""
    page = visit(shop, "/customers?where=orders:gte:10")
    page.get_by_text("Add a filter").first.click()
    page.get_by_label("Column").select_option("email")
    page.get_by_label("Condition").select_option("starts")
    page.get_by_role("textbox", name="Value").fill("c1")
    through(page.get_by_role("button", name="Add a filter"))
    (both,) = ask(
        shop, "select count(*) from customer_profile where orders >= 10 and starts_with(email, 'c1')"
    )
    expect(page.get_by_role("status")).to_contain_text(f"{both} customers")
    assert "c1" not in page.url.partition("~")[0]
    through(page.get_by_role("link", name="Remove the filter E-mail starts with c1"))
    (one,) = ask(shop, "select count(*) from customer_profile where orders >= 10")
    expect(page.get_by_role("status")).to_contain_text(f"{one} customers")


def test_pages_skip_nobody(shop: Served) -> None:
    """Page by page, sorted by a column with empty values and equal ones, everybody is there once."""
    link, seen = "/customers?sort=-revenue&columns=customer_id,revenue", []
    cookies = {"octo_session": shop.session()}
    while link:
        told = httpx2.get(f"{shop.address}{link}", cookies=cookies).text
        seen += re.findall(r'<th scope="row"><a href="/customers/(\w+)"', told)
        following = re.search(r'href="([^"]+)" rel="next"', told)
        link = html.unescape(following[1]) if following else ""
    query = "select list(customer_id order by revenue desc nulls last, customer_id) from customer_profile"
    assert seen == ask(shop, query)[0]


def test_the_file_holds_what_is_filtered(shop: Served) -> None:
    """The download has every row of the filter, of the chosen columns, as the visitor's Excel opens it: `;` and
    a comma in numbers in French; telephones as they are dialled."""
    cookies = {"octo_session": shop.session()}
    address = f"{shop.address}/customers.csv?where=orders:gte:15&columns=customer_id,phone,orders,revenue"
    query = "select customer_id, phone, orders::text, revenue::text from customer_profile where orders >= 15"
    with shop.project.warehouse.connect() as connection:
        there = set(connection.sql(query).fetchall())
    for language, between, point in (("en", ",", "."), ("fr", ";", ",")):
        told = httpx2.get(f"{address}&lang={language}", cookies=cookies).content.decode("utf-8-sig")
        _, *rows = csv.reader(io.StringIO(told), delimiter=between)
        assert {(*row[:3], row[3].replace(point, ".")) for row in rows} == there
        assert rows[0][1].startswith("+33")


@pytest.mark.parametrize(
    "wrong", ["where=nothing:eq:1", "where=orders:eq:many", "sort=nothing", "q=old", "after=old"]
)
def test_what_cannot_be_asked_is_said(shop: Served, wrong: str) -> None:
    """A filter, a sort or a search that is wrong is told in words, and no list is shown as its answer."""
    reply = httpx2.get(f"{shop.address}/customers?{wrong}", cookies={"octo_session": shop.session()})
    assert reply.status_code == 422
    assert 'role="alert"' in reply.text
    assert "<tbody>" not in reply.text


def test_one_customers_story(shop: Served, visit: Visit) -> None:
    """Who he is, why each label, what happened, his audiences with their days, what he is recommended with its
    pictures and reasons, and what the tool last got."""
    customer, orders, segment = ask(
        shop,
        "select customer_id, orders, rfm_segment from customer_profile semi join audience_members using (customer_id)"
        " where rfm_segment = 'Best active customers' and email_consent order by customer_id",
    )
    page = visit(shop, f"/customers/{customer}")
    assert str(orders) in page.locator(".tile").first.inner_text()
    rfm = page.get_by_role("article").filter(has=page.get_by_role("heading", name="RFM", exact=True))
    expect(rfm).to_contain_text(segment)
    (bought,) = ask(shop, f"select count(*) from orders where customer_id = '{customer}'")
    assert page.locator(".timeline .order").count() == bought
    entered = page.get_by_role("row").filter(has_text="best_customers").filter(has_text="Dec 2025")
    assert entered.count() == 1
    picture = page.locator(".products img").first
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("image => image.naturalWidth") > 0
    (reason,) = ask(
        shop, f"select reason_text from recommendations where customer_id = '{customer}' order by list, rank"
    )
    expect(page.locator(".products li").first).to_contain_text(reason)
    sent = page.get_by_role("article").filter(has=page.get_by_role("heading", name="letters"))
    expect(sent).to_contain_text(segment)


def test_a_name_is_text(shop: Served, visit: Visit) -> None:
    """What a source brings is shown as text, whatever it looks like."""
    (customer,) = ask(shop, "select customer_id from customers where last_name like '<b>%' order by 1")
    page = visit(shop, f"/customers/{customer}")
    assert "<b>Bold</b>" in page.get_by_role("heading", level=1).inner_text()


def test_nobody_is_a_page_of_his_own(shop: Served) -> None:
    """A customer who is not there is said to be not there."""
    reply = httpx2.get(f"{shop.address}/customers/nobody", cookies={"octo_session": shop.session()})
    assert reply.status_code == 404


def test_people_read_their_own_words(shop: Served, visit: Visit) -> None:
    """In French the list and a customer's page name columns, scores and labels in French; what has no word of
    its own goes by its name, and a filter still finds what the table holds."""
    page = visit(
        shop, "/customers?where=rfm_segment:eq:Best active customers&columns=rfm_segment,orders,rfm_recency"
    )
    page.goto(f"{page.url}&lang=fr")
    assert page.locator("thead th").all_inner_texts() == ["Segment", "Commandes", "rfm_recency"]
    (many,) = ask(shop, "select count(*) from customer_profile where rfm_segment = 'Best active customers'")
    assert page.locator("tbody tr").count() == min(many, 50)
    assert set(column(page, 1)) == {"Meilleurs clients actifs"}
    expect(page.locator(".chips")).to_contain_text("Segment est Meilleurs clients actifs")
    told = {"column": "rfm_segment", "operator": "eq", "value": "Meilleurs clients actifs"}
    cookies = {"octo_session": shop.session(), "octo_language": "fr"}
    headers = {"origin": shop.address}
    reply = httpx2.post(f"{shop.address}/customers/filter", data=told, cookies=cookies, headers=headers)
    assert reply.headers["location"] == "/customers?where=rfm_segment%3Aeq%3ABest%20active%20customers"
    through(page.locator("tbody a").first)
    expect(page.locator(".badge", has_text="Segment : Meilleurs clients actifs")).to_be_visible()
    expect(page.get_by_role("heading", name="Rythme d'achat")).to_be_visible()


def test_audiences_on_a_phone_show_their_sizes(shop: Served, visit: Visit) -> None:
    """A phone shows each audience as a card, its size in sight without scrolling sideways."""
    page = visit(shop, "/audiences", phone=True)
    size = page.locator("td[data-label=Customers]").first.bounding_box()
    assert size is not None
    assert 0 <= size["x"] < size["x"] + size["width"] <= 390
