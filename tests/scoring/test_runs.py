"""The nightly run, its slots and alarms, the sweep, the page of runs and the metrics."""

import datetime as dt
import logging
import re
import smtplib
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.db import connection
from django.test import Client

from jobs.models import Job
from jobs.operations import run_job
from leads.models import Lead
from scoring import alarms, nightly
from scoring.models import ScoreChange
from scoring.nightly import last_slot, next_slot, start_nightly
from scoring.operations import start_recalculation, sweep, sweep_minute
from scoring.sql import history
from tests.api import api_client, problem
from tests.conftest import NOW
from tests.factories import assign, make_lead, make_scored_lead, make_tag
from tests.jobs.test_slots import at_once

pytestmark = pytest.mark.django_db
DAY, HOUR, MINUTE = dt.timedelta(days=1), dt.timedelta(hours=1), dt.timedelta(minutes=1)
NEW_YORK = ZoneInfo("America/New_York")
DUE = dt.datetime(2026, 6, 15, 8, tzinfo=dt.UTC)  # 4:00 in New York; NOW is four hours later


@pytest.fixture
def settled(settings) -> None:
    """An installation of old age, whose nightly run is due at 4:00 in New York."""
    settings.NIGHTLY_HOUR, settings.TIME_ZONE = 4, "America/New_York"
    install(DUE - 100 * DAY)
    history.make_partitions(at=NOW)  # those of the database are of today


def install(at: dt.datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_migrations SET applied = %s", [at])


def run_night(at: dt.datetime = NOW) -> Job:
    job = start_nightly(at=at, announce=False)
    assert job is not None
    ended = run_job(job_id=job.pk)
    assert ended is not None
    return ended


def local(*parts: int, fold: int = 0) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=NEW_YORK, fold=fold)  # type: ignore[misc,arg-type]


# Slots ----------------------------------------------------------------------------------------------------------------


def test_a_night_has_one_run_however_often_it_is_asked_for(settled) -> None:
    assert last_slot(DUE - dt.timedelta(microseconds=1)).name == "2026-06-14"
    first = start_nightly(at=DUE, announce=False)
    assert first is not None
    assert (first.slot, first.title, first.as_of) == ("2026-06-15", "Nightly run of June 15, 2026", DUE)
    run_job(job_id=first.pk)
    for minutes in (1, 60, 24 * 60 - 1):
        again = start_nightly(at=DUE + minutes * MINUTE, announce=False)
        assert again is not None
        assert again.pk == first.pk
    tomorrow = start_nightly(at=DUE + DAY, announce=False)
    assert tomorrow is not None
    assert tomorrow.slot == "2026-06-16"


def test_a_night_of_before_the_installation_needs_no_run(settled) -> None:
    install(DUE + MINUTE)
    assert start_nightly(at=NOW, announce=False) is None
    assert start_nightly(at=DUE + DAY, announce=False) is not None


@pytest.mark.parametrize("hour", range(5))
@pytest.mark.parametrize("change", [dt.date(2026, 3, 8), dt.date(2026, 11, 1)])
def test_each_night_has_its_run_where_the_clocks_change(settled, settings, hour: int, change: dt.date) -> None:
    """Asked every ten minutes over three days: three runs, in order, each within ten minutes of its hour."""
    settings.NIGHTLY_HOUR = hour
    install(local(2026, 1, 1))
    at = dt.datetime.combine(change - DAY, dt.time(hour), tzinfo=NEW_YORK).astimezone(dt.UTC)
    end = dt.datetime.combine(change + 2 * DAY, dt.time(hour), tzinfo=NEW_YORK).astimezone(dt.UTC)
    began: dict[str, dt.datetime] = {}
    while at < end:
        job = start_nightly(at=at, announce=False)
        assert job is not None
        assert job.slot is not None
        began.setdefault(job.slot, at)
        Job.objects.filter(pk=job.pk).update(status="succeeded")
        at += 10 * MINUTE
    assert list(began) == [(change + days * DAY).isoformat() for days in (-1, 0, 1)]
    hours = [moment.astimezone(NEW_YORK).hour for moment in began.values()]
    is_skipped = change.month == 3 and hour == 2
    assert hours == [hour, 3 if is_skipped else hour, hour]


