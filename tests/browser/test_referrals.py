"""In a real browser: a lead is referred by hand, seen in the pipeline and cancelled; a return is decided."""

import datetime as dt
import re

import pytest
from django.conf import settings
from django.utils import timezone

from territories.models import Referral
from tests.browser.test_journey import browser, expect, page  # noqa: F401
from tests.factories import make_scored_lead, make_tag
from tests.territories.factories import make_contractor, make_referral, make_return, make_territory

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


def test_from_the_page_of_a_lead_through_the_pipeline_to_its_end(page):  # noqa: F811
    now = timezone.now()
    lead = make_scored_lead(tags=[make_tag(base_score=900)], at=now - dt.timedelta(days=1), address="12 MAIN ST")
    harbor = make_contractor(company="Harbor Roofing", at=now)
    make_territory(contractor=harbor, zip_code=lead.zip, from_at=now - dt.timedelta(days=9))

    page.goto(f"/leads/{lead.pk}/")
    page.click("#panel-referrals >> text=Refer to Harbor Roofing")
    expect(page.locator("#panel-referrals .state")).to_have_text("assigned")

    page.click("nav.side >> text=Referrals")
    card = page.locator("section:has(#state-assigned) .referral-card")
    expect(card).to_have_count(1)
    expect(card).to_contain_text("Harbor Roofing")
    page.click("#state-assigned a")
    page.wait_for_url(re.compile(r"view=list&status=assigned$"))
    page.select_option("#id_status", "generated")
    page.wait_for_url(re.compile(r"view=list&status=generated$"))
    expect(page.locator("text=No referral matches")).to_be_visible()
    page.go_back()
    page.click("text=12 MAIN ST")
    page.wait_for_selector("h1:has-text('12 MAIN ST')")

    # By keyboard alone: open, say why, send.
    page.focus("#move-cancel")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("The owner called us")
    page.keyboard.press("Enter")
    expect(page.locator(".note.good")).to_contain_text("the lead is free for another referral")
    expect(page.locator(".timeline li").first).to_contain_text("The owner called us")
    assert Referral.objects.get().status == "cancelled"
    page.goto(f"/leads/{lead.pk}/")
    expect(page.locator("#panel-referrals >> text=Refer to Harbor Roofing")).to_be_visible()


def test_a_return_is_approved_from_the_queue(page):  # noqa: F811
    yesterday = timezone.now() - dt.timedelta(days=1)
    wish = make_return(referral=make_referral(at=yesterday), at=yesterday, note="Sold in May")
    page.goto("/referrals/")
    page.click("text=Look at it")
    expect(page.locator(".return-queue")).to_contain_text("Sold in May")
    page.fill(f"#decision-{wish.pk}", "Sorry about that")
    page.press(f"#decision-{wish.pk}", "Enter")  # decides nothing: a note is written for a refusal as well
    page.wait_for_timeout(500)
    wish.refresh_from_db()
    assert wish.status == "pending"
    page.click("button:has-text('Approve')")
    expect(page.locator(".note.good")).to_contain_text("Approved: the lead is not charged")
    expect(page.locator("text=Nothing waits for a decision")).to_be_visible()
    wish.refresh_from_db()
    assert (wish.status, wish.decision_note, wish.referral.status) == ("approved", "Sorry about that", "returned")
