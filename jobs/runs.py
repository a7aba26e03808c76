"""JobRun: what a handler holds while it works. Its chunks are what makes a killed job resumable."""

import contextlib
import datetime as dt
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import connection, connections, transaction
from django.utils import timezone

from jobs import ranges
from jobs.models import Job

HEARTBEAT_SECONDS = 5.0


class JobLost(Exception):
    """Another attempt, or a cancellation, has taken this job away: stop, unwritten."""


class JobRefused(Exception):
    """The job cannot be done; the message tells a person why and how to mend it."""


class JobRun:
    """One attempt at a job. Write only inside `chunk()`; what a chunk writes lands with its progress or not at all."""

    def __init__(self, job: Job, invite: ranges.Invite = ranges.with_threads) -> None:
        self.job = job
        self._invite = invite
        self.done = job.done
        self.total = job.total
        self.stage = job.stage
        self.cursor: dict[str, Any] = dict(job.cursor)

    @property
    def as_of(self) -> dt.datetime:
        """The moment this job counts as now, the same on every attempt."""
        return self.job.as_of

    def _mine(self) -> Any:
        return Job.objects.filter(
            pk=self.job.pk,
            status=Job.Status.RUNNING,
            attempt=self.job.attempt,
            chunk=self.job.chunk,
            is_cancel_requested=False,
        )

    @contextlib.contextmanager
    def chunk(self) -> Iterator[None]:
        """One transaction. Set `done`, `total`, `stage` and `cursor` inside; raises JobLost when not ours any more."""
        with transaction.atomic():
            # The first statement takes the row: a second attempt, or a cancellation, waits or wins here.
            if self._mine().update(chunk=self.job.chunk + 1, heartbeat_at=timezone.now()) != 1:
                raise JobLost
            yield
            Job.objects.filter(pk=self.job.pk).update(
                # No beat can be written while this chunk holds the row: without this one a long chunk ends as stale.
                heartbeat_at=timezone.now(),
                done=self.done,
                total=self.total,
                stage=self.stage,
                cursor=self.cursor,
            )
        self.job.chunk += 1
        self.job.cursor = self.cursor

    def plan_ranges(self, bounds: Iterable[tuple[int, int]]) -> None:
        """Lay out what is left as ranges (after, upto], inside a chunk; the bar grows from `done` by theirs."""
        ranges.plan_ranges(self.job, bounds)
        self.cursor["base"] = self.done

    def do_ranges(self) -> Counter[str]:
        """Do the ranges that are left, with whoever helps; the counts of all of them. Outside of chunks."""
        job = self.job
        with self._invite(job):
            while ranges.work_on_ranges(job_id=job.pk, attempt=job.attempt) or ranges.wait_for_others(job):
                if not self._mine().exists():
                    ranges.let_others_end(job)
                    raise JobLost
        self.done = ranges.progress_of(job)
        return ranges.sum_of_ranges(job)

    def finish(self, result: dict[str, Any]) -> None:
        """Mark the job succeeded; call it inside the transaction that makes it true."""
        changed = self._mine().update(
            status=Job.Status.SUCCEEDED,
            done=max(self.total, 1),
            total=max(self.total, 1),
            stage="",
            error="",
            result=result,
            finished_at=timezone.now(),
        )
        if changed != 1:
            raise JobLost


@contextlib.contextmanager
def heartbeat(job: Job) -> Iterator[None]:
    """Keep `heartbeat_at` fresh from a thread while one long statement runs."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT_SECONDS):
            # While a chunk holds the row its lock says as much as a beat would.
            try:
                with connection.cursor() as cursor:
                    cursor.execute(
                        "UPDATE jobs_job SET heartbeat_at = %s WHERE attempt = %s AND status = 'running' AND id = "
                        "(SELECT id FROM jobs_job WHERE id = %s FOR UPDATE SKIP LOCKED)",
                        [timezone.now(), job.attempt, job.pk],
                    )
            except Exception:
                connection.close()  # the next beat makes a new one
        connections.close_all()

    thread = threading.Thread(target=beat, name=f"heartbeat-{job.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=10)
