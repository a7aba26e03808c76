from celery import shared_task

from jobs.operations import DATABASE_AWAY, run_job, sweep_jobs
from jobs.ranges import with_workers, work_on_ranges


# A call that finds the database away comes again: the sweep would repeat it after a minute only.
@shared_task(name="jobs.run", autoretry_for=DATABASE_AWAY, default_retry_delay=5, max_retries=24)
def run(job_id: int) -> None:
    run_job(job_id=job_id, invite=with_workers)


@shared_task(name="jobs.help", expires=60)
def help_out(job_id: int, attempt: int) -> None:
    work_on_ranges(job_id=job_id, attempt=attempt)


@shared_task(name="jobs.sweep", expires=60)
def sweep() -> None:
    sweep_jobs()
