"""What long management commands share: they do their job in their own process, worker or not."""

import logging
import time

from jobs.models import Job
from jobs.operations import finish_abandoned_jobs, run_job

logger = logging.getLogger(__name__)


def run_in_this_process(job: Job) -> Job:
    """Finish what killed commands left, then do this job here; returns it as it ended.

    A job that another process is doing already is waited for.
    """
    finish_abandoned_jobs()
    while job.is_live:
        if run_job(job_id=job.pk) is None:
            time.sleep(0.5)
        job = Job.objects.get(pk=job.pk)
    return job
