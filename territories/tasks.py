"""Background work of the room; each task calls one operation."""

from celery import shared_task
from django.utils import timezone

from territories.generation import runs, taking


@shared_task(name="territories.generate-nightly", expires=60)
def generate_nightly() -> None:
    runs.start_nightly_runs(at=timezone.now())


@shared_task(name="territories.sweep-waiting", expires=60)
def sweep_waiting() -> None:
    taking.sweep_waiting(at=timezone.now())
