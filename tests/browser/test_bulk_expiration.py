"""Many tags get other days in a real browser: tick by typing, set for all, preview, publish, applied."""

import datetime as dt
import re

import pytest
from django.conf import settings
from django.utils import timezone

from leads.models import Lead
from scoring.operations import drain_due
from tags.models import RuleChange, Tag
from tests.browser.test_journey import browser, expect, page, working  # noqa: F401
from tests.factories import make_scored_lead, make_tag

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


def test_many_tags_get_other_days_and_their_assignments_follow(page):  # noqa: F811
    haunted = make_tag(name="Haunted", base_score=700, expiration_days=90)
    cursed = make_tag(name="Cursed", base_score=50, expiration_days=30)
    flooded = make_tag(name="Flooded", expiration_days=365)
    for days in (5, 50, 100):
        make_scored_lead(tags=[haunted, cursed], at=timezone.now() - dt.timedelta(days=days))
    drain_due(at=timezone.now())

    page.goto("/tags/")
    page.click("text=Expiration")
    page.wait_for_url("**/tags/expirations/")

    # Typing ticks the row; the counts follow.
    page.fill(f"#days-{haunted.pk}", "30")
    expect(page.locator(f"#tag-{haunted.pk}")).to_be_checked()
    page.check(f"#all-{haunted.pk}")
    expect(page.locator("#expirations-effect")).to_contain_text("3 of 3 assignments change · 1 expires")

    # Enter previews, wherever the cursor is.
    page.fill(f"#days-{cursed.pk}", "200")
    page.press(f"#days-{cursed.pk}", "Enter")
    expect(page.locator("form.publish")).to_be_visible()

    # The same for all ticked.
    page.fill("#all_days", "200")
    page.check("input[name=all_retroactive]")
    page.click("#fill-button")
    expect(page.locator(f"#days-{haunted.pk}")).to_have_value("200")
    expect(page.locator(f"#days-{cursed.pk}")).to_have_value("200")
    expect(page.locator(f"#all-{cursed.pk}")).to_be_checked()
    assert page.input_value(f"#days-{flooded.pk}") == "365"
    page.wait_for_url(re.compile("days-"))
    page.reload()
    expect(page.locator(f"#days-{cursed.pk}")).to_have_value("200")

    # One preview for all; whatever is typed after it takes it away.
    page.click("#preview-button")
    expect(page.locator(".by-tag tbody tr")).to_have_count(2)
    page.fill(f"#days-{haunted.pk}", "30")
    expect(page.locator("#preview")).to_contain_text("Preview its effect again")
    page.click("#preview-button")
    expect(page.locator(".by-tag tbody tr").first).to_contain_text("Cursed")
    expect(page.locator("form.publish")).to_be_visible()
    assert not RuleChange.objects.exists()

    page.fill("#publish-reason", "county reports come monthly")
    page.click("form.publish button")
    page.wait_for_url("**/tags/expirations/")
    expect(page.locator("#rule-applying")).to_contain_text("being applied")
    with working():
        expect(page.locator("#rule-applying")).to_contain_text("Applied", timeout=60_000)
    change = RuleChange.objects.get()
    assert (change.tag_ids, change.reason) == ([haunted.pk, cursed.pk], "county reports come monthly")
    assert dict(Tag.objects.filter(pk__in=change.tag_ids).values_list("name", "expiration_days")) == {
        "Haunted": 30, "Cursed": 200,
    }  # fmt: skip
    assert list(Lead.objects.order_by("pk").values_list("score", flat=True)) == [750, 50, 50]
