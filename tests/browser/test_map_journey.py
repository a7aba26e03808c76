"""In a real browser: from the country to a ZIP on the map, by pointing and by keys."""

import re

from tests.browser.test_journey import browser, expect, page, pytestmark  # noqa: F401
from tests.factories import make_lead
from tests.territories.factories import make_contractor, make_territory


def test_the_map_is_read_by_keys_and_narrowed_by_choices(page):  # noqa: F811
    harbor = make_contractor(company="Harbor Roofing")
    for zip_code in ("07102", "07030"):
        make_territory(contractor=harbor, zip_code=zip_code)
    make_lead(zip="08401", score=1400)
    page.goto("/territories/map/")
    page.select_option("#id_state", "NJ")
    page.wait_for_url(re.compile(r"/territories/map/\?state=NJ$"))
    expect(page.locator("svg[data-map] circle")).to_have_count(3)
    # The outlines are drawn from a file of their own.
    box = page.locator('svg[data-map] use[href$="#c34013"]').bounding_box()
    assert box is not None
    assert box["width"] > 20

    # One stop of the tab key; from there the arrows go by direction: Atlantic City lies south of Hoboken.
    dots = page.locator("svg[data-map] [data-spot]")
    expect(page.locator('svg[data-map] [tabindex="0"]')).to_have_count(1)
    dots.filter(has_text="07030").focus()
    expect(page.locator("#map-told")).to_have_text(re.compile("^07030 Hoboken: held by Harbor Roofing"))
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#map-told")).to_have_text(re.compile("^07102 Newark"))
    page.keyboard.press("ArrowDown")
    expect(page.locator("#map-told")).to_have_text(re.compile("^08401 Atlantic City: free, 1 lead waiting, best 1,400"))
    page.keyboard.press("ArrowDown")
    expect(page.locator("#map-told")).to_have_text(re.compile("^08401"))

    page.select_option("#id_county", "34013")
    page.wait_for_url(re.compile(r"/territories/map/\?state=NJ&county=34013$"))
    expect(page.locator("svg[data-map] circle")).to_have_count(1)
    expect(page.locator("table.map-zips tbody tr")).to_have_count(1)
    page.go_back()
    page.wait_for_url(re.compile(r"/territories/map/\?state=NJ$"))
    expect(page.locator("svg[data-map] circle")).to_have_count(3)
