"""What long management commands share: they do their job in their own process, worker or not."""

import logging
import time

from django.db import connection

from jobs.models import Job
from jobs.operations import DATABASE_AWAY, finish_abandoned_jobs, run_job

logger = logging.getLogger(__name__)
PATIENCE_SECONDS = 120.0  # a database that crashed replays its log


def run_in_this_process(job: Job) -> Job:
    """Finish what killed commands left, then do this job here; returns it as it ended.

    A job that another process is doing already is waited for, and so is a database that restarts.
    """
    finish_abandoned_jobs()
    give_up_at = None
    while job.is_live:
        try:
            run_job(job_id=job.pk)
            job = Job.objects.get(pk=job.pk)
            give_up_at = None
        except DATABASE_AWAY as error:
            connection.close()
            give_up_at = give_up_at or time.monotonic() + PATIENCE_SECONDS
            if time.monotonic() > give_up_at:
                raise
            logger.warning("job %s waits for the database: %s", job.pk, error)
        if job.is_live:
            time.sleep(0.5)
    return job
