"""Reads about people."""

import zoneinfo

from django.conf import settings

from accounts.models import User


def zone_of(person: User) -> zoneinfo.ZoneInfo:
    """The time zone in which a person reads moments."""
    return zoneinfo.ZoneInfo(person.time_zone or settings.TIME_ZONE)
