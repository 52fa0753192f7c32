"""The pages of scores: their figures are the tables', and each figure leads to the customers it counts."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Locator, Page, expect

from octo_dagster.config import Project
from tests.pages.conftest import Served, Visit, serving, through

PATHS = ("/rfm", "/movement", "/rhythm", "/pressure", "/promotion", "/recommendations", "/calls")


def ask(shop: Served, sql: str) -> list[tuple[Any, ...]]:
    """The rows of an answer over the shop's tables."""
    with shop.project.warehouse.connect() as connection:
        found: list[tuple[Any, ...]] = connection.sql(sql).fetchall()
        return found


def reader(shop: Served) -> httpx2.Client:
    """Somebody signed in, without a browser."""
    return httpx2.Client(base_url=shop.address, cookies={"octo_session": shop.session()})


def grid(table: Locator) -> list[list[str]]:
    """The texts of a table's body."""
    return [row.locator("th, td").all_inner_texts() for row in table.locator("tbody tr").all()]


def figures(rows: list[list[str]]) -> dict[str, list[int]]:
    """Name of a row → its numbers; an empty cell is 0."""
    return {row[0]: [int(text.replace(",", "") or 0) for text in row[1:]] for row in rows}


def leads_to(page: Page, link: Locator) -> int:
    """How many customers the page behind a figure says it shows."""
    through(link)
    told = page.get_by_role("status").or_(page.locator("p.lead")).first.inner_text()
    return int(re.sub(r"\D", "", told.split("customer")[0]))


def test_the_plane_is_the_table(shop: Served, visit: Visit) -> None:
    """Every cell has its customers and its share of revenue, and leads to exactly them."""
    page = visit(shop, "/rfm")
    whole = ask(shop, "select sum(rfm_revenue) from rfm")[0][0]
    cells = ask(
        shop,
        "select rfm_recency, rfm_frequency_monetary, count(*), sum(rfm_revenue) from rfm group by all order by all",
    )
    shown = grid(page.locator(".plane"))
    for recency, size, customers, revenue in cells:
        text = shown[6 - size][recency].split("\n")
        assert text[0] == str(customers)
        assert text[1] == f"{100 * float(revenue / whole):.1f}%"
    recency, size, customers, _ = cells[0]
    link = page.locator(f".plane tbody tr:nth-child({7 - size}) td:nth-child({recency + 1}) a")
    assert leads_to(page, link) == customers


