"""The questions by which exclusivity is proven: each counts what must not be."""

import datetime as dt
from typing import Any

from django.db import connection

# Territories of one ZIP whose periods meet within %(from_at)s to %(to_at)s. Index: territory_by_zip.
_OVERLAPS = """
    SELECT count(*) FROM territories_territory one
    JOIN territories_territory other ON other.zip = one.zip AND other.id > one.id
     AND tstzrange(one.from_at, one.to_at) && tstzrange(other.from_at, other.to_at)
    WHERE one.zip = %(zip)s AND tstzrange(one.from_at, one.to_at) && tstzrange(%(from_at)s, %(to_at)s)
      AND tstzrange(other.from_at, other.to_at) && tstzrange(%(from_at)s, %(to_at)s)
"""

# Referrals that went to somebody who did not hold the ZIP when they were assigned. Index: territory_by_zip.
_STRAYS = """
    SELECT count(*) FROM territories_referral referral
    WHERE referral.zip = %(zip)s AND NOT referral.is_sandbox AND referral.contractor_id IS NOT NULL
      AND referral.assigned_at >= %(from_at)s AND referral.assigned_at < %(to_at)s
      AND NOT EXISTS (
          SELECT FROM territories_territory held
          WHERE held.zip = referral.zip AND held.contractor_id = referral.contractor_id
            AND tstzrange(held.from_at, held.to_at) @> referral.assigned_at)
"""

# Two referrals of one lead that a contractor had at the same time: from the assignment to its end, or until a person
# gave the converted lead free. Index: referral_by_lead.
_DOUBLES = """
    SELECT count(*) FROM territories_referral one
    JOIN territories_referral other ON other.lead_id = one.lead_id AND other.id > one.id
     AND other.assigned_at IS NOT NULL
     AND tstzrange(least(one.assigned_at, one.ended_at, one.released_at), coalesce(one.released_at, one.ended_at))
      && tstzrange(least(other.assigned_at, other.ended_at, other.released_at),
                   coalesce(other.released_at, other.ended_at))
    WHERE one.zip = %(zip)s AND NOT one.is_sandbox
      AND one.assigned_at >= %(from_at)s AND one.assigned_at < %(to_at)s
"""

_RULE = """
    SELECT EXISTS (SELECT FROM pg_constraint
                   WHERE conname = 'territory_one_holder_per_zip' AND contype = 'x' AND convalidated)
"""


def count_breaches(*, zip_code: str, from_at: dt.datetime, to_at: dt.datetime) -> tuple[int, int, int, bool]:
    """(overlapping territories, referrals to a non-holder, leads two had at once, whether the rule is in force)."""
    values: dict[str, Any] = {"zip": zip_code, "from_at": from_at, "to_at": to_at}
    with connection.cursor() as cursor:
        counts = []
        for statement in (_OVERLAPS, _STRAYS, _DOUBLES, _RULE):
            cursor.execute(statement, values)
            counts.append(cursor.fetchone()[0])
    overlaps, strays, doubles, is_in_force = counts
    return overlaps, strays, doubles, is_in_force
