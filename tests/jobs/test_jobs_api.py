"""GET /api/jobs, /api/jobs/{id}; POST /api/jobs/{id}/cancel."""

from typing import Any

import pytest
from django.test import Client

from jobs.models import Job
from jobs.operations import run_job, start_job
from tests.api import api_client, problem
from tests.conftest import NOW

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(viewer) -> Client:
    return api_client(viewer)


def make_job(**fields: Any) -> Job:
    return start_job(kind="recalculate-scores", title="Recalculate all scores", at=NOW, announce=False, **fields)


def test_a_job_tells_its_state(api) -> None:
    job = make_job()
    Job.objects.filter(pk=job.pk).update(status="running", done=5, total=20, stage="Scoring", started_at=NOW)
    assert api.get(f"/api/jobs/{job.pk}").json() == {
        "id": job.pk,
        "kind": "recalculate-scores",
        "title": "Recalculate all scores",
        "status": "running",
        "stage": "Scoring",
        "done": 5,
        "total": 20,
        "percent": 25,
        "result": None,
        "error": "",
        "created_at": "2026-06-15T12:00:00Z",
        "started_at": "2026-06-15T12:00:00Z",
        "finished_at": None,
    }


def test_a_finished_job_tells_its_result(api) -> None:
    job = make_job()
    run_job(job_id=job.pk)
    body = api.get(f"/api/jobs/{job.pk}").json()
    assert (body["status"], body["percent"], body["result"]["leads"]) == ("succeeded", 100, 0)


def test_the_newest_jobs_come_first_page_by_page(api) -> None:
    made = [make_job().pk for _ in range(5)]
    first = api.get("/api/jobs?limit=3").json()
    second = api.get(first["next"]).json()
    assert [job["id"] for job in first["results"] + second["results"]] == made[::-1]
    assert second["next"] is None


@pytest.mark.parametrize("job_id", ["0", "9223372036854775808", "9" * 5000, "last", "-1"])
def test_an_id_that_names_no_job_gets_404(api, job_id) -> None:
    problem(api.get(f"/api/jobs/{job_id}"), 404)
    problem(api.post(f"/api/jobs/{job_id}/cancel"), 404)


def test_the_one_who_started_a_job_cancels_it(viewer, api) -> None:
    job = make_job(by=viewer)
    response = api.post(f"/api/jobs/{job.pk}/cancel")
    assert response.status_code == 202
    assert response.json()["job"]["status"] == "cancelled"


def test_a_running_job_is_asked_to_stop(viewer, api) -> None:
    job = make_job(by=viewer)
    Job.objects.filter(pk=job.pk).update(status="running")
    assert api.post(f"/api/jobs/{job.pk}/cancel").json()["job"]["status"] == "running"
    job.refresh_from_db()
    assert job.is_cancel_requested


def test_someone_elses_job_takes_the_right_to_change_jobs(api, manager, person) -> None:
    job = make_job(by=manager)
    problem(api.post(f"/api/jobs/{job.pk}/cancel"), 403)
    job.refresh_from_db()
    assert job.status == Job.Status.QUEUED
    assert api_client(person("admin")).post(f"/api/jobs/{job.pk}/cancel").status_code == 202


def test_a_job_that_has_ended_cannot_be_cancelled(viewer, api) -> None:
    job = make_job(by=viewer)
    run_job(job_id=job.pk)
    found = problem(api.post(f"/api/jobs/{job.pk}/cancel"), 409)
    assert (found["code"], "succeeded" in found["detail"]) == ("job_ended", True)


def test_a_session_needs_the_csrf_token_to_cancel(viewer) -> None:
    job = make_job(by=viewer)
    client = Client(enforce_csrf_checks=True)
    client.force_login(viewer)
    problem(client.post(f"/api/jobs/{job.pk}/cancel"), 403)
    job.refresh_from_db()
    assert job.status == Job.Status.QUEUED