def test_segments_have_their_figures(shop: Served, visit: Visit) -> None:
    """Sizes, shares and revenue of every segment, in French, with the French names; and who is in one."""
    page = visit(shop, "/rfm", language="fr")
    told = ask(
        shop,
        "select count(*), sum(rfm_revenue), any_value(rfm_segment) from rfm group by rfm_segment order by 2 desc",
    )
    rows = grid(page.locator(".segments"))
    assert [int(re.split(r"\s", row[1])[0]) for row in rows] == [customers for customers, _, _ in told]
    money = [re.sub(r"[^\d]", "", row[2]) for row in rows]
    assert money == [str(int(revenue.to_integral_value("ROUND_HALF_UP"))) for _, revenue, _ in told]
    first = next(place for place, (_, _, name) in enumerate(told) if name == "Best active customers")
    assert rows[first][0].startswith("Meilleurs clients actifs")
    page.get_by_role("link", name="Meilleurs clients actifs", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text(f"{told[first][0]} clients")
    page.go_back()
    page.get_by_role("link", name="En faire une audience Meilleurs clients actifs").click()
    rule = "rfm_recency in [5, 6] and rfm_frequency_monetary in [5, 6]"
    expect(page.locator("[name=rule]")).to_have_value(rule)


def test_movement_of_the_last_days(shop: Served, visit: Visit) -> None:
    """The heatmap is what the profile says of 90 days ago and of now, and a cell leads to who moved."""
    page = visit(shop, "/movement")
    across = page.locator(".heat thead th").all_inner_texts()[1:-1]
    shown = figures(grid(page.locator(".heat")))
    moves = ask(
        shop,
        "select coalesce(rfm_segment_90d_ago, 'new'), rfm_segment, count(*) from customer_profile"
        " where rfm_segment is not null group by all order by 3 desc",
    )
    assert sum(sum(row[:-1]) for row in shown.values()) == sum(count for _, _, count in moves)
    for was, now, count in moves:
        assert shown[was][across.index(now)] == count
    was, now, count = moves[0]
    row = page.locator(".heat tbody tr").filter(has=page.get_by_role("rowheader", name=was, exact=True))
    assert leads_to(page, row.locator("td").nth(across.index(now)).locator("a")) == count


def test_movement_of_a_chosen_period(shop: Served, visit: Visit) -> None:
    """Two ends chosen by keyboard give the moves between them; a cell lists exactly who moved."""
    page = visit(shop, "/movement")
    ends = [str(day) for (day,) in ask(shop, "select distinct period_end from rfm_history order by 1")]
    page.get_by_label("From the end of").focus()
    page.keyboard.press("Home")
    page.get_by_role("button", name="Show").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("since="))
    assert f"since={ends[0]}" in page.url
    assert f"until={ends[-1]}" in page.url
    moves = ask(
        shop,
        f"""select coalesce(a.rfm_segment, 'new'), coalesce(b.rfm_segment, 'gone'), count(*), list(customer_id)
            from (from rfm_history where period_end = date '{ends[0]}') a
            full join (from rfm_history where period_end = date '{ends[-1]}') b using (customer_id)
            group by all order by 3 desc, all""".replace(", all", ", 1, 2"),
    )
    across = page.locator(".heat thead th").all_inner_texts()[1:-1]
    shown = figures(grid(page.locator(".heat")))
    assert {(w, n): c for w, n, c, _ in moves} == {
        (name, across[at]): count for name, row in shown.items() for at, count in enumerate(row[:-1]) if count
    }
    was, now, _, people = next(move for move in moves if move[0] != move[1] and move[2] < 100)
    row = page.locator(".heat tbody tr").filter(has=page.get_by_role("rowheader", name=was, exact=True))
    through(row.locator("td").nth(across.index(now)).locator("a"))
    assert sorted(page.locator("tbody th").all_inner_texts()) == sorted(people)


def test_segments_over_time_are_drawn(shop: Served, visit: Visit) -> None:
    """The chart of sizes is drawn, and its table has every period and segment."""
    page = visit(shop, "/movement")
    expect(page.locator("[data-chart=sizes-data]")).to_have_attribute("data-drawn", "yes")
    page.get_by_text("Figures as a table").click()
    names = page.locator("figure thead th").all_inner_texts()[1:]
    told = ask(shop, "select period_end, rfm_segment, count(*) from rfm_history group by all order by all")
    shown = grid(page.locator("figure"))
    days = sorted({day for day, _, _ in told})
    counts = {
        (shown[y][0], names[x]): int(shown[y][1 + x]) for y in range(len(days)) for x in range(len(names))
    }
    assert sum(counts.values()) == sum(count for _, _, count in told)
    day, name, count = told[0]
    assert counts[f"{day.day} {day:%b %Y}", name] == count


