"""Work split into ranges over all workers. Each range is one transaction, and its row lock is the claim.

A killed worker's lock goes with its connection, so that its range is free again; a range that is done stays done
over attempts.
"""

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TypeVar

from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from django.db.models import Sum
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError
from psycopg.errors import DeadlockDetected, SerializationFailure, UniqueViolation
from redis.exceptions import RedisError

from jobs.identity import worker_identity
from jobs.models import Job, JobRange
from jobs.registry import work_for

T = TypeVar("T")
logger = logging.getLogger(__name__)
TRIES = 8
POLL_SECONDS = 0.05


class RangeCollided(Exception):
    """Another transaction changed what this range had read: it rolls back and is done again."""


Invite = Callable[[Job], AbstractContextManager[None]]


def plan_ranges(job: Job, bounds: Iterable[tuple[int, int]]) -> None:
    """Lay out the ranges (after, upto] still to do; call it inside a chunk. Ranges that are done are kept."""
    job.ranges.filter(counts__isnull=True).delete()
    JobRange.objects.bulk_create(JobRange(job=job, after=after, upto=upto) for after, upto in bounds)


def sum_of_ranges(job: Job) -> Counter[str]:
    """Counts of all ranges done so far, added up."""
    total: Counter[str] = Counter()
    for counts in job.ranges.filter(counts__isnull=False).values_list("counts", flat=True):
        total.update(counts)
    return total


def work_on_ranges(*, job_id: int, attempt: int) -> int:
    """Do free ranges of a running job until none is left; how many were done here."""
    done = 0
    while _do_next(job_id, attempt):
        done += 1
    return done


def wait_for_others(job: Job) -> bool:
    """Wait for a range that another process holds; False when every range is done."""
    if not job.ranges.filter(counts__isnull=True).exists():
        return False
    time.sleep(POLL_SECONDS)
    return True


def let_others_end(job: Job) -> None:
    """Wait until nobody is at work on a range: what a cancelled job says has landed must have landed."""
    with transaction.atomic():
        list(job.ranges.select_for_update().filter(counts__isnull=True))


def retrying_collisions(write: Callable[[], T]) -> T:
    """Do a small write in a transaction of its own, again when it met other writers.

    Imports lock assignments before leads, everybody else leads before assignments: now and then that is a deadlock.
    """
    is_whole = not connection.in_atomic_block  # within another transaction there is nothing to do again
    for turn in range(1, TRIES + 1):
        try:
            with transaction.atomic():
                return write()
        except (OperationalError, RangeCollided) as error:
            is_passing = isinstance(error, RangeCollided) or isinstance(error.__cause__, DeadlockDetected)
            if not (is_whole and is_passing) or turn == TRIES:
                raise
            time.sleep(POLL_SECONDS * turn)
    raise AssertionError("unreachable")


def _do_next(job_id: int, attempt: int) -> bool:
    for turn in range(1, TRIES + 1):
        try:
            return _do_one(job_id, attempt)
        except (OperationalError, IntegrityError, RangeCollided) as error:
            is_collision = isinstance(error, RangeCollided) or isinstance(
                error.__cause__, DeadlockDetected | SerializationFailure | UniqueViolation
            )
            if not is_collision or turn == TRIES:
                raise
            logger.info("job %s: a range met another transaction, and is done again: %s", job_id, error)
            time.sleep(POLL_SECONDS * turn)
    raise AssertionError("unreachable")


def _do_one(job_id: int, attempt: int) -> bool:
    with transaction.atomic():
        # Another attempt, or a cancellation, leaves nothing to take.
        mine = JobRange.objects.filter(
            job_id=job_id, job__attempt=attempt, job__status=Job.Status.RUNNING, job__is_cancel_requested=False
        )
        free = mine.filter(counts__isnull=True).select_related("job").select_for_update(skip_locked=True, of=("self",))
        chosen = free.order_by("after").first()
        if chosen is None:
            return False
        counts = dict(work_for(chosen.job.kind)(chosen.job, chosen.after, chosen.upto))
        chosen.done, chosen.worker = counts.pop("done"), worker_identity()
        chosen.counts = counts
        chosen.save(update_fields=["done", "counts", "worker"])
    _show_progress(chosen.job)
    return True


def progress_of(job: Job) -> int:
    """How far the job's bar is: what stood before its ranges, and theirs."""
    return int(job.cursor["base"]) + (job.ranges.aggregate(sum=Sum("done"))["sum"] or 0)


def _show_progress(job: Job) -> None:
    Job.objects.filter(pk=job.pk, attempt=job.attempt, status=Job.Status.RUNNING).update(
        done=progress_of(job), heartbeat_at=timezone.now()
    )


def in_threads(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """The answers of reads that PostgreSQL does on several cores, one connection of this process a core, in order."""
    helpers = min(settings.JOB_CONNECTIONS, len(tasks))
    if helpers < 2 or connection.in_atomic_block:  # other connections would not see what this one has written
        return [task() for task in tasks]

    def share(number: int) -> list[T]:
        try:
            return [task() for task in tasks[number::helpers]]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(helpers) as pool:
        shares = list(pool.map(share, range(helpers)))
    return [shares[number % helpers][number // helpers] for number in range(len(tasks))]


@contextlib.contextmanager
def with_threads(job: Job) -> Iterator[None]:
    """Help by threads of this process, one connection each: PostgreSQL does the work, on other cores."""
    attempt, helpers = job.attempt, settings.JOB_CONNECTIONS - 1
    if connection.in_atomic_block:  # other connections would not see what this one has written
        helpers = 0

    def help_out() -> None:
        try:
            work_on_ranges(job_id=job.pk, attempt=attempt)
        except Exception:
            # The range is free again, and the process that leads meets the same error or does it.
            logger.warning("job %s: a helper gave up", job.pk, exc_info=True)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=help_out, name=f"job-{job.pk}-helper-{n}") for n in range(helpers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


@contextlib.contextmanager
def with_workers(job: Job) -> Iterator[None]:
    """Help by other worker processes; with the broker down the one that leads does all."""
    from jobs.tasks import help_out

    try:
        for _ in range(settings.JOB_CONNECTIONS - 1):
            help_out.delay(job.pk, job.attempt)
    except (BrokerError, RedisError, OSError) as error:
        logger.warning("job %s goes on without help, the broker does not answer: %s", job.pk, error)
    yield
