"""What the alarms of the room need to know, in one short statement."""

import datetime as dt
from typing import Any

from django.db import connection

# Dead letters: only what may still be sent (as MAY_GO of webhooks.endpoints says), to endpoints that are on. Nights:
# the newest run that failed, unless its profile has run well since.
# Index: webhookmessage_dead, job_failed, job_by_kind.
_STATE = """
    SELECT dead.messages, dead.contractors, night.id, night.title, night.finished_at
    FROM (
        SELECT count(*) AS messages, count(DISTINCT message.contractor_id) AS contractors
        FROM territories_webhookmessage message
        JOIN territories_webhookendpoint endpoint USING (contractor_id)
        LEFT JOIN territories_referral referral ON referral.id = message.referral_id
        WHERE message.status = 'dead' AND message.created_at > %(since)s AND message.kind <> 'test'
          AND endpoint.is_enabled AND (message.kind <> 'referral.assigned' OR referral.status = 'assigned')
    ) dead
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
    """Dead letters and their contractors, and the newest failed night of jobs of this kind, else None."""
    with connection.cursor() as cursor:
        cursor.execute(_STATE, {"since": since, "kind": kind})
        names = [column.name for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True))
