"""Background work of the room; each task calls one operation."""

from celery import shared_task
from django.utils import timezone

from territories.referrals.lifecycle import expire_overdue


@shared_task(name="territories.expire", expires=60)
def expire_referrals() -> None:
    expire_overdue(at=timezone.now())
