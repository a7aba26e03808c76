"""Writes: keys by which a request is done once, and sessions that ended."""

import datetime as dt

from django.contrib.sessions.models import Session
from django.db import IntegrityError, transaction

from accounts.models import IdempotencyKey, User

KEPT_FOR = dt.timedelta(hours=24)


class KeyReused(Exception):
    """The key came with another request before."""


class KeyBusy(Exception):
    """What the key did can be neither done nor told just now; asking again helps."""


def claim_key(*, user: User, key: str, route: str, digest: str, at: dt.datetime) -> tuple[IdempotencyKey, bool]:
    """The row of a key, and whether the caller is the first to bring it. Call it in the transaction of the effect.

    Of two who bring it at the same moment the second waits here until the first has committed, or takes its place
    when that one was refused. Raises KeyReused, KeyBusy.
    """
    mine = IdempotencyKey.objects.filter(user=user, key=key)
    mine.filter(created_at__lte=at - KEPT_FOR).delete()
    try:
        with transaction.atomic():
            row = IdempotencyKey.objects.create(user=user, key=key, route=route, digest=digest, created_at=at)
            return row, True
    except IntegrityError:
        there = mine.first()
    if there is None:  # cleared in this instant
        raise KeyBusy
    if (there.route, there.digest) != (route, digest):
        raise KeyReused
    return there, False


def clear_idempotency_keys(*, at: dt.datetime) -> int:
    """Forget the keys that are a day old; returns how many. Index: idempotencykey_by_age."""
    return IdempotencyKey.objects.filter(created_at__lte=at - KEPT_FOR).delete()[0]


def clear_sessions(*, at: dt.datetime) -> int:
    """Forget the sessions that ended by themselves; returns how many. Index: Django's own of expire_date."""
    return Session.objects.filter(expire_date__lt=at).delete()[0]
