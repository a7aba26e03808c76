"""Dealing leads to contractors, slice by slice; a preview walks the same slices and writes nothing."""

import datetime as dt
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from django.conf import settings

from territories.contractors.usage import usage_of
from territories.generation.criteria import Criteria, UnknownCriterion, criteria_of
from territories.models import Contractor, ReferralReturn, Territory
from territories.sql import generation as statements
from territories.sql.generation import Dealt, Pick, Room, Write

logger = logging.getLogger(__name__)
SLICES_WANTED = 20  # a slice is so many times what is wanted
# A slice is one transaction that keeps others from dealing; and small ones would not let urgency rank.
MIN_SLICE, MAX_SLICE = 1_000, 100_000

# Why a lead that meets a profile is not dealt, as pages and results say it.
REASONS = {
    "already_referred": "have a live referral",
    "referred_recently": "were referred not long ago",
    "not_held": "are in ZIPs that nobody holds",
    "holder_not_active": "are in ZIPs whose holder is paused or ended",
    "returned_before": "were given back, and wait for a later holder of their ZIP",
    "score_not_wanted": "score less than the holder takes",
    "tags_not_wanted": "have tags that the holder does not take, or none that it wants",
    "zip_limit": "are beyond the limit of the run for one ZIP",
    "contractor_limit": "are beyond the limit of the run for one contractor",
    "cap_reached": "are beyond the holder's own caps",
}


def slice_size(criteria: Criteria) -> int:
    return max(MIN_SLICE, min(MAX_SLICE, SLICES_WANTED * criteria.max_referrals))


def rests_of(contractor_ids: Iterable[int] | None, at: dt.datetime) -> dict[int, int | None]:
    """What the caps of these contractors leave at `at`; None asks for all that have a cap."""
    if contractor_ids is None:
        contractor_ids = (
            Contractor.objects.real()
            .active()
            .exclude(daily_cap=None, monthly_cap=None, total_cap=None)
            .values_list("pk", flat=True)
        )
    return {pk: usage.remaining for pk, usage in usage_of(contractor_ids, at).items()}


def write_for(
    *, at: dt.datetime, job_id: int | None = None, by_id: int | None = None, note: str = "", is_run: bool = True
) -> Write:
    """How referrals of this moment are written; of a run, they name its job."""
    return Write(
        held_until=at + dt.timedelta(days=settings.REFERRAL_HOLD_DAYS),
        assigned_until=at + dt.timedelta(days=settings.REFERRAL_ASSIGNED_DAYS),
        job_id=job_id if is_run else None,
        event_job_id=job_id,
        by_id=by_id,
        note=note,
    )


@dataclass(slots=True)
class Progress:
    """How far a run or a preview is. A run keeps it in its job; what it has dealt it counts anew for each slice."""

    after: tuple[int, int] | None = None
    read: int = 0
    slices: int = 0
    is_over: bool = False
    left_out: Counter[str] = field(default_factory=Counter)


def deal_slice(
    *, criteria: Criteria, at: dt.datetime, progress: Progress, room: Room, dealt: int, write: Write | None
) -> Dealt:
    """Deal the next slice and note it in `progress`; it is over when nothing is wanted, left, or has room."""
    limit = slice_size(criteria)
    done = statements.deal(
        criteria=criteria,
        at=at,
        most=max(0, criteria.max_referrals - dealt),
        room=room,
        after=progress.after,
        limit=limit,
        write=write,
    )
    progress.slices += 1
    progress.read += done.read
    progress.after = done.last or progress.after
    progress.left_out.update(done.left_out)
    is_full = dealt + len(done.picks) >= criteria.max_referrals
    nobody_takes = not criteria.includes_unheld and not done.has_room
    progress.is_over = is_full or done.read < limit or nobody_takes
    return done


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A return that is owed another lead."""

    return_id: int
    contractor_id: int
    criteria: Criteria


def owed_returns(*, at: dt.datetime, return_id: int | None = None) -> list[Owed]:
    """Approved returns that nothing has replaced, the oldest first; of active contractors who hold a ZIP.

    Each asks for one lead by the profile of what was returned; without one, for a lead that scores no less than it did.
    """
    returns = ReferralReturn.objects.filter(
        status=ReferralReturn.Status.APPROVED,
        is_replacement_owed=True,
        replacement=None,
        referral__is_sandbox=False,
        referral__contractor__status=Contractor.Status.ACTIVE,
    )
    if return_id is not None:
        returns = returns.filter(pk=return_id)
    found = []
    for one in returns.select_related("referral__profile").order_by("decided_at", "pk"):
        referral = one.referral
        assert referral.contractor_id is not None
        held = set(
            Territory.objects.held(at)
            .filter(contractor_id=referral.contractor_id, wound_up_at=None)
            .values_list("zip", flat=True)
        )
        try:
            criteria = Criteria(min_score=referral.score) if referral.profile is None else criteria_of(referral.profile)
        except UnknownCriterion as refusal:
            logger.warning("return %s stays owed: %s", one.pk, refusal)
            continue
        zips = held if criteria.zips is None else held.intersection(criteria.zips)
        wanted = replace(
            criteria,
            zips=tuple(sorted(zips)),
            max_referrals=1,
            max_per_zip=None,
            max_per_contractor=None,
            includes_unheld=False,
        )
        if zips:
            found.append(Owed(return_id=one.pk, contractor_id=referral.contractor_id, criteria=wanted))
    return found


def deal_one(*, owed: Owed, at: dt.datetime, room: Room, write: Write | None) -> Pick | None:
    """The best lead for one that is owed, from the first slice that has any."""
    progress = Progress()
    while not progress.is_over:
        done = deal_slice(criteria=owed.criteria, at=at, progress=progress, room=room, dealt=0, write=write)
        if done.picks:
            return done.picks[0]
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Who would get what at this moment. `replacements`: leads that are owed for returned ones, given first."""

    picks: list[Pick]
    replacements: list[Pick]
    left_out: dict[str, int]
    read: int
    slices: int

    @property
    def assigned(self) -> int:
        return sum(pick.contractor_id is not None for pick in self.picks)

    @property
    def generated(self) -> int:
        return len(self.picks) - self.assigned


def preview_generation(*, criteria: Criteria, at: dt.datetime) -> Preview:
    """What a run by these criteria at `at` would make, to the lead: it asks the same statement, without writing."""
    rests = rests_of(None, at)
    replacements: list[Pick] = []
    for owed in owed_returns(at=at):
        if pick := deal_one(owed=owed, at=at, room=_less(rests, replacements, []), write=None):
            replacements.append(pick)
    picks: list[Pick] = []
    progress = Progress()
    while not progress.is_over:
        room = _less(rests, replacements, picks)
        picks += deal_slice(criteria=criteria, at=at, progress=progress, room=room, dealt=len(picks), write=None).picks
    return Preview(
        picks=picks,
        replacements=replacements,
        left_out=dict(progress.left_out),
        read=progress.read,
        slices=progress.slices,
    )


def _less(rests: dict[int, int | None], replacements: list[Pick], picks: list[Pick]) -> Room:
    """The room that is left when these picks count as dealt."""
    dealt = Counter(pick.contractor_id for pick in picks if pick.contractor_id is not None)
    given = dealt + Counter(pick.contractor_id for pick in replacements if pick.contractor_id is not None)
    return Room(
        rests={pk: None if rest is None else max(0, rest - given[pk]) for pk, rest in rests.items()},
        dealt=dealt,
        zips=Counter(pick.zip for pick in picks),
        taken=[pick.lead_id for pick in replacements],
    )
