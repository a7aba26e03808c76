"""Why this score, and the button that recalculates."""

import datetime as dt
import re

import pytest
from django.utils import timezone

from jobs.models import Job
from scoring.queries import explain_score
from scoring.views import waterfall
from tags.models import TagGroup
from tests.factories import assign, make_scored_lead, make_tag

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def test_the_lines_add_up_to_the_score(viewer_client):
    group = TagGroup.objects.create(name="Trouble", cap=900)
    tags = [make_tag(base_score=700, group=group), make_tag(base_score=600, group=group), make_tag(base_score=-150)]
    lead = make_scored_lead(tags=tags, at=timezone.now() - dt.timedelta(days=3))
    page = viewer_client.get(f"/scoring/lead/{lead.pk}/", headers=HTMX).content.decode()
    points = [int(n.replace(",", "")) for n in re.findall(r'w-points"><strong>(-?[\d,]+)</strong>', page)]
    *lines, total = points
    assert sum(lines) == total == lead.score == 750
    assert "Cap of Trouble" in page
    assert "-400" in page


def test_each_bar_begins_where_the_one_before_ended(now):
    group = TagGroup.objects.create(name="Trouble", cap=900)
    tags = [make_tag(base_score=700, group=group), make_tag(base_score=600, group=group), make_tag(base_score=100)]
    lead = make_scored_lead(tags=tags)
    steps = waterfall(explain_score(lead=lead, now=now))
    assert [step.points for step in steps] == [700, 600, -400, 100]
    assert [step.left for step in steps] == ["0.00%", "53.85%", "69.23%", "69.23%"]


def test_a_tag_dated_in_the_future_says_when_it_starts(viewer_client):
    lead = make_scored_lead(tags=[])
    assign(lead, make_tag(base_score=700), dt.datetime(2050, 1, 5, tzinfo=dt.UTC))
    page = viewer_client.get(f"/scoring/lead/{lead.pk}/", headers=HTMX).content.decode()
    assert re.search(r"starts <time[^>]*>Jan 5, 2050</time>", page)
    for wrong in ("&nbsp;day", "×", "not counted"):
        assert wrong not in page.split("<tbody>")[1].split("</tbody>")[0]


def test_a_lead_without_tags_says_so(viewer_client):
    lead = make_scored_lead(tags=[])
    assert b"No tag is on this lead" in viewer_client.get(f"/scoring/lead/{lead.pk}/", headers=HTMX).content


def test_a_manager_starts_one_recalculation_however_often_the_button_is_pressed(manager_client):
    first = manager_client.post("/scoring/recalculate/")
    second = manager_client.post("/scoring/recalculate/")
    assert first.url == second.url == Job.objects.get().get_absolute_url()


def test_others_may_not_recalculate_and_see_no_button(viewer_client, analyst_client):
    for client in (viewer_client, analyst_client):
        assert client.post("/scoring/recalculate/").status_code == 403
        assert b"Recalculate" not in client.get("/jobs/").content
    assert viewer_client.get("/scoring/recalculate/").status_code == 405
