"""Reads: rejected rows as a file, and what each list said of a lead."""

import csv
import datetime as dt
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from imports.models import ImportBatch, ImportRow
from leads.models import Lead
from tags.models import Tag

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?", re.ASCII)


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


def safe_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula; the reader takes the mark off again."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) and not NUMBER.fullmatch(text) else text


def rejected_rows_csv(*, batch: ImportBatch) -> Iterator[str]:
    """The rejected rows as CSV text, a line at a time: line number, reason, then the cells as they were."""
    columns = list(batch.layout.get("columns", []))
    buffer = io.StringIO()
    writer = csv.writer(buffer)

    def line_of(cells: list[Any]) -> str:
        writer.writerow([safe_cell(str(cell)) for cell in cells])
        text = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return text

    yield line_of(["line", "reason", *columns])
    rejected = ImportRow.objects.filter(batch=batch, outcome=ImportRow.Outcome.REJECTED).order_by("line")
    for line, reason, extra in rejected.values_list("line", "reason", "extra").iterator(chunk_size=2000):
        yield line_of([line, reason, *(extra or {}).get("cells", [])])


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
