"""Returns: a contractor gives a delivered lead back; window and quota decide, or a person does.

Locks in this order: contractor, referral, return, lead. The contractor's lock makes two returns that come at once count
each other for the quota.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, OuterRef, Q

from accounts.models import User
from leads.suppression import suppress_leads
from territories.models import Contractor, Referral, ReferralReturn
from territories.referrals.lifecycle import MOVES, MoveRefused, move_referral

Status, Reason = ReferralReturn.Status, ReferralReturn.Reason
QUOTA_DAYS = 30


class ReturnRefused(Exception):
    """The lead cannot be returned, or the return not be decided so; the message says why. `code` is for programs."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaStanding:
    """Approved returns of the last 30 days and those that wait to be decided, against deliveries of these days."""

    delivered: int
    returned: int
    percent: int
    waiting: int = 0

    @property
    def allowed(self) -> int:
        """Most returns in these days: the share, but at least one; a share of 0% allows none."""
        return max(1, self.delivered * self.percent // 100) if self.percent else 0

    @property
    def is_reached(self) -> bool:
        return self.returned + self.waiting >= self.allowed

    def __str__(self) -> str:
        wait = f", {self.waiting} to be decided" if self.waiting else ""
        return (
            f"{self.returned} of {self.allowed} returns used in {QUOTA_DAYS} days{wait} "
            f"({self.percent}% of {self.delivered} delivered)"
        )


def quota_standing(*, contractor: Contractor, at: dt.datetime) -> QuotaStanding:
    """How much of its return quota a contractor has used at `at`."""
    return quota_standings(contractors=[contractor], at=at)[contractor.pk]


def quota_standings(*, contractors: Iterable[Contractor], at: dt.datetime) -> dict[int, QuotaStanding]:
    """The same for several contractors, by id, in one query. Index: referral_by_contractor."""
    percents = {contractor.pk: contractor.return_quota_percent for contractor in contractors}
    since = at - dt.timedelta(days=QUOTA_DAYS)
    counts = (
        Referral.objects.filter(contractor__in=percents)
        .annotate(waits=Exists(ReferralReturn.objects.filter(referral=OuterRef("pk"), status=Status.PENDING)))
        .values("contractor_id")
        .order_by("contractor_id")
        .annotate(
            delivered=Count("pk", filter=Q(delivered_at__gt=since, delivered_at__lte=at)),
            returned=Count("pk", filter=Q(status=Referral.Status.RETURNED, ended_at__gt=since, ended_at__lte=at)),
            waiting=Count("pk", filter=Q(waits=True)),
        )
    )
    found = {row["contractor_id"]: row for row in counts}
    return {
        pk: QuotaStanding(
            percent=percent,
            delivered=found[pk]["delivered"] if pk in found else 0,
            returned=found[pk]["returned"] if pk in found else 0,
            waiting=found[pk]["waiting"] if pk in found else 0,
        )
        for pk, percent in percents.items()
    }


def returnable_until(referral: Referral, contractor: Contractor) -> dt.datetime | None:
    """The last moment at which a delivered referral may be returned; None before it is delivered."""
    if referral.delivered_at is None:
        return None
    return referral.delivered_at + dt.timedelta(days=contractor.return_window_days)


def request_return(
    *,
    referral: Referral,
    reason: str,
    at: dt.datetime,
    by: User | None,
    note: str = "",
    anyway: bool = False,
) -> ReferralReturn:
    """Give a delivered referral back: approved at once, or pending until a person decides.

    `anyway` is for people who may decide returns: approved by them, whatever window and quota say. Raises MoveRefused
    where the referral is not delivered, ReturnRefused where window, quota or an earlier return forbid it.
    """
    if reason not in Reason.values:
        raise ReturnRefused(
            "unknown_reason", f"“{reason[:40]}” is no reason; choose one of {', '.join(Reason.values)}."
        )
    with transaction.atomic():
        contractor = _lock(referral)
        if referral.status != Referral.Status.DELIVERED or contractor is None:
            raise MoveRefused(referral, Referral.Status.RETURNED)
        before = referral.returns.filter(status__in=[Status.PENDING, Status.APPROVED]).first()
        if before is not None:
            raise ReturnRefused("already_returned", f"A return of this referral is {before.status} already.")
        if not anyway:
            _check_window_and_quota(referral, contractor, at)
        is_automatic = not anyway and reason in contractor.auto_return_reasons
        try:
            with transaction.atomic():
                wish = ReferralReturn.objects.create(
                    referral=referral,
                    reason=reason,
                    note=note,
                    is_automatic=is_automatic,
                    requested_at=at,
                    requested_by=by,
                )
        except IntegrityError:  # made without the lock, by hand
            raise ReturnRefused("already_returned", "A return of this referral is under way already.") from None
        if anyway or is_automatic:
            _approve(wish, referral, at=at, by=None if is_automatic else by, note="")
        return wish


def _check_window_and_quota(referral: Referral, contractor: Contractor, at: dt.datetime) -> None:
    until = returnable_until(referral, contractor)
    if until is not None and at > until:
        days = contractor.return_window_days
        raise ReturnRefused(
            "window_closed",
            f"The time for returns is over: {days} day{'' if days == 1 else 's'} after delivery, which was until "
            f"{until:%Y-%m-%d} at {until:%H:%M} UTC.",
        )
    standing = quota_standing(contractor=contractor, at=at)
    if standing.is_reached:
        why = f"The return quota is used up: {standing}" if standing.percent else "The return quota is 0%"
        raise ReturnRefused("quota_reached", f"{why}. Ask the seller of the lead.")


def _lock(referral: Referral) -> Contractor | None:
    """The contractor, locked; the referral, locked after it and read again."""
    contractor = None
    if referral.contractor_id is not None:
        contractor = Contractor.objects.select_for_update(no_key=True).get(pk=referral.contractor_id)
    referral.refresh_from_db(from_queryset=Referral.objects.select_for_update(no_key=True))
    return contractor


def approve_return(*, wish: ReferralReturn, at: dt.datetime, by: User | None, note: str = "") -> ReferralReturn:
    """Take the lead back: the referral is returned, not charged, and a replacement is owed or given at once.

    Raises ReturnRefused where it was decided before, MoveRefused where the referral went on meanwhile.
    """
    with transaction.atomic():
        referral = _lock_wish(wish)
        _approve(wish, referral, at=at, by=by, note=note)
        return wish


def refuse_return(*, wish: ReferralReturn, at: dt.datetime, by: User | None, note: str) -> ReferralReturn:
    """Leave the lead with the contractor; `note` tells it why. Raises ReturnRefused where it was decided before."""
    with transaction.atomic():
        _lock_wish(wish)
        wish.status, wish.decided_at, wish.decided_by, wish.decision_note = Status.REFUSED, at, by, note
        wish.save(update_fields=["status", "decided_at", "decided_by", "decision_note"])
        return wish


def _lock_wish(wish: ReferralReturn) -> Referral:
    referral = wish.referral
    _lock(referral)
    wish.refresh_from_db(from_queryset=ReferralReturn.objects.select_for_update(no_key=True))
    if wish.status != Status.PENDING:
        raise ReturnRefused("decided", f"This return is {wish.status} already; a return is decided once.")
    return referral


def _approve(wish: ReferralReturn, referral: Referral, *, at: dt.datetime, by: User | None, note: str) -> None:
    words = f"{Reason(wish.reason).label}: {wish.note}" if wish.note else str(Reason(wish.reason).label)
    move_referral(referral=referral, to=Referral.Status.RETURNED, at=at, by=by or wish.requested_by, note=words)
    wish.status, wish.decided_at, wish.decided_by, wish.decision_note = Status.APPROVED, at, by, note
    is_in_business = referral.contractor is not None and referral.contractor.status != Contractor.Status.ENDED
    wish.is_replacement_owed = is_in_business and not referral.is_sandbox
    wish.save(update_fields=["status", "decided_at", "decided_by", "decision_note", "is_replacement_owed"])
    if wish.reason == Reason.DO_NOT_CONTACT and referral.lead_id is not None:
        # Nor does the next holder of the ZIP get it.
        why = "The owner asked not to be contacted, says a return."
        suppress_leads(lead_ids=[referral.lead_id], reason=why, by=by or wish.requested_by, at=at)
    if wish.is_replacement_owed:
        from territories.generation.operations import replace_return

        replace_return(return_id=wish.pk, at=at)
        wish.refresh_from_db()


def may_be_returned(referral: Referral) -> bool:
    """True where its state allows a return; window and quota may still refuse it."""
    return referral.status in MOVES[Referral.Status.RETURNED][0]
