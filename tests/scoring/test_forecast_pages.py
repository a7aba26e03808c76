"""The panels of what comes next and how it got here, and the same over the API."""

import datetime as dt
import re

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from accounts.models import User
from jobs.models import Job
from scoring.curves import step_curve
from scoring.models import ScoreChange
from tags.models import TagGroup
from tests.api import api_client, problem
from tests.conftest import NOW
from tests.factories import import_rows, make_lead, make_scored_lead, make_tag

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def api(viewer) -> Client:
    return api_client(viewer)


def text_of(page: str) -> str:
    """The words of a page, as they are read."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def change(lead_id: int, at: dt.datetime, before: int, after: int, cause: int, job_id: int | None = None) -> None:
    ScoreChange.objects.create(lead_id=lead_id, at=at, from_score=before, to_score=after, cause=cause, job_id=job_id)


# What comes next ------------------------------------------------------------------------------------------------------


def test_what_comes_next_names_each_day_each_reason_and_the_score_after_it(viewer_client) -> None:
    today = timezone.now()
    lead = make_scored_lead(
        tags=[
            make_tag(name="Lawsuit", base_score=400, expiration_days=30),
            make_tag(name="Open door", base_score=500, decay_steps=[[60, 80]]),
        ],
        at=today,
    )
    page = viewer_client.get(f"/scoring/lead/{lead.pk}/forecast/", headers=HTMX).content.decode()
    words = text_of(page)
    assert "From 900 today to 400 in 90 days" in words
    first, second = re.findall(r"<tr>\s*<th scope=\"row\".*?</tr>", page, re.DOTALL)
    assert "Lawsuit expires -400 then 500" in text_of(first)
    assert (today + dt.timedelta(days=30)).isoformat() in first
    assert "Open door fades to 80% -100 then 400" in text_of(second)
    assert page.count('class="curve-dot"') == 2
    assert "<script" not in page


def test_two_reasons_on_one_day_have_their_own_points(viewer_client) -> None:
    group = TagGroup.objects.create(name="Trouble", cap=600)
    tags = [make_tag(base_score=500, expiration_days=10, group=group), make_tag(base_score=400, group=group)]
    lead = make_scored_lead(tags=tags, at=timezone.now())
    words = text_of(viewer_client.get(f"/scoring/lead/{lead.pk}/forecast/", headers=HTMX).content.decode())
    assert "expires -500" in words
    assert "Cap of Trouble gives back +300" in words
    assert "-200 then 400" in words


def test_where_nothing_changes_it_says_so_and_until_when(viewer_client) -> None:
    lead = make_scored_lead(tags=[make_tag(base_score=300, expiration_days=200)], at=timezone.now())
    page = viewer_client.get(f"/scoring/lead/{lead.pk}/forecast/", headers=HTMX).content.decode()
    assert "Nothing changes in the next 90 days" in page
    until = timezone.localtime(lead.rescore_at)  # the day where people look, not that of UTC
    assert f"stays at 300 until {until:%b} {until.day}" in text_of(page).replace("  ", " ")
    bare = make_scored_lead(tags=[])
    assert b"stays at <strong>0</strong>, unless" in viewer_client.get(f"/scoring/lead/{bare.pk}/forecast/").content


# How it got here ------------------------------------------------------------------------------------------------------


def test_the_history_tells_when_from_to_why_and_by_which_job(viewer_client) -> None:
    batch = import_rows("Address,City,State,Tags\n2 Main St,Hoboken,NJ,Estate\n", name="roll.csv")
    lead = make_lead()
    change(lead.pk, NOW, 0, 1300, ScoreChange.Cause.IMPORT, batch.job_id)
    change(lead.pk, NOW + dt.timedelta(days=3), 1300, 900, ScoreChange.Cause.EXPIRATION)
    page = viewer_client.get(f"/scoring/lead/{lead.pk}/history/", headers=HTMX).content.decode()
    newest, oldest = re.findall(r"<tr>\s*<th scope=\"row\".*?</tr>", page, re.DOTALL)
    assert "1,300 → 900 -400 Expiration" in text_of(newest)
    assert "0 → 1,300 +1,300 Import" in text_of(oldest)
    assert f'href="/jobs/{batch.job_id}/"' in oldest
    assert "href" not in newest
    assert 'role="img"' in page


def test_a_person_who_may_not_see_jobs_gets_no_link_to_one(person) -> None:
    job = Job.objects.create(kind="recalculate-scores", title="Recalculate all scores", created_at=NOW, as_of=NOW)
    lead = make_lead()
    change(lead.pk, NOW, 0, 100, ScoreChange.Cause.DECAY, job.pk)
    someone = User.objects.create_user(username="guest")
    someone.user_permissions.add(Permission.objects.get(codename="view_lead"))
    client = Client()
    client.force_login(someone)
    page = client.get(f"/scoring/lead/{lead.pk}/history/", headers=HTMX).content
    assert b"+100" in page
    assert b"/jobs/" not in page


def test_a_job_that_is_gone_leaves_no_dead_link(viewer_client) -> None:
    lead = make_lead()
    change(lead.pk, NOW, 0, 100, ScoreChange.Cause.DECAY, 999)
    assert b"/jobs/" not in viewer_client.get(f"/scoring/lead/{lead.pk}/history/", headers=HTMX).content


def test_a_lead_without_changes_says_so(viewer_client) -> None:
    lead = make_lead()
    assert b"has not changed yet" in viewer_client.get(f"/scoring/lead/{lead.pk}/history/", headers=HTMX).content


def test_the_lead_page_asks_for_both_panels_after_the_score(viewer_client) -> None:
    lead = make_lead()
    page = viewer_client.get(f"/leads/{lead.pk}/").content.decode()
    places = [page.index(f'id="panel-{key}"') for key in ("score", "forecast", "history")]
    assert places == sorted(places)


@pytest.mark.parametrize("panel", ["forecast", "history"])
def test_panels_take_the_right_to_see_leads_and_a_lead(person, viewer_client, panel) -> None:
    client = Client()
    client.force_login(person("contractor"))
    lead = make_lead()
    assert client.get(f"/scoring/lead/{lead.pk}/{panel}/").status_code == 403
    assert viewer_client.get(f"/scoring/lead/{lead.pk + 1}/{panel}/").status_code == 404
    alone = viewer_client.get(f"/scoring/lead/{lead.pk}/{panel}/")  # without htmx, a page of its own
    assert b"<h1>" in alone.content


# The picture ----------------------------------------------------------------------------------------------------------


def test_a_curve_steps_where_the_score_does(now) -> None:
    day = dt.timedelta(days=1)
    curve = step_curve(steps=[(now, 800), (now + 45 * day, -200)], first=now, last=now + 90 * day)
    assert [tick.value for tick in curve.ticks] == [1000, 500, 0, -500]
    assert curve.line == "M0 13.33H50.00V80.00H100"
    assert curve.area == f"{curve.line}V66.67H0Z"
    assert [(dot.left, dot.top) for dot in curve.dots] == [("50.00%", "80.00%")]
    assert [mark.at for mark in curve.marks] == [now, now + 30 * day, now + 60 * day, now + 90 * day]


def test_a_curve_of_nothing_lies_on_the_ground(now) -> None:
    curve = step_curve(steps=[(now, 0)], first=now, last=now)
    assert curve.line == "M0 100.00H100"
    assert [tick.value for tick in curve.ticks] == [1, 0]


# The API -------------------------------------------------------------------------------------------------------------


def test_the_forecast_begins_today_and_adds_up(api) -> None:
    lead = make_scored_lead(tags=[make_tag(name="Lawsuit", base_score=400, expiration_days=30)], at=timezone.now())
    body = api.get(f"/api/leads/{lead.pk}/forecast").json()
    today, expired = body["points"]
    assert (body["days"], today["at"], today["score"], today["turns"]) == (90, body["at"], 400, [])
    assert (expired["score"], expired["change"]) == (0, -400)
    assert [(turn["tag"], turn["what"], turn["points"]) for turn in expired["turns"]] == [("Lawsuit", "expires", -400)]
    begins, ends = (dt.datetime.fromisoformat(body[name]) for name in ("at", "until"))
    assert ends - begins == dt.timedelta(days=90)
    assert len(api.get(f"/api/leads/{lead.pk}/forecast?days=29").json()["points"]) == 1
    assert api.get(f"/api/leads/{lead.pk}/forecast?days=365").json()["days"] == 365


@pytest.mark.parametrize("days", ["", "0", "366", "-1", "1.5", "many", "٣", "9" * 30, "%00"])
def test_days_beyond_sense_get_400(api, days) -> None:
    assert "days" in problem(api.get(f"/api/leads/{make_lead().pk}/forecast?days={days}"), 400)["errors"]


def test_the_history_comes_newest_first_in_pages_that_lose_nothing(api) -> None:
    lead, other = make_lead(), make_lead()
    # Three changes at one moment: the page ends among them.
    for number, hours in enumerate([0, 1, 1, 1, 2]):
        change(lead.pk, NOW + dt.timedelta(hours=hours), number, number + 1, ScoreChange.Cause.TAG_CHANGE)
    change(other.pk, NOW, 0, 77, ScoreChange.Cause.DECAY, 5)
    address: str | None = f"/api/leads/{lead.pk}/score-history?limit=2"
    found = []
    while address:
        body = api.get(address).json()
        found += [row["to_score"] for row in body["results"]]
        address = body["next"]
    assert found == [5, 4, 3, 2, 1]
    up = api.get(f"/api/leads/{lead.pk}/score-history?sort=at").json()["results"]
    assert [row["from_score"] for row in up] == [0, 1, 2, 3, 4]
    (row,) = api.get(f"/api/leads/{other.pk}/score-history").json()["results"]
    assert row == {"at": "2026-06-15T12:00:00Z", "from_score": 0, "to_score": 77, "cause": "decay", "job_id": 5}


@pytest.mark.parametrize("route", ["forecast", "score-history"])
def test_no_lead_no_answer_and_an_unknown_parameter_is_refused(api, route) -> None:
    lead = make_lead()
    problem(api.get(f"/api/leads/{lead.pk + 1}/{route}"), 404)
    assert "on" in problem(api.get(f"/api/leads/{lead.pk}/{route}?on=1"), 400)["errors"]
    problem(api.get(f"/api/leads/{lead.pk}/score-history?cursor=x"), 400)
