from celery import shared_task
from django.utils import timezone

from accounts.operations import clear_idempotency_keys


@shared_task(name="accounts.clear-keys", expires=3600)
def clear_keys() -> None:
    clear_idempotency_keys(at=timezone.now())
