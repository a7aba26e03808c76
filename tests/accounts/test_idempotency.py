"""A POST with an Idempotency-Key: done once, told as often as it is asked."""

import datetime as dt
import threading

import pytest
from django.conf import settings
from django.db import connections
from django.test import Client
from django.utils import timezone

from accounts import tasks
from accounts.models import IdempotencyKey
from accounts.operations import clear_idempotency_keys
from jobs.models import Job
from tags.models import RuleChange, Tag
from tests.api import api_client, problem
from tests.factories import make_tag

KEY = "2f1c0a4e-0d0a-4c0b-9d6e-5b6f0f1d7a11"
MANY = pytest.mark.django_db(transaction=True, available_apps=settings.INSTALLED_APPS)


@pytest.fixture
def api(manager) -> Client:
    return api_client(manager)


def post(client, body, address="/api/tags", key=KEY):
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(address, body, content_type="application/json", headers=headers)


@pytest.mark.django_db
def test_a_repetition_gets_the_same_answer_and_is_done_once(api) -> None:
    first = post(api, {"name": "Haunted", "base_score": 5})
    again = post(api, '{ "base_score": 5,\n "name": "Haunted" }')
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert [first[name] for name in ("Location", "ETag")] == [again[name] for name in ("Location", "ETag")]
    assert (first.headers.get("Idempotent-Replayed"), again["Idempotent-Replayed"]) == (None, "true")
    assert Tag.objects.filter(name="Haunted").count() == 1
    assert RuleChange.objects.count() == 1


@pytest.mark.django_db
def test_a_repetition_tells_what_was_also_when_it_has_changed_since(api) -> None:
    first = post(api, {"name": "Haunted"})
    api.patch(first["Location"], {"name": "Spooky"}, content_type="application/json")
    assert post(api, {"name": "Haunted"}).json()["name"] == "Haunted"
    assert not Tag.objects.filter(name="Haunted").exists()


@pytest.mark.django_db
def test_a_started_job_is_told_again_letter_by_letter(api, django_capture_on_commit_callbacks) -> None:
    tag = make_tag(expiration_days=90)
    address, body = f"/api/tags/{tag.pk}/update-expiration", {"new_expiration_days": 30}
    with django_capture_on_commit_callbacks(execute=True):
        first = post(api, body, address)
    job = Job.objects.get()
    Job.objects.update(status="succeeded", finished_at=timezone.now())
    again = post(api, body, address)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.content == again.content
    assert first["Location"] == again["Location"] == f"/api/jobs/{job.pk}"
    assert first.json()["job"]["id"] == job.pk
    assert Job.objects.count() == RuleChange.objects.count() == 1


@pytest.mark.django_db
def test_who_died_before_telling_is_told_for_by_the_repetition(api) -> None:
    tag = make_tag(expiration_days=90)
    address, body = f"/api/tags/{tag.pk}/update-expiration", {"new_expiration_days": 30}
    first = post(api, body, address)
    # As the first one left it when it died right after its commit: no job, no last word.
    Job.objects.all().delete()
    IdempotencyKey.objects.update(is_final=False, body=f'{{"rule_change": {first.json()["rule_change"]}}}')
    again = post(api, body, address)
    job = Job.objects.get()
    assert (again.status_code, again.json()["job"]["id"], again["Location"]) == (202, job.pk, f"/api/jobs/{job.pk}")
    assert RuleChange.objects.count() == 1


@pytest.mark.django_db
def test_another_request_with_the_key_is_refused(api) -> None:
    tag = make_tag()
    post(api, {"name": "Haunted"})
    for response in (
        post(api, {"name": "Flooded"}),
        post(api, {"name": "Haunted"}, f"/api/tags/{tag.pk}/update-expiration"),
    ):
        assert problem(response, 422)["code"] == "idempotency_key_reused"
    assert not Tag.objects.filter(name="Flooded").exists()


