"""Reads: rejected rows as a file, and what each list said of a lead."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
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


class Effect(StrEnum):
    """What an assertion of a tag did to its clock on the lead."""

    STARTED = "started the clock"
    RESTARTED = "restarted the clock"
    REVIVED = "started a new clock: the one before had run out"
    RETURNED = "started a new clock: the tag had been removed"
    KEPT = "evidence only: the clock stayed as it was"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """One row that names a tag for a lead."""

    batch: ImportBatch
    line: int
    asserted_at: dt.datetime
    effect: Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class TagEvidence:
    """The assertions of one tag, newest first."""

    tag: Tag
    assertions: list[Assertion]


def rejected_rows_csv(*, batch: ImportBatch) -> Iterator[str]:
    """The rejected rows as CSV text, a line at a time: line number, reason, then the cells as they were."""
    return csv_lines(_rejected_rows(batch))


def _rejected_rows(batch: ImportBatch) -> Iterator[list[Any]]:
    yield ["line", "reason", *batch.layout.get("columns", [])]
    rejected = ImportRow.objects.filter(batch=batch, outcome=ImportRow.Outcome.REJECTED).order_by("line")
    for line, reason, extra in rejected.values_list("line", "reason", "extra").iterator(chunk_size=2000):
        yield [line, reason, *(extra or {}).get("cells", [])]


MOST_ROWS = 200


def _rows_of(*, lead: Lead) -> list[ImportRow]:
    """The rows that named a lead, those of the newest import first; the newest 200. Index: the one on lead_id."""
    return list(
        ImportRow.objects.filter(lead=lead).select_related("batch__job").order_by("-batch_id", "line")[:MOST_ROWS]
    )


def evidence_of(*, lead: Lead) -> list[Evidence]:
    """All that lists said of a lead, newest first."""
    rows = _rows_of(lead=lead)
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


def tag_evidence_of(*, lead: Lead) -> list[TagEvidence]:
    """The same by tag: who asserted it as of when, and what that did to its clock; the tag named last comes first."""
    of_batch: dict[int, list[ImportRow]] = {}
    for row in _rows_of(lead=lead):
        of_batch.setdefault(row.batch_id, []).append(row)
    found: dict[int, list[Assertion]] = {}
    for of_one in of_batch.values():
        tag_ids = dict.fromkeys(tag_id for row in of_one for tag_id in row.tag_ids)
        for tag_id in tag_ids:
            naming = [row for row in of_one if tag_id in row.tag_ids]
            effect, at_work = _effect(of_one, naming, tag_id)
            found.setdefault(tag_id, []).extend(
                Assertion(
                    batch=row.batch,
                    line=row.line,
                    asserted_at=row.asserted_at or row.batch.created_at,
                    effect=effect if row is at_work else Effect.KEPT,
                )
                for row in naming
            )
    tags = Tag.objects.in_bulk(found)
    return [TagEvidence(tag=tags[pk], assertions=assertions) for pk, assertions in found.items() if pk in tags]


def _effect(of_one: Sequence[ImportRow], naming: Sequence[ImportRow], tag_id: int) -> tuple[Effect, ImportRow | None]:
    """What the rows of one import for one lead did to the clock of a tag, and which of them did it.

    The import folds them: the first line carries what became of the lead and what the clock was before; the first
    row with a date of its own, the last under "overwrite", gives the date (`imports.sql`, `_ASSERT_TAGS`).
    """
    first = of_one[0]
    before = ((first.before or {}).get("tags") or {}).get(str(tag_id))
    if first.outcome != ImportRow.Outcome.CREATED and before is None:
        return Effect.KEPT, None
    ordered = list(naming)
    if first.batch.on_duplicate == ImportBatch.OnDuplicate.OVERWRITE:
        ordered.reverse()
    undated = first.batch.job.as_of if first.batch.job else None
    at_work = next((row for row in ordered if row.asserted_at != undated), ordered[0])
    if not before:
        return Effect.STARTED, at_work
    if "removed_at" in before:
        return Effect.RETURNED, at_work
    ended_at = dt.datetime.fromisoformat(before["expiration_at"]) if "expiration_at" in before else None
    is_over = ended_at is not None and at_work.asserted_at is not None and ended_at <= at_work.asserted_at
    return Effect.REVIVED if is_over else Effect.RESTARTED, at_work
