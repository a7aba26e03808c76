"""Writes: make, announce, claim, run, cancel and retry jobs."""

import datetime as dt
import logging
import time
from typing import Any

import psycopg
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Q
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from accounts.models import User
from jobs.identity import is_dead_here, worker_identity
from jobs.models import STALE_AFTER, Job, Tick
from jobs.ranges import Invite, with_threads
from jobs.registry import handler_for, tell_end
from jobs.runs import JobLost, JobRefused, JobRun, heartbeat

logger = logging.getLogger(__name__)
MAX_ATTEMPTS = 10
SLOT_TRIES = (
    3  # a slot's job that fails in an unforeseen way is queued again, a minute later, until it failed this often
)
# A COPY raises psycopg's own errors; a connection found closed is an InterfaceError.
DATABASE_AWAY = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
_at_work: set[int] = set()  # jobs that this process is doing; one that names it and is not here was interrupted
ANNOUNCE_AGAIN_AFTER = dt.timedelta(seconds=60)
REQUEUE_PATIENCE_SECONDS = 30.0  # a restart is over by then; without the database this process has nothing else to do


def start_job(
    *,
    kind: str,
    title: str,
    at: dt.datetime,
    params: dict[str, Any] | None = None,
    key: str | None = None,
    slot: str | None = None,
    by: User | None = None,
    announce: bool = True,
) -> Job:
    """Make a queued job and wake a worker when the transaction commits.

    With a `slot`, the job that this slot has already, ended or not, is returned instead of a second one. With a
    `key`, a live job of the same kind and key is (single flight), be it of another slot.
    """
    try:
        with transaction.atomic():
            job = Job.objects.create(
                kind=kind,
                key=key,
                slot=slot,
                title=title,
                params=params or {},
                as_of=at,
                created_at=at,
                created_by=by,
            )
    except IntegrityError:
        of_slot = Job.objects.filter(kind=kind, slot=slot).first() if slot is not None else None
        there = of_slot or Job.objects.live().filter(kind=kind, key=key).first()
        if there is None:
            raise
        return there
    if announce:
        transaction.on_commit(lambda: announce_job(job_id=job.pk))
    return job


def announce_job(*, job_id: int) -> None:
    """Wake a worker; with the broker down the job stays queued and the sweep sends it later."""
    from jobs.tasks import run

    try:
        run.delay(job_id)
    except (BrokerError, RedisError, OSError) as error:
        logger.warning("job %s stays queued, the broker does not answer: %s", job_id, error)
        return
    Job.objects.filter(pk=job_id).update(announced_at=timezone.now())


def _claim(job_id: int) -> Job | None:
    """Take a queued job, or a running one whose worker is dead; None when there is nothing to take."""
    now = timezone.now()
    job = Job.objects.filter(pk=job_id).first()
    if job is None or not job.is_live:
        return None
    is_dead = is_dead_here(job.worker) or (job.worker == worker_identity() and job_id not in _at_work)
    abandoned = Q(status=Job.Status.RUNNING) & (
        Q(heartbeat_at__lt=now - STALE_AFTER) | (Q(worker=job.worker, attempt=job.attempt) if is_dead else Q(pk__in=[]))
    )
    with transaction.atomic():
        # A living worker holds the row while a chunk runs, however long that takes.
        is_maybe_alive = job.status == Job.Status.RUNNING and not is_dead
        if is_maybe_alive and not Job.objects.select_for_update(skip_locked=True).filter(pk=job_id):
            return None
        claimed = (
            Job.objects.filter(pk=job_id)
            .filter(Q(status=Job.Status.QUEUED) | abandoned)
            .update(
                status=Job.Status.RUNNING,
                attempt=F("attempt") + 1,
                worker=worker_identity(),
                heartbeat_at=now,
                started_at=job.started_at or now,
            )
        )
    return Job.objects.get(pk=job_id) if claimed else None


def run_job(*, job_id: int, invite: Invite = with_threads) -> Job | None:
    """Claim the job and do it in this process; returns it as it ended, or None when it was not ours to do.

    `invite(job)` finds help for work in ranges: threads of this process, or other workers.

    A failure is written on the job, never raised: the job is its own report. When the database went away meanwhile,
    the job waits for its next attempt.
    """
    job = _claim(job_id)
    if job is None:
        return None
    if job.attempt - job.attempts_before > MAX_ATTEMPTS:
        why = job.error or "the worker died each time."
        _end(job, Job.Status.FAILED, f"Given up after {MAX_ATTEMPTS} attempts: {why}")
        return _ended(job)
    logger.info("job %s (%s) attempt %s begins", job.pk, job.title, job.attempt)
    run = JobRun(job, invite)
    _at_work.add(job_id)
    try:
        with heartbeat(job):
            result = handler_for(job.kind)(run)
            if not Job.objects.filter(pk=job_id, status=Job.Status.SUCCEEDED).exists():
                with run.chunk():
                    pass
                run.finish(result)
    except JobLost:
        _cancel_if_asked(job)
    except JobRefused as refusal:
        _end(job, Job.Status.FAILED, str(refusal))
    except (*DATABASE_AWAY, ChildProcessError) as error:
        # The database or a helping process went away: the work is intact up to the last chunk, and goes on later.
        logger.warning("job %s interrupted, will be retried: %s", job.pk, error)
        connection.close()
        if not _requeue(job, f"{type(error).__name__}: {error}"):
            return None
    except Exception as error:
        logger.exception("job %s failed", job.pk)
        _fail(
            job,
            f"Something unforeseen went wrong ({type(error).__name__}); the server's log has the details under job "
            f"{job.pk}. What had landed before is kept.",
        )
    finally:
        _at_work.discard(job_id)
    return _ended(job)


