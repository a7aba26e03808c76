"""Saying that contractors got leads, so that their webhooks need not wait for the sweep."""

import logging
from collections.abc import Sequence

from django.db import transaction
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


def announce_assigned(referral_ids: Sequence[int]) -> None:
    """Wake the sending of webhooks when the running transaction commits; without a broker its sweep does it."""
    if referral_ids:
        transaction.on_commit(_wake)


def _wake() -> None:
    from territories import tasks

    push = getattr(tasks, "push_webhooks", None)
    if push is None:
        return
    try:
        push.delay()
    except (BrokerError, RedisError, OSError) as error:
        logger.warning("webhooks wait for the next sweep, the broker does not answer: %s", error)
