"""A manager shortens a tag's clock in a real browser: counts as one types, the effect, publishing, the version."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from scoring.operations import drain_due
from tests.browser import test_journey as journey
from tests.factories import make_scored_lead, make_tag

browser, working, expect = journey.browser, journey.working, journey.expect
pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, available_apps=settings.INSTALLED_APPS),
]


@pytest.fixture
def page(browser, live_server, manager) -> Iterator[Any]:
    """A tab of the manager; whatever the console complains of fails the test at its end."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=live_server.url)
    tab = context.new_page()
    complaints: list[str] = []
    tab.on("console", lambda line: complaints.append(line.text) if journey.is_complaint(line) else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto("/login/")
    tab.fill("#id_username", "manager")
    tab.fill("#id_password", "correct horse battery")
    tab.click("button[type=submit]")
    tab.wait_for_url(live_server.url + "/")
    yield tab
    context.close()
    assert complaints == []


def test_expiration_is_changed_for_running_assignments_after_a_preview(page):
    tag = make_tag(name="Haunted", base_score=700, expiration_days=90)
    for age in (50, 40, 20, 5):
        lead = make_scored_lead(tags=[tag], at=timezone.now() - dt.timedelta(days=age))
    drain_due(at=timezone.now())
    page.goto(f"/tags/{tag.pk}/")
    counts = page.locator("#expiration-effect")
    expect(counts).to_contain_text("Off: the 4 assignments that are there keep their end. On: none would change.")
    page.locator("#id_expiration_days").fill("30")
    expect(counts).to_contain_text("On: 4 would change, 2 expire, 0 revive.")
    page.check("text=Apply changes retroactively to existing assignments")
    expect(counts).to_contain_text("4 of 4 assignments change · 2 expire · 0 revive")
    expect(counts).to_contain_text("2 of 4 leads change their scores")

    page.click("#preview-button")
    effect = page.locator("#preview .counts.assignments")
    expect(effect).to_contain_text("End otherwise")
    assert effect.locator("strong").all_inner_texts() == ["4", "4", "2", "0"]
    # What was previewed is what is published: typing on takes the button away.
    page.locator("#id_expiration_days").fill("3")
    expect(page.locator("#preview")).to_contain_text("has changed since the preview")
    expect(page.locator("#preview button")).to_have_count(0)
    page.locator("#id_expiration_days").fill("30")
    page.click("#preview-button")
    page.fill("#publish-reason", "sooner")
    page.click("button:has-text('Publish')")

    # The page asks by itself until the job has ended; nobody reloads it.
    expect(page.locator("#rule-applying")).to_contain_text("being applied")
    with working():
        page.wait_for_selector("text=Applied: every lead that it touches has its new score", timeout=60_000)
    page.reload()
    version = page.locator(".versions li").first
    expect(version).to_contain_text("Retroactive: 4 assignments changed, 2 expired, 0 revived")
    expect(version).to_contain_text("sooner")
    expect(page.locator("#id_is_retroactive")).not_to_be_checked()
    page.goto(f"/leads/?tags={tag.pk}")
    expect(page.locator(".leads .line")).to_have_count(2)
    page.goto(lead.get_absolute_url())
    expect(page.locator(".score-big")).to_have_text("700")
