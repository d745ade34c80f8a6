"""The import pages: a file is chosen or dropped, looked at, stored, and reported on."""

from __future__ import annotations

from typing import Any

from tests.clients.pages.conftest import Visiting, Visitor, dismissing

ROWS = b"""order,when,price,zip,note
1,03/07/2026 14:00,9.5,01234,
2,24/07/2026 08:30,7,99999,"two
lines"
3,31/13/2026 10:00,1,10115,x
4,05/07/2026 08:30
"""
EVIL = "<img src=x onerror=alert(1)>"


def chosen(visitor: Visitor, content: bytes, name: str = "Orders 2026.csv") -> Any:
    """The page of a file that was chosen."""
    page = visitor.open("import")
    file = {"name": name, "mimeType": "text/csv", "buffer": content}
    page.get_by_label("Drop a file here, or choose one").set_input_files(file)
    page.get_by_role("heading", name=name).wait_for()
    return page


def test_a_file_is_looked_at_stored_and_reported(visitor: Visitor) -> None:
    page = chosen(visitor, ROWS)
    page.get_by_text("is 3 July 2026, 14:00 UTC").wait_for()
    formats = page.get_by_label("Written as").locator("option").all_inner_texts()
    assert "day/month/year hours:minutes" in formats and not any("%" in one for one in formats)
    page.get_by_label("In the time zone").fill("Europe/Berlin")
    page.keyboard.press("Enter")
    page.get_by_text("is 3 July 2026, 14:00 in Berlin").wait_for()
    page.get_by_text("1 row will be refused, since the time does not fit: “31/13/2026 10:00”").wait_for()
    assert page.get_by_label("Type of zip").input_value() == "auto"
    assert page.get_by_label("Collection", exact=True).input_value() == "orders_2026"
    assert '"zip": "01234"' in page.get_by_label("The first events").inner_text()
    page.get_by_label("Type of order").select_option("text")
    page.get_by_label("The first events").filter(has_text='"order": "1"').wait_for()
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_role("heading", name="The file is imported").wait_for()
    assert page.get_by_text("2 stored in orders_2026").is_visible()
    page.get_by_role("rowheader", name="does not fit the format “day/month/year hours:minutes”").wait_for()
    page.get_by_role("rowheader", name="The row has 2 cells, where the header has 5.").wait_for()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the refused rows").click()
    assert saved.value.suggested_filename == "Orders 2026.csv.refused.ndjson"
    page.get_by_role("link", name="Explore orders_2026").click()
    visitor.drawn()
    question = visitor.question()
    timeframe = question["timeframe"]
    assert (timeframe["start"][:10], timeframe["end"][:10]) == ("2026-07-03", "2026-07-25")
    assert question["timezone"] == "Europe/Berlin"


def test_one_comma_in_a_column_of_numbers_is_said_and_a_press_reads_numbers(visitor: Visitor) -> None:
    rows = "".join(f"{n};{n}.5\n" for n in range(199))
    page = chosen(visitor, f'order;total\n{rows}199;"12,50"\n'.encode())
    page.get_by_text("total: 199 of 200 values are numbers, not “12,50”; as text they cannot").wait_for()
    page.get_by_role("button", name="Read total as number").click()
    page.get_by_text("total: 1 row will be refused, since not numbers: “12,50”").wait_for()
    assert page.get_by_label("Type of total").input_value() == "number"
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_role("heading", name="The file is imported").wait_for()
    assert page.get_by_text("199 stored in orders_2026").is_visible()
    page.get_by_role("rowheader", name="Column 'total' is to be number").wait_for()


def test_a_file_is_dropped(visitor: Visitor) -> None:
    page = visitor.open("import")
    page.get_by_label("Drop a file here, or choose one").wait_for()
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.items.add(new File(["a,b\\n1,2\\n"], "dropped.csv"));
          const drop = new DragEvent("drop", { dataTransfer: data, bubbles: true });
          document.querySelector(".drop").dispatchEvent(drop);
        }"""
    )
    page.get_by_role("heading", name="dropped.csv").wait_for()
    page.get_by_text("1 row, 2 columns.").wait_for()


def test_an_import_goes_on_while_nobody_looks(visitor: Visitor) -> None:
    page = chosen(visitor, b"\n".join(b'{"n":%d}' % n for n in range(150_000)), "many.ndjson")
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_role("progressbar", name="Read of the file").wait_for()
    visitor.open("data")
    page.get_by_role("link", name="Import a file").click()
    page.get_by_role("link", name="many.ndjson").click()
    page.get_by_role("heading", name="The file is imported").wait_for()
    assert page.get_by_text("150,000 stored in many").is_visible()


def test_a_file_that_cannot_be_read_is_said_and_read_otherwise(visitor: Visitor) -> None:
    page = chosen(visitor, b"name\nann\nben\n", "names.txt")
    page.get_by_role("alert").filter(has_text="has no format that can be recognised").wait_for()
    visitor.forget("400")
    page.get_by_label("Format").select_option("csv")
    page.get_by_text("2 rows, 1 column.").wait_for()
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_role("heading", name="The file is imported").wait_for()
    page.get_by_role("button", name="Delete").click()
    page.get_by_text("The import is deleted.").wait_for()


def test_what_files_hold_is_never_html(visitor: Visitor) -> None:
    alerts: list[str] = []
    visitor.page.on("dialog", dismissing(alerts))
    content = f'"{EVIL}",b\n"{EVIL}",1\n'.encode()
    page = chosen(visitor, content, f"{EVIL}.csv")
    page.get_by_role("rowheader", name=EVIL).wait_for()
    assert page.locator("img[src=x]").count() == 0
    assert alerts == []


def test_the_start_of_an_empty_project_leads_to_it(visitor: Visitor) -> None:
    page = visitor.open()
    page.get_by_role("link", name="Import a file").click()
    page.get_by_role("heading", name="Import a file").wait_for()


def test_who_may_only_read_is_told_so(visiting: Visiting) -> None:
    visitor = visiting()
    visitor.enter(visitor.project.read_key)
    page = visitor.open("import")
    page.get_by_role("heading", name="Your role does not allow imports").wait_for()
