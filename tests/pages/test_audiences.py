"""Audiences: how large they are, how they moved, and rules tried and written as YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from playwright.sync_api import Page, expect

from octo_dagster.pages.audiences.file import text
from tests.pages.conftest import Served, Visit, through


def ask(shop: Served, sql: str) -> Any:
    """The first row of an answer over the shop's tables."""
    with shop.project.warehouse.connect() as connection:
        return connection.sql(sql).fetchall()[0]


def in_audience(shop: Served, name: str) -> int:
    found = ask(shop, f"select count(*) from customer_profile where {shop.project.conditions()[name]}")
    return int(found[0])


def cells(page: Page, table: str, row: str) -> list[str]:
    found = page.locator(table).get_by_role("row").filter(has=page.get_by_role("rowheader", name=row))
    return found.first.get_by_role("cell").all_inner_texts()


def test_sizes_reach_and_what_is_shared(shop: Served, visit: Visit) -> None:
    """Each audience with its size, its reach and its last moves; and what any two share, either way."""
    page = visit(shop, "/audiences")
    size = in_audience(shop, "newsletter")
    entered, left = ask(
        shop,
        "select count(*) filter (where entered_on = date '2025-12-31'), count(*) filter (where left_on = date '2025-12-31')"
        " from audience_members where audience = 'newsletter'",
    )
    told = cells(page, "table >> nth=0", "newsletter Everybody")
    assert (told[0], told[-2], told[-1]) == (str(size), str(entered), str(left))
    assert cells(page, ".overlap", "newsletter")[2] == "100%"
    assert cells(page, ".overlap", "best_customers_becoming_passive")[4] == "0%"


def test_one_audience_over_time(shop: Served, visit: Visit) -> None:
    """Its size, its file's words, its charts with their figures, who came and who left, and who delivers it."""
    page = visit(shop, "/audiences/best_customers")
    expect(page.locator(".tile").first).to_contain_text(str(in_audience(shop, "best_customers")))
    expect(page.locator("[data-drawn]")).to_have_count(2)
    page.get_by_text("Figures as a table").first.click()
    figures = page.locator(".chart table").first.get_by_role("cell").all_inner_texts()
    assert figures[-1] == str(in_audience(shop, "best_customers"))
    for move in ("Entered", "Left"):
        assert page.get_by_role("heading", name=move, exact=True).count() == 1
    expect(page.get_by_text("Delivered by letters")).to_be_visible()


def test_a_rule_is_tried_as_one_types(shop: Served, visit: Visit) -> None:
    """Who is meant is counted while one types; a mistake is told in words; columns and values are completed by
    the keyboard alone."""
    page = visit(shop, "/audiences/new")
    rule = page.get_by_label("Rule", exact=True)
    preview = page.locator("#preview")
    rule.press_sequentially("rfm_seg")
    expect(page.get_by_role("option").first).to_contain_text("rfm_segment")
    rule.press("Enter")
    rule.press_sequentially(" == 'Best active")
    expect(page.get_by_role("option")).to_have_count(1)
    rule.press("Tab")
    assert rule.input_value() == "rfm_segment == 'Best active customers'"
    (many,) = ask(shop, "select count(*) from customer_profile where rfm_segment = 'Best active customers'")
    expect(preview.locator(".tile b").first).to_have_text(str(many))
    expect(preview.get_by_role("row")).to_have_count(9)
    rule.fill("rfm_segmnt == 'x'")
    expect(preview).to_contain_text("did you mean 'rfm_segment'?")


def test_a_rule_is_written(own_shop: Served, visit: Visit) -> None:
    """Saving makes the file, which the project then reads; the page of the new audience shows its size."""
    page = visit(own_shop, "/audiences/new")
    page.get_by_label("Name of the audience").fill("big_spenders")
    page.get_by_label("What it is for").fill("Who: spent much")
    page.get_by_label("Rule", exact=True).fill("revenue >= 1000\nand country == 'FR'")
    page.get_by_text("Leave out everybody of").first.click()
    page.get_by_role("checkbox", name="newsletter").last.check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("big_spenders")
    expect(page.get_by_role("status").first).to_contain_text("Saved")
    told = yaml.safe_load(path(own_shop, "big_spenders").read_text("utf-8"))
    assert told == {
        "description": "Who: spent much",
        "rule": "revenue >= 1000 and country == 'FR'",
        "exclude": ["newsletter"],
    }
    expect(page.locator(".tile").first).to_contain_text(str(in_audience(own_shop, "big_spenders")))


def path(shop: Served, name: str) -> Path:
    return shop.project.root / "assets" / "audiences" / f"{name}.yaml"


def test_nobodys_change_is_overwritten(own_shop: Served, visit: Visit) -> None:
    """A file that changed after the editor was opened stays as it is, and what was typed stays in the form; a
    rule that does not fit is not written either; what is written keeps the file's comments."""
    place = path(own_shop, "newsletter")
    place.write_text(f"# by Eva\n{place.read_text('utf-8')}", encoding="utf-8")
    page = visit(own_shop, "/audiences/newsletter/edit")
    page.get_by_label("What it is for").fill("Mine")
    theirs = place.read_text("utf-8") + "\n# theirs\n"
    place.write_text(theirs, encoding="utf-8")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("changed by somebody else")
    assert page.get_by_label("What it is for").input_value() == "Mine"
    assert place.read_text("utf-8") == theirs
    page.goto("/audiences/newsletter/edit")
    page.get_by_label("Rule", exact=True).fill("orders >")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be read")
    page.get_by_label("Rule", exact=True).fill("orders > 1")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_contain_text("Saved")
    after = place.read_text("utf-8")
    assert after.startswith("# by Eva\n")
    assert after.endswith("# theirs\nrule: orders > 1\n")


