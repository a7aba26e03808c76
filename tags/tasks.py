from celery import shared_task
from django.utils import timezone

from tags import notices
from tags.bulk import clear_former


@shared_task(name="tags.notices", expires=60)
def start_check() -> None:
    notices.start_check(at=timezone.now())


@shared_task(name="tags.clear_former", expires=3600)
def clear() -> None:
    clear_former(at=timezone.now())