def test_rhythm_by_cohort_and_category(shop: Served, visit: Visit) -> None:
    """Both tables are the scores' shares; a cohort leads to its customers, a category to a list of them."""
    page = visit(shop, "/rhythm")
    across = page.locator("[aria-labelledby=cohorts] thead th").all_inner_texts()[1:-1]
    for region, sql in (
        (
            "cohorts",
            "select year(rfi_first_purchase_date) || '-Q' || quarter(rfi_first_purchase_date), rfi_label, count(*)"
            " from rhythm group by all",
        ),
        ("categories", "select category, rfi_label, count(*) from rhythm_by_category group by all"),
    ):
        shown = figures(grid(page.locator(f"[aria-labelledby={region}]")))
        told = ask(shop, sql)
        assert sum(row[-1] for row in shown.values()) == sum(count for _, _, count in told)
        assert all(shown[name][across.index(label)] == count for name, label, count in told)
    category, label, people = ask(
        shop,
        "select category, rfi_label, list(customer_id) from rhythm_by_category group by all having count(*) < 99",
    )[0]
    row = page.locator("[aria-labelledby=categories] tbody tr").filter(has_text=category)
    through(row.locator("td").nth(across.index(label)).locator("a"))
    assert sorted(page.locator("tbody th").all_inner_texts()) == sorted(people)
    page.go_back()
    cell = page.locator("[aria-labelledby=cohorts] tbody tr td a").first
    count = int(cell.inner_text())
    assert leads_to(page, cell) == count


def test_pressure_shows_its_cut_offs(shop: Served, visit: Visit) -> None:
    """The bars add up to all contacts by position; cut-offs and counts by consent are the table's."""
    page = visit(shop, "/pressure")
    page.get_by_text("Figures as a table").click()
    names = page.locator("figure thead th").all_inner_texts()[1:]
    bars = [[int(text) for text in row[1:]] for row in grid(page.locator("figure"))]
    told = dict(ask(shop, "select pressure_position, count(*) from marketing_pressure group by 1"))
    assert {name: sum(row[at] for row in bars) for at, name in enumerate(names)} == told
    for consent, contacts, over, begins in ask(
        shop,
        "select pressure_consent, count(*), count(*) filter (where pressure_position = 'over'),"
        " min(pressure_28d) filter (where pressure_position = 'over') from marketing_pressure group by 1",
    ):
        row = page.locator("[aria-labelledby=consents] tbody tr").filter(
            has=page.get_by_role("rowheader", name=consent, exact=True)
        )
        texts = row.locator("td").all_inner_texts()
        assert (texts[0], texts[3], texts[5]) == (str(contacts), str(over), f"{begins:.2f}")
    assert leads_to(page, page.locator(".tile a").filter(has_text="under")) == told["under"]


def test_responsiveness_is_beside_pressure(shop: Served, visit: Visit) -> None:
    """Each answer has its customers and the mean cap that is advised."""
    page = visit(shop, "/pressure")
    told = ask(
        shop,
        "select responsiveness, count(*), avg(recommended_messages_per_week) from responsiveness group by 1",
    )
    rows = {row[0]: row for row in grid(page.locator("[aria-labelledby=answers]"))}
    assert {name: int(row[1]) for name, row in rows.items()} == {name: count for name, count, _ in told}
    assert all(rows[name][4] == (f"{cap:.1f}" if cap is not None else "–") for name, _, cap in told)


def test_promotion_by_tenth(shop: Served, visit: Visit) -> None:
    """Sizes, revenue and discounts of each sensitivity; a tenth leads to its customers."""
    page = visit(shop, "/promotion")
    told = ask(
        shop,
        """select discount_sensitivity, count(*), round(sum(rfm_revenue)), avg(discount_value_percent)
           from promotion_sensitivity left join rfm using (customer_id) group by 1 order by 1""",
    )
    rows = grid(page.locator("[aria-labelledby=tenths]"))
    for row, (tenth, customers, revenue, discount) in zip(rows, told, strict=True):
        assert [row[0], row[1]] == [str(tenth), str(customers)]
        assert row[3] == f"€{revenue:,.0f}"
        assert row[5] == f"{discount:.1f}%"
    link = page.locator("[aria-labelledby=tenths] tbody td a").last
    assert leads_to(page, link) == told[-1][1]


