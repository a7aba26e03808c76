"""A worker is killed in the middle of a delivery: the message goes out again, the same to the letter."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from tests.installation import Installation, clone, kill, throwaway_servers, wait_until
from tests.territories.receivers import Handler, receiver

SET_UP = """
from django.utils import timezone
from tests.territories.webhook_factories import assign_lead, make_listener
at = timezone.now()
assign_lead(make_listener({url!r}, at=at), at=at)
"""


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with throwaway_servers() as servers:
        yield from clone(servers, tmp_path)


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
        installation.run_code(SET_UP.format(url=server.url))
        worker = installation.start_worker()
        broker = Celery(broker=installation.redis_url)
        broker.send_task("territories.push-webhooks")
        assert came.wait(40)
        kill(worker)
        may_answer.set()
        state = "SELECT status, attempts, (SELECT status FROM territories_referral) FROM territories_webhookmessage"
        assert installation.rows(state) == [("pending", 1, "assigned")]
        assert installation.rows("SELECT count(*) FROM territories_webhookattempt") == [(0,)]

        installation.start_worker()
        # It is the dead one's for a minute; then the clock has gone on.
        broker.send_task("territories.push-webhooks")
        with installation.connect() as connection:
            held = connection.execute("SELECT next_attempt_at > now() FROM territories_webhookmessage").fetchone()
            assert held == (True,)
            connection.execute("UPDATE territories_webhookmessage SET next_attempt_at = now()")
        broker.send_task("territories.push-webhooks")
        wait_until(lambda: installation.rows(state) == [("delivered", 2, "delivered")])
    first, second = server.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
