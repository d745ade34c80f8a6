"""The page of SQL: for whoever may ask it, rows as a table, all of them as a file."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.clients.pages.conftest import Visiting, Visitor, sell
from tests.support.axe import serious


def test_a_statement_is_run_and_its_rows_are_saved(shop: Visitor) -> None:
    page = shop.open()
    page.get_by_role("link", name="SQL", exact=True).click()
    statement = page.get_by_label("One SELECT")
    expect(statement).to_have_value('SELECT * FROM purchases ORDER BY "keen.timestamp" DESC LIMIT 100')
    statement.fill("SELECT country, sum(price) AS spent FROM purchases GROUP BY ALL ORDER BY spent")
    statement.press("Control+Enter")
    page.get_by_text("3 rows.").wait_for()
    assert [cell.inner_text() for cell in page.get_by_role("cell").all()[:2]] == ["PL", "12.5"]
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save all rows as CSV").click()
    text = Path(saved.value.path()).read_text(encoding="utf-8")
    assert text.splitlines()[:2] == ["country,spent", "PL,12.5"]
    assert serious(page) == []
    statement.fill("SELEC 1")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("alert").wait_for()
    shop.forget("status of 400")
    page.go_back()
    page.get_by_text("3 rows.").wait_for()


def test_more_rows_than_are_shown_are_told_of(shop: Visitor) -> None:
    many = "SELECT a.price FROM " + ", ".join(f"purchases {name}" for name in "abcde")
    page = shop.open("sql", query=f"?sql={many}")
    page.get_by_text("The first 1,000 rows; there are more.").wait_for()
    shop.page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_long_values_are_cut_in_the_table_alone(shop: Visitor) -> None:
    long = "repeat('a', 300) AS long, 'short text' AS short, 'x' || repeat('b', 60) AS middle"
    page = shop.open("sql", query=f"?sql=SELECT {long} FROM purchases LIMIT 1")
    page.get_by_text("Long values are cut here; the CSV has them whole.").wait_for()
    assert [len(cell.inner_text()) for cell in page.get_by_role("cell").all()] == [201, 10, 61]
    assert serious(page) == []


def test_a_server_that_does_not_answer_is_no_fault_of_the_statement(shop: Visitor) -> None:
    page = shop.page
    stopping = {"message": "The server is stopping.", "error_code": "ServiceUnavailableError"}
    page.route("**/queries/sql", lambda route: route.fulfill(status=503, json=stopping))
    shop.open("sql", query="?sql=SELECT 1 FROM purchases")
    page.get_by_role("alert").get_by_text("The server is stopping.").wait_for()
    assert page.get_by_label("One SELECT").get_attribute("aria-invalid") is None
    shop.forget("status of 503")
    page.unroute("**/queries/sql")
    page.get_by_role("button", name="Try again").click()
    page.get_by_text("5 rows.").wait_for()


def test_who_may_not_ask_sql_sees_no_link_to_it(visiting: Visiting) -> None:
    visitor = visiting()
    sell(visitor.served, visitor.project)
    visitor.enter(visitor.project.read_key)
    page = visitor.open("sql")
    page.get_by_text("SQL is for owners of the project.").wait_for()
    assert page.get_by_role("link", name="SQL", exact=True).count() == 0
