from celery import shared_task
from django.utils import timezone

from accounts.operations import clear_idempotency_keys, clear_sessions


@shared_task(name="accounts.clear-keys", expires=3600)
def clear_keys() -> None:
    clear_idempotency_keys(at=timezone.now())


@shared_task(name="accounts.clear-sessions", expires=3600)
def clear_ended_sessions() -> None:
    clear_sessions(at=timezone.now())