def test_recommendations_with_their_pictures(shop: Served, visit: Visit) -> None:
    """The product most customers see first has its picture and its customers; a category has its own."""
    page = visit(shop, "/recommendations")
    product, customers = ask(
        shop,
        """select product_id, count(*) from recommendations where list = 'discover' and rank <= 3
           group by 1 order by 2 desc, 1""",
    )[0]
    first = page.locator("#list-discover ~ .shelf").first.locator("li").first
    expect(first.locator("a").first).to_have_attribute("href", f"/recommendations?product={product}#related")
    expect(first.locator(".figure")).to_have_text(f"{customers} customers")
    assert first.locator("img").evaluate("image => image.complete && image.naturalWidth > 0")
    covered = ask(shop, "select count(distinct customer_id) from recommendations where list = 'discover'")[0][
        0
    ]
    expect(page.locator(".tile").first).to_contain_text(f"{covered} customers")
    assert leads_to(page, first.locator(".figure a")) == customers
    page.goto("/recommendations")
    page.get_by_label("Category").select_option(index=1)
    page.wait_for_url(re.compile("category="))
    chosen = page.get_by_label("Category").input_value()
    shown = page.locator(".shelf").first.locator("li small").all_inner_texts()
    assert shown
    assert all(text.startswith(chosen) for text in shown)


def test_what_goes_with_a_product(shop: Served, visit: Visit) -> None:
    """A product found by its name shows its neighbours, closest first."""
    product, name = ask(
        shop,
        "select product_id, name from products semi join related_products using (product_id) order by 1",
    )[0]
    page = visit(shop, "/recommendations")
    page.get_by_label("Name or id of a product").fill(product)
    page.get_by_label("Name or id of a product").press("Enter")
    expect(page.get_by_role("heading", name=f"Goes with {name}", exact=True)).to_be_visible()
    near = ask(
        shop, f"select related_product_id from related_products where product_id = '{product}' order by rank"
    )
    links = page.locator(".shelf").last.locator("li > a").evaluate_all("all => all.map(one => one.href)")
    assert [re.findall(r"product=([^#]+)", link)[0] for link in links] == [one for (one,) in near[:12]]


def test_the_call_list(shop: Served, visit: Visit) -> None:
    """Whom to call in their order, with telephones; and who must not be called, by reason, leading to them."""
    page = visit(shop, "/calls")
    told = ask(
        shop,
        "select reactivation_rank, phone from customer_profile where reactivation_rank is not null order by 1, customer_id",
    )
    rows = grid(page.locator(".calls"))
    assert [(int(row[0]), row[2]) for row in rows] == told[:100]
    reasons = dict(
        ask(
            shop,
            """select reactivation_excluded_because, count(*) from customer_profile
               where is_big_passive and reactivation_excluded_because is not null group by 1""",
        )
    )
    shown = {row[0]: int(row[1]) for row in grid(page.locator("[aria-labelledby=excluded]"))}
    assert shown == reasons
    link = page.locator("[aria-labelledby=excluded] tbody th a").first
    reason = link.inner_text()
    assert leads_to(page, link) == reasons[reason]


def test_the_call_list_on_paper(shop: Served, visit: Visit) -> None:
    """Printed, there is the list with room for notes, and neither menu nor buttons."""
    page = visit(shop, "/calls")
    page.emulate_media(media="print")
    expect(page.locator(".calls .note").first).to_be_visible()
    expect(page.get_by_role("link", name="Download")).to_be_hidden()
    expect(page.locator("header.top")).to_be_hidden()


def test_the_call_list_as_a_file(shop: Served) -> None:
    """The file has the first places, in order, its telephones as they are dialled, its heads as one reads."""
    people = ask(
        shop,
        "select customer_id, phone from customer_profile where is_in_top order by reactivation_rank, customer_id",
    )
    with reader(shop) as client:
        for language, between, head in (("en", ",", "Phone"), ("fr", ";", "Téléphone")):
            text = client.get(f"/calls.csv?lang={language}").content.decode("utf-8-sig")
            rows = list(csv.DictReader(io.StringIO(text), delimiter=between))
            name = "Customer" if language == "en" else "Client"
            assert [(row[name], row[head]) for row in rows] == people


