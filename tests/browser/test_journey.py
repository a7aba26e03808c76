"""One journey in a real browser: from a county list to the reasons of the best lead, without a console error."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from django.conf import settings
from django.db import connections

from leadscore.celery import app
from tests.factories import make_lead, make_scored_lead, make_tag

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
# Named apps make the flush after each test cascade (knox leaves a table without a model) and bring the roles back; the
# seeded tags are gone then, so the journey makes its own.
pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, available_apps=settings.INSTALLED_APPS),
]

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LIST = """Property Address,City,State,Zip,Owner Name,Tags,Case No
12 Main Street,Hoboken,NJ,07030,Ana Silva,Estate;Empty House,A-1
34 Oak Avenue,Hoboken,NJ,07030,Omar Brand,Empty House,A-2
56 Elm Dr Apt 4,Hoboken,NJ,07030,Lee Okafor,,A-3
,Hoboken,NJ,07030,Nobody,Empty House,A-4
"""


@pytest.fixture
def browser() -> Iterator[Any]:
    found = os.environ.get("LEADSCORE_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium on this machine (looked for " + ", ".join(NAMES) + " and LEADSCORE_CHROMIUM)")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield chromium
        chromium.close()


def is_complaint(line: Any) -> bool:
    """Whether a line of the console says that something is wrong.

    Leaving a page cuts off what it was asking for in that moment, such as which jobs run; htmx calls that an error.
    """
    return line.type in {"error", "warning"} and not line.text.startswith(("htmx:afterRequest", "htmx:sendError"))


@contextlib.contextmanager
def working() -> Iterator[None]:
    """A real Celery worker, in a thread."""
    with start_worker(app, perform_ping_check=False, pool="solo", concurrency=1, shutdown_timeout=20):
        yield
    connections.close_all()


@pytest.fixture
def worker() -> Iterator[None]:
    with working():
        yield


@pytest.fixture
def page(browser, live_server, analyst) -> Iterator[Any]:
    """A tab of the analyst; whatever the console complains of fails the test at its end."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=live_server.url)
    tab = context.new_page()
    complaints: list[str] = []
    tab.on("console", lambda line: complaints.append(line.text) if is_complaint(line) else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto("/login/")
    tab.fill("#id_username", "analyst")
    tab.fill("#id_password", "correct horse battery")
    tab.click("button[type=submit]")
    tab.wait_for_url(live_server.url + "/")
    yield tab
    context.close()
    assert complaints == []


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_a_county_list_becomes_a_ranked_and_explained_lead_list(page, worker, tmp_path):
    for name, points in {"County List": 700, "Estate": 500, "Empty House": 400, "Parting": 300}.items():
        make_tag(name=name, base_score=points)
    file = tmp_path / "hudson.csv"
    file.write_text(LIST)

    page.click("text=Import the first list")
    page.set_input_files("#id_file", file)
    page.fill("#id_source", "Hudson clerk")
    page.check("label:has-text('County List') input")
    page.click("text=Upload and review")

    page.wait_for_selector("h1:has-text('hudson.csv')")
    assert page.locator("#column-1").input_value() == "address"
    assert page.locator(".preview tbody tr").count() == 4
    assert page.locator(".preview .problem").count() == 1
    page.click("button:has-text('Start import of 4 rows')")

    # The page asks by itself until the job has ended; nobody reloads it.
    page.wait_for_selector("text=See the leads", timeout=60_000)
    outcome = page.locator(".stack").get_attribute("aria-label")
    assert outcome == "3 created, 0 updated, 0 unchanged, 1 rejected of 4 rows"
    page.click("text=See the leads")

    page.wait_for_selector("table.leads")
    lines = page.locator(".leads .line").all_inner_texts()
    assert lines[0] == "12 MAIN ST"
    assert sorted(lines) == ["12 MAIN ST", "34 OAK AVE", "56 ELM DR APT 4"]
    scores = [number(text) for text in page.locator(".score-number").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)

    # Typing narrows the list; the address follows, and back and reload do what one hopes.
    page.locator("#id_q").press_sequentially("oak", delay=30)
    page.wait_for_url(re.compile(r"q=oak"))
    assert page.locator(".leads .line").all_inner_texts() == ["34 OAK AVE"]
    assert page.evaluate("document.activeElement.id") == "id_q"
    page.reload()
    assert page.locator("#id_q").input_value() == "oak"
    page.go_back()
    expect(page.locator(".leads .line")).to_have_count(3)

    page.click("text=12 MAIN ST")
    page.wait_for_selector(".waterfall tfoot")
    *points, total = [number(text) for text in page.locator(".waterfall .w-points strong").all_inner_texts()]
    assert sum(points) == total == scores[0] == number(page.inner_text(".score-big"))
    page.wait_for_selector("text=Hudson clerk")
    assert page.locator(".extra dd").all_inner_texts() == ["A-1"]

    page.select_option("#add-tag", label="Parting")
    page.click("#add-tag-button")
    expect(page.locator(".score-big")).not_to_have_text(f"{total:,}")
    assert number(page.inner_text(".score-big")) > total


def slow_click(page, link):
    """A click with a held button, as people do it: what leaving the last field has caused arrives in between."""
    link.hover()
    page.mouse.down()
    page.wait_for_timeout(400)
    page.mouse.up()


def test_neither_a_filter_nor_a_click_is_lost_between_form_and_links(page):
    for points in (500, 2_500, 1_500):
        make_scored_lead(tags=[make_tag(base_score=points)], address=f"{points} WEXCOMBE DR", zip=f"0{5_000 - points}")
    page.goto("/leads/?q=wexcombe")
    page.fill("#id_score_min", "1000")
    slow_click(page, page.locator("#sort-zip"))
    page.wait_for_url("**/leads/?q=wexcombe&score_min=1000&sort=zip")
    assert page.locator(".leads .line").all_inner_texts() == ["2500 WEXCOMBE DR", "1500 WEXCOMBE DR"]
    page.fill("#id_score_min", "2000")
    page.click("#sort-zip")
    page.wait_for_url("**/leads/?q=wexcombe&score_min=2000&sort=-zip")
    expect(page.locator(".leads .line")).to_have_text(["2500 WEXCOMBE DR"])

    # A press that is let go elsewhere follows no link; the filter counts all the same.
    page.fill("#id_score_min", "1000")
    page.locator("#sort-zip").hover()
    page.mouse.down()
    page.locator("h1").hover()
    page.mouse.up()
    page.wait_for_url("**/leads/?q=wexcombe&score_min=1000&sort=-zip")

    page.fill("#id_score_min", "")
    page.click(".leads .line >> text=1500 WEXCOMBE DR")
    page.wait_for_selector("h1:has-text('1500 WEXCOMBE DR')")


def test_leaving_a_search_box_asks_for_nothing_that_stands_there_already(page):
    make_lead(address="1 NEAR ST")
    make_lead(address="2 FAR ST")
    page.goto("/leads/")
    page.locator("#id_q").press_sequentially("near", delay=30)
    page.wait_for_url("**/leads/?q=near")
    expect(page.locator(".leads .line")).to_have_count(1)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/leads/?" in request.url else None)

    # Neither a tick nor the way back is lost by it.
    page.get_by_label("Select 1 NEAR ST").check()
    page.locator("#id_q").focus()
    page.locator("#id_city").focus()
    page.wait_for_timeout(500)
    assert asked == []
    expect(page.locator("#picked")).to_have_text("1 selected")
    page.go_back()
    page.wait_for_url("**/leads/")
    expect(page.locator(".leads .line")).to_have_count(2)

    # What stands there now is something else: the same letters are asked for again.
    page.locator("#id_q").fill("near")
    page.locator("#id_city").focus()
    expect(page.locator(".leads .line")).to_have_count(1)


def test_a_phone_shows_cards_and_nothing_runs_off_its_side(browser, live_server, analyst):
    context = browser.new_context(viewport={"width": 390, "height": 844}, base_url=live_server.url, is_mobile=True)
    tab = context.new_page()
    tab.goto("/login/")
    tab.fill("#id_username", "analyst")
    tab.fill("#id_password", "correct horse battery")
    tab.click("button[type=submit]")
    make_lead(address="1 NEAR ST")
    lead = make_scored_lead(tags=[make_tag(name="Unreasonably" * 6)], address="2 FAR ST")
    for path in ("/", "/imports/", "/jobs/", lead.get_absolute_url(), "/leads/"):
        tab.goto(path)
        tab.wait_for_load_state("networkidle")
        assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
    expect(tab.locator("#id_zip")).to_be_hidden()
    tab.click("text=More filters")
    expect(tab.locator("#id_zip")).to_be_visible()
    tab.select_option("#sort-choice", "-address")
    tab.wait_for_url(re.compile("sort=-address"))
    assert tab.locator(".leads .line").all_inner_texts() == ["2 FAR ST", "1 NEAR ST"]
    context.close()


def test_a_tag_goes_on_all_that_match_a_filter_and_off_again_by_undo(page, worker, monkeypatch):
    monkeypatch.setattr("leads.queries.PAGE_SIZE", 4)
    vacant, mark = make_tag(name="Empty House", base_score=400), make_tag(name="County List", base_score=100)
    had = make_scored_lead(tags=[vacant, mark], address="1 WEXCOMBE DR")
    for house in range(2, 11):
        make_scored_lead(tags=[mark], address=f"{house} WEXCOMBE DR")
    make_scored_lead(tags=[], address="1 OTHER ST")
    page.goto("/leads/")
    bar = page.locator("#bulk-form")
    expect(bar).to_be_hidden()
    page.locator("#id_q").press_sequentially("wexcombe", delay=30)
    page.wait_for_url("**/leads/?q=wexcombe")
    expect(page.locator(".count")).to_have_text("10 of 11 leads")

    # One row, then the page, then all that match: by keyboard as well as by mouse.
    page.get_by_label("Select 1 WEXCOMBE DR").focus()
    page.keyboard.press("Space")
    expect(page.locator("#picked")).to_have_text("1 selected")
    page.check("#pick-page")
    expect(page.locator("#picked")).to_have_text("4 selected")
    expect(page.locator("#announcer")).to_have_text("4 selected")
    page.check("#pick-all")
    expect(page.locator("#picked")).to_have_text("10 selected")
    page.uncheck(".leads tbody tr:nth-child(2) input[name=lead]")
    expect(page.locator("#picked")).to_have_text("3 selected")
    expect(page.locator("#pick-all")).not_to_be_checked()
    page.click("#bulk-form button:has-text('Clear')")
    expect(bar).to_be_hidden()
    page.check("#pick-page")
    page.check("#pick-all")
    page.select_option("#bulk-tag", label="Empty House")
    page.click("text=Add tag")

    # The address of the confirmation holds everything: it survives a reload.
    page.wait_for_url("**/tags/bulk/?*")
    page.reload()
    expect(page.locator("h1")).to_have_text("Add Empty House to 10 leads")
    counts = [page.inner_text(f"#bulk-{name}") for name in ("count", "changing", "unchanged")]
    assert counts == ["10", "9", "1"]
    assert page.locator(".leads .line").count() == 8
    page.click("#bulk-start")

    # The bar asks by itself until the job has ended.
    page.wait_for_url(re.compile(r"/tags/bulk/\d+/$"))
    page.wait_for_selector("#changed", timeout=60_000)
    assert [page.inner_text("#changed"), page.inner_text("#unchanged")] == ["9", "1"]
    page.click("text=See the leads")
    page.wait_for_url("**/leads/?q=wexcombe")
    assert {number(text) for text in page.locator(".score-number").all_inner_texts()} == {500}
    page.go_back()
    page.click("#undo")
    page.wait_for_selector("#put-back", timeout=60_000)
    assert [page.inner_text("#put-back"), page.inner_text("#left")] == ["9", "0"]
    page.goto("/leads/?score_min=500")
    assert page.locator(".leads .line").all_inner_texts() == [had.address]


def test_selecting_works_without_scripts_and_on_a_phone(browser, live_server, analyst):
    tag = make_tag(name="Empty House")
    for house in range(3):
        make_lead(address=f"{house} NEAR ST")
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, base_url=live_server.url, is_mobile=True, java_script_enabled=False
    )
    tab = context.new_page()
    tab.goto("/login/")
    tab.fill("#id_username", "analyst")
    tab.fill("#id_password", "correct horse battery")
    tab.click("button[type=submit]")
    tab.goto("/leads/?sort=address")
    expect(tab.locator("#bulk-form")).to_be_hidden()
    expect(tab.locator("#pick-page")).to_be_hidden()
    tab.check(".leads tbody tr:nth-child(2) input[name=lead]")
    expect(tab.locator("#bulk-form")).to_be_visible()
    tab.select_option("#bulk-tag", label=tag.name)
    tab.click("text=Add tag")
    expect(tab.locator("h1")).to_have_text("Add Empty House to 1 lead")
    assert tab.locator(".leads .line").all_inner_texts() == ["1 NEAR ST"]
    box = tab.locator("#bulk-start").bounding_box()
    assert box["x"] + box["width"] <= 390
    context.close()
