"""The states of a referral and the moves between them; nobody else writes `Referral.status`.

    generated -> assigned -> delivered -> converted
    generated, assigned -> expired | cancelled;  delivered -> returned | cancelled;  converted: may be released

Accepted and contacted are moments of a delivered referral, in this order. Making referrals (generated or assigned at
once) and assigning generated ones is `territories.generation`; returning is `territories.referrals.returns`.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction

from accounts.models import User
from territories.models import Referral, ReferralReturn
from territories.sql import moves
from territories.sql.locks import lock_dealing

Status = Referral.Status

UNDELIVERED = (Status.GENERATED, Status.ASSIGNED)  # what no contractor has got

# To which state, from which ones, and the column of its moment. Assigning needs more (generation/taking.py).
MOVES: dict[str, tuple[tuple[str, ...], str]] = {
    Status.DELIVERED: ((Status.ASSIGNED,), "delivered_at"),
    Status.CONVERTED: ((Status.DELIVERED,), "converted_at"),
    Status.RETURNED: ((Status.DELIVERED,), "ended_at"),
    Status.EXPIRED: (UNDELIVERED, "ended_at"),
    Status.CANCELLED: ((*UNDELIVERED, Status.DELIVERED), "ended_at"),
}

ACCEPTED, CONTACTED, RELEASED = "accepted", "contacted", "released"
# Each moment: in which states, its column, and the moment that must come before it.
MOMENTS: dict[str, tuple[tuple[str, ...], str, str]] = {
    ACCEPTED: ((Status.DELIVERED,), "accepted_at", "delivered_at"),
    CONTACTED: ((Status.DELIVERED,), "contacted_at", "accepted_at"),
    RELEASED: ((Status.CONVERTED,), "released_at", "converted_at"),
}
AT_ONCE = 5_000  # referrals that one statement of the sweep expires
NOT_TAKEN = "Nobody took the lead in time."
NOT_DELIVERED = "The contractor did not fetch it in time."


class MoveRefused(Exception):
    """The referral is in a state from which it cannot go where it should."""

    def __init__(self, referral: Referral, to: str, words: str = "") -> None:
        allowed = " or ".join(MOVES[to][0] if to in MOVES else MOMENTS[to][0])
        verb = "become" if to in MOVES else "be"
        super().__init__(words or f"The referral is {referral.status}; only one that is {allowed} can {verb} {to}.")
        self.referral, self.to = referral, to


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """Referrals whose time was up: those that waited for a holder, and those that were not delivered."""

    generated: int = 0
    assigned: int = 0


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
    return _move(ids=ids, to=to, at=at, by=by, note=note, job_id=job_id)


def move_referral(*, referral: Referral, to: str, at: dt.datetime, by: User | None = None, note: str = "") -> Referral:
    """Move one referral; the row as it is now. Raises MoveRefused."""
    return _moved(referral, to, _move(ids=[referral.pk], to=to, at=at, by=by, note=note))


def _move(
    *,
    ids: Sequence[int],
    to: str,
    at: dt.datetime,
    by: User | None,
    note: str,
    job_id: int | None = None,
    value: Decimal | None = None,
) -> list[int]:
    allowed, moment = MOVES[to]
    with transaction.atomic():
        moved = moves.move(
            ids=ids,
            allowed=allowed,
            to=to,
            moment=moment,
            at=at,
            by_id=by.pk if by else None,
            note=note,
            job_id=job_id,
            value=value,
        )
        if to in {Status.CONVERTED, Status.CANCELLED} and moved:
            # Nobody has to decide any more what the referral itself has answered.
            ReferralReturn.objects.filter(referral__in=moved, status=ReferralReturn.Status.PENDING).update(
                status=ReferralReturn.Status.REFUSED,
                decided_at=at,
                decided_by=by,
                decision_note=f"The referral was {to} meanwhile.",
            )
        return moved


def _moved(referral: Referral, to: str, moved: Sequence[int]) -> Referral:
    referral.refresh_from_db()
    if not moved:
        raise MoveRefused(referral, to)
    return referral


def accept_referral(*, referral: Referral, at: dt.datetime, by: User | None = None, note: str = "") -> Referral:
    """Note that the contractor works on the lead; the row as it is now. Raises MoveRefused, also the second time."""
    return _note(referral, ACCEPTED, at=at, by=by, note=note)


def mark_contacted(*, referral: Referral, at: dt.datetime, by: User | None = None, note: str = "") -> Referral:
    """Note that the contractor has reached the owner of an accepted lead. Raises MoveRefused, also the second time."""
    return _note(referral, CONTACTED, at=at, by=by, note=note)


def convert_referral(
    *, referral: Referral, at: dt.datetime, by: User | None = None, value: Decimal | None = None, note: str = ""
) -> Referral:
    """Note that the lead became business, and what it was worth in dollars where that is known.

    A return that waits to be decided is refused with it. Raises MoveRefused.
    """
    moved = _move(ids=[referral.pk], to=Status.CONVERTED, at=at, by=by, note=note, value=value)
    return _moved(referral, Status.CONVERTED, moved)


def cancel_referral(*, referral: Referral, at: dt.datetime, by: User | None, note: str) -> Referral:
    """Take a referral back that is not converted; its lead is free again. `note` says why. Raises MoveRefused."""
    return move_referral(referral=referral, to=Status.CANCELLED, at=at, by=by, note=note)


def release_referral(*, referral: Referral, at: dt.datetime, by: User | None, note: str) -> Referral:
    """Give the lead of a converted referral free for another one; it stays converted. Raises MoveRefused."""
    return _note(referral, RELEASED, at=at, by=by, note=note)


def correct_value(*, referral: Referral, value: Decimal, at: dt.datetime, by: User | None, note: str) -> Referral:
    """Replace what a converted referral was worth, in dollars; `note` says why. Raises MoveRefused."""
    with transaction.atomic():
        by_id = by.pk if by else None
        is_done = moves.correct(referral_id=referral.pk, value=value, at=at, by_id=by_id, note=note)
    referral.refresh_from_db()
    if not is_done:
        words = f"The referral is {referral.status}; only one that is converted has a value to correct."
        raise MoveRefused(referral, Status.CONVERTED, words)
    return referral


def _note(referral: Referral, what: str, *, at: dt.datetime, by: User | None, note: str) -> Referral:
    allowed, moment, after = MOMENTS[what]
    with transaction.atomic():
        is_noted = moves.note_moment(
            referral_id=referral.pk,
            allowed=allowed,
            moment=moment,
            after=after,
            what=what,
            at=at,
            by_id=by.pk if by else None,
            note=note,
        )
    referral.refresh_from_db()
    if is_noted:
        return referral
    words = ""
    if referral.status in allowed:
        done = getattr(referral, moment)
        words = (
            f"The referral was {what} already, on {done:%Y-%m-%d} at {done:%H:%M} UTC."
            if done
            else f"The referral is not {after.removesuffix('_at')} yet; that comes before {what}."
        )
    raise MoveRefused(referral, what, words)


def cancel_waiting(*, lead_ids: Sequence[int], note: str, at: dt.datetime, by: User | None) -> list[int]:
    """Take back what contractors have not got of these leads: generated and assigned referrals; their ids.

    Call it in the transaction after which nobody offers these leads: a run that is dealing just now is waited for,
    and what it dealt is taken back too.
    """
    with transaction.atomic():
        lock_dealing()
        waiting = Referral.objects.filter(lead__in=lead_ids, status__in=UNDELIVERED)
        ids = list(waiting.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
        return move_referrals(ids=ids, to=Status.CANCELLED, at=at, by=by, note=note)


def expire_overdue(*, at: dt.datetime) -> Expired:
    """Expire every generated and assigned referral whose time is up at `at`; called by the sweep each minute."""
    totals = {Status.GENERATED.value: 0, Status.ASSIGNED.value: 0}
    while True:
        with transaction.atomic():
            found = moves.expire(at=at, most=AT_ONCE, unheld=NOT_TAKEN, undelivered=NOT_DELIVERED)
        for state, count in found.items():
            totals[state] += count
        if sum(found.values()) < AT_ONCE:
            return Expired(generated=totals[Status.GENERATED], assigned=totals[Status.ASSIGNED])
