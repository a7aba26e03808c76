"""Which messages there must be. They are made from what is true of referrals, so that no event can be missed."""

import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from territories.models import Contractor, Referral, ReferralReturn, WebhookAttempt, WebhookMessage
from territories.referrals.receipts import compose_receipts, utc_text

Kind, Status = WebhookMessage.Kind, WebhookMessage.Status
BATCH = 500
NEWS_FOR = dt.timedelta(days=7)  # what ended or was decided longer ago is no news, and is not told any more
KEPT_FOR = dt.timedelta(days=90)
CLEARED_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """How many messages were made, by kind, and how many were withdrawn unsent."""

    assigned: int
    ended: int
    decided: int
    withdrawn: int


def enqueue_messages(*, at: dt.datetime) -> Enqueued:
    """Make the messages that are missing, and withdraw those whose referral is not assigned any more.

    Two at once make each message once. A disabled endpoint gets none. Index: referral_by_status,
    referral_taken_away, webhookmessage_once, webhookmessage_to_send.
    """
    withdrawn = _withdraw(at)
    return Enqueued(assigned=_tell_assigned(at), ended=_tell_ended(at), decided=_tell_decided(at), withdrawn=withdrawn)


def _withdraw(at: dt.datetime) -> int:
    """Nothing to send any more: the contractor has the lead by other ways, or must not have it.

    One that is under way stays what it is called here until its answer: taken is taken (see `pushing`).
    """
    gone = WebhookMessage.objects.filter(status=Status.PENDING, kind=Kind.REFERRAL_ASSIGNED).exclude(
        referral__status=Referral.Status.ASSIGNED
    )
    return gone.update(
        status=Status.CANCELLED, ended_at=at, last_error="Not sent any more: the referral is no longer assigned."
    )


def _messages_of(kind: str) -> QuerySet[WebhookMessage]:
    return WebhookMessage.objects.filter(referral=OuterRef("pk"), kind=kind)


def _listened_to() -> QuerySet[Referral]:
    return Referral.objects.filter(contractor__webhook__is_enabled=True)


def _tell_assigned(at: dt.datetime) -> int:
    untold = (
        _listened_to().filter(status=Referral.Status.ASSIGNED).exclude(Exists(_messages_of(Kind.REFERRAL_ASSIGNED)))
    )
    made, last = 0, 0
    while referrals := list(untold.filter(pk__gt=last).order_by("pk")[:BATCH]):
        last = referrals[-1].pk
        receipts = compose_receipts(ids=[referral.pk for referral in referrals], at=at)
        made += _make(
            _message(
                Kind.REFERRAL_ASSIGNED,
                at=at,
                contractor_id=referral.contractor_id,
                referral_id=referral.pk,
                data=about(referral)
                | {
                    "price": referral.price,
                    "assigned_at": referral.assigned_at,
                    "expires_at": referral.expires_at,
                    "receipt": receipts[referral.pk],
                },
            )
            for referral in referrals
            if referral.pk in receipts
        )
    return made


def _tell_ended(at: dt.datetime) -> int:
    """Who may have heard of a referral, or read it, hears that it is not theirs any more, without the lead's data."""
    heard = _messages_of(Kind.REFERRAL_ASSIGNED).filter(
        Q(attempts__gt=0) | Exists(WebhookAttempt.objects.filter(message=OuterRef("pk")))
    )
    made = 0
    for status, kind in (
        (Referral.Status.CANCELLED, Kind.REFERRAL_CANCELLED),
        (Referral.Status.EXPIRED, Kind.REFERRAL_EXPIRED),
    ):
        untold = _listened_to().filter(
            Exists(heard) | Q(delivered_at__isnull=False),
            status=status,
            ended_at__gt=at - NEWS_FOR,
            contractor__isnull=False,
        )
        made += _make(
            _message(
                kind,
                at=at,
                contractor_id=referral.contractor_id,
                referral_id=referral.pk,
                data=about(referral) | {"ended_at": referral.ended_at},
            )
            for referral in untold.exclude(Exists(_messages_of(kind)))
        )
    return made


