"""What the banner of every page, the log and the metrics say of webhooks and of lead generation at night."""

import datetime as dt
import logging
from typing import Any

import pytest
from django.utils import timezone

from jobs.models import Job
from jobs.operations import run_job
from scoring import alarms
from scoring.nightly import NIGHTLY, last_slot
from territories.generation.runs import GENERATE, start_nightly_runs
from territories.models import GenerationProfile, Referral, WebhookEndpoint, WebhookMessage
from territories.webhooks.messages import enqueue_messages
from tests.conftest import NOW
from tests.territories.webhook_factories import assign_lead, make_listener, only_message

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


def names(at: dt.datetime = NOW) -> list[str]:
    return [alarm.name for alarm in alarms.look(at=at).alarms if not alarm.name.startswith("nightly")]


@pytest.fixture
def dead() -> WebhookMessage:
    """A lead that its contractor's system refused for more than a day."""
    at = timezone.now() - 2 * DAY
    assign_lead(make_listener("https://hooks.example.com/leads", at=at), at=at)
    enqueue_messages(at=at)
    WebhookMessage.objects.update(status=WebhookMessage.Status.DEAD, next_attempt_at=None, ended_at=timezone.now())
    return only_message()


def failed_night(key: str = "profile-1", at: dt.datetime = NOW, **fields: Any) -> Job:
    values: dict[str, Any] = {
        "kind": GENERATE,
        "key": key,
        "slot": f"{key}:{at:%Y-%m-%d}",
        "title": "Lead generation: Estates",
        "status": Job.Status.FAILED,
        "created_at": at,
        "as_of": at,
        "finished_at": at,
    }
    return Job.objects.create(**(values | fields))


def test_a_message_that_was_given_up_stands_on_every_page_of_who_can_send_it_again(
    dead, manager_client, viewer_client
) -> None:
    page = manager_client.get("/jobs/").content.decode()
    assert "1 message to a contractor did not arrive." in page
    assert 'href="/webhooks/">See the dead letters' in page
    assert "did not arrive" not in viewer_client.get("/jobs/").content.decode()


def test_leads_that_wait_for_a_webhook_that_is_gone_are_told_with_the_day_on_which_they_expire(
    dead, manager_client
) -> None:
    WebhookMessage.objects.update(last_status=410)
    WebhookEndpoint.objects.update(is_enabled=False)
    contractor = dead.contractor
    assign_lead(contractor, at=timezone.now())
    page = manager_client.get("/jobs/").content.decode()
    assert f"The webhook of {contractor.company.replace('&', '&amp;')} is off" in page
    first = timezone.localtime(Referral.objects.earliest("expires_at").expires_at)
    assert f"2 leads wait there, the first until {first:%B %-d}." in page
    assert f'href="/contractors/{contractor.pk}/webhook/">Its webhook' in page
    assert names(timezone.now()) == ["webhooks-gone"]
    Referral.objects.update(status=Referral.Status.EXPIRED, ended_at=timezone.now(), expires_at=None)
    assert names(timezone.now()) == []


def test_a_profile_that_cannot_run_at_night_fails_once_in_words() -> None:
    profile = GenerationProfile.objects.create(
        name="Estates",
        min_score=1,
        runs_nightly=True,
        criteria={"gone": 1},
        created_at=NOW - 2 * DAY,
        updated_at=NOW - 2 * DAY,
    )
    slot = last_slot(NOW)
    Job.objects.create(
        kind=NIGHTLY, key="all", slot=slot.name, title="Night", status="succeeded", created_at=NOW, as_of=NOW
    )
    (job,) = start_nightly_runs(at=NOW)
    run_job(job_id=job.pk)
    job.refresh_from_db()
    assert job.status == Job.Status.FAILED
    assert "“gone”" in job.error
    assert start_nightly_runs(at=NOW + dt.timedelta(minutes=1)) == []
    Job.objects.filter(pk=job.pk).update(finished_at=NOW)
    assert names() == ["generation-failed"]
    assert profile.name in next(one.title for one in alarms.look(at=NOW).alarms if one.name == "generation-failed")


@pytest.mark.parametrize("mended", ["sent", "taken back", "switched off", "long ago"])
def test_the_alarm_of_dead_letters_ends_when_nothing_is_left_to_send(dead, mended) -> None:
    assert names(timezone.now()) == ["webhooks-dead"]
    if mended == "sent":
        WebhookMessage.objects.update(status=WebhookMessage.Status.PENDING)
    elif mended == "taken back":
        Referral.objects.update(status=Referral.Status.EXPIRED, ended_at=timezone.now())
    elif mended == "switched off":
        WebhookEndpoint.objects.update(is_enabled=False)
    assert names(timezone.now() + (8 * DAY if mended == "long ago" else dt.timedelta())) == []


def test_a_failed_run_at_night_is_told_until_the_profile_has_run_well(manager_client, viewer_client, caplog) -> None:
    failed_night(at=timezone.now())
    url = Job.objects.get().get_absolute_url()
    assert "Lead generation: Estates failed on" in manager_client.get("/jobs/").content.decode()
    assert f'href="{url}">See why' in manager_client.get("/jobs/").content.decode()
    with caplog.at_level(logging.ERROR):
        alarms.log_alarms(at=timezone.now())
    assert "Lead generation: Estates failed on" in caplog.text
    failed_night(key="profile-2", at=timezone.now(), status=Job.Status.SUCCEEDED)
    assert names(timezone.now()) == ["generation-failed"]  # another profile's success mends nothing
    failed_night(slot=None, at=timezone.now(), status=Job.Status.SUCCEEDED)
    assert names(timezone.now()) == []


def test_a_failed_run_that_a_person_started_is_the_persons_to_see() -> None:
    failed_night(slot=None)
    assert names() == []
    failed_night(at=NOW - 8 * DAY)
    assert names() == []


def test_metrics_count_the_alarms(dead) -> None:
    assert alarms.measure(at=timezone.now()).alarms == len(alarms.look(at=timezone.now()).alarms) >= 1
