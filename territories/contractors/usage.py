"""How much of its caps a contractor has used."""

import datetime as dt
import zoneinfo
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings

from territories.models import Contractor
from territories.sql.usage import count_taken


@dataclass(frozen=True, slots=True)
class Usage:
    """Leads taken in the contractor's day, in its month, and ever; how many it may still take now.

    `remaining` is the rest of the cap that binds first, never below 0; None: there is no cap.
    """

    today: int
    month: int
    total: int
    remaining: int | None


def usage_of(contractor_ids: Iterable[int], at: dt.datetime) -> dict[int, Usage]:
    """What each contractor has taken by `at`: {id: usage}; an id that is no contractor's is left out.

    Counts by the moment of assignment; approved returns, what was taken back and sandbox referrals not. Two queries
    however many are asked for: days and months begin where Python's time zones say, as on pages, and the server may
    know other ones.
    """
    contractors = list(
        Contractor.objects.filter(pk__in=set(contractor_ids)).only("time_zone", "daily_cap", "monthly_cap", "total_cap")
    )
    if not contractors:
        return {}
    begins = [beginnings(contractor.zone, at) for contractor in contractors]
    taken = count_taken(
        contractor_ids=[contractor.pk for contractor in contractors],
        days=[day for day, _ in begins],
        months=[month for _, month in begins],
    )
    return {contractor.pk: _usage(contractor, *taken[contractor.pk]) for contractor in contractors}


def beginnings(zone: zoneinfo.ZoneInfo, at: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """When the day and the month of `at` began in a zone."""
    today = at.astimezone(zone).date()
    day = dt.datetime.combine(today, dt.time.min, tzinfo=zone)
    month = dt.datetime.combine(today.replace(day=1), dt.time.min, tzinfo=zone)
    return day.astimezone(dt.UTC), month.astimezone(dt.UTC)


def _usage(contractor: Contractor, today: int, month: int, total: int) -> Usage:
    caps = ((contractor.daily_cap, today), (contractor.monthly_cap, month), (contractor.total_cap, total))
    rests = [max(0, cap - used) for cap, used in caps if cap is not None]
    return Usage(today=today, month=month, total=total, remaining=min(rests) if rests else None)


def installation_zone() -> zoneinfo.ZoneInfo:
    """The time zone of the business, in which pages take the dates of territories."""
    return zoneinfo.ZoneInfo(settings.TIME_ZONE)