def test_who_may_look_only_writes_nothing(shop: Served, visit: Visit) -> None:
    """Without permission there is no button to save, and saving by another way is refused."""
    page = visit(shop, "/audiences/new", may_act=False)
    assert page.get_by_role("button", name="Save").count() == 0
    form = {"name": "mine", "rule": "orders > 1", "mark": "new"}
    cookies = {"octo_session": shop.session(may_act=False)}
    reply = httpx2.post(
        f"{shop.address}/audiences/save", data=form, cookies=cookies, headers={"origin": shop.address}
    )
    assert reply.status_code == 403
    assert not path(shop, "mine").exists()


def test_a_rule_is_tried_without_scripts(shop: Served, visit: Visit) -> None:
    """Without scripts a button tries the rule."""
    page = visit(shop, "/audiences/new", scripts=False)
    page.get_by_label("Rule", exact=True).fill("orders >= 5")
    through(page.get_by_role("button", name="Preview"))
    (many,) = ask(shop, "select count(*) from customer_profile where orders >= 5")
    assert page.locator("#preview .tile b").first.inner_text() == str(many)


@pytest.mark.parametrize(
    "rule", ["(" * 300, "__import__('os')", "orders >= 1; drop", f"orders >= {'9' * 400}", "country == 1"]
)
def test_a_rule_that_cannot_be_is_said_so(shop: Served, rule: str) -> None:
    """Whatever is typed, the answer is words; and it is not written."""
    how = {"cookies": {"octo_session": shop.session()}, "headers": {"origin": shop.address}}
    form = {"name": "mine", "rule": rule, "mark": "new"}
    told = httpx2.post(f"{shop.address}/audiences/preview", data=form, **how)  # type: ignore[arg-type]
    assert (told.status_code, "This does not work yet" in told.text) == (200, True)
    saved = httpx2.post(f"{shop.address}/audiences/save", data=form, **how)  # type: ignore[arg-type]
    assert saved.status_code == 422
    assert not path(shop, "mine").exists()


@pytest.mark.parametrize("name", ["../../evil", "Evil", "", "a" * 61, "_x"])
def test_a_file_is_named_like_a_file(shop: Served, name: str) -> None:
    """A name that is no plain name makes no file anywhere."""
    before = sorted((shop.project.root / "assets").rglob("*"))
    form = {"name": name, "rule": "orders > 1", "mark": "new"}
    reply = httpx2.post(
        f"{shop.address}/audiences/save",
        data=form,
        cookies={"octo_session": shop.session()},
        headers={"origin": shop.address},
    )
    assert reply.status_code == 422
    assert sorted((shop.project.root / "assets").rglob("*")) == before


def test_no_persons_value_completes_a_rule(shop: Served) -> None:
    """Values are told of columns of text that tell nobody's name or address."""
    cookies = {"octo_session": shop.session()}

    def told(column: str) -> Any:
        return httpx2.get(f"{shop.address}/audiences/values?column={column}", cookies=cookies).json()

    assert sorted(told("country")) == ["DE", "FR", "IT"]
    assert [told(column) for column in ("email", "last_name", "customer_id", "orders", "nothing")] == [[]] * 5


FILES = {
    "rule: orders >= 2  # loyal\n": "rule: x  # loyal\ndescription: d\ninclude: [a]\n",
    "rule: >\n  orders >= 2\n  and x\n\n# why\ninclude:\n  - b\n": "rule: x\n\n# why\ninclude: [a]\ndescription: d\n",
    "exclude: [b]  # not them\nrule: y": "rule: x\ndescription: d\ninclude: [a]\n",
    "{rule: y, include: [b]}\n": "description: d\nrule: x\ninclude: [a]\n",
    "": "description: d\nrule: x\ninclude: [a]\n",
}


@pytest.mark.parametrize(("before", "after"), FILES.items())
def test_comments_stay(before: str, after: str) -> None:
    """What is said anew stands where it was said; comments stay, as far as the file says what it should."""
    assert text(before, {"description": "d", "rule": "x", "include": ["a"]}) == after


def test_a_rule_the_profile_cannot_be_asked_is_named(own_shop: Served) -> None:
    """Written by hand, it takes no page away: the other audiences are told, and this one is named."""
    folder = own_shop.project.root / "assets" / "audiences"
    (folder / "beyond.yaml").write_text(f"rule: orders > {'9' * 400}\n")
    reply = httpx2.get(f"{own_shop.address}/audiences", cookies={"octo_session": own_shop.session()})
    assert (reply.status_code, "beyond.yaml: rule" in reply.text) == (200, True)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/audiences/preview", {"origin": "http://["}, 403),
        ("GET", f"/calls?skip={10**30}", {}, 422),
        ("GET", "/syncs/letters/changes?before=²", {}, 200),
    ],
)
def test_odd_requests_break_nothing(
    shop: Served, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """What no browser sends breaks nothing."""
    told = {"octo_session": shop.session()}
    reply = httpx2.request(method, shop.address + path, headers=headers, cookies=told, content=b"a=1")
    assert reply.status_code == status
