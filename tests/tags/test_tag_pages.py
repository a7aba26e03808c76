"""Tags on the lead page, and the colours of chips."""

import pytest

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
