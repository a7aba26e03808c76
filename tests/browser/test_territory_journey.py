"""In a real browser: a contractor gets ZIPs, a profile offers leads, and each goes to the holder of its ZIP."""

import datetime as dt
import re

import pytest
from django.conf import settings
from django.utils import timezone

from territories.models import Contractor, Referral, Territory
from tests.browser.test_journey import browser, expect, page, worker  # noqa: F401
from tests.factories import make_scored_lead, make_tag
from tests.territories.factories import make_contractor, make_territory

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, available_apps=settings.INSTALLED_APPS),
]


@pytest.fixture
def analyst(manager):
    """Who `page` logs in: it knows only this name."""
    manager.username = "analyst"
    manager.save()
    return manager


def test_a_contractor_takes_zips_and_gets_the_best_leads_of_them(page, worker):  # noqa: F811
    tag = make_tag(base_score=900)
    yesterday = timezone.now() - dt.timedelta(days=1)
    for zip_code, count in (("07030", 2), ("07102", 1), ("10001", 1)):
        for _ in range(count):
            make_scored_lead(tags=[tag], at=yesterday, zip=zip_code)

    page.click("nav.side >> text=Contractors")
    page.click("text=New contractor >> nth=0")
    page.fill("#id_company", "Harbor Roofing")
    page.fill("#id_daily_cap", "2")
    page.click("main form button[type=submit] >> nth=0")
    page.wait_for_selector("h1:has-text('Harbor Roofing')")

    page.click("text=Assign ZIPs")
    page.select_option("#id_contractor", label="Harbor Roofing")
    page.fill("#id_zips", "07030 07102")
    page.click("#preview-button")
    expect(page.locator("#free-count")).to_have_text("2")
    page.click("#confirm")
    expect(page.locator(".note.good")).to_contain_text("2 ZIPs")
    assert set(Territory.objects.values_list("zip", flat=True)) == {"07030", "07102"}

    page.click("nav.side >> text=Referrals")
    page.click("text=Lead generation >> nth=0")
    page.click("text=New profile >> nth=0")
    page.fill("#id_name", "Hot")
    page.fill("#id_min_score", "500")
    page.click("button:has-text('preview')")
    page.wait_for_selector("h1:has-text('Who would get what')")
    # The day's cap leaves one of the three leads out; the ZIP that nobody holds makes its lead wait.
    expect(page.locator("#preview-assigned")).to_have_text("2")
    expect(page.locator("#preview-generated")).to_have_text("1")
    assert not Referral.objects.exists()
    page.click("#run")
    page.wait_for_url(re.compile("/jobs/"))
    expect(page.locator("main")).to_contain_text("succeeded", timeout=20_000)
    harbor = Contractor.objects.get()
    found = sorted(Referral.objects.values_list("status", "contractor_id"))
    assert found == [("assigned", harbor.pk), ("assigned", harbor.pk), ("generated", None)]

    page.goto(f"/contractors/{harbor.pk}/pause/")
    page.click("main form button[type=submit]")
    expect(page.locator("main")).to_contain_text("paused")
    # What was not delivered is taken back, and its lead waits again.
    assert Referral.objects.filter(status="cancelled").count() == 2
    assert Referral.objects.filter(status="generated").count() == 3


def test_a_long_name_without_a_blank_makes_no_page_wider_than_the_screen(page):  # noqa: F811
    contractor = make_contractor(company="Roof" * 50)
    make_territory(contractor=contractor, zip_code="07030")
    page.set_viewport_size({"width": 390, "height": 800})
    for address in (
        "/contractors/",
        contractor.get_absolute_url(),
        "/territories/",
        "/territories/zip/07030/",
        "/territories/exclusivity/?zip=07030",
        f"/referrals/?view=list&contractor={contractor.pk}",
    ):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