WIDER = """() => [...document.querySelectorAll('html, .scroll')]
  .filter(one => !one.closest('figure'))
  .filter(one => one.scrollWidth > one.clientWidth).map(one => one.getAttribute('aria-labelledby'))"""
"""What is wider than there is room for it. The figures of a chart are for who cannot see the chart."""


def test_pages_fit_a_phone(shop: Served, visit: Visit) -> None:
    """No page of a score scrolls sideways on a phone, in either language, nor does any table in it."""
    page = visit(shop, PATHS[0], phone=True)
    for language in ("en", "fr"):
        for path in PATHS:
            page.goto(f"{path}?lang={language}", wait_until="domcontentloaded")
            assert page.evaluate(WIDER) == [], path
            assert page.locator("html").get_attribute("lang") == language


def test_by_keyboard_from_a_cell_to_its_customers(shop: Served, visit: Visit) -> None:
    """From the region of the plane, Tab comes to its first cell and Enter to who is in it."""
    page = visit(shop, "/rfm")
    page.get_by_role("region", name="Where customers stand").focus()
    page.keyboard.press("Tab")
    count = page.evaluate("document.activeElement.querySelector('b').innerText")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text(f"{count} customer")


def test_without_scripts_every_figure_is_there(shop: Served, visit: Visit) -> None:
    """Charts are tables then, and the category is chosen by a button."""
    page = visit(shop, "/pressure", scripts=False)
    page.locator("figure summary").click()
    assert page.locator("figure tbody tr").count() > 1


def test_a_missing_score_names_the_table_that_would_feed_it(own_shop: Served) -> None:
    """Without messages, the page of pressure asks for that table; without orders, RFM asks for orders."""
    source = own_shop.project.root / "assets" / "sources" / "shop.yaml"
    kept = re.sub(
        r"(?ms)^  (messages|orders|order_lines|message_events):\n.*?(?=^  \w|\Z)",
        "",
        source.read_text("utf-8"),
    )
    source.write_text(kept, "utf-8")
    for table in (
        "rfm",
        "rfm_transitions",
        "rfm_history",
        "marketing_pressure",
        "responsiveness",
        "reactivation",
    ):
        (own_shop.project.warehouse.root / table).rename(own_shop.project.home / table)
    with reader(own_shop) as client:
        for path, table in (
            ("/rfm", "orders"),
            ("/movement", "orders"),
            ("/pressure", "messages"),
            ("/calls", "orders"),
        ):
            reply = client.get(path)
            assert reply.status_code == 200
            assert re.search(rf"nothing brings [a-z_, ]*\b{table}\b", reply.text), path


def test_pages_before_the_first_run(shop: Served, tmp_path: Path) -> None:
    """A project that was never run says so on every page."""
    with serving(Project(shop.project.root, tmp_path / "home")) as fresh, reader(fresh) as client:
        for path in PATHS:
            assert "Run octo run" in client.get(path).text
        assert "Lancez octo run" in client.get("/rfm?lang=fr").text
        assert client.get("/calls.csv").status_code == 404


def test_pages_of_an_empty_shop(shop: Served, tmp_path: Path) -> None:
    """Where every table is there and has no row, every page opens and says there is nothing yet."""
    empty = Project(shop.project.root, tmp_path / "home")
    held = shop.project.warehouse
    for name in held.names():
        empty.warehouse.replace(name, held.schema(name).empty_table(), held.note(name))
    with serving(empty) as fresh, reader(fresh) as client:
        for path in PATHS:
            reply = client.get(path)
            assert reply.status_code == 200, path
            assert re.search("Nothing here yet|Nobody", reply.text), path


@pytest.mark.parametrize(
    "path",
    ["/movement?since=2001-01-01", "/calls?skip=-1", "/rhythm/who?category=x&label=y&skip=-1"],
)
def test_what_is_not_there_is_said(shop: Served, path: str) -> None:
    """A period or a place that is not there is a page that is not there."""
    with reader(shop) as client:
        assert client.get(path).status_code == 404
