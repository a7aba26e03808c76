from celery import shared_task
from django.utils import timezone

from leads.selections import clear_selections


@shared_task(name="leads.clear_selections", expires=3600)
def clear() -> None:
    clear_selections(at=timezone.now())
