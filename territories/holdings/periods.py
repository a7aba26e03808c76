"""Periods of territories in words, and days as the business counts them."""

import datetime as dt
import zoneinfo

from django.conf import settings
from django.utils.dateformat import format as format_date


def business_zone() -> zoneinfo.ZoneInfo:
    """The time zone in which the dates of territories are typed and told."""
    return zoneinfo.ZoneInfo(settings.TIME_ZONE)


def beginning_of(date: dt.date) -> dt.datetime:
    """When a day begins for the business."""
    return dt.datetime.combine(date, dt.time.min, tzinfo=business_zone()).astimezone(dt.UTC)


def day_in_words(at: dt.datetime) -> str:
    """A moment as a day of the business, with its hour where it is not the beginning of the day."""
    local = at.astimezone(business_zone())
    return format_date(local, "M j, Y" if local.time() == dt.time.min else "M j, Y, g:i A")


def in_words(from_at: dt.datetime, to_at: dt.datetime | None) -> str:
    """A period such as "from Jun 1, 2026 to Sep 1, 2026"."""
    if to_at == from_at:
        return f"called off before it began on {day_in_words(from_at)}"
    return f"from {day_in_words(from_at)} {f'to {day_in_words(to_at)}' if to_at else 'without an end'}"
