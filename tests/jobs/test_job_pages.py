"""The list of jobs, the live bar, and stopping one."""

import pytest

from jobs.models import Job
from tests.conftest import NOW

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def make_job(**fields) -> Job:
    values = {"kind": "test", "title": "Count the houses", "as_of": NOW, "created_at": NOW} | fields
    return Job.objects.create(**values)


def test_a_running_job_shows_a_bar_that_asks_every_second(viewer_client):
    job = make_job(status=Job.Status.RUNNING, done=30, total=100, stage="Counting")
    page = viewer_client.get(f"/jobs/{job.pk}/").content.decode()
    assert 'aria-valuenow="30"' in page
    assert 'hx-trigger="every 1s"' in page
    assert "Counting" in page


def test_the_bar_stops_asking_when_the_job_has_ended(viewer_client):
    job = make_job(status=Job.Status.RUNNING)
    assert viewer_client.get(f"/jobs/{job.pk}/", headers=HTMX).status_code == 200
    Job.objects.filter(pk=job.pk).update(status=Job.Status.SUCCEEDED, result={"leads": 1234, "new_tags": ["A", "B"]})
    response = viewer_client.get(f"/jobs/{job.pk}/", headers=HTMX)
    assert response.status_code == 286
    assert b"1,234" in response.content
    assert b"A, B" in response.content
    assert viewer_client.get(f"/jobs/{job.pk}/").status_code == 200


def test_a_failure_says_why(viewer_client):
    job = make_job(status=Job.Status.FAILED, error="The file is gone.", done=40, total=100)
    page = viewer_client.get(f"/jobs/{job.pk}/").content
    assert b"The file is gone." in page
    assert b"40 of 100" in page


def test_people_stop_their_own_jobs_only(viewer, viewer_client, analyst_client):
    job = make_job(created_by=viewer)
    assert b"/cancel/" not in analyst_client.get(f"/jobs/{job.pk}/").content
    assert analyst_client.post(f"/jobs/{job.pk}/cancel/").status_code == 403
    assert b"/cancel/" in viewer_client.get(f"/jobs/{job.pk}/").content
    assert viewer_client.post(f"/jobs/{job.pk}/cancel/").url == f"/jobs/{job.pk}/"
    job.refresh_from_db()
    assert job.status == Job.Status.CANCELLED


def test_stopping_never_sends_people_to_another_site(viewer, viewer_client):
    job = make_job(created_by=viewer)
    response = viewer_client.post(f"/jobs/{job.pk}/cancel/", {"next": "https://example.com/"})
    assert response.url == f"/jobs/{job.pk}/"


def test_the_list_shows_the_newest_first_with_constant_queries(viewer_client, viewer, django_assert_num_queries):
    for number in range(12):
        make_job(title=f"Job {number}", created_by=viewer)
    with django_assert_num_queries(6):
        page = viewer_client.get("/jobs/").content.decode()
    assert page.index("Job 11") < page.index("Job 0<")


def test_the_mark_in_the_top_bar_counts_live_jobs(viewer_client):
    assert b"running" not in viewer_client.get("/jobs/running/", headers=HTMX).content
    make_job(status=Job.Status.RUNNING)
    assert b"1 running" in viewer_client.get("/jobs/running/", headers=HTMX).content


def test_empty_says_what_will_show(viewer_client):
    assert b"Nothing has run yet" in viewer_client.get("/jobs/").content


@pytest.mark.parametrize("number", ["0", "9" * 30])
def test_a_job_that_does_not_exist_is_not_found(viewer_client, number):
    assert viewer_client.get(f"/jobs/{number}/").status_code == 404
    assert viewer_client.post(f"/jobs/{number}/cancel/").status_code == 404
