"""What the frame of every page and the alarms need to know, in one short statement."""

from typing import Any

from django.db import connection

# Index: job_live, job_one_per_slot (read from its newest end), job_by_kind; the default partition should be empty, and
# the table of migrations is short.
_STATE = """
    SELECT (SELECT count(*) FROM jobs_job WHERE status IN ('queued', 'running')) AS live_jobs,
           (SELECT min(applied) FROM django_migrations) AS installed_at,
           EXISTS (SELECT FROM scoring_scorechange_default) AS has_strays,
           EXISTS (SELECT FROM jobs_job later WHERE later.kind = %(full)s AND later.id > nightly.id
                   AND later.status = 'succeeded') AS is_recalculated,
           nightly.id, nightly.slot, nightly.status, nightly.created_at, nightly.is_cancel_requested, nightly.error,
           (nightly.result ->> 'differences')::bigint AS differences
    FROM (SELECT) AS one
    LEFT JOIN LATERAL (
        SELECT * FROM jobs_job WHERE kind = %(nightly)s AND slot IS NOT NULL ORDER BY slot DESC LIMIT 1
    ) AS nightly ON true
"""


def read_state(*, nightly: str, full: str) -> dict[str, Any]:
    """Count of live jobs, age of the installation, strays of the history, and the newest nightly run if any."""
    with connection.cursor() as cursor:
        cursor.execute(_STATE, {"nightly": nightly, "full": full})
        names = [column.name for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True))
