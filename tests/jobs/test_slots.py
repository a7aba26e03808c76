"""A slot has one job, whoever asks and however often; it is tried three times as the same job."""

import datetime as dt
import threading
from typing import Any

import pytest
from django.db import connections

from jobs import registry
from jobs.models import Job, Tick
from jobs.operations import MAX_ATTEMPTS, cancel_job, retry_job, run_job, start_job, sweep_jobs, take_slot
from jobs.runs import JobRefused, JobRun
from jobs.sql import try_lock
from tests.conftest import NOW

SLOT = "2026-06-15"


def start(slot: str | None = SLOT, **fields: Any) -> Job:
    return start_job(kind="test", slot=slot, title="Test", at=NOW, announce=False, **fields)


def at_once(count: int, do: Any) -> list[Any]:
    """What `do()` answers in so many threads that begin together, each on its own connection."""
    barrier, answers = threading.Barrier(count), []

    def run() -> None:
        try:
            barrier.wait(timeout=10)
            answers.append(do())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return answers


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Kind "test" that fails at each attempt; the list holds the attempts."""
    attempts: list[int] = []

    def handler(run: JobRun) -> dict[str, Any]:
        attempts.append(run.job.attempt)
        raise ZeroDivisionError

    monkeypatch.setitem(registry._kinds, "test", registry.Kind(handler))
    return attempts


@pytest.mark.django_db
def test_a_slot_has_one_job_also_when_that_has_ended(failing: list[int]) -> None:
    first = start()
    assert start().pk == first.pk
    Job.objects.filter(pk=first.pk).update(status="succeeded")
    assert start().pk == first.pk
    assert start("2026-06-16").pk != first.pk
    assert len({start(None).pk, start(None).pk}) == 2  # what a person asks for has no slot


@pytest.mark.django_db
def test_a_live_job_of_the_key_comes_before_a_new_slot() -> None:
    first = start(key="all")
    assert start("2026-06-16", key="all").pk == first.pk
    Job.objects.filter(pk=first.pk).update(status="succeeded")
    assert start("2026-06-16", key="all").slot == "2026-06-16"


@pytest.mark.django_db(transaction=True)
def test_schedulers_that_fire_at_once_make_one_job() -> None:
    assert len(set(at_once(6, lambda: start(key="all").pk))) == 1
    assert Job.objects.count() == 1


@pytest.mark.django_db
def test_a_slots_job_is_tried_three_times_as_itself(failing: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr("jobs.tasks.run.delay", sent.append)
    job = start()
    for attempt in (1, 2):
        ended = run_job(job_id=job.pk)
        assert ended is not None
        assert (ended.status, ended.attempt, ended.failures) == ("queued", attempt, attempt)
        assert "ZeroDivisionError" in ended.error
    assert sweep_jobs() == 0  # a minute passes before the next attempt
    Job.objects.filter(pk=job.pk).update(announced_at=NOW - dt.timedelta(days=900))
    assert (sweep_jobs(), sent) == (1, [job.pk])
    ended = run_job(job_id=job.pk)
    assert ended is not None
    assert (ended.status, ended.failures, ended.finished_at is not None) == ("failed", 3, True)
    assert run_job(job_id=job.pk) is None
    assert (failing, start().pk) == ([1, 2, 3], job.pk)


@pytest.mark.django_db
def test_a_crash_is_no_failure(failing: list[int]) -> None:
    """A worker that died five times leaves the slot's three tries untouched."""
    job = start()
    Job.objects.filter(pk=job.pk).update(attempt=5)
    for _ in range(3):
        run_job(job_id=job.pk)
    job.refresh_from_db()
    assert (failing, job.status) == ([6, 7, 8], "failed")


@pytest.mark.django_db
def test_without_a_slot_a_failure_is_final(failing: list[int]) -> None:
    job = start(None)
    ended = run_job(job_id=job.pk)
    assert ended is not None
    assert (ended.status, failing) == ("failed", [1])


@pytest.mark.django_db
def test_a_refusal_is_final_also_for_a_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    def handler(run: JobRun) -> dict[str, Any]:
        raise JobRefused("There is nothing to do it with.")

    monkeypatch.setitem(registry._kinds, "test", registry.Kind(handler))
    ended = run_job(job_id=start().pk)
    assert ended is not None
    assert (ended.status, ended.error) == ("failed", "There is nothing to do it with.")


@pytest.mark.django_db
def test_a_person_has_a_failed_or_stopped_one_run_again_as_itself(failing: list[int]) -> None:
    job = start()
    Job.objects.filter(pk=job.pk).update(attempt=MAX_ATTEMPTS)
    given_up = run_job(job_id=job.pk)
    assert given_up is not None
    assert (given_up.status, failing) == ("failed", [])
    assert retry_job(job_id=job.pk)
    assert not retry_job(job_id=job.pk)  # it waits already
    again = run_job(job_id=job.pk)
    assert again is not None
    assert (again.status, again.failures, len(failing)) == ("queued", 1, 1)
    assert cancel_job(job_id=job.pk)
    assert retry_job(job_id=job.pk)
    run_job(job_id=job.pk)
    assert len(failing) == 2


@pytest.mark.django_db
def test_an_old_one_is_not_run_beside_a_live_one_of_its_key() -> None:
    old = start(key="all")
    Job.objects.filter(pk=old.pk).update(status="failed")
    start("2026-06-16", key="all")
    assert not retry_job(job_id=old.pk)


@pytest.mark.django_db
def test_whoever_wants_to_know_hears_once_that_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []

    def hear(job: Job) -> None:
        heard.append(job.status)
        raise ConnectionRefusedError

    monkeypatch.setitem(registry._kinds, "test", registry.Kind(lambda run: {}, on_end=hear))
    job = start()
    ended = run_job(job_id=job.pk)
    assert ended is not None
    assert (ended.status, heard) == ("succeeded", ["succeeded"])


# Light work -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_many_who_name_a_slot_one_is_first() -> None:
    assert sorted(at_once(6, lambda: take_slot(name="a", slot="1"))) == [False] * 5 + [True]
    assert sorted(at_once(6, lambda: take_slot(name="a", slot="2"))) == [False] * 5 + [True]
    assert take_slot(name="b", slot="2")
    assert str(Tick.objects.get(name="a")) == "a: 2"


@pytest.mark.django_db(transaction=True)
def test_a_lock_is_held_by_one_session_and_ends_with_it() -> None:
    def try_it() -> bool:
        with try_lock("work") as is_ours:
            return is_ours

    with try_lock("work") as is_ours:
        assert is_ours
        assert at_once(2, try_it) == [False, False]
    assert at_once(1, try_it) == [True]
    with pytest.raises(ZeroDivisionError), try_lock("work"):
        raise ZeroDivisionError
    assert at_once(1, try_it) == [True]
