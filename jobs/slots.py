"""Slots of daily work: a local date, and the moment at which its run is due."""

import datetime as dt
import zoneinfo
from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Slot:
    """One day or night: a local date and the moment at which its run is due."""

    date: dt.date
    due_at: dt.datetime

    @property
    def name(self) -> str:
        return self.date.isoformat()


def slot_of(date: dt.date, *, hour: int) -> Slot:
    """The slot of a date. An hour that the clocks skip counts from before the change; one they repeat, at first."""
    time = dt.time(hour, tzinfo=zoneinfo.ZoneInfo(settings.TIME_ZONE))
    return Slot(date, dt.datetime.combine(date, time).astimezone(dt.UTC))


def last_slot(at: dt.datetime, *, hour: int) -> Slot:
    """The newest slot that is due at `at`."""
    date = at.astimezone(zoneinfo.ZoneInfo(settings.TIME_ZONE)).date()
    slot = slot_of(date, hour=hour)
    return slot if slot.due_at <= at else slot_of(date - dt.timedelta(days=1), hour=hour)
