from celery import shared_task
from django.utils import timezone

from tags.bulk import clear_former


@shared_task(name="tags.clear_former", expires=3600)
def clear() -> None:
    clear_former(at=timezone.now())
