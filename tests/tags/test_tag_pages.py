"""Tags on the lead page, and the colours of chips."""

import datetime as dt
import re

import pytest
from django.utils import timezone

from accounts.models import User
from scoring.operations import sweep
from tags.models import LeadTag
from tags.templatetags.chips import chip_style, contrast
from tests.factories import assign, make_lead, make_scored_lead, make_tag

HTMX = {"HX-Request": "true"}


@pytest.mark.django_db
def test_the_panel_names_expired_tags_as_such(viewer_client, now):
    lead = make_lead()
    assign(lead, make_tag(name="Haunted"), now)
    assign(lead, make_tag(name="Flooded"), now, is_expired=True)
    page = viewer_client.get(f"/tags/lead/{lead.pk}/", headers=HTMX).content.decode()
    assert ">Haunted</span>" in page
    assert "Expired - Flooded" in page
    assert "<html" not in page


def panel(client, lead) -> str:
    """The tags panel as text, without tags of HTML."""
    page = client.get(f"/tags/lead/{lead.pk}/", headers=HTMX).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


@pytest.mark.django_db
def test_the_panel_shows_the_time_that_is_left_in_words_and_as_a_bar(viewer_client, viewer):
    User.objects.filter(pk=viewer.pk).update(time_zone="America/Chicago")
    lead, now = make_lead(), timezone.now()
    for name, left in {
        "Half": dt.timedelta(days=50, minutes=5),
        "Short": dt.timedelta(days=1, minutes=5),
        "Hours": dt.timedelta(hours=5, minutes=5),
        "Last": dt.timedelta(minutes=5),
        "Over": -dt.timedelta(minutes=5),
    }.items():
        assign(lead, make_tag(name=name), now + left - dt.timedelta(days=100), expiration_at=now + left)
    assign(lead, make_tag(name="Endless"), now)
    text = panel(viewer_client, lead)
    for name, said in {"Half": "50 days left", "Short": "1 day left", "Hours": "5 hours left"}.items():
        assert re.search(rf"{name} \w+ \d+, \d+ \w+ \d+, \d+ {said}", text), name
    assert "less than an hour left" in text
    assert text.count("expires soon") == 3
    assert re.search(r"Endless \w+ \d+, \d+ Never", text)
    # Over by its date, though no sweep has flagged it yet; both dates stay.
    assert re.search(r"Expired - Over \w+ \d+, \d+ \w+ \d+, \d+$", text)
    page = viewer_client.get(f"/tags/lead/{lead.pk}/", headers=HTMX).content.decode()
    assert page.count("time-bar") == 4
    assert 'class="time-bar" aria-hidden="true"><span style="width:50.00' in page
    assert re.search(r'title="Until \w+, \w+ \d+, \d+, [\d:]+ [AP]M C[SD]T"', page)


@pytest.mark.django_db
def test_a_day_of_a_list_is_its_own_day_and_the_exact_moment_the_persons(viewer_client, viewer):
    User.objects.filter(pk=viewer.pk).update(time_zone="America/Chicago")
    lead, start = make_lead(), dt.datetime(2026, 6, 15, tzinfo=dt.UTC)
    assign(lead, make_tag(), start, expiration_at=start + dt.timedelta(days=36_000))
    page = viewer_client.get(f"/tags/lead/{lead.pk}/", headers=HTMX).content.decode()
    assert 'title="Sunday, June 14, 2026, 7:00:00 PM CDT">Jun 15, 2026</time>' in page


@pytest.mark.django_db
def test_each_tag_marks_what_expires_soon_by_its_own_notice(viewer_client):
    lead, now = make_lead(), timezone.now()
    for name, notice in {"Early": 90, "Late": 7}.items():
        tag = make_tag(name=name, notice_days=notice)
        assign(lead, tag, now - dt.timedelta(days=1), expiration_at=now + dt.timedelta(days=60))
    early, late = panel(viewer_client, lead).split("Late")
    assert "expires soon" in early
    assert "expires soon" not in late


