"""Background work of the room; each task calls one operation."""

import logging

from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from territories.generation import runs, taking
from territories.holdings.operations import sweep_territories
from territories.referrals.lifecycle import expire_overdue
from territories.webhooks.configure import webhook_transport
from territories.webhooks.messages import clear_messages
from territories.webhooks.pushing import push_messages

logger = logging.getLogger(__name__)


@shared_task(name="territories.sweep", expires=60)
def sweep() -> None:
    sweep_territories(at=timezone.now())


@shared_task(name="territories.sweep-waiting", expires=60)
def sweep_waiting() -> None:
    taking.sweep_waiting(at=timezone.now())


@shared_task(name="territories.generate-nightly", expires=60)
def generate_nightly() -> None:
    runs.start_nightly_runs(at=timezone.now())


@shared_task(name="territories.expire", expires=60)
def expire_referrals() -> None:
    expire_overdue(at=timezone.now())


@shared_task(name="territories.push-webhooks", expires=15)
def push_webhooks() -> None:
    push_messages(at=timezone.now(), transport=webhook_transport())


@shared_task(name="territories.clear-webhooks", expires=3600)
def clear_webhooks() -> None:
    clear_messages(at=timezone.now())


def wake_webhooks() -> None:
    """Ask a worker to send now; with the broker down the beat's next look does it."""
    try:
        push_webhooks.delay()
    except (BrokerError, RedisError, OSError) as error:
        logger.warning("webhooks wait for the next look, the broker does not answer: %s", error)
