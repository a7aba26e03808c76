"""Who holds which ZIP: assign, transfer, end, call off, wait in line, and what follows when its moment has come.

Locks are taken in this order: the contractors' rows, ZIPs, dealing.
"""

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import IntegrityError, OperationalError, transaction
from django.db.models import Q
from psycopg.errors import DeadlockDetected, ExclusionViolation

from accounts.models import User
from territories.generation.requeue import requeue_referrals
from territories.generation.taking import TakenUp, take_up_zips
from territories.holdings.periods import day_in_words, in_words
from territories.holdings.zips import check_zips
from territories.models import Contractor, Referral, Territory, TerritoryEvent, TerritoryWait
from territories.referrals.lifecycle import move_referrals
from territories.sql import holdings as statements
from territories.sql.locks import lock_dealing, lock_zips

SHOWN = 5
SWEPT_AT_ONCE = 200
Kind = TerritoryEvent.Kind


class TerritoryTaken(Exception):
    """Somebody holds some of the ZIPs for some of the period; `conflicts` are these territories."""

    def __init__(self, conflicts: Sequence[Territory]) -> None:
        told = [
            f"{one.zip} is held by {one.contractor}, {in_words(one.from_at, one.to_at)}" for one in conflicts[:SHOWN]
        ]
        rest = len(conflicts) - SHOWN
        told += [f"and {rest:,} more"] if rest > 0 else []
        super().__init__(f"Nothing was changed: {'; '.join(told)}.")
        self.conflicts = list(conflicts)


class TerritoriesBusy(Exception):
    """Others changed the same ZIPs at the same moment; asking again helps."""

    def __init__(self) -> None:
        super().__init__("Others are changing these ZIPs at this moment. Nothing was changed; try again in a second.")


class PeriodRefused(Exception):
    """The period is empty, or would rewrite what has been."""


class TerritoryOver(Exception):
    """The territory has ended or was called off."""

    def __init__(self, territory: Territory) -> None:
        super().__init__(
            f"{territory.contractor} no longer holds {territory.zip}: it was theirs "
            f"{in_words(territory.from_at, territory.to_at)}. What has ended stays as it is."
        )


class NotAHolder(Exception):
    """This contractor can hold no ZIP."""

    def __init__(self, contractor: Contractor) -> None:
        why = (
            "does not do business any more; choose another contractor"
            if contractor.status == Contractor.Status.ENDED
            else "is a sandbox, whose referrals are invented; choose the contractor it belongs to"
        )
        super().__init__(f"{contractor} {why}.")


class SameHolder(Exception):
    """A territory cannot be transferred to its own holder."""

    def __init__(self, territory: Territory) -> None:
        super().__init__(f"{territory.contractor} holds {territory.zip} already. Choose another contractor.")


class WaitRefused(Exception):
    """There is nothing to wait for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """ZIPs that a contractor got; what waited in them when they begin at once."""

    territory_ids: list[int]
    zips: list[str]
    has_begun: bool
    taken_up: TakenUp


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """ZIPs whose holding ends, those that never began, and what became of leads that were not delivered.

    cancelled: referrals taken back; requeued: their leads that wait again; taken_up: by the next holders at once.
    """

    ended: list[str] = field(default_factory=list)
    called_off: list[str] = field(default_factory=list)
    cancelled: int = 0
    requeued: int = 0
    taken_up: TakenUp = field(default_factory=TakenUp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """The new holder's territory, and what ended for the former one."""

    territory_id: int
    ended: Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """Territories whose beginning or end has come, and what that did to referrals."""

    begun: int = 0
    ended: int = 0
    cancelled: int = 0
    requeued: int = 0
    assigned: int = 0

    def __add__(self, other: "Swept") -> "Swept":
        return Swept(
            begun=self.begun + other.begun,
            ended=self.ended + other.ended,
            cancelled=self.cancelled + other.cancelled,
            requeued=self.requeued + other.requeued,
            assigned=self.assigned + other.assigned,
        )


def overlapping(
    *, zips: Collection[str], from_at: dt.datetime, to_at: dt.datetime | None, besides: Collection[int] = ()
) -> list[Territory]:
    """The territories that stand in the way of a period in these ZIPs, by ZIP. Index: territory_by_zip."""
    found = Territory.objects.filter(zip__in=list(zips)).exclude(pk__in=besides)
    found = found.filter(Q(to_at__isnull=True) | Q(to_at__gt=from_at))
    if to_at is not None:
        found = found.filter(from_at__lt=to_at)
    # One that was called off has an empty period and is in nobody's way.
    rows = found.select_related("contractor").order_by("zip", "from_at")
    return [row for row in rows if row.to_at is None or row.to_at > row.from_at]