def test_the_next_night_is_told_also_over_a_change_of_clocks(settled) -> None:
    assert next_slot(NOW).due_at == DUE + DAY
    assert next_slot(local(2026, 11, 1, 0, 30)).due_at == local(2026, 11, 1, 4)
    assert next_slot(local(2026, 10, 31, 5)).due_at - last_slot(local(2026, 10, 31, 5)).due_at == 25 * HOUR


@pytest.mark.django_db(transaction=True)
def test_two_schedulers_make_one_run(settings) -> None:
    job = start_nightly(at=local(2100, 1, 5, 5), announce=False)
    assert job is not None
    run_job(job_id=job.pk)
    made = at_once(4, lambda: start_nightly(at=local(2100, 1, 6, 5), announce=False))
    assert len({job.pk for job in made}) == 1


# The run --------------------------------------------------------------------------------------------------------------


def test_it_scores_what_is_due_and_nothing_else(settled, monkeypatch, caplog) -> None:
    monkeypatch.setattr(nightly, "BATCH", 2)  # several ranges
    tag = make_tag(base_score=700)
    still = make_scored_lead(tags=[tag])
    Lead.objects.filter(pk=still.pk).update(scored_at=NOW - 9 * DAY)
    later = make_scored_lead(tags=[tag], at=NOW - DAY)
    Lead.objects.filter(pk=later.pk).update(rescore_at=NOW + MINUTE)
    due = [make_lead() for _ in range(5)]
    for lead in due:
        assign(lead, tag, NOW - HOUR)
    caplog.set_level(logging.INFO, "scoring")
    job = run_night()
    result = job.result or {}
    assert job.status == "succeeded", job.error
    assert (result["leads"], result["changed"], result["newer"]) == (5, 5, 0)
    assert result["per_second"] > 0
    assert result["seconds"] > 0
    assert set(Lead.objects.filter(pk__in=[lead.pk for lead in due]).values_list("score", "scored_at")) == {(700, NOW)}
    still.refresh_from_db()
    later.refresh_from_db()
    assert still.scored_at == NOW - 9 * DAY
    assert later.rescore_at == NOW + MINUTE
    assert job.ranges.count() == 3
    assert set(ScoreChange.objects.filter(at=NOW, lead_id__in=[lead.pk for lead in due]).values_list("job_id")) == {
        (job.pk,)
    }
    told = [record.getMessage() for record in caplog.records if "leads a second" in record.getMessage()]
    assert len(told) == 1
    assert re.search(
        r"Nightly run of June 15, 2026 \(job \d+\): 5 leads, 5 scores changed, \d+ leads a second", told[0]
    )


def test_it_checks_all_scores_and_reports_differences(settled, caplog) -> None:
    tag = make_tag()
    leads = [make_scored_lead(tags=[tag]) for _ in range(3)]
    assert (run_night().result or {})["differences"] == 0
    Lead.objects.filter(pk=leads[1].pk).update(score=5)
    job = run_night(NOW + DAY)
    result = job.result or {}
    assert (job.status, result["checked"], result["differences"], result["leads"]) == ("succeeded", 3, 1, 0)
    assert any(": 1 stored scores differ" in record.getMessage() for record in caplog.records)
    (alarm,) = alarms.look(at=NOW + DAY).alarms
    assert (alarm.name, alarm.title) == ("scores-differ", "1 stored score differed from the tags.")
    run_job(job_id=start_recalculation(at=NOW + DAY, by=None, announce=False).pk)
    assert alarms.look(at=NOW + DAY).alarms == []


def test_of_very_many_leads_a_share_is_checked_and_over_some_nights_all(settled, monkeypatch) -> None:
    monkeypatch.setattr(nightly, "VERIFY_RANGE", 1)
    monkeypatch.setattr(nightly, "VERIFY_RANGES", 2)
    tag = make_tag()
    for _ in range(5):
        make_scored_lead(tags=[tag])
    checked = [(run_night(NOW + night * DAY).result or {})["checked"] for night in range(3)]
    assert sorted(checked) == [1, 2, 2]


def test_it_renews_the_history(settled, settings) -> None:
    settings.HISTORY_MONTHS = 2
    old = history.make_partitions(at=NOW - 200 * DAY)
    result = run_night().result or {}
    assert set(result["partitions_dropped"]) >= set(old[:2])
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('scoring_scorechange_2026_09') IS NOT NULL")
        assert cursor.fetchone() == (True,)
    assert result["strays"] == 0


