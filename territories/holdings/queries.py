"""What the pages of territories show: who holds what, what is free and what waits there, who stands in line."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import F, Q

from territories.generation.taking import TakenUp
from territories.holdings.operations import overlapping
from territories.holdings.places import place_of_zip
from territories.models import Referral, Territory, TerritoryWait
from territories.models.territories import TerritoryQuerySet
from territories.queries import Waiting, waiting_by_zip


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeZip:
    """A ZIP that nobody holds now, what waits in it, who holds it next and who is first in line."""

    zip: str
    place: str
    waiting: Waiting
    next: Territory | None
    first: TerritoryWait | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A territory as a row of the table."""

    territory: Territory
    place: str
    state: str
    in_line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What assigning ZIPs for a period would do now: those that are free, and what stands in the way of others.

    made: leads that were made to wait in the free ones.
    """

    free: list[FreeZip]
    conflicts: list[Territory]
    made: int

    @property
    def taken(self) -> int:
        return len({one.zip for one in self.conflicts})

    @property
    def unknown(self) -> list[str]:
        """Free ones that the table of ZIPs does not know."""
        return [one.zip for one in self.free if not one.place]

    @property
    def leads(self) -> int:
        return sum(one.waiting.leads for one in self.free)

    @property
    def best_score(self) -> int:
        return max((one.waiting.best_score for one in self.free), default=0)


def taken_up_in_words(done: TakenUp) -> str:
    """What became of the leads that waited in ZIPs which got a holder, as a sentence about that holder."""
    if not (done.assigned or done.expired):
        return "No lead that waited there went to it."
    expired = f"; {done.expired:,} fit no longer and expired" if done.expired else ""
    return f"Of the leads that waited there {done.assigned:,} went to it{expired}."


def lines(zips: Collection[str] | None = None) -> dict[str, list[TerritoryWait]]:
    """Who stands in line, by ZIP, the first first."""
    waits = TerritoryWait.objects.filter(ended_at__isnull=True)
    if zips is not None:
        waits = waits.filter(zip__in=list(zips))
    found: dict[str, list[TerritoryWait]] = {}
    for wait in waits.select_related("contractor").order_by("created_at", "pk"):
        found.setdefault(wait.zip, []).append(wait)
    return found


def not_called_off() -> TerritoryQuerySet:
    """Territories with a period; one that was called off has none."""
    return Territory.objects.filter(Q(to_at__isnull=True) | Q(to_at__gt=F("from_at")))


def running(at: dt.datetime) -> TerritoryQuerySet:
    """Territories that are in force at `at`, or will be."""
    return not_called_off().filter(Q(to_at__isnull=True) | Q(to_at__gt=at))


def state_of(territory: Territory, at: dt.datetime) -> str:
    """In one word: held, future, ended or called off."""
    if territory.to_at == territory.from_at:
        return "called off"
    if territory.from_at > at:
        return "future"
    return "held" if territory.to_at is None or territory.to_at > at else "ended"


def rows_of(territories: Sequence[Territory], at: dt.datetime) -> list[Held]:
    """Rows of the table, by one query for all."""
    in_line = lines([one.zip for one in territories])
    return [
        Held(
            territory=one,
            place=place_of_zip(one.zip),
            state=state_of(one, at),
            in_line=len(in_line.get(one.zip, ())),
        )
        for one in territories
    ]


def free_zips(*, min_score: int, at: dt.datetime) -> dict[str, Waiting]:
    """ZIPs that nobody holds at `at` and in which leads wait, or somebody stands in line."""
    held = set(Territory.objects.held(at).values_list("zip", flat=True))
    waiting = waiting_by_zip(min_score=min_score)
    found = {zip_code: one for zip_code, one in waiting.items() if zip_code not in held and _is_zip(zip_code)}
    in_line = TerritoryWait.objects.filter(ended_at__isnull=True).values_list("zip", flat=True).distinct()
    return {zip_code: Waiting() for zip_code in in_line if zip_code not in held} | found


def _is_zip(text: str) -> bool:
    return len(text) == 5 and text.isascii() and text.isdigit()


def describe_free(waiting: Mapping[str, Waiting], at: dt.datetime) -> list[FreeZip]:
    """Free ZIPs as rows, in the order given."""
    coming = running(at).filter(zip__in=list(waiting)).select_related("contractor").order_by("-from_at")
    following = {territory.zip: territory for territory in coming}  # the earliest one is written last
    in_line = lines(list(waiting))
    return [
        FreeZip(
            zip=zip_code,
            place=place_of_zip(zip_code),
            waiting=one,
            next=following.get(zip_code),
            first=in_line.get(zip_code, [None])[0],
        )
        for zip_code, one in waiting.items()
    ]


def propose_assignment(
    *, zips: Collection[str], from_at: dt.datetime, to_at: dt.datetime | None, min_score: int, at: dt.datetime
) -> Proposal:
    """What a bulk assignment would give, and every conflict."""
    conflicts = overlapping(zips=zips, from_at=from_at, to_at=to_at)
    taken = {one.zip for one in conflicts}
    free = [zip_code for zip_code in sorted(set(zips)) if zip_code not in taken]
    waiting = waiting_by_zip(min_score=min_score, zips=free)
    return Proposal(
        free=describe_free({zip_code: waiting.get(zip_code, Waiting()) for zip_code in free}, at),
        conflicts=conflicts,
        made=Referral.objects.real().filter(zip__in=free, status=Referral.Status.GENERATED).count(),
    )
