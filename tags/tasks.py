from celery import shared_task
from django.utils import timezone

from tags import notices


@shared_task(name="tags.notices", expires=60)
def start_check() -> None:
    notices.start_check(at=timezone.now())
