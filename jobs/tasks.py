from celery import shared_task

from jobs.operations import run_job, sweep_jobs


@shared_task(name="jobs.run")
def run(job_id: int) -> None:
    run_job(job_id=job_id)


@shared_task(name="jobs.sweep", expires=60)
def sweep() -> None:
    sweep_jobs()
