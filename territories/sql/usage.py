"""How many leads a contractor has taken, in its day, in its month and ever."""

import datetime as dt
from collections.abc import Sequence

from django.db import connection

# Effect: none; counts. What came back gives its place back: approved returns, and what was taken away. What the
# contractor let expire has used it. What lies ahead of a clock that went back counts as today's: a cap is rather kept
# than broken.
# Index: referral_by_contractor, one range of it for each contractor.
_COUNT = """
    SELECT wanted.contractor_id, taken.today, taken.month, taken.total
    FROM unnest(%(ids)s::bigint[], %(days)s::timestamptz[], %(months)s::timestamptz[])
         AS wanted(contractor_id, day_at, month_at)
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE referral.assigned_at >= wanted.day_at) AS today,
               count(*) FILTER (WHERE referral.assigned_at >= wanted.month_at) AS month,
               count(*) AS total
        FROM territories_referral referral
        WHERE referral.contractor_id = wanted.contractor_id AND referral.assigned_at IS NOT NULL
          AND referral.status NOT IN ('returned', 'cancelled') AND NOT referral.is_sandbox
    ) taken
"""


def count_taken(
    *, contractor_ids: Sequence[int], days: Sequence[dt.datetime], months: Sequence[dt.datetime]
) -> dict[int, tuple[int, int, int]]:
    """{contractor id: (since its day began, since its month began, ever)}."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"ids": list(contractor_ids), "days": list(days), "months": list(months)})
        return {contractor_id: (today, month, total) for contractor_id, today, month, total in cursor}
