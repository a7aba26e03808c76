"""The states of a referral and the moves between them; nobody else writes `Referral.status`.

    generated -> assigned -> delivered -> converted
    generated, assigned -> expired | cancelled;  delivered -> returned | cancelled;  converted: may be released

Making referrals (generated or assigned at once) and assigning generated ones is `territories.generation`.
"""

import datetime as dt
from collections.abc import Sequence

from django.db import transaction

from accounts.models import User
from territories.models import Referral
from territories.sql import moves

Status = Referral.Status

# To which state, from which ones, and the column of its moment. Assigning needs more (generation/taking.py).
MOVES: dict[str, tuple[tuple[str, ...], str]] = {
    Status.DELIVERED: ((Status.ASSIGNED,), "delivered_at"),
    Status.CONVERTED: ((Status.DELIVERED,), "converted_at"),
    Status.RETURNED: ((Status.DELIVERED,), "ended_at"),
    Status.EXPIRED: ((Status.GENERATED, Status.ASSIGNED), "ended_at"),
    Status.CANCELLED: ((Status.GENERATED, Status.ASSIGNED, Status.DELIVERED), "ended_at"),
}


class MoveRefused(Exception):
    """The referral is in a state from which it cannot go where it should."""

    def __init__(self, referral: Referral, to: str) -> None:
        allowed = " or ".join(MOVES[to][0])
        super().__init__(f"The referral is {referral.status}; only one that is {allowed} can become {to}.")
        self.referral, self.to = referral, to


def move_referrals(
    *,
    ids: Sequence[int],
    to: str,
    at: dt.datetime,
    by: User | None = None,
    note: str = "",
    job_id: int | None = None,
) -> list[int]:
    """Move those of the referrals whose state allows it, each with its event; the ids that moved, sorted."""
    allowed, moment = MOVES[to]
    with transaction.atomic():
        return moves.move(
            ids=ids, allowed=allowed, to=to, moment=moment, at=at, by_id=by.pk if by else None, note=note, job_id=job_id
        )


def move_referral(*, referral: Referral, to: str, at: dt.datetime, by: User | None = None, note: str = "") -> Referral:
    """Move one referral; the row as it is now. Raises MoveRefused."""
    moved = move_referrals(ids=[referral.pk], to=to, at=at, by=by, note=note)
    referral.refresh_from_db()
    if not moved:
        raise MoveRefused(referral, to)
    return referral