@pytest.mark.django_db
def test_at_the_due_moment_the_sweep_flags_it_the_tag_shows_as_expired_and_the_score_follows(viewer_client):
    now = timezone.now()
    haunted = make_tag(name="Haunted", base_score=700, expiration_days=30, expired_percent=10)
    lead = make_scored_lead(tags=[haunted, make_tag(base_score=100)], at=now - dt.timedelta(days=30, seconds=-2))
    lead_tag = LeadTag.objects.get(tag=haunted)
    assert (lead.score, lead.rescore_at) == (800, lead_tag.expiration_at)
    assert "Expired - " not in panel(viewer_client, lead)
    sweep(at=lead_tag.expiration_at - dt.timedelta(microseconds=1))
    lead.refresh_from_db()
    assert lead.score == 800
    sweep(at=lead_tag.expiration_at)
    lead.refresh_from_db()
    lead_tag.refresh_from_db()
    assert (lead.score, lead_tag.is_expired, lead.rescore_at) == (170, True, None)
    LeadTag.objects.filter(pk=lead_tag.pk).update(
        assigned_at=lead_tag.assigned_at - dt.timedelta(days=1), expiration_at=now - dt.timedelta(days=1)
    )  # the pages read their own clock
    assert re.search(r"Expired - Haunted \w+ \d+, \d+ \w+ \d+, \d+", panel(viewer_client, lead))
    score = viewer_client.get(f"/scoring/lead/{lead.pk}/", headers=HTMX).content.decode()
    assert "Expired - Haunted" in score
    assert '<span class="score-big">170</span>' in score


@pytest.mark.django_db
def test_without_htmx_the_panel_is_a_page(viewer_client):
    lead = make_lead()
    assert b"<html" in viewer_client.get(f"/tags/lead/{lead.pk}/").content


@pytest.mark.django_db
def test_an_analyst_adds_and_removes_a_tag_and_the_score_follows_at_once(
    analyst_client, django_capture_on_commit_callbacks
):
    lead, tag = make_scored_lead(tags=[]), make_tag(base_score=250)
    with django_capture_on_commit_callbacks(execute=True):
        response = analyst_client.post(f"/tags/lead/{lead.pk}/assign/", {"tag": tag.pk}, headers=HTMX)
    assert response["HX-Trigger"] == "lead-changed"
    lead.refresh_from_db()
    assert lead.score == 250
    with django_capture_on_commit_callbacks(execute=True):
        analyst_client.post(f"/tags/lead/{lead.pk}/remove/{tag.pk}/", headers=HTMX)
    lead.refresh_from_db()
    assert lead.score == 0
    assert LeadTag.objects.get(lead=lead, tag=tag).removed_at is not None


@pytest.mark.django_db
def test_without_htmx_adding_leads_back_to_the_lead(analyst_client):
    lead, tag = make_lead(), make_tag()
    response = analyst_client.post(f"/tags/lead/{lead.pk}/assign/", {"tag": tag.pk})
    assert response.url == f"/leads/{lead.pk}/"


@pytest.mark.django_db
@pytest.mark.parametrize("chosen", ["", "x", "999999", "9" * 30, "-1"])
def test_a_tag_that_cannot_be_added_is_said(analyst_client, chosen):
    lead = make_lead()
    response = analyst_client.post(f"/tags/lead/{lead.pk}/assign/", {"tag": chosen}, headers=HTMX)
    assert response.status_code == 422
    assert b"add-tag-wrong" in response.content


@pytest.mark.django_db
def test_a_viewer_sees_no_buttons_and_may_not_post(viewer_client):
    lead, tag = make_lead(), make_tag()
    assert b"<form" not in viewer_client.get(f"/tags/lead/{lead.pk}/", headers=HTMX).content
    assert viewer_client.post(f"/tags/lead/{lead.pk}/assign/", {"tag": tag.pk}).status_code == 403
    assert viewer_client.post(f"/tags/lead/{lead.pk}/remove/{tag.pk}/").status_code == 403


@pytest.mark.parametrize("color", ["#000000", "#ffffff", "#ffff00", "#c92a2a", "#667382", "#0b5394", "#f08c00"])
def test_every_chip_can_be_read_in_both_themes(color):
    style = dict(part.split(":") for part in chip_style(color).split(";"))

    def rgb(text: str) -> tuple[int, int, int]:
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)

    assert contrast(rgb(style["--fg-l"]), rgb(style["--bg-l"])) >= 4.5
    assert contrast(rgb(style["--fg-d"]), rgb(style["--bg-d"])) >= 4.5
