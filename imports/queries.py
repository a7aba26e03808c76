"""Reads: rejected rows as a file, and what each list said of a lead."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from imports.models import ImportBatch, ImportRow
from leads.models import Lead
from leads.spreadsheet import csv_lines
from tags.models import Tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one row of one list said of a lead, beyond the fields that hold it."""

    source: str
    batch: ImportBatch
    line: int
    at: dt.datetime
    outcome: str
    extra: dict[str, str]
    tags: list[str]


def rejected_rows_csv(*, batch: ImportBatch) -> Iterator[str]:
    """The rejected rows as CSV text, a line at a time: line number, reason, then the cells as they were."""
    return csv_lines(_rejected_rows(batch))


def _rejected_rows(batch: ImportBatch) -> Iterator[list[Any]]:
    yield ["line", "reason", *batch.layout.get("columns", [])]
    rejected = ImportRow.objects.filter(batch=batch, outcome=ImportRow.Outcome.REJECTED).order_by("line")
    for line, reason, extra in rejected.values_list("line", "reason", "extra").iterator(chunk_size=2000):
        yield [line, reason, *(extra or {}).get("cells", [])]


def evidence_of(*, lead: Lead) -> list[Evidence]:
    """All that lists said of a lead, newest first."""
    rows = list(ImportRow.objects.filter(lead=lead).select_related("batch").order_by("-batch_id", "line")[:200])
    names = dict(Tag.objects.filter(pk__in={i for row in rows for i in row.tag_ids}).values_list("pk", "name"))
    return [
        Evidence(
            source=row.batch.source,
            batch=row.batch,
            line=row.line,
            at=row.asserted_at or row.batch.created_at,
            outcome=row.outcome,
            extra=row.extra or {},
            tags=[names[tag_id] for tag_id in row.tag_ids if tag_id in names],
        )
        for row in rows
    ]
