"""JobRun: what a handler holds while it works. Its chunks are what makes a killed job resumable."""

import contextlib
import datetime as dt
import os
import socket
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import psutil
from django.db import connection, connections, transaction
from django.utils import timezone

from jobs.models import Job

HEARTBEAT_SECONDS = 5.0
SAME_START_SECONDS = 2.0


class JobLost(Exception):
    """Another attempt, or a cancellation, has taken this job away: stop, unwritten."""


class JobRefused(Exception):
    """The job cannot be done; the message tells a person why and how to mend it."""


@cache
def _identity(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}:{psutil.Process(pid).create_time():.2f}"


def worker_identity() -> str:
    """Name of this process, unique over hosts and over reused process ids."""
    return _identity(os.getpid())


def is_dead_here(worker: str) -> bool:
    """True when `worker` named a process of this host that is no more."""
    host, _, rest = worker.partition(":")
    pid, _, started = rest.partition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        process = psutil.Process(int(pid))
        # The kernel tells a start in ticks since boot: setting the machine's clock moves it by a second or so.
        is_another = abs(process.create_time() - float(started)) > SAME_START_SECONDS
        return is_another or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class JobRun:
    """One attempt at a job. Write only inside `chunk()`; what a chunk writes lands with its progress or not at all."""

    def __init__(self, job: Job) -> None:
        self.job = job
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
