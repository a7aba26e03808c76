"""Writes: receive a file, choose its columns, import it."""

import datetime as dt
import hashlib
import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from imports import cleaning, sql
from imports.files import Layout, UnusableFile, inspect_file, read_rows
from imports.mapping import Mapping as ColumnMapping
from imports.mapping import apply_overrides, suggest_mapping
from imports.mapping import require_address as check_address
from imports.models import ImportBatch
from imports.rows import MEND_PARCEL, Defaults, default_place
from jobs.models import Job
from jobs.operations import start_job
from jobs.runs import JobRefused, JobRun
from tags.models import Tag, fold_name
from tags.operations import create_unreviewed_tag, discard_unused_tags, find_tag_ids

logger = logging.getLogger(__name__)
IMPORT = "import"
CREW_FROM_BYTES = 4 * 1024 * 1024  # smaller files are cleaned before other processes would be awake
MERGE_ROWS = 10_000
SAMPLE_ROWS = 200
MAX_NEW_TAGS = 200


class ImportRefused(Exception):
    """What was asked for cannot be done; the message says what, and how to mend it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewRow:
    """A row as it would land; its parcel where the address does not name it already."""

    line: int
    address: str
    unit: str
    city: str
    state: str
    zip: str
    is_place_unknown: bool
    parcel_number: str
    owner_name: str
    mailing: str
    tags: list[str]
    problem: str


def stored_path(batch: ImportBatch) -> Path:
    return Path(settings.UPLOAD_DIR) / batch.stored_as


def receive_file(
    *,
    content: IO[bytes] | Iterable[bytes],
    name: str,
    at: dt.datetime,
    by: User | None,
    source: str = "",
    place: str = "",
    on_duplicate: str = "fill",
    unknown_tags: str = "create",
    tag_ids: Sequence[int] = (),
    tag_names: Sequence[str] = (),
    overrides: Mapping[str, str] | None = None,
    encoding: str = "",
    delimiter: str = "",
    require_address: bool = True,
) -> ImportBatch:
    """Store a file with its SHA-256, see how it is to be read, and keep what was asked as a draft.

    Raises UnusableFile, MappingError or ImportRefused; then nothing is kept.
    """
    overrides = overrides or {}
    city, state = _place(place)
    if on_duplicate not in ImportBatch.OnDuplicate.values:
        raise ImportRefused(f"The duplicate rule {on_duplicate!r} is not known; choose fill, overwrite or skip.")
    if unknown_tags not in ImportBatch.UnknownTags.values:
        raise ImportRefused(f"The rule for unknown tags {unknown_tags!r} is not known; choose create or reject.")
    path, sha256, size = _store(content, name)
    try:
        by_number = any(column.strip().lstrip("#").isdigit() for column in overrides.values())
        layout = inspect_file(
            path,
            max_bytes=settings.IMPORT_MAX_BYTES,
            encoding=encoding or None,
            delimiter=delimiter or None,
            mapped_by_number=by_number,
        )
        sample = _sample(path, layout)
        mapping = apply_overrides(suggest_mapping(layout.columns, sample), overrides, layout.columns)
        if require_address:
            check_address(mapping, layout.columns, sample, explicit=frozenset(overrides))
        with transaction.atomic():
            return ImportBatch.objects.create(
                name=Path(name).name[:255] or "list",
                sha256=sha256,
                size=size,
                stored_as=path.name,
                source=(source.strip() or Path(name).stem)[:100],
                default_city=city,
                default_state=state,
                on_duplicate=on_duplicate,
                unknown_tags=unknown_tags,
                tag_ids=_tags_for_file(tag_ids, tag_names, unknown_tags, by),
                layout=layout.to_dict(),
                mapping=mapping.to_dict(),
                notes=list(layout.notes),
                created_at=at,
            )
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _place(text: str) -> tuple[str, str]:
    if not text.strip():
        return "", ""
    try:
        return default_place(text)
    except ValueError as error:
        raise ImportRefused(str(error)) from error


def _store(content: IO[bytes] | Iterable[bytes], name: str) -> tuple[Path, str, int]:
    """Write the bytes to the upload directory, no further than the size limit."""
    directory = Path(settings.UPLOAD_DIR)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"{uuid.uuid4().hex}{Path(name).suffix[:10]}"
    digest, size = hashlib.sha256(), 0
    chunks: Iterator[bytes] = iter(lambda: content.read(1 << 20), b"") if hasattr(content, "read") else iter(content)
    try:
        with path.open("wb") as file:
            for chunk in chunks:
                size += len(chunk)
                if size > settings.IMPORT_MAX_BYTES:
                    raise UnusableFile(
                        f"The file is larger than {settings.IMPORT_MAX_BYTES // 1024**2:,} MB, the limit here; "
                        "split it, or raise LEADSCORE_IMPORT_MAX_MB."
                    )
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path, digest.hexdigest(), size


def _sample(path: Path, layout: Layout) -> list[list[str]]:
    rows = (row.cells for row in read_rows(path, layout) if not row.problem and not row.is_blank)
    return list(islice(rows, SAMPLE_ROWS))


def _tags_for_file(tag_ids: Sequence[int], names: Sequence[str], unknown_tags: str, by: User | None) -> list[int]:
    """Ids of the tags chosen for the whole file; unknown ids are refused, unknown names as the person chose."""
    chosen = Tag.objects.filter(pk__in=[i for i in tag_ids if 0 < i < 2**63])
    known = {pk: into or pk for pk, into in chosen.values_list("pk", "merged_into_id")}
    if missing := [str(tag_id) for tag_id in tag_ids if tag_id not in known]:
        raise ImportRefused(f"No tag has the id {', '.join(missing)}.")
    ids = dict.fromkeys(known[tag_id] for tag_id in tag_ids)
    found = find_tag_ids(names)
    for name in names:
        tag_id = found.get(fold_name(name))
        if tag_id is None:
            if not fold_name(name):
                raise ImportRefused(f"The tag name {name!r} has no letter or digit.")
            if unknown_tags == ImportBatch.UnknownTags.REJECT:
                raise ImportRefused(
                    f"No tag is named {name!r}; create it first, or let the import create unknown tags."
                )
            tag_id = create_unreviewed_tag(name=name, by=by).pk
        ids[tag_id] = None
    return list(ids)


def remap_batch(*, batch: ImportBatch, columns: Mapping[str, int], place: str | None = None) -> ImportBatch:
    """Set which column (1-based; 0 = none) feeds each field of a draft, and the place of rows without one.

    None leaves the place as it is, blank takes it away. Raises MappingError, UnusableFile or ImportRefused.
    """
    asked: dict[str, Any] = {}
    if place is not None:
        asked["default_city"], asked["default_state"] = _place(place)
    layout = Layout.from_dict(batch.layout)
    blank = ColumnMapping(fields={}, extra=tuple(range(len(layout.columns))))
    wanted = {field: f"#{number}" for field, number in columns.items() if number}
    mapping = apply_overrides(blank, wanted, layout.columns)
    check_address(mapping, layout.columns, _sample(stored_path(batch), layout), explicit=frozenset(wanted))
    asked["mapping"] = mapping.to_dict()
    ImportBatch.objects.filter(pk=batch.pk, status=ImportBatch.Status.DRAFT).update(**asked)
    batch.refresh_from_db()
    return batch


def _plan(batch: ImportBatch, layout: Layout) -> cleaning.Plan:
    return cleaning.Plan(
        path=stored_path(batch),
        layout=layout,
        fields=ColumnMapping.from_dict(batch.mapping).fields,
        defaults=Defaults(
            source=batch.source,
            city=batch.default_city,
            state=batch.default_state,
            tag_ids=tuple(batch.tag_ids),
        ),
    )


def preview_batch(*, batch: ImportBatch, count: int = 20) -> list[PreviewRow]:
    """The first rows as they would land; nothing is written."""
    layout = Layout.from_dict(batch.layout)
    names: list[str] = []

    def note_name(name: str) -> int:
        names.append(name)
        return -len(names)

    cleaner = _plan(batch, layout).cleaner(note_name)
    labels = dict(Tag.objects.filter(pk__in=batch.tag_ids).values_list("pk", "name"))
    preview = []
    for raw in islice((raw for raw in read_rows(stored_path(batch), layout) if not raw.is_blank), count):
        row = cleaner.clean(raw)
        mailing = ", ".join(
            filter(
                None,
                (
                    f"{row.mailing_address} {row.mailing_unit}".strip(),
                    row.mailing_city,
                    f"{row.mailing_state} {row.mailing_zip}".strip(),
                ),
            )
        )
        preview.append(
            PreviewRow(
                line=row.line,
                address=row.address or (f"Parcel {row.parcel_number}" if row.parcel_number else ""),
                unit=row.unit,
                city=row.city,
                state=row.state,
                zip=row.zip,
                is_place_unknown=row.is_place_unknown,
                parcel_number=row.parcel_number if row.address else "",
                owner_name=row.owner_name,
                mailing=mailing,
                tags=list(dict.fromkeys(labels[i] if i > 0 else names[-i - 1] for i in row.tag_ids)),
                problem=row.problem,
            )
        )
    return preview


def start_import(*, batch: ImportBatch, at: dt.datetime, by: User | None, announce: bool = True) -> Job:
    """Queue the import of a draft; a batch that was started already answers with its job."""
    with transaction.atomic():
        batch = ImportBatch.objects.select_for_update().get(pk=batch.pk)
        if batch.job is not None:
            return batch.job
        job = start_job(
            kind=IMPORT,
            key=str(batch.pk),
            title=f"Import {batch.name}"[:200],
            at=at,
            params={"batch": batch.pk},
            by=by,
            announce=announce,
        )
        batch.job, batch.status = job, ImportBatch.Status.STARTED
        batch.save(update_fields=["job", "status"])
    return job


def discard_batch(*, batch: ImportBatch) -> None:
    """Forget a draft and its file."""
    if ImportBatch.objects.filter(pk=batch.pk, status=ImportBatch.Status.DRAFT).delete()[0]:
        stored_path(batch).unlink(missing_ok=True)


class _TagFinder:
    """Tag ids by name while a file is staged; makes unknown tags, or rejects them, as the person chose."""

    def __init__(self, batch: ImportBatch, by: User | None) -> None:
        self.creates = batch.unknown_tags == ImportBatch.UnknownTags.CREATE
        self.by = by
        self.known: dict[str, int | None] = {}
        self.made: list[int] = []

    def __call__(self, name: str) -> int | None:
        key = fold_name(name)
        if key not in self.known:
            self.known[key] = find_tag_ids([name]).get(key) or (self._make(name) if self.creates else None)
        return self.known[key]

    def _make(self, name: str) -> int:
        if len(self.made) >= MAX_NEW_TAGS:
            discard_unused_tags(tag_ids=self.made)
            raise JobRefused(
                f"The tags column holds more than {MAX_NEW_TAGS} unknown names, such as {name[:40]!r}; is it the right "
                "column? Nothing was imported. Choose another column, or create the tags first."
            )
        tag = create_unreviewed_tag(name=name, by=self.by)
        self.made.append(tag.pk)
        return tag.pk


def run_import(run: JobRun) -> dict[str, Any]:
    """Stage, resolve keys, merge and score range by range. Killed anywhere, it goes on where it was."""
    batch = ImportBatch.objects.get(pk=run.job.params["batch"])
    # A crash of PostgreSQL empties unlogged tables.
    if run.cursor.get("stage") != "merge" or sql.count_keyed(batch.pk) != batch.staged:
        _stage(run, batch)
        batch.refresh_from_db()
    run.do_ranges()
    result = _finish(run, batch)
    stored_path(batch).unlink(missing_ok=True)
    return result


def merge_range(job: Job, after: int, upto: int) -> dict[str, int]:
    """The keys whose first line lies in (after, upto] become leads with tags, evidence and score; counts by outcome."""
    batch = ImportBatch.objects.get(job=job)
    counts = sql.merge_range(
        batch.pk, after=after, last=upto, at=job.as_of, on_duplicate=batch.on_duplicate, job_id=job.pk
    )
    # Last, and held for the commit alone: other ranges write to this row too.
    ImportBatch.objects.filter(pk=batch.pk).update(**{name: F(name) + count for name, count in counts.items()})
    return counts | {"done": sum(counts.values())}


def _stage(run: JobRun, batch: ImportBatch) -> None:
    """Read, clean and COPY the whole file, then give every row its key."""
    path = stored_path(batch)
    if not path.exists():
        raise JobRefused("The uploaded file is gone from the server; upload it again.")
    layout = Layout.from_dict(batch.layout)
    finder = _TagFinder(batch, run.job.created_by)
    with run.chunk():
        sql.drop_orphans(ImportBatch.objects.filter(job__status__in=Job.LIVE).values_list("pk", flat=True))
        sql.make_staging(batch.pk)
        run.stage, run.done, run.total = "Reading rows", 0, 2 * _estimate_rows(path, layout)
        run.cursor = {"stage": "read"}
    processes = settings.JOB_CONNECTIONS if path.stat().st_size > CREW_FROM_BYTES else 0
    staged = blank = spoiled = 0
    for block in cleaning.clean_file(_plan(batch, layout), finder, processes=processes):
        with run.chunk():
            sql.copy_text(batch.pk, block.text)
            staged, blank, spoiled = staged + block.rows, blank + block.blank, spoiled + block.spoiled
            run.done = staged + blank
            run.total = max(run.total, 2 * run.done)
    with run.chunk():
        run.stage = "Matching properties"
    with run.chunk():
        sql.resolve_keys(batch.pk, is_resumed=run.job.ranges.exists())
        bounds = sql.range_bounds(batch.pk, rows=MERGE_ROWS)
        new_tags = sorted({*batch.new_tag_ids, *finder.made})
        ImportBatch.objects.filter(pk=batch.pk).update(
            staged=sql.count_keyed(batch.pk),
            rows=staged,
            blank=blank,
            new_tag_ids=new_tags,
            notes=[*layout.notes, *_spoiled_note(spoiled)],
        )
        run.stage, run.done, run.total = "Merging and scoring", staged, 2 * staged
        run.cursor = {"stage": "merge"}
        run.plan_ranges(bounds)


def _spoiled_note(count: int) -> list[str]:
    if not count:
        return []
    what = "1 parcel number was" if count == 1 else f"{count:,} parcel numbers were"
    return [f"{what} spoiled by a spreadsheet (such as 1.23E+10): {MEND_PARCEL}"]


def _estimate_rows(path: Path, layout: Layout) -> int:
    """About how many rows the file has, for the bar only."""
    lines = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            lines += block.count(b"\n") or block.count(b"\r")
    return max(lines, 1)


def _finish(run: JobRun, batch: ImportBatch) -> dict[str, Any]:
    with run.chunk():
        pass
    with transaction.atomic():
        placeless = sql.count_placeless(batch.pk)
        ImportBatch.objects.filter(pk=batch.pk).update(
            status=ImportBatch.Status.SUCCEEDED, notes=[*batch.notes, *_note_placeless(placeless, batch)]
        )
        batch.refresh_from_db()
        sql.drop_staging(batch.pk)
        started = run.job.started_at or run.job.created_at
        result = {
            "rows": batch.rows,
            "created": batch.created,
            "updated": batch.updated,
            "unchanged": batch.unchanged,
            "rejected": batch.rejected,
            "blank": batch.blank,
            "place_unknown": placeless,
            "new_tags": list(
                Tag.objects.filter(pk__in=batch.new_tag_ids).order_by("name").values_list("name", flat=True)
            ),
            "seconds": round((timezone.now() - started).total_seconds(), 3),
        }
        run.finish(result)
    return result


def _note_placeless(count: int, batch: ImportBatch) -> list[str]:
    if not count:
        return []
    return [
        f"place unknown for {count:,} of {batch.rows:,} rows: with no ZIP and no city and state, their leads are kept "
        "apart and meet no other list; give the file a place, such as “Hoboken, NJ”"
    ]
