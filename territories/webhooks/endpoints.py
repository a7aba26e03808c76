"""What people do to a contractor's webhook: set it up, rotate its secret, send messages again."""

import datetime as dt
import logging
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.models import User
from territories.contractors.trail import Kind as EventKind
from territories.contractors.trail import note_event
from territories.models import Contractor, Referral, WebhookEndpoint, WebhookMessage
from territories.webhooks.signing import make_secret

logger = logging.getLogger(__name__)
Kind, Status = WebhookMessage.Kind, WebhookMessage.Status
BOTH_FOR = dt.timedelta(hours=24)  # after a rotation
# A lead goes to who has it assigned, and to nobody else.
MAY_GO = ~Q(kind=Kind.REFERRAL_ASSIGNED) | Q(referral__status=Referral.Status.ASSIGNED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """An endpoint; `secret` is there when it was made just now, to be shown once."""

    endpoint: WebhookEndpoint
    secret: str = ""


class NothingToSend(Exception):
    """The message may not, or need not, go out again; the text says why."""


def save_endpoint(*, contractor: Contractor, url: str, is_enabled: bool, by: User | None, at: dt.datetime) -> Saved:
    """Set where a contractor's messages go, and whether; the first time with a fresh secret.

    The caller has checked the address (`transport.check_url`); each attempt checks it again.
    """
    secret = make_secret()
    with transaction.atomic():
        endpoint, is_made = WebhookEndpoint.objects.select_for_update(of=("self",)).get_or_create(
            contractor=contractor,
            defaults={"url": url, "secret": secret, "is_enabled": is_enabled, "created_at": at},
        )
        if not is_made:
            endpoint.url, endpoint.is_enabled = url, is_enabled
            endpoint.save(update_fields=["url", "is_enabled"])
        state = "on" if is_enabled else "off"
        note_event(contractor=contractor, kind=EventKind.WEBHOOK_SET, at=at, by=by, note=f"{url}, {state}")
    logger.info("webhook of contractor %s set to %s (%s) by %s", contractor.pk, url, state, by)
    return Saved(endpoint=endpoint, secret=secret if is_made else "")


def rotate_secret(*, endpoint: WebhookEndpoint, by: User | None, at: dt.datetime) -> str:
    """Make a fresh secret and return it; for 24 hours messages carry the signatures of the former one, too."""
    secret = make_secret()
    with transaction.atomic():
        locked = WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk)
        locked.former_secret, locked.former_secret_until = locked.secret, at + BOTH_FOR
        locked.secret = secret
        locked.save(update_fields=["secret", "former_secret", "former_secret_until"])
        note_event(contractor=endpoint.contractor, kind=EventKind.SECRET_ROTATED, at=at, by=by)
    logger.info("secret of the webhook of contractor %s rotated by %s", endpoint.contractor_id, by)
    return secret


def resend_message(*, message: WebhookMessage, at: dt.datetime) -> None:
    """Send a dead message again, from the first attempt on, with the id and the body it had. Raises NothingToSend."""
    _refuse_where_off(message.contractor)
    if not _resend(WebhookMessage.objects.filter(pk=message.pk), at):
        message.refresh_from_db()
        if message.status != Status.DEAD:
            raise NothingToSend(f"The message is {message.status}; only a dead one can be sent again.")
        raise NothingToSend(
            "The referral is not assigned any more, so its lead is not sent: the contractor has it already, or must "
            "not have it."
        )


def resend_dead(*, contractor: Contractor, at: dt.datetime) -> int:
    """Send every dead message of a contractor again that may still be sent; how many. Raises NothingToSend."""
    _refuse_where_off(contractor)
    return _resend(WebhookMessage.objects.dead_letters().filter(contractor=contractor), at)


def _refuse_where_off(contractor: Contractor) -> None:
    if WebhookEndpoint.objects.filter(contractor=contractor, is_enabled=False).exists():
        raise NothingToSend(f"The webhook of {contractor} is off. Enter its address anew and switch it on first.")


def _resend(messages: QuerySet[WebhookMessage], at: dt.datetime) -> int:
    return messages.filter(MAY_GO, status=Status.DEAD).update(
        status=Status.PENDING, attempts=0, next_attempt_at=at, ended_at=None
    )
