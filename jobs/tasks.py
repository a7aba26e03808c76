from celery import shared_task

from jobs.operations import run_job, sweep_jobs
from jobs.ranges import with_workers, work_on_ranges


@shared_task(name="jobs.run")
def run(job_id: int) -> None:
    run_job(job_id=job_id, invite=with_workers)


@shared_task(name="jobs.help", expires=60)
def help_out(job_id: int, attempt: int) -> None:
    work_on_ranges(job_id=job_id, attempt=attempt)


@shared_task(name="jobs.sweep", expires=60)
def sweep() -> None:
    sweep_jobs()