def test_an_attempt_goes_on_where_the_last_one_failed(settled, monkeypatch) -> None:
    lead = make_lead()
    assign(lead, make_tag(base_score=300), NOW - HOUR)
    whole = nightly.check_scores

    def fail(run: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(nightly, "check_scores", fail)
    assert run_night().status == "queued"
    monkeypatch.setattr(nightly, "check_scores", whole)
    job = run_night()
    result = job.result or {}
    assert (job.status, job.attempt, result["leads"], result["changed"]) == ("succeeded", 2, 1, 1)


def test_a_full_recalculation_tells_its_rate() -> None:
    make_scored_lead(tags=[make_tag()])
    job = run_job(job_id=start_recalculation(at=NOW, by=None, announce=False).pk)
    assert job is not None
    assert job.result is not None
    assert job.result["per_second"] > 0


# The sweep ------------------------------------------------------------------------------------------------------------


def test_a_minute_has_one_sweep() -> None:
    tag = make_tag()

    def make_due() -> None:
        assign(make_lead(), tag, NOW)

    make_due()
    assert sweep_minute(at=NOW).leads == 1
    make_due()
    assert sweep_minute(at=NOW + dt.timedelta(seconds=59)).leads == 0
    assert sweep_minute(at=NOW + MINUTE).leads == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_sweeps_at_once_one_does_the_work(monkeypatch) -> None:
    tag = make_tag()
    leads = [make_lead() for _ in range(30)]
    for lead in leads:
        assign(lead, tag, NOW)
    answers: list[Any] = []
    whole = nightly.passes.score_leads

    def score_leads(**arguments: Any) -> Any:
        if not answers:  # another sweep begins in the middle of this one
            answers.append(None)
            answers[:] = at_once(2, lambda: sweep(at=NOW).leads)
        return whole(**arguments)

    monkeypatch.setattr("scoring.sql.passes.score_leads", score_leads)
    assert sweep(at=NOW).leads == 30
    assert answers == [0, 0]
    assert ScoreChange.objects.filter(lead_id__in=[lead.pk for lead in leads]).count() == 30
    assert sweep(at=NOW).leads == 0


# Alarms ---------------------------------------------------------------------------------------------------------------


def names(at: dt.datetime) -> list[str]:
    return [alarm.name for alarm in alarms.look(at=at).alarms]


def test_an_overdue_night_is_told_after_two_hours_until_it_has_succeeded(settled) -> None:
    run_night(DUE - DAY)
    assert names(DUE + 2 * HOUR - MINUTE) == []
    assert names(DUE + 2 * HOUR) == ["nightly-overdue"]
    (alarm,) = alarms.look(at=DUE + 2 * HOUR).alarms
    assert alarm.title == "The nightly run of June 15 is overdue."
    assert "beat" in alarm.advice
    job = start_nightly(at=DUE + 2 * HOUR, announce=False)
    assert job is not None
    assert names(DUE + 2 * HOUR) == []  # begun late, it has two hours of its own
    (alarm,) = alarms.look(at=DUE + 4 * HOUR).alarms
    assert "waits for a worker" in alarm.advice
    assert alarm.url == f"/scores/runs/#run-{job.pk}"
    run_job(job_id=job.pk)
    assert names(DUE + 4 * HOUR) == []


def test_the_first_day_is_quiet(settled) -> None:
    install(DUE + MINUTE)
    assert names(DUE + 20 * HOUR) == []
    assert names(DUE + DAY + 3 * HOUR) == ["nightly-overdue"]


def test_a_failed_night_is_told_at_once_and_run_again(settled, manager_client, viewer_client, monkeypatch) -> None:
    def fail(run: Any) -> None:
        raise ZeroDivisionError

    whole = nightly.check_scores
    monkeypatch.setattr(nightly, "check_scores", fail)
    for _ in range(3):
        job = run_night()
    assert job.status == "failed"
    assert names(NOW) == ["nightly-failed"]
    banner = viewer_client.get("/leads/").content.decode()
    assert "The nightly run of June 15 failed." in banner
    assert f'href="/scores/runs/#run-{job.pk}"' in banner
    page = manager_client.get("/scores/runs/").content.decode()
    assert "ZeroDivisionError" in page
    assert f"/scores/runs/{job.pk}/again/" in page
    assert b"/again/" not in viewer_client.get("/scores/runs/").content
    assert viewer_client.post(f"/scores/runs/{job.pk}/again/").status_code == 403

    monkeypatch.setattr(nightly, "check_scores", whole)
    after = manager_client.post(f"/scores/runs/{job.pk}/again/", follow=True).content.decode()
    assert "is queued again" in after
    run_job(job_id=job.pk)
    assert names(NOW) == []
    assert "was left as it is" in manager_client.post(f"/scores/runs/{job.pk}/again/", follow=True).content.decode()


def test_a_stopped_night_says_so(settled) -> None:
    job = start_nightly(at=DUE, announce=False)
    assert job is not None
    Job.objects.filter(pk=job.pk).update(status="cancelled")
    (alarm,) = alarms.look(at=NOW).alarms
    assert (alarm.title, alarm.link) == ("The nightly run of June 15 was stopped.", "Run it again")


def test_people_who_may_not_see_jobs_see_no_banner(settled, person) -> None:
    job = start_nightly(at=DUE, announce=False)
    assert job is not None
    Job.objects.filter(pk=job.pk).update(status="failed")
    client = Client()
    client.force_login(person("contractor"))
    assert b"nightly run" not in client.get("/").content


def stray(at: dt.datetime) -> None:
    ScoreChange.objects.create(lead_id=1, at=at, from_score=0, to_score=1, cause=ScoreChange.Cause.DECAY)


def test_stray_history_is_told(settled, viewer_client) -> None:
    run_night()
    assert names(NOW) == []
    stray(NOW + 4000 * DAY)
    assert names(NOW) == ["history-strays"]
    assert b"Score history lies outside of every month" in viewer_client.get("/jobs/").content


def test_stray_history_is_moved_as_the_page_on_operation_says(settled, settings) -> None:
    stray(dt.datetime(2031, 1, 5, tzinfo=dt.UTC))
    page = (settings.BASE_DIR / "docs" / "operation.md").read_text()
    recipe = page.partition("    BEGIN;")[2].partition("    COMMIT;")[0]
    with connection.cursor() as cursor:
        cursor.execute(recipe)
    assert history.count_strays() == 0
    assert ScoreChange.objects.filter(at__year=2031).count() == 1
    assert names(DUE) == []


def test_alarms_are_logged_when_they_change_and_once_an_hour(settled, caplog) -> None:
    run_night()
    assert alarms.log_alarms(at=NOW) == []
    stray(NOW + 4000 * DAY)
    assert len(alarms.log_alarms(at=NOW)) == 1
    assert alarms.log_alarms(at=NOW + 59 * MINUTE) == []
    assert len(alarms.log_alarms(at=NOW + HOUR)) == 1
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [("outside of every month" in record.getMessage()) for record in errors] == [True, True]
    assert [alarm.name for alarm in alarms.log_alarms(at=NOW + DAY)] == ["nightly-overdue", "history-strays"]


# Mail -----------------------------------------------------------------------------------------------------------------


def test_nobody_is_written_to_who_did_not_ask(settled) -> None:
    run_night()
    assert mail.outbox == []


def test_a_mail_tells_of_success_and_of_failure(settled, settings, monkeypatch) -> None:
    settings.NOTIFY = ["ops@example.com", "boss@example.com"]
    assign(make_lead(), make_tag(), NOW - HOUR)
    run_night()
    (message,) = mail.outbox
    assert message.to == settings.NOTIFY
    assert message.subject == "LeadScore: Nightly run of June 15, 2026 succeeded"
    assert "1 leads were due, 1 scores changed" in message.body

    def fail(run: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(nightly, "check_scores", fail)
    for _ in range(3):
        run_night(NOW + DAY)
    (_, message) = mail.outbox  # one when it has failed for good, none for each attempt
    assert message.subject.endswith("failed")
    assert "ZeroDivisionError" in message.body


def test_a_mail_server_that_is_down_changes_nothing(settled, settings, monkeypatch, caplog) -> None:
    settings.NOTIFY = ["ops@example.com"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    assert run_night().status == "succeeded"
    assert "could not be sent" in caplog.text

    def hang_up(*args: Any, **kwargs: Any) -> None:
        raise smtplib.SMTPServerDisconnected

    monkeypatch.setattr(nightly, "send_mail", hang_up)
    assert run_night(NOW + DAY).status == "succeeded"


# The page -------------------------------------------------------------------------------------------------------------


def test_the_page_shows_runs_newest_first_with_their_figures(settled, manager, manager_client) -> None:
    tag = make_tag()
    for _ in range(3):
        assign(make_lead(), tag, NOW - HOUR)
    run_night()
    run_job(job_id=start_recalculation(at=NOW, by=manager, announce=False).pk)
    Job.objects.filter(kind=nightly.NIGHTLY).update(
        result={"leads": 1234567, "changed": 4321, "per_second": 250000, "checked": 9, "differences": 0}
    )
    page = manager_client.get("/scores/runs/").content.decode()
    assert page.index('r-title"><a href="/jobs/') < page.index("Nightly run of June 15, 2026")
    for figure in ("1,234,567", "4,321", "250,000", "9 scores checked, none differs"):
        assert figure in page
    assert '<strong class="tabular">3</strong> leads anew' in page
    assert 'action="/scoring/recalculate/"' in page


def test_a_run_at_work_shows_its_bar_and_asks_often(settled, viewer_client) -> None:
    assert b"No run yet" in viewer_client.get("/scores/runs/").content
    job = start_recalculation(at=NOW, by=None, announce=False)
    Job.objects.filter(pk=job.pk).update(status="running", done=40, total=100, stage="Scoring leads")
    page = viewer_client.get("/scores/runs/").content.decode()
    assert 'aria-valuenow="40"' in page
    assert 'hx-trigger="every 2s"' in page
    assert "/scoring/recalculate/" not in page  # a viewer may not
    part = viewer_client.get("/scores/runs/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part


def test_the_page_is_for_people_who_may_see_jobs(person) -> None:
    client = Client()
    client.force_login(person("contractor"))
    assert client.get("/scores/runs/").status_code == 403


def test_the_page_asks_as_many_queries_for_many_runs(settled, viewer_client, django_assert_num_queries) -> None:
    for days in range(20):
        Job.objects.create(
            kind=nightly.NIGHTLY, title="x", as_of=NOW, created_at=NOW, slot=str(NOW.date() - days * DAY)
        )
    with django_assert_num_queries(8):
        viewer_client.get("/scores/runs/")


# Metrics --------------------------------------------------------------------------------------------------------------


def read(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^leadscore_(\w+) (\S+)$", text, re.MULTILINE)}


def test_metrics_in_the_format_of_prometheus(settled, person, monkeypatch) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    admin = api_client(person("admin"))
    run_night(DUE)
    response = admin.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"})
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    values = read(response.content.decode())
    assert values == {
        "due_leads": 0,
        "oldest_due_seconds": 0,
        "nightly_last_success_timestamp_seconds": NOW.timestamp(),
        "nightly_overdue": 0,
        "jobs_live": 0,
        "jobs_failed_24h": 0,
        "history_stray_rows": 0,
        "alarms": 0,
    }
    for line in response.content.decode().splitlines():
        assert re.fullmatch(r"# (HELP leadscore_\w+ .+|TYPE leadscore_\w+ gauge)|leadscore_\w+ [\d.]+", line), line

    make_lead(at=NOW - MINUTE)
    make_lead(at=NOW - HOUR)
    stray(NOW + 4000 * DAY)
    Job.objects.filter(kind=nightly.NIGHTLY).update(status="failed", finished_at=NOW - HOUR)
    start_recalculation(at=NOW, by=None, announce=False)
    values = read(admin.get("/metrics").content.decode())
    assert "nightly_last_success_timestamp_seconds" not in values
    assert values == {
        "due_leads": 2,
        "oldest_due_seconds": 3600,
        "nightly_overdue": 1,
        "jobs_live": 1,
        "jobs_failed_24h": 1,
        "history_stray_rows": 1,
        "alarms": 2,  # the night, and the strays
    }


def test_metrics_take_a_right_of_their_own(client, manager, person) -> None:
    problem(client.get("/metrics"), 401)
    problem(api_client(manager).get("/metrics"), 403)
    client.force_login(person("admin"))
    assert client.get("/metrics").status_code == 200