@pytest.mark.django_db
def test_a_refused_request_does_not_use_up_its_key(api) -> None:
    problem(post(api, {"name": "Foreclosure"}), 400)
    assert not IdempotencyKey.objects.exists()
    assert post(api, {"name": "Haunted"}).status_code == 201


@pytest.mark.django_db
def test_each_person_has_keys_of_their_own_and_rights_are_asked_each_time(api, manager, person, analyst) -> None:
    post(api, {"name": "Haunted"})
    admin = api_client(person("admin"))
    problem(post(admin, {"name": "Haunted"}), 400)  # the name is taken: it was not told as a repetition
    assert post(admin, {"name": "Flooded"}).status_code == 201
    problem(post(api_client(analyst), {"name": "Haunted"}), 403)
    manager.groups.clear()
    problem(post(api, {"name": "Haunted"}), 403)


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "clé", "a\tb"])
def test_a_key_is_visible_ascii(api, key) -> None:
    assert "Idempotency-Key" in problem(post(api, {"name": "Haunted"}, key=key), 400)["errors"]
    assert not Tag.objects.filter(name="Haunted").exists()


@pytest.mark.django_db
def test_without_a_key_each_request_counts(api) -> None:
    assert post(api, {"name": "Haunted"}, key=None).status_code == 201
    problem(post(api, {"name": "Haunted"}, key=None), 400)
    assert not IdempotencyKey.objects.exists()


@pytest.mark.django_db
def test_keys_are_kept_for_a_day(api) -> None:
    assert post(api, {"name": "Haunted"}).status_code == 201
    row = IdempotencyKey.objects.get()
    assert clear_idempotency_keys(at=row.created_at + dt.timedelta(hours=23)) == 0
    IdempotencyKey.objects.update(created_at=row.created_at - dt.timedelta(hours=24))
    # The key is free again, cleared or not.
    assert post(api, {"name": "Flooded"}).status_code == 201
    IdempotencyKey.objects.update(created_at=row.created_at - dt.timedelta(hours=24))
    tasks.clear_keys()
    assert not IdempotencyKey.objects.exists()
    assert any(entry["task"] == tasks.clear_keys.name for entry in settings.CELERY_BEAT_SCHEDULE.values())


def at_once(*requests):
    """Send requests at the same moment, each over a connection of its own."""
    start, answers = threading.Barrier(len(requests)), [None] * len(requests)

    def send(number, request):
        start.wait(10)
        try:
            answers[number] = request()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send, args=pair) for pair in enumerate(requests)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return answers


@MANY
def test_two_that_arrive_at_the_same_moment_are_done_once(api) -> None:
    tag = make_tag(expiration_days=90)
    address, body = f"/api/tags/{tag.pk}/update-expiration", {"new_expiration_days": 30, "apply_retroactively": True}
    found = at_once(*[lambda: post(api, body, address)] * 4)
    assert [response.status_code for response in found] == [202] * 4
    assert len({response.content for response in found}) == 1
    assert len({response["Location"] for response in found}) == 1
    assert sorted("Idempotent-Replayed" in response for response in found) == [False, True, True, True]
    assert RuleChange.objects.count() == Job.objects.count() == 1


@MANY
def test_of_two_different_ones_at_the_same_moment_one_is_refused(api) -> None:
    found = at_once(lambda: post(api, {"name": "Haunted"}), lambda: post(api, {"name": "Flooded"}))
    assert sorted(response.status_code for response in found) == [201, 422]
    assert Tag.objects.filter(name__in=["Haunted", "Flooded"]).count() == 1


@MANY
def test_who_waited_for_a_refused_one_takes_its_place(api, django_db_blocker) -> None:
    make_tag(name="Haunted")
    found = at_once(*[lambda: post(api, {"name": "haunted!"})] * 2)
    assert [response.status_code for response in found] == [400, 400]
    assert not IdempotencyKey.objects.exists()