def _ended(job: Job) -> Job:
    """The job as this attempt left it; whoever wants to know that it has ended is told."""
    ended = Job.objects.get(pk=job.pk)
    logger.info("job %s (%s) is %s", ended.pk, ended.title, ended.status)
    if not ended.is_live and ended.attempt == job.attempt:
        tell_end(ended)
    return ended


def _fail(job: Job, error: str) -> None:
    """End a job that failed for reasons nobody foresaw; a slot has no other job, so that its own is tried again."""
    if job.slot is None or job.failures + 1 >= SLOT_TRIES:
        Job.objects.filter(pk=job.pk, attempt=job.attempt).update(failures=F("failures") + 1)
        _end(job, Job.Status.FAILED, error)
        return
    # Announced now: the sweep lets a minute pass before the next attempt.
    Job.objects.filter(pk=job.pk, attempt=job.attempt, status=Job.Status.RUNNING).update(
        status=Job.Status.QUEUED, announced_at=timezone.now(), error=error, failures=F("failures") + 1
    )


def _end(job: Job, status: Job.Status, error: str) -> None:
    Job.objects.filter(pk=job.pk, attempt=job.attempt, status=Job.Status.RUNNING).update(
        status=status, error=error, finished_at=timezone.now()
    )


def _requeue(job: Job, error: str) -> bool:
    """Queue an interrupted job again, keeping why; False when the database stays away.

    Only this process knows at once that nobody works on it any more: others wait until its heartbeat is old.
    """
    give_up_at = time.monotonic() + REQUEUE_PATIENCE_SECONDS
    while True:
        try:
            Job.objects.filter(pk=job.pk, attempt=job.attempt, status=Job.Status.RUNNING).update(
                status=Job.Status.QUEUED, announced_at=None, error=error
            )
        except DATABASE_AWAY:
            connection.close()
            if time.monotonic() > give_up_at:
                logger.warning("job %s: the database is away; the sweep will find it by its heartbeat", job.pk)
                return False
            time.sleep(0.5)
        else:
            return True


def _cancel_if_asked(job: Job) -> None:
    Job.objects.filter(pk=job.pk, attempt=job.attempt, status=Job.Status.RUNNING, is_cancel_requested=True).update(
        status=Job.Status.CANCELLED, finished_at=timezone.now()
    )


def cancel_job(*, job_id: int) -> bool:
    """Ask a live job to stop at its next chunk; a queued one ends at once. False when it had ended already."""
    now = timezone.now()
    if Job.objects.filter(pk=job_id, status=Job.Status.QUEUED).update(
        status=Job.Status.CANCELLED, is_cancel_requested=True, finished_at=now
    ):
        return True
    return bool(Job.objects.filter(pk=job_id, status=Job.Status.RUNNING).update(is_cancel_requested=True))


def retry_job(*, job_id: int) -> bool:
    """Queue a failed or cancelled job again, as itself: ranges that are done stay done.

    Its attempts and failures are counted from here. False when it is neither, or another one of its key is live.
    """
    ended = Job.objects.filter(pk=job_id, status__in=[Job.Status.FAILED, Job.Status.CANCELLED])
    try:
        with transaction.atomic():
            again = ended.update(
                status=Job.Status.QUEUED,
                attempts_before=F("attempt"),
                failures=0,
                error="",
                is_cancel_requested=False,
                announced_at=None,
                finished_at=None,
            )
    except IntegrityError:  # another one of its key is live
        return False
    if again:
        transaction.on_commit(lambda: announce_job(job_id=job_id))
    return bool(again)


def take_slot(*, name: str, slot: str) -> bool:
    """True for the one caller who is first to name this slot after another one: light work, once per slot."""
    # Of two who update at once the second waits for the first, and then finds the slot taken.
    if Tick.objects.filter(name=name).exclude(slot=slot).update(slot=slot):
        return True
    _, is_made = Tick.objects.get_or_create(name=name, defaults={"slot": slot})
    return is_made


def abandoned_job_ids() -> list[int]:
    """Live jobs that nobody works on: queued ones, and running ones whose worker is silent or dead."""
    now = timezone.now()
    ids = []
    for job in Job.objects.live().order_by("pk"):
        silent = job.heartbeat_at is None or job.heartbeat_at < now - STALE_AFTER
        if job.status == Job.Status.QUEUED or silent or is_dead_here(job.worker):
            ids.append(job.pk)
    return ids


def sweep_jobs() -> int:
    """Announce every job that nobody works on; returns how many. Claims are conditional, so twice is harmless."""
    now = timezone.now()
    waiting = Job.objects.filter(pk__in=abandoned_job_ids()).filter(
        Q(announced_at__isnull=True) | Q(announced_at__lt=now - ANNOUNCE_AGAIN_AFTER) | Q(status=Job.Status.RUNNING)
    )
    ids = list(waiting.order_by("pk").values_list("pk", flat=True))
    for job_id in ids:
        announce_job(job_id=job_id)
    return len(ids)


def finish_abandoned_jobs() -> list[Job]:
    """Do, in this process, every job whose own process died: what a killed command left, the next one ends."""
    ended = []
    for job in Job.objects.filter(pk__in=abandoned_job_ids(), status=Job.Status.RUNNING).order_by("pk"):
        finished = run_job(job_id=job.pk)
        if finished is not None:
            ended.append(finished)
    return ended
