import logging

from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from scoring import alarms, nightly, operations

logger = logging.getLogger(__name__)


@shared_task(name="scoring.sweep", expires=60)
def sweep() -> None:
    operations.sweep_minute(at=timezone.now())


@shared_task(name="scoring.drain", expires=60)
def drain() -> None:
    operations.sweep(at=timezone.now())


@shared_task(name="scoring.nightly", expires=60)
def start_nightly() -> None:
    nightly.start_nightly(at=timezone.now())


@shared_task(name="scoring.alarms", expires=60)
def log_alarms() -> None:
    alarms.log_alarms(at=timezone.now())


def wake_sweep() -> None:
    """Ask a worker to drain now; with the broker down the sweep of the next minute does it."""
    try:
        drain.delay()
    except (BrokerError, RedisError, OSError) as error:
        logger.warning("due leads wait for the next sweep, the broker does not answer: %s", error)
