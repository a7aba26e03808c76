"""A worker is killed in the middle of a delivery: the message goes out again, the same to the letter."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from django.db import connection
from django.utils import timezone

from territories.models import Referral, WebhookAttempt, WebhookMessage
from tests.installation import Installation, kill, wait_until
from tests.territories.receivers import Handler, receiver
from tests.territories.webhook_factories import assign_lead, make_listener


@pytest.fixture
def installation(transactional_db: None, tmp_path: Path) -> Iterator[Installation]:
    """The test's own database, and a broker that no other test has left anything in."""
    database_url = os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{connection.settings_dict['NAME']}"
    redis_url = os.environ["REDIS_URL"].rpartition("/")[0] + "/9"
    installation = Installation(database_url, redis_url, tmp_path)
    yield installation
    installation.end()


def state() -> tuple[str, int, str]:
    message = WebhookMessage.objects.get()
    return message.status, message.attempts, Referral.objects.get().status


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_a_delivery(installation: Installation) -> None:
    came, may_answer = threading.Event(), threading.Event()

    def answer(handler: Handler, number: int) -> None:
        if number == 1:
            came.set()
            may_answer.wait(30)  # whoever asked is dead by then
        handler.say(200)

    installation.environment |= {
        "LEADSCORE_WEBHOOK_ALLOW_HTTP": "1",
        "LEADSCORE_WEBHOOK_PORTS": "any",
        "LEADSCORE_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    }
    with receiver(answer) as server:
        at = timezone.now()
        assign_lead(make_listener(server.url, at=at), at=at)
        worker = installation.start_worker()
        broker = Celery(broker=installation.redis_url)
        broker.send_task("territories.push-webhooks")
        assert came.wait(40)
        kill(worker)
        may_answer.set()
        assert state() == ("pending", 1, "assigned")
        assert not WebhookAttempt.objects.exists()
        lost_at = WebhookMessage.objects.get().next_attempt_at
        assert lost_at is not None
        assert lost_at > timezone.now()

        installation.start_worker()
        # It is the dead one's for a minute; here the minute is over at once.
        assert WebhookMessage.objects.update(next_attempt_at=timezone.now()) == 1
        broker.send_task("territories.push-webhooks")
        wait_until(lambda: state() == ("delivered", 2, "delivered"))
    first, second = server.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