@contextmanager
def _one_change(
    zips: Collection[str], from_at: dt.datetime, to_at: dt.datetime | None, besides: Collection[int] = ()
) -> Iterator[None]:
    """All or nothing; what the database refuses becomes a refusal in words."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if isinstance(error.__cause__, ExclusionViolation):  # somebody wrote without the locks
            conflicts = overlapping(zips=zips, from_at=from_at, to_at=to_at, besides=besides)
            raise TerritoryTaken(conflicts) from error
        raise
    except OperationalError as error:
        if isinstance(error.__cause__, DeadlockDetected):
            raise TerritoriesBusy from error
        raise


def _lock_holder(contractor: Contractor) -> Contractor:
    """The contractor as it is now, and stays until the end of the transaction. Raises NotAHolder."""
    now = Contractor.objects.select_for_update(no_key=True).get(pk=contractor.pk)
    if now.status == Contractor.Status.ENDED or now.sandbox_of_id is not None:
        raise NotAHolder(now)
    return now


def check_period(*, from_at: dt.datetime, to_at: dt.datetime | None, at: dt.datetime) -> None:
    """Raises PeriodRefused where an assignment for [from_at, to_at) would hold nothing, or only rewrite what has been.

    A beginning in the past is taken: agreements are entered late, and the proof of exclusivity says so.
    """
    if to_at is not None and to_at <= from_at:
        raise PeriodRefused("The end must come after the beginning.")
    if to_at is not None and to_at <= at:
        raise PeriodRefused("A period that is over would rewrite who held the ZIP. Let it end later than now.")


def assign_territories(
    *,
    zips: Sequence[str],
    contractor: Contractor,
    from_at: dt.datetime,
    to_at: dt.datetime | None,
    by: User | None,
    at: dt.datetime,
    note: str = "",
) -> Assigned:
    """Give a contractor all of these ZIPs for [from_at, to_at), or none of them.

    What begins by now takes the leads that wait there at once; the rest is done when its moment has come. Raises
    ZipsRefused, PeriodRefused, NotAHolder, TerritoryTaken, TerritoriesBusy.
    """
    wanted = check_zips(zips)
    check_period(from_at=from_at, to_at=to_at, at=at)
    has_begun = from_at <= at
    with _one_change(wanted, from_at, to_at):
        holder = _lock_holder(contractor)
        lock_zips(wanted)
        if conflicts := overlapping(zips=wanted, from_at=from_at, to_at=to_at):
            raise TerritoryTaken(conflicts)
        ids = statements.assign(
            zips=wanted,
            contractor_id=holder.pk,
            from_at=from_at,
            to_at=to_at,
            kind=Kind.ASSIGNED,
            taken_up_at=at if has_begun else None,
            wound_up_at=None,
            by_id=by.pk if by else None,
            at=at,
            note=note,
        )
        _leave_lines(zips=wanted, contractor=holder, at=at)
        taken_up = take_up_zips(zips=wanted, at=at, by=by) if has_begun else TakenUp()
    return Assigned(territory_ids=ids, zips=wanted, has_begun=has_begun, taken_up=taken_up)


def end_territories(
    *, ids: Collection[int], to_at: dt.datetime | None = None, by: User | None, at: dt.datetime, note: str = ""
) -> Ended:
    """Let these territories end at `to_at`, now when it is not given, all of them or none.

    One that would have begun later than that is called off. What ends now has its undelivered leads taken back. Raises
    PeriodRefused, TerritoryOver, and TerritoryTaken when a later end meets the next holder.
    """
    to_at = at if to_at is None else to_at
    if to_at < at:
        raise PeriodRefused("An end in the past would rewrite who held the ZIP. Let it end now, or later.")
    zips = list(Territory.objects.filter(pk__in=ids).values_list("zip", flat=True))
    with _one_change(zips, at, to_at, besides=ids):
        territories = _lock_running(ids, zips, at)
        if to_at <= at:
            lock_dealing()
        return _end(territories, to_at=to_at, kind=Kind.ENDED, by=by, at=at, note=note)


def lift_end(*, territory: Territory, by: User | None, at: dt.datetime, note: str = "") -> Territory:
    """Take back the end that a territory is planned to have: it holds its ZIP without an end again.

    Raises TerritoryOver, PeriodRefused where no end is planned, and TerritoryTaken where somebody follows.
    """
    with _one_change([territory.zip], at, None, besides=[territory.pk]):
        (now,) = _lock_running([territory.pk], [territory.zip], at)
        if now.to_at is None:
            raise PeriodRefused(f"{now.contractor} holds {now.zip} without an end already.")
        if followers := overlapping(zips=[now.zip], from_at=now.to_at, to_at=None, besides=[now.pk]):
            raise TerritoryTaken(followers)
        TerritoryEvent.objects.create(
            zip=now.zip,
            territory=now,
            kind=Kind.ASSIGNED,
            at=at,
            effective_at=max(now.from_at, at),
            by=by,
            note=f"without an end again, no longer until {day_in_words(now.to_at)}" + (f": {note}" if note else ""),
        )
        now.to_at = None
        now.save(update_fields=["to_at"])
    return now


def call_off_territory(*, territory: Territory, by: User | None, at: dt.datetime, note: str = "") -> Ended:
    """Take back a territory that has not begun. Raises PeriodRefused when it has, TerritoryOver."""
    with _one_change([territory.zip], at, None):
        (now,) = _lock_running([territory.pk], [territory.zip], at)
        if now.from_at <= at:
            raise PeriodRefused(f"{now.contractor} holds {now.zip} already; it can be ended, not called off.")
        return _end([now], to_at=at, kind=Kind.ENDED, by=by, at=at, note=note)


def transfer_territory(
    *,
    territory: Territory,
    contractor: Contractor,
    from_at: dt.datetime | None = None,
    by: User | None,
    at: dt.datetime,
    note: str = "",
) -> Transferred:
    """End a territory at `from_at`, now when it is not given, and let another contractor hold the ZIP from then on.

    The new one keeps the end that the former one had. Raises PeriodRefused, TerritoryOver, SameHolder, NotAHolder,
    TerritoryTaken, TerritoriesBusy.
    """
    from_at = at if from_at is None else from_at
    if from_at < at:
        raise PeriodRefused("A transfer in the past would rewrite who held the ZIP. Let it be now, or later.")
    with _one_change([territory.zip], from_at, territory.to_at, besides=[territory.pk]):
        holder = _lock_holder(contractor)
        (old,) = _lock_running([territory.pk], [territory.zip], at)
        if old.contractor_id == holder.pk:
            raise SameHolder(old)
        # One that has not begun is handed on from its own beginning: nobody was to have it before.
        from_at = max(from_at, old.from_at)
        if old.to_at is not None and from_at >= old.to_at:
            raise PeriodRefused(
                f"{old.contractor} holds {old.zip} {in_words(old.from_at, old.to_at)}. Transfer it earlier than its "
                "end, or assign it from then on."
            )
        if from_at <= at:
            lock_dealing()
        ended = _end([old], to_at=from_at, kind=Kind.TRANSFERRED, by=by, at=at, note=note or f"to {holder}", next_at=at)
        (new_id,) = statements.assign(
            zips=[old.zip],
            contractor_id=holder.pk,
            from_at=from_at,
            to_at=old.to_at,
            kind=Kind.ASSIGNED,
            taken_up_at=at if from_at <= at else None,
            wound_up_at=None,
            by_id=by.pk if by else None,
            at=at,
            note=note or f"from {old.contractor}",
        )
        _leave_lines(zips=[old.zip], contractor=holder, at=at)
        taken_up = take_up_zips(zips=[old.zip], at=at, by=by) if from_at <= at else TakenUp()
    told = Ended(
        ended=ended.ended,
        called_off=ended.called_off,
        cancelled=ended.cancelled,
        requeued=ended.requeued,
        taken_up=taken_up,
    )
    return Transferred(territory_id=new_id, ended=told)


def _lock_running(ids: Collection[int], zips: Collection[str], at: dt.datetime) -> list[Territory]:
    """These territories as they are now, with their ZIPs locked. Raises TerritoryOver."""
    lock_zips(zips)
    territories = list(Territory.objects.filter(pk__in=ids).select_related("contractor").order_by("zip"))
    for territory in territories:
        if territory.to_at is not None and (territory.to_at <= at or territory.to_at == territory.from_at):
            raise TerritoryOver(territory)
    return territories


def _end(
    territories: Sequence[Territory],
    *,
    to_at: dt.datetime,
    kind: str,
    by: User | None,
    at: dt.datetime,
    note: str,
    next_at: dt.datetime | None = None,
) -> Ended:
    """Write the end; wind up at once what is over. With `next_at` the caller brings the next holder itself."""
    rows = statements.end(
        ids=[one.pk for one in territories], to_at=to_at, kind=kind, by_id=by.pk if by else None, at=at, note=note
    )
    over = [pk for pk, _, is_called_off in rows if to_at <= at and not is_called_off]
    cancelled, requeued = _wind_up(territory_ids=over, at=at, by=by, note="territory ended") if over else (0, 0)
    taken_up = TakenUp()
    if over and next_at is None:
        taken_up = _take_up_held(zips=[zip_code for _, zip_code, _ in rows], at=at, by=by)
    return Ended(
        ended=[zip_code for _, zip_code, is_called_off in rows if not is_called_off],
        called_off=[zip_code for _, zip_code, is_called_off in rows if is_called_off],
        cancelled=cancelled,
        requeued=requeued,
        taken_up=taken_up,
    )


def _wind_up(*, territory_ids: Sequence[int], at: dt.datetime, by: User | None, note: str) -> tuple[int, int]:
    """Take back what was assigned under territories that are over and not delivered: (cancelled, waiting again)."""
    undelivered = Referral.objects.filter(territory_id__in=territory_ids, status=Referral.Status.ASSIGNED)
    counts = take_back(ids=list(undelivered.values_list("pk", flat=True)), at=at, by=by, note=note)
    Territory.objects.filter(pk__in=territory_ids, wound_up_at__isnull=True).update(wound_up_at=at)
    return counts


def take_back(*, ids: Sequence[int], at: dt.datetime, by: User | None, note: str) -> tuple[int, int]:
    """Cancel assigned referrals and let their leads wait for a holder again: (cancelled, waiting again)."""
    moved = move_referrals(ids=ids, to=Referral.Status.CANCELLED, at=at, by=by, note=note) if ids else []
    return len(moved), requeue_referrals(moved, at, by, note) if moved else 0


def _take_up_held(*, zips: Collection[str], at: dt.datetime, by: User | None) -> TakenUp:
    held = Territory.objects.held(at).filter(zip__in=list(zips)).order_by("zip").values_list("zip", flat=True)
    return take_up_zips(zips=list(held), at=at, by=by) if held else TakenUp()


def sweep_territories(*, at: dt.datetime) -> Swept:
    """Begin the territories whose beginning has come and wind up those whose end has come.

    Each is done once, so that a sweep at an earlier or at the same moment finds nothing left to do.
    """
    swept = Swept()
    while zips := statements.due_zips(at=at, limit=SWEPT_AT_ONCE):
        swept += _sweep_zips(zips, at)
    return swept


def _sweep_zips(zips: Sequence[str], at: dt.datetime) -> Swept:
    with transaction.atomic():
        lock_zips(zips)
        lock_dealing()
        here = Territory.objects.filter(zip__in=list(zips))
        over = list(here.filter(to_at__lte=at, wound_up_at__isnull=True).values_list("pk", flat=True))
        cancelled, requeued = _wind_up(territory_ids=over, at=at, by=None, note="territory ended") if over else (0, 0)
        begun = here.filter(from_at__lte=at, taken_up_at__isnull=True).update(taken_up_at=at)
        taken_up = _take_up_held(zips=zips, at=at, by=None)
    return Swept(begun=begun, ended=len(over), cancelled=cancelled, requeued=requeued, assigned=taken_up.assigned)


# The line of those who want a ZIP ------------------------------------------------------------------------------------


def join_waitlist(*, zip_code: str, contractor: Contractor, at: dt.datetime, note: str = "") -> TerritoryWait:
    """Put a contractor at the end of the line for a ZIP; one who stands there already stays in its place.

    Raises ZipsRefused, NotAHolder, and WaitRefused when it holds the ZIP itself or nobody does.
    """
    (zip_code,) = check_zips([zip_code])
    with transaction.atomic():
        contractor = _lock_holder(contractor)
        lock_zips([zip_code])
        holders = overlapping(zips=[zip_code], from_at=at, to_at=None)
        if not holders:
            raise WaitRefused(f"Nobody holds {zip_code}, so there is nothing to wait for: assign it.")
        if any(one.contractor_id == contractor.pk and one.to_at is None for one in holders):
            raise WaitRefused(f"{contractor} holds {zip_code} itself, without an end.")
        wait, _ = TerritoryWait.objects.get_or_create(
            zip=zip_code, contractor=contractor, ended_at=None, defaults={"created_at": at, "note": note}
        )
    return wait


def leave_waitlist(*, wait: TerritoryWait, at: dt.datetime) -> bool:
    """Take a contractor out of the line; False when it stood there no longer."""
    return bool(TerritoryWait.objects.filter(pk=wait.pk, ended_at__isnull=True).update(ended_at=at))


def _leave_lines(*, zips: Collection[str], contractor: Contractor, at: dt.datetime) -> None:
    """Who got the ZIP waits for it no longer."""
    TerritoryWait.objects.filter(zip__in=list(zips), contractor=contractor, ended_at__isnull=True).update(ended_at=at)
