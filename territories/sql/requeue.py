"""Leads of referrals that were taken back are offered again."""

import datetime as dt
from collections.abc import Sequence

from django.db import connection

# Effect: a generated referral, with its event, for the lead of each of these cancelled ones, by the same profile and
# score; none for a lead that is suppressed or that another referral holds.
# Index: territories_referral_pkey; the live one of a lead by referral_one_live_per_lead.
_REQUEUE = """
    WITH waiting AS (
        INSERT INTO territories_referral
            (lead_id, zip, score, urgency, status, profile_id, generated_at, expires_at)
        SELECT DISTINCT ON (old.lead_id) old.lead_id, old.zip, old.score, old.urgency, 'generated', old.profile_id,
               %(at)s, %(expires_at)s
        FROM territories_referral old JOIN leads_lead lead ON lead.id = old.lead_id
        WHERE old.id = ANY(%(ids)s) AND old.status = 'cancelled' AND lead.suppressed_at IS NULL
        ORDER BY old.lead_id, old.id DESC
        ON CONFLICT DO NOTHING
        RETURNING id
    )
    INSERT INTO territories_referralevent (referral_id, at, what, note, by_id)
    SELECT id, %(at)s, 'generated', %(note)s, %(by_id)s FROM waiting ORDER BY id
    RETURNING referral_id
"""


def requeue(*, ids: Sequence[int], at: dt.datetime, expires_at: dt.datetime, by_id: int | None, note: str) -> int:
    """How many leads wait again."""
    with connection.cursor() as cursor:
        cursor.execute(_REQUEUE, {"ids": list(ids), "at": at, "expires_at": expires_at, "by_id": by_id, "note": note})
        return len(cursor.fetchall())
