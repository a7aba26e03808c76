"""Sending what is due, and what becomes of each answer.

A message is claimed for a minute by the statement that counts its attempt. Whoever dies in between lets the minute run
out, and the message is sent again: same id, same body. What a receiver took is taken, whoever else claimed it since.
"""

import datetime as dt
import email.utils
import json
import logging
import random
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from django.db import transaction

from territories.models import Referral, WebhookAttempt, WebhookEndpoint, WebhookMessage
from territories.referrals.receipts import deliver
from territories.sql.webhooks import Claim, claim
from territories.webhooks.messages import enqueue_messages
from territories.webhooks.signing import sign
from territories.webhooks.transport import Request, Result, Transport

logger = logging.getLogger(__name__)
Kind, Status = WebhookMessage.Kind, WebhookMessage.Status
LEASE = dt.timedelta(seconds=60)  # well beyond the longest that an attempt may take
AT_ONCE = 24
BEGINS_FOR = 10.0  # seconds in which a run begins new ones; what is left waits for the next run
# Waits between attempts, as Standard Webhooks advises; after the last one a message is dead, 32 to 38 hours (by the
# spread) after it was first due.
WAITS = tuple(
    dt.timedelta(seconds=seconds) for seconds in (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600)
)
SPREAD = 0.2  # of a wait at most is added by chance, so that those that failed together do not come back together
LONGEST_WAIT = dt.timedelta(hours=24)  # that a receiver may ask for
GONE = 410


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What one run sent: `failed` ones are tried again, `dead` ones are not."""

    delivered: int
    failed: int
    dead: int


def push_messages(*, at: dt.datetime, transport: Transport, begins_for: float = BEGINS_FOR) -> Pushed:
    """Make the messages that are missing and send what is due, several at once; call it outside of a transaction.

    Threads send; this one alone speaks with the database.
    """
    started = time.monotonic()
    enqueue_messages(at=at)
    _bury_lost(at)
    ends: list[str] = []
    under_way: dict[Future[Result], Claim] = {}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook") as pool:
        while True:
            spent = time.monotonic() - started
            if spent < begins_for and len(under_way) < AT_ONCE:
                busy = {one.contractor_id for one in under_way.values()}
                now = at + dt.timedelta(seconds=spent)
                for one in claim(at=now, lost_at=now + LEASE, limit=AT_ONCE - len(under_way), busy=sorted(busy)):
                    under_way[pool.submit(_send, one, now, transport)] = one
            if not under_way:
                return Pushed(
                    delivered=ends.count(Status.DELIVERED),
                    failed=ends.count(Status.PENDING),
                    dead=ends.count(Status.DEAD),
                )
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                now = at + dt.timedelta(seconds=time.monotonic() - started)
                ends.append(record_attempt(one=under_way.pop(future), result=future.result(), at=now))


def _send(one: Claim, at: dt.datetime, transport: Transport) -> Result:
    try:
        headers = sign(webhook_id=f"msg_{one.id.hex}", body=one.body, secrets=one.secrets, at=at)
        return transport.send(Request(url=one.url, headers=headers, body=one.body.encode()))
    except Exception as error:
        logger.exception("message %s could not be sent", one.id)
        return Result(error=f"Something unforeseen went wrong ({type(error).__name__}); the server's log has more.")


def _bury_lost(at: dt.datetime) -> None:
    """Give up what was claimed as often as may be and never answered for: whoever sends it dies."""
    lost = WebhookMessage.objects.due(at).filter(attempts__gt=len(WAITS))
    lost.update(
        status=Status.DEAD,
        ended_at=at,
        next_attempt_at=None,
        last_error="Given up: each worker that sent it ended before it could say what came of it.",
    )


def record_attempt(*, one: Claim, result: Result, at: dt.datetime) -> str:
    """Write down what came of an attempt, with all that follows from it, in one transaction; the message's status."""
    with transaction.atomic():
        # Locked first, so that a resend or a withdrawal comes before or after, never in between.
        message = WebhookMessage.objects.select_for_update(no_key=True).filter(pk=one.id).first()
        if message is None:
            return Status.CANCELLED
        WebhookAttempt.objects.create(
            message=message, at=at, duration_ms=result.duration_ms, status=result.status, error=result.error
        )
        is_ours = message.status == Status.PENDING and message.next_attempt_at == one.lost_at
        if message.status == Status.DELIVERED or not (result.is_taken or is_ours):
            return message.status  # somebody claimed it since, or it was withdrawn
        message.last_status, message.last_error = result.status, result.error
        if result.is_taken:
            message.status, message.ended_at, message.next_attempt_at = Status.DELIVERED, at, None
            if one.kind == Kind.REFERRAL_ASSIGNED and one.referral_id is not None:
                _hand_over(message, one.referral_id, at)
        else:
            _fail(message, one, result, at)
        message.save()
    if message.status == Status.DEAD:
        logger.error(
            "webhook %s (%s) of contractor %s is dead after attempt %s: %s",
            message.webhook_id, message.kind, one.contractor_id, message.attempts, result.error,
        )  # fmt: skip
    return message.status


def _hand_over(message: WebhookMessage, referral_id: int, at: dt.datetime) -> None:
    """The contractor has the lead: the referral is delivered, and its receipt is what the body said, to the letter."""
    receipt = json.loads(message.body)["data"]["receipt"]
    if Referral.objects.filter(pk=referral_id, status=Referral.Status.ASSIGNED).update(receipt=receipt):
        deliver(ids=[referral_id], at=at, note=f"webhook {message.webhook_id}")


def _fail(message: WebhookMessage, one: Claim, result: Result, at: dt.datetime) -> None:
    if result.status == GONE:
        # Unless a person has set another address meanwhile.
        endpoint = WebhookEndpoint.objects.filter(contractor_id=one.contractor_id, url=one.url)
        if endpoint.filter(is_enabled=True).update(is_enabled=False):
            logger.error("webhook of contractor %s is switched off: it answered 410", one.contractor_id)
        message.last_error = f"{result.error} That means for ever, so the webhook was switched off."
    if result.status == GONE or one.kind == Kind.TEST or message.attempts > len(WAITS):
        message.status, message.ended_at, message.next_attempt_at = Status.DEAD, at, None
        return
    spread = random.uniform(0, SPREAD)  # noqa: S311
    wanted = wait_after(attempt=message.attempts, retry_after=result.retry_after, at=at, spread=spread)
    message.next_attempt_at = at + wanted


def wait_after(*, attempt: int, retry_after: str, at: dt.datetime, spread: float) -> dt.timedelta:
    """How long to wait after the failed attempt number `attempt` (1 is the first): what the receiver asks for, if more.

    `retry_after`: the header of that name, seconds or a date; anything else counts for nothing.
    """
    own = WAITS[min(attempt, len(WAITS)) - 1] * (1 + spread)
    return max(own, min(_asked_for(retry_after, at), LONGEST_WAIT))


def _asked_for(retry_after: str, at: dt.datetime) -> dt.timedelta:
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return dt.timedelta(seconds=min(int(text[:9]), int(LONGEST_WAIT.total_seconds())))
    try:
        until = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return dt.timedelta(0)
    return (until if until.tzinfo else until.replace(tzinfo=dt.UTC)) - at
