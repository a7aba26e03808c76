import logging

from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from scoring import operations

logger = logging.getLogger(__name__)


@shared_task(name="scoring.sweep", expires=60)
def sweep() -> None:
    operations.sweep(at=timezone.now())


def wake_sweep() -> None:
    """Ask a worker to drain now; with the broker down the sweep of the next minute does it."""
    try:
        sweep.delay()
    except (BrokerError, RedisError, OSError) as error:
        logger.warning("due leads wait for the next sweep, the broker does not answer: %s", error)
