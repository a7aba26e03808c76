"""Reads about the lists on which a lead stood."""

import datetime as dt
from collections.abc import Sequence

from django.db import connection

# Index: imports_importrow's on lead_id.
_LAST_LISTED = """
    SELECT row.lead_id, tag.id, max(batch.created_at)
    FROM imports_importrow row
    JOIN imports_importbatch batch ON batch.id = row.batch_id
    CROSS JOIN LATERAL unnest(row.tag_ids) tag(id)
    WHERE row.lead_id = ANY(%(lead_ids)s) AND row.outcome <> 'rejected' AND batch.created_at <= %(at)s
    GROUP BY row.lead_id, tag.id
"""


def last_listed(*, lead_ids: Sequence[int], at: dt.datetime) -> dict[tuple[int, int], dt.datetime]:
    """When the newest list came that gave a lead a tag: {(lead id, tag id): moment}."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST_LISTED, {"lead_ids": list(lead_ids), "at": at})
        return {(lead_id, tag_id): listed_at for lead_id, tag_id, listed_at in cursor.fetchall()}
