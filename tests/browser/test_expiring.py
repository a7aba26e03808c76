"""In a real browser: from the banner to exactly the leads that are about to lose a tag."""

import datetime as dt
import re

from django.utils import timezone

from tests.browser.test_journey import browser, expect, page, pytestmark  # noqa: F401
from tests.factories import assign, make_lead, make_tag


def test_the_banner_leads_to_exactly_the_leads_that_lose_a_tag_soon(page):  # noqa: F811
    now = timezone.now()
    haunted, flooded = make_tag(name="Haunted", base_score=700), make_tag(name="Flooded")
    for street, days in {"1 NEAR ST": 3, "2 NIGH ST": 20, "3 FAR ST": 200}.items():
        tags = (haunted, flooded) if street == "1 NEAR ST" else (haunted,)
        lead = make_lead(address=street)
        for tag in tags:
            assign(lead, tag, now - dt.timedelta(days=100), expiration_at=now + dt.timedelta(days=days, minutes=5))
    page.goto("/leads/")
    expect(page.locator(".note.expiring")).to_contain_text("Expiring in the next 30 days: Haunted 2, Flooded 1")
    page.click(".note.expiring >> text=Haunted")
    page.wait_for_url(re.compile(rf"/leads/\?expiring={haunted.pk}$"))
    assert sorted(page.locator(".leads .line").all_inner_texts()) == ["1 NEAR ST", "2 NIGH ST"]
    expect(page.locator(".count")).to_have_text("2 of 3 leads")
    # The choice stays while the list is narrowed, and goes when it is removed.
    page.locator("#id_q").press_sequentially("nigh", delay=30)
    page.wait_for_url(re.compile(rf"q=nigh&expiring={haunted.pk}"))
    expect(page.locator(".leads .line")).to_have_text(["2 NIGH ST"])
    page.click(".chosen >> text=Haunted")
    page.wait_for_url(re.compile(r"/leads/\?q=nigh$"))

    page.click(".leads .line >> text=2 NIGH ST")
    expect(page.locator("#panel-tags .time-left")).to_have_text("20 days left, expires soon")

    page.goto("/leads/")
    page.click("#expiring-toggle")
    expect(page.locator(".note.expiring")).to_have_count(0)
    assert page.evaluate("document.activeElement.id") == "expiring-toggle"
    page.reload()
    expect(page.locator("#expiring")).to_have_count(0)
