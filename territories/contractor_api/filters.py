"""What a contractor may filter its referrals by; every wrong value is told at once."""

import datetime as dt
import re
import zoneinfo
from collections.abc import Callable
from typing import Any

from django.db.models import Q
from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError

from territories.models import Referral

# Generated ones belong to nobody yet.
STATUSES = [status for status in Referral.Status.values if status != Referral.Status.GENERATED]
FIRST_YEAR, LAST_YEAR = 1900, 2200
MOST_SCORE = 2**31 - 1

PARAMETERS = [
    OpenApiParameter(
        "status",
        {"type": "array", "items": {"type": "string", "enum": STATUSES}},
        description="Repeat it to ask for several.",
    ),
    OpenApiParameter(
        "zip",
        {"type": "array", "items": {"type": "string", "pattern": "^[0-9]{5}$"}},
        description="Five digits; repeat it to ask for several.",
    ),
    OpenApiParameter("score_min", int, description="This score or more."),
    OpenApiParameter("score_max", int, description="This score or less."),
    OpenApiParameter(
        "assigned_from",
        str,
        description="Assigned at this moment or later: ISO 8601 with its time zone, or a date in your time zone.",
    ),
    OpenApiParameter(
        "assigned_to", str, description="Assigned before this moment; a date is meant with the whole of its day."
    ),
]
NAMES = frozenset(parameter.name for parameter in PARAMETERS)
REPEATABLE = {"status", "zip"}


def referral_filter(query: QueryDict, *, zone: zoneinfo.ZoneInfo) -> Q:
    """The condition that a query string asks for; `zone` is where its dates begin. Raises ValidationError."""
    condition, errors = Q(), {}
    for name in sorted(NAMES & set(query)):
        texts = query.getlist(name)
        try:
            if len(texts) > 1 and name not in REPEATABLE:
                raise ValueError("Give it once.")
            condition &= READERS[name](texts, zone)
        except ValueError as refusal:
            errors[name] = [str(refusal)]
    if errors:
        raise ValidationError(errors)
    return condition


def _statuses(texts: list[str], zone: zoneinfo.ZoneInfo) -> Q:
    if unknown := set(texts) - set(STATUSES):
        raise ValueError(f"{_shown(min(unknown))} is no status; choose of {', '.join(STATUSES)}.")
    return Q(status__in=texts)


def _zips(texts: list[str], zone: zoneinfo.ZoneInfo) -> Q:
    for text in texts:
        if not re.fullmatch(r"[0-9]{5}", text):
            raise ValueError(f"{_shown(text)} is no ZIP; write five digits.")
    return Q(zip__in=texts)


def _score(lookup: str) -> Callable[[list[str], zoneinfo.ZoneInfo], Q]:
    def read(texts: list[str], zone: zoneinfo.ZoneInfo) -> Q:
        if not re.fullmatch(r"[+-]?[0-9]{1,10}", texts[0]) or abs(int(texts[0])) > MOST_SCORE:
            raise ValueError(f"{_shown(texts[0])} is no score; write a whole number.")
        return Q(**{lookup: int(texts[0])})

    return read


def _moment(lookup: str, *, day_is_included: bool) -> Callable[[list[str], zoneinfo.ZoneInfo], Q]:
    def read(texts: list[str], zone: zoneinfo.ZoneInfo) -> Q:
        # A plus sign that was not escaped arrives as a space; nothing else can stand there.
        text = re.sub(r" (?=\d\d:?\d\d$)", "+", texts[0].strip())
        try:
            if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
                day = dt.date.fromisoformat(text) + dt.timedelta(days=day_is_included)
                moment = dt.datetime.combine(day, dt.time.min, tzinfo=zone)
            else:
                moment = dt.datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            raise ValueError("Write a date such as 2026-06-15, or a moment such as 2026-06-15T12:00:00Z.") from None
        if moment.tzinfo is None:
            raise ValueError("Name the time zone of the moment: end with Z, or with an offset such as -05:00.")
        if not FIRST_YEAR <= moment.year <= LAST_YEAR:
            raise ValueError(f"Choose a year from {FIRST_YEAR} to {LAST_YEAR}.")
        # PostgreSQL takes no offset of 16 hours or more.
        return Q(**{lookup: moment.astimezone(dt.UTC)})

    return read


READERS: dict[str, Callable[[list[str], zoneinfo.ZoneInfo], Q]] = {
    "status": _statuses,
    "zip": _zips,
    "score_min": _score("score__gte"),
    "score_max": _score("score__lte"),
    "assigned_from": _moment("assigned_at__gte", day_is_included=False),
    "assigned_to": _moment("assigned_at__lt", day_is_included=True),
}


def _shown(text: Any) -> str:
    return repr(str(text)[:40])
