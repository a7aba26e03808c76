"""Statements over selections; each says its effect and its index."""

import datetime as dt

from django.core.exceptions import EmptyResultSet
from django.db import connection

from leads.models import LeadQuerySet


def freeze(*, job_id: int, leads: LeadQuerySet) -> int:
    """Effect: a SelectedLead of the job for each lead of the queryset, in id order; how many.

    Index: those that the queryset uses, and the primary key of selected leads.
    """
    try:
        chosen, params = leads.order_by("pk").values("pk").query.get_compiler(connection=connection).as_sql()
    except EmptyResultSet:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO leads_selectedlead (job_id, lead_id) SELECT %s, chosen.id FROM ({chosen}) chosen(id)",
            [job_id, *params],
        )
        return int(cursor.rowcount)


def bounds_of_selection(*, job_id: int, leads: int) -> tuple[int, list[tuple[int, int]]]:
    """How many leads a job's selection holds, and ranges (after, upto] of ids with up to `leads` of them each.

    Index: the primary key of selected leads.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(lead_id), count(*) FROM (SELECT lead_id, (row_number() OVER (ORDER BY lead_id) - 1) / %s "
            "AS slot FROM leads_selectedlead WHERE job_id = %s) numbered GROUP BY slot ORDER BY 1",
            [leads, job_id],
        )
        rows = cursor.fetchall()
    uptos = [upto for upto, _ in rows]
    return sum(count for _, count in rows), list(zip([0, *uptos], uptos, strict=False))


def lock_selected(*, job_id: int, after: int, upto: int) -> list[int]:
    """Effect: the leads of a job's selection with ids in (after, upto] are locked, in id order; their ids.

    Whoever writes the tags of a lead takes its lock first. Index: the primary keys of selected leads and of leads.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT lead.id FROM leads_selectedlead selected JOIN leads_lead lead ON lead.id = selected.lead_id "
            "WHERE selected.job_id = %s AND selected.lead_id > %s AND selected.lead_id <= %s "
            "ORDER BY lead.id FOR NO KEY UPDATE OF lead",
            [job_id, after, upto],
        )
        return [row[0] for row in cursor.fetchall()]


def clear_selections(*, ended_before: dt.datetime) -> int:
    """Effect: selected leads of jobs that ended before that moment are gone; how many. Index: their primary key."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM leads_selectedlead WHERE job_id IN (SELECT id FROM jobs_job WHERE finished_at < %s)",
            [ended_before],
        )
        return int(cursor.rowcount)
