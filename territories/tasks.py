"""Background work of the room; each task calls one operation."""

from celery import shared_task
from django.utils import timezone

from territories.holdings.operations import sweep_territories


@shared_task(name="territories.sweep", expires=60)
def sweep() -> None:
    sweep_territories(at=timezone.now())
from territories.referrals.lifecycle import expire_overdue


@shared_task(name="territories.expire", expires=60)
def expire_referrals() -> None:
    expire_overdue(at=timezone.now())
