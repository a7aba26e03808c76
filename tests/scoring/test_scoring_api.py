"""GET /api/leads/{id}/score and POST /api/leads/recalculate-scores."""

import datetime as dt

import pytest
from django.test import Client

from jobs.models import Job
from leads.models import Lead
from tags.models import TagGroup
from tests.api import api_client, problem
from tests.conftest import NOW
from tests.factories import assign, make_lead, make_scored_lead, make_tag

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(viewer) -> Client:
    return api_client(viewer)


def test_the_lines_add_up_to_the_stored_score(api) -> None:
    group = TagGroup.objects.create(name="Capped", cap=1000)
    lead = make_scored_lead(
        tags=[
            make_tag(name="A", base_score=900, group=group),
            make_tag(name="B", base_score=700, group=group),
            make_tag(name="C", base_score=55, color="#112233"),
        ]
    )
    body = api.get(f"/api/leads/{lead.pk}/score").json()
    points = [line["points"] for line in body["lines"] + body["cap_lines"]]
    assert body["total"] == body["stored_score"] == lead.score == 1055 == sum(points)
    assert body["cap_lines"] == [{"group": "Capped", "cap": 1000, "points": -600}]
    assert body["pending"] is False
    line = next(line for line in body["lines"] if line["tag"] == "C")
    assert (line["color"], line["base_score"], line["percent"], line["points"]) == ("#112233", 55, 100, 55)
    assert (line["group"], line["is_expired"], line["is_counted"], line["expiration_at"]) == ("", False, True, None)
    assert line["assigned_at"] == "2026-06-15T12:00:00Z"


def test_a_due_lead_is_brought_up_to_date_first(api) -> None:
    lead = make_lead()
    assign(lead, make_tag(base_score=300))
    body = api.get(f"/api/leads/{lead.pk}/score").json()
    assert (body["total"], body["stored_score"]) == (300, 300)
    assert api.get(f"/api/leads/{lead.pk}").json()["score"] == 300


def test_at_another_moment_todays_rules_hold_then(api) -> None:
    lead = make_scored_lead(tags=[make_tag(base_score=100, expiration_days=10)])
    body = api.get(f"/api/leads/{lead.pk}/score?at=2026-06-25T12:00:00Z").json()
    assert (body["total"], body["stored_score"], body["at"]) == (0, 100, "2026-06-25T12:00:00Z")
    assert body["lines"][0]["is_expired"] is True
    before = api.get(f"/api/leads/{lead.pk}/score?at=2026-06-15T07:59:59-04:00").json()
    assert (before["total"], before["at"], before["lines"][0]["is_counted"]) == (0, "2026-06-15T11:59:59Z", False)


@pytest.mark.parametrize(
    "text",
    ["2026-06-25T14:00:00%2B02:00", "2026-06-25T14:00:00+02:00", "2026-06-25 12:00:00Z", "2026-06-25T12:00Z"],
)
def test_ways_to_write_one_moment(api, text) -> None:
    lead = make_lead()
    assert api.get(f"/api/leads/{lead.pk}/score?at={text}").json()["at"] == "2026-06-25T12:00:00Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2026-06-25",
        "2026-06-25T12:00:00",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "0001-01-01T00:00:00%2B14:00",
        "9999-12-31T23:59:59-12:00",
        "1899-12-31T00:00:00Z",
        "1750000000",
        "2026-06-25T12:00:00%00Z",
        "%D9%A2026-06-25T12:00:00Z",
        "2026-06-25T12:00:00%2B99:00",
    ],
)
def test_a_moment_without_zone_or_sense_gets_400(api, text) -> None:
    lead = make_lead()
    assert "at" in problem(api.get(f"/api/leads/{lead.pk}/score?at={text}"), 400)["errors"]


@pytest.mark.parametrize(
    "text", ["1900-01-01T00:00:00%2B14:00", "2200-12-31T23:59:59-12:00", "2026-12-01T00:00:00%2B16:00"]
)
def test_the_farthest_moments_are_answered(api, text) -> None:
    lead = make_scored_lead(tags=[make_tag(expiration_days=36_500, decay_steps=[[36_500, 1]])])
    assert api.get(f"/api/leads/{lead.pk}/score?at={text}").status_code == 200


def test_an_unknown_parameter_gets_400(api) -> None:
    assert "on" in problem(api.get(f"/api/leads/{make_lead().pk}/score?on=2026-01-01"), 400)["errors"]


def test_recalculation_answers_202_with_its_job(manager) -> None:
    response = api_client(manager).post("/api/leads/recalculate-scores")
    assert response.status_code == 202
    job = Job.objects.get()
    assert response.json()["job"]["id"] == job.pk
    assert response.json()["job"]["status"] == "queued"
    assert response["Location"] == f"/api/jobs/{job.pk}"
    assert job.created_by == manager


def test_a_second_recalculation_is_the_first_one_while_it_lives(manager) -> None:
    api = api_client(manager)
    first, second = (api.post("/api/leads/recalculate-scores").json()["job"]["id"] for _ in range(2))
    assert first == second


def test_recalculation_takes_its_own_right(analyst) -> None:
    problem(api_client(analyst).post("/api/leads/recalculate-scores"), 403)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b'{"tags": [3]}', "application/json"), (b"[" * 100_000, "application/json"), (b"tags=3", "text/plain")],
)
def test_a_body_that_would_have_no_effect_gets_400(manager, body, content_type) -> None:
    problem(api_client(manager).post("/api/leads/recalculate-scores", body, content_type=content_type), 400)
    assert not Job.objects.exists()


@pytest.mark.parametrize("body", [b"", b"{}", b"null"])
def test_an_empty_body_is_no_body(manager, body) -> None:
    response = api_client(manager).post("/api/leads/recalculate-scores", body, content_type="application/json")
    assert response.status_code == 202


def test_a_session_recalculates_with_its_csrf_token(manager) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(manager)
    problem(client.post("/api/leads/recalculate-scores"), 403)
    token = client.get("/leads/").cookies.get("csrftoken")
    assert token is not None
    response = client.post("/api/leads/recalculate-scores", headers={"X-CSRFToken": token.value})
    assert response.status_code == 202
    assert Lead.objects.count() == 0


def test_the_clock_is_the_moment_of_the_call(api) -> None:
    lead = make_lead()
    told = dt.datetime.fromisoformat(api.get(f"/api/leads/{lead.pk}/score").json()["at"])
    assert told > NOW
