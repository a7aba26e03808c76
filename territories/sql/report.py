"""What became of the leads that contractors got in a period, added up by contractor."""

import datetime as dt
from typing import Any

from django.db import connection

# Effect: none. Reads the real referrals that were delivered in the period; there is no index by delivery, for each
# state of a referral would write it: a report reads the table once, or a contractor's part by referral_by_contractor.
_REPORT = """
    SELECT contractor.id, contractor.company,
        count(*),
        count(referral.accepted_at),
        count(referral.contacted_at),
        count(*) FILTER (WHERE referral.status = 'converted'),
        count(*) FILTER (WHERE referral.status = 'returned'),
        count(*) FILTER (WHERE refused.is_refused),
        count(*) FILTER (WHERE referral.status = 'cancelled'),
        extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY greatest(
            least(referral.accepted_at, referral.contacted_at) - referral.delivered_at, interval '0'))
            FILTER (WHERE least(referral.accepted_at, referral.contacted_at) IS NOT NULL))::float8,
        coalesce(sum(referral.price) FILTER (WHERE referral.status NOT IN ('returned', 'cancelled')), 0),
        coalesce(sum(referral.value), 0)
    FROM territories_referral referral
    JOIN territories_contractor contractor ON contractor.id = referral.contractor_id
    LEFT JOIN LATERAL (
        SELECT true AS is_refused FROM territories_referralreturn wish
        WHERE wish.referral_id = referral.id AND wish.status = 'refused' LIMIT 1
    ) refused ON true
    WHERE referral.delivered_at >= %(since)s AND referral.delivered_at < %(until)s AND NOT referral.is_sandbox
        AND (%(contractor_id)s::bigint IS NULL OR referral.contractor_id = %(contractor_id)s)
    GROUP BY contractor.id, contractor.company
    ORDER BY 3 DESC, 2
"""


def report(*, since: dt.datetime, until: dt.datetime, contractor_id: int | None) -> list[tuple[Any, ...]]:
    """A row for each contractor that got a lead in [since, until), the one with most of them first."""
    with connection.cursor() as cursor:
        cursor.execute(_REPORT, {"since": since, "until": until, "contractor_id": contractor_id})
        return list(cursor.fetchall())
