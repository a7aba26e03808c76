"""What the alarms of the room need to know, in one short statement."""

import datetime as dt
from typing import Any

from django.db import connection

# Dead letters: only what may still be sent (as MAY_GO of webhooks.endpoints says), to endpoints that are on. Gone: what
# is assigned, with the moment at which the first of it expires, to contractors whose endpoint an answer of 410 has
# switched off. Nights: the newest run that failed, unless its profile has run well since.
# Index: webhookmessage_dead, job_failed, job_by_kind; referral_by_contractor where an endpoint is gone.
_STATE = """
    WITH dead AS MATERIALIZED (
        SELECT message.*, endpoint.is_enabled
        FROM territories_webhookmessage message JOIN territories_webhookendpoint endpoint USING (contractor_id)
        WHERE message.status = 'dead' AND message.created_at > %(since)s AND message.kind <> 'test'
    )
    SELECT unsent.messages, unsent.contractors, gone.contractors AS gone, gone.contractor_id, gone.company,
           gone.leads, gone.expires_at, night.id, night.title, night.finished_at
    FROM (
        SELECT count(*) AS messages, count(DISTINCT dead.contractor_id) AS contractors
        FROM dead LEFT JOIN territories_referral referral ON referral.id = dead.referral_id
        WHERE dead.is_enabled AND (dead.kind <> 'referral.assigned' OR referral.status = 'assigned')
    ) unsent
    CROSS JOIN (
        SELECT count(DISTINCT referral.contractor_id) AS contractors, min(contractor.id) AS contractor_id,
               min(contractor.company) AS company, count(*) AS leads, min(referral.expires_at) AS expires_at
        FROM (SELECT DISTINCT contractor_id FROM dead WHERE NOT is_enabled AND last_status = 410) off
        JOIN territories_contractor contractor ON contractor.id = off.contractor_id
        JOIN territories_referral referral ON referral.contractor_id = off.contractor_id
        WHERE referral.status = 'assigned'
    ) gone
    LEFT JOIN LATERAL (
        SELECT job.id, job.title, job.finished_at FROM jobs_job job
        WHERE job.status = 'failed' AND job.finished_at > %(since)s AND job.kind = %(kind)s AND job.slot IS NOT NULL
          AND NOT EXISTS (
            SELECT FROM jobs_job later
            WHERE later.kind = job.kind AND later.id > job.id AND later.key = job.key AND later.status = 'succeeded'
          )
        ORDER BY job.id DESC LIMIT 1
    ) night ON true
"""


def read_state(*, since: dt.datetime, kind: str) -> dict[str, Any]:
    """Counts of what was not sent, and the newest failed night of jobs of this kind, else None."""
    with connection.cursor() as cursor:
        cursor.execute(_STATE, {"since": since, "kind": kind})
        names = [column.name for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True))
