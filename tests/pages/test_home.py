"""The first page: what somebody should look at, and how large everything is."""

from __future__ import annotations

from datetime import date, datetime

import httpx2
from playwright.sync_api import expect

from octo_dagster.delivery.ledger_tables import SNAPSHOT
from octo_dagster.ops import alerts
from octo_dagster.ops.rules import Fact
from octo_dagster.pages.board import Board
from octo_dagster.pages.home.attention import attention
from octo_dagster.words import Speaker
from tests.pages.conftest import Served, Visit, through


def test_sizes_and_what_was_refused(shop: Served, visit: Visit) -> None:
    """Sizes lead to the lists they count; the rows a source brought in vain are told by table."""
    page = visit(shop, "/")
    with shop.project.warehouse.connect() as connection:
        ((everybody, buyers, refused),) = connection.sql(
            """select count(*), count(*) filter (where orders > 0),
                      (select count(*) from rejected_rows where "table" = 'customers') from customer_profile"""
        ).fetchall()
    assert page.locator(".tile b").all_inner_texts()[:2] == [str(everybody), str(buyers)]
    expect(page.locator(".notices")).to_contain_text(f"{refused} source rows of customers were refused")
    page.get_by_role("link", name=f"{buyers} have bought").click()
    expect(page.get_by_role("status")).to_contain_text(f"{buyers} customers")


ENTERED = """select audience, count(*) filter (where entered_on = day)::text from
             (select *, max(entered_on) over () as day from audience_members)
             group by audience having min(entered_on) < any_value(day) and count(*) filter (where entered_on = day) > 0"""


def test_what_is_due_what_moved_and_where_to_go(own_shop: Served, visit: Visit) -> None:
    """Each sync is there with the hour it is due, and each audience somebody came into; a refusal and an
    alert lead to the very sync they are of, and every way leads to a page."""
    fact = Fact("volume", "sync letters", True, "volume", {"planned": 1, "usual": 9, "sync": "letters"})
    alerts.watch(own_shop.project, datetime(2026, 1, 2), [fact])  # noqa: DTZ001 - naive UTC, as everywhere
    refusal = {"sync": "letters", "key": "k", "spelled": "k", "owed": "NO: no", "run": "r"}
    with own_shop.project.ledger.engine.begin() as ledger:
        ledger.execute(SNAPSHOT.insert().values(refusal))
    with own_shop.project.warehouse.connect() as connection:
        entered = dict(connection.sql(ENTERED).fetchall())
    page = visit(own_shop, "/", phone=True)
    due = page.locator("section", has=page.locator("#deliveries")).locator("tbody tr")
    assert [row.split()[0] for row in due.all_inner_texts()] == sorted(own_shop.project.syncs)
    assert ", 02:00" in due.first.inner_text()
    rows = page.locator("section", has=page.locator("#moved")).locator("tbody tr")
    told = {row.locator("th").inner_text(): row.locator("td").first.inner_text() for row in rows.all()}
    assert told
    assert entered.items() <= told.items()
    for way in page.locator("#ways ~ ul a").all():
        assert page.request.get(way.get_attribute("href") or "").ok
    looks = page.locator(".notices li", has_text="letters").get_by_role("link", name="Look")
    assert [one.get_attribute("href") for one in looks.all()] == ["/syncs/letters", "/syncs/letters"]
    through(looks.first)
    assert page.url.endswith("/syncs/letters")


def test_an_old_profile_and_wrong_files_are_told(own_shop: Served) -> None:
    """A profile of days ago is told, gravest first; so are files that cannot be read, line by line, and the
    page itself still answers."""
    board = Board(own_shop.project)
    assert [notice.key for notice in attention(board, date(2026, 1, 2), Speaker("en")) if notice.grave] == []
    assert attention(board, date(2026, 1, 9), Speaker("en"))[0].said == {"n": 9, "day": date(2025, 12, 31)}
    (own_shop.project.root / "assets/audiences/broken.yaml").write_text("rule: [", encoding="utf-8")
    told = {notice.key: notice for notice in attention(board, date(2026, 1, 2), Speaker("en"))}
    assert "broken.yaml" in told["files"].said["problems"]


def test_an_alert_that_fires_is_told_in_the_visitors_language(own_shop: Served) -> None:
    """Nothing fires unseen: what the watch found stands on the first page too, until all is well."""
    fact = Fact("failed", "job nightly", True, "job_failed", {"run": "r1"})
    alerts.watch(own_shop.project, datetime(2026, 1, 2), [fact])  # noqa: DTZ001 - naive UTC, as everywhere
    cookies = {"octo_session": own_shop.session(may_act=False)}
    for language, words in (
        ("en", "job nightly: failed. Dagster&#39;s run r1 failed. Its page says"),
        ("fr", "tâche nightly : échec. L&#39;exécution r1 de Dagster a échoué. Sa page dit"),
    ):
        told = httpx2.get(f"{own_shop.address}/", cookies={**cookies, "octo_language": language}).text
        assert words in told


def test_what_is_to_be_typed_is_shown_as_such(own_shop: Served) -> None:
    """A command in an alert's words stands out, as it does in a letter between backticks."""
    values = {"rejected": 6, "planned": 12, "sync": "customers"}
    fact = Fact("rejected", "sync customers", True, "rejected", values)
    alerts.watch(own_shop.project, datetime(2026, 1, 2), [fact])  # noqa: DTZ001 - naive UTC, as everywhere
    cookies = {"octo_session": own_shop.session(may_act=False), "octo_language": "en"}
    for page in ("/", "/syncs"):
        told = httpx2.get(f"{own_shop.address}{page}", cookies=cookies).text
        assert "<code>octo log customers --outcome rejected</code>" in told