def _tell_decided(at: dt.datetime) -> int:
    decided = (
        ReferralReturn.objects.filter(
            decided_at__gt=at - NEWS_FOR,
            decided_at__gte=F("referral__contractor__webhook__created_at"),
            referral__contractor__webhook__is_enabled=True,
        )
        .exclude(status=ReferralReturn.Status.PENDING)
        .select_related("referral")
    )
    returns = {_id_of_return(one): one for one in decided}
    told = set(WebhookMessage.objects.filter(pk__in=returns).values_list("pk", flat=True))
    return _make(
        _message(
            Kind.RETURN_DECIDED,
            at=at,
            pk=pk,
            contractor_id=one.referral.contractor_id,
            referral_id=one.referral_id,
            data=about(one.referral)
            | {
                "return": {
                    "id": one.pk,
                    "reason": one.reason,
                    "status": one.status,
                    "is_automatic": one.is_automatic,
                    "requested_at": one.requested_at,
                    "decided_at": one.decided_at,
                    "decision_note": one.decision_note,
                    "replacement_id": one.replacement_id,
                }
            },
        )
        for pk, one in returns.items()
        if pk not in told
    )


def _id_of_return(one: ReferralReturn) -> uuid.UUID:
    """A referral may be returned again after a refusal, so the id itself keeps a decision from being told twice."""
    return uuid.UUID(hashlib.sha256(f"{Kind.RETURN_DECIDED} {one.pk}".encode()).hexdigest()[:32])


def about(referral: Referral) -> dict[str, Any]:
    """What every message says of its referral."""
    return {"id": referral.pk, "zip": referral.zip, "score": referral.score, "status": referral.status}


class _Encoder(DjangoJSONEncoder):
    """Moments to the microsecond, as the API tells them: who has both can compare them."""

    def default(self, o: Any) -> Any:
        return utc_text(o) if isinstance(o, dt.datetime) else super().default(o)


def write_body(*, kind: str, at: dt.datetime, data: Mapping[str, Any]) -> str:
    """The JSON that is signed and sent. Text stays ASCII, so that nobody's encoding can break a signature."""
    return json.dumps({"type": kind, "timestamp": at, "data": data}, cls=_Encoder, separators=(",", ":"))


def _message(kind: WebhookMessage.Kind, *, at: dt.datetime, data: Mapping[str, Any], **fields: Any) -> WebhookMessage:
    body = write_body(kind=kind, at=at, data=data)
    return WebhookMessage(kind=kind, body=body, created_at=at, next_attempt_at=at, **fields)


def _make(messages: Iterable[WebhookMessage]) -> int:
    wanted = list(messages)
    if not wanted:
        return 0
    # Somebody else may have made them since they were looked for.
    WebhookMessage.objects.bulk_create(wanted, ignore_conflicts=True, batch_size=BATCH)
    return len(wanted)


def make_test_message(*, contractor: Contractor, at: dt.datetime) -> WebhookMessage:
    """Queue a message that says nothing, for whoever sets an endpoint up; it is tried once, and while it is off too."""
    message = _message(
        Kind.TEST,
        at=at,
        contractor_id=contractor.pk,
        data={"message": "This is a test of the webhook. Answer it with any status from 200 to 299."},
    )
    message.save(force_insert=True)
    return message


def clear_messages(*, at: dt.datetime) -> int:
    """Delete messages that ended and are older than 90 days, with their attempts; how many."""
    old = WebhookMessage.objects.filter(created_at__lt=at - KEPT_FOR).exclude(status=Status.PENDING)
    # One whose referral is still assigned says that it was told already.
    old = old.exclude(kind=Kind.REFERRAL_ASSIGNED, referral__status=Referral.Status.ASSIGNED)
    ids = list(old.order_by("created_at").values_list("pk", flat=True)[:CLEARED_AT_ONCE])
    WebhookMessage.objects.filter(pk__in=ids).delete()
    return len(ids)
