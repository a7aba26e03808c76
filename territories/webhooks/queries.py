"""Messages as the pages show them."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Max, Min, Q

from territories.models import Contractor, WebhookEndpoint, WebhookMessage
from territories.webhooks.endpoints import MAY_GO

PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """The dead messages of one contractor; `sendable`: those that may still go out."""

    contractor: Contractor
    count: int
    sendable: int
    oldest_at: dt.datetime
    newest_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePage:
    """Messages, newest first; `older` is what the next page begins after, if there is one."""

    messages: Sequence[WebhookMessage]
    older: uuid.UUID | None

    @property
    def is_moving(self) -> bool:
        """Something on it may change at any moment."""
        return any(message.status == WebhookMessage.Status.PENDING for message in self.messages)


def dead_by_contractor() -> list[DeadLetters]:
    """Who has dead messages, the most first. Index: webhookmessage_dead."""
    found = (
        WebhookMessage.objects.dead_letters()
        .order_by()
        .values("contractor_id")
        .annotate(
            count=Count("pk"), sendable=Count("pk", filter=MAY_GO), oldest=Min("created_at"), newest=Max("created_at")
        )
        .order_by("-count", "contractor_id")
    )
    rows = list(found)
    contractors = Contractor.objects.in_bulk([row["contractor_id"] for row in rows])
    return [
        DeadLetters(
            contractor=contractors[row["contractor_id"]],
            count=row["count"],
            sendable=row["sendable"],
            oldest_at=row["oldest"],
            newest_at=row["newest"],
        )
        for row in rows
    ]


def message_page(
    *, contractor: Contractor | None = None, status: str = "", before: uuid.UUID | None = None, size: int = PAGE
) -> MessagePage:
    """A page of messages after the one `before`. Index: webhookmessage_by_contractor, webhookmessage_newest."""
    wanted = WebhookMessage.objects.select_related("contractor").order_by("-created_at", "-pk")
    if contractor is not None:
        wanted = wanted.filter(contractor=contractor)
    if status:
        wanted = wanted.filter(status=status)
    last = WebhookMessage.objects.filter(pk=before).first() if before is not None else None
    if last is not None:
        wanted = wanted.filter(Q(created_at=last.created_at, pk__lt=last.pk) | Q(created_at__lt=last.created_at))
    rows = list(wanted.defer("body")[: size + 1])
    return MessagePage(messages=rows[:size], older=rows[size - 1].pk if len(rows) > size else None)


def was_gone(endpoint: WebhookEndpoint) -> WebhookMessage | None:
    """The message whose answer switched the endpoint off, if that is why it is off."""
    if endpoint.is_enabled:
        return None
    ended = WebhookMessage.objects.filter(contractor_id=endpoint.contractor_id, ended_at__isnull=False)
    last = ended.order_by("-ended_at").first()
    return last if last is not None and last.last_status == 410 else None
