"""manage.py import_leads FILE: import a county list in this process, worker or not."""

import json
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from imports.files import UnusableFile
from imports.mapping import MappingError
from imports.models import ImportBatch
from imports.operations import ImportRefused, receive_file, start_import
from imports.queries import rejected_rows_csv
from jobs.commands import run_in_this_process
from jobs.models import Job


class Command(BaseCommand):
    help = "Import a CSV or JSON list of properties; prints what became of its rows."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--tag", action="append", default=[], metavar="NAME", help="tag for every row; repeatable")
        parser.add_argument("--source", default="", help="who the list comes from (default: the file's name)")
        parser.add_argument("--place", default="", metavar='"CITY, ST"', help="city and state of rows that name none")
        parser.add_argument("--on-duplicate", choices=ImportBatch.OnDuplicate.values, default="fill")
        parser.add_argument("--unknown-tags", choices=ImportBatch.UnknownTags.values, default="create")
        parser.add_argument(
            "--map", action="append", default=[], metavar="FIELD=COLUMN", help="a column by name or number; repeatable"
        )
        parser.add_argument("--encoding", default="", help="when the file is not read right, such as cp1252")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            overrides = dict(_pair(text) for text in options["map"])
            with path.open("rb") as content:
                batch = receive_file(
                    content=content,
                    name=path.name,
                    at=timezone.now(),
                    by=None,
                    source=options["source"],
                    place=options["place"],
                    on_duplicate=options["on_duplicate"],
                    unknown_tags=options["unknown_tags"],
                    tag_names=options["tag"],
                    overrides=overrides,
                    encoding=options["encoding"],
                )
        except OSError as error:
            self._refuse(f"{path} cannot be read: {error.strerror}.", options)
        except UnusableFile as unusable:
            self._refuse(unusable.with_remedy("--map "), options)
        except (MappingError, ImportRefused) as error:
            self._refuse(str(error), options)
        job = run_in_this_process(start_import(batch=batch, at=timezone.now(), by=None, announce=False))
        batch.refresh_from_db()
        if job.status != Job.Status.SUCCEEDED:
            landed = batch.created + batch.updated + batch.unchanged
            note = f" {landed:,} of {batch.rows:,} rows had landed before." if landed else ""
            self._refuse(f"The import is {job.status}: {job.error or 'it was stopped.'}{note}", options, status=1)
        self._report(batch, job, options)

    def _refuse(self, message: str, options: dict[str, Any], status: int = 2) -> None:
        if options["json"]:
            self.stdout.write(json.dumps({"error": message}))
        else:
            self.stderr.write(message)
        sys.exit(status)

    def _report(self, batch: ImportBatch, job: Job, options: dict[str, Any]) -> None:
        result = job.result or {}
        report = {name: result[name] for name in ("rows", "created", "updated", "unchanged", "rejected", "blank")} | {
            "rejected_file": str(_write_rejected(batch)) if batch.rejected else None,
            "new_tags": result["new_tags"],
            "notes": batch.notes,
            "job": job.pk,
            "seconds": result["seconds"],
        }
        if options["json"]:
            self.stdout.write(json.dumps(report))
            return
        for name, value in report.items():
            if value not in (None, []):
                shown = f"{value:,}" if isinstance(value, int) else value
                self.stdout.write(
                    f"{name.replace('_', ' '):>13}  {', '.join(value) if isinstance(value, list) else shown}"
                )


def _pair(text: str) -> tuple[str, str]:
    field, equals, column = text.partition("=")
    if not equals:
        raise MappingError(f"--map {text!r} is not understood; write --map FIELD=COLUMN, such as --map address=Situs.")
    return field.strip(), column.strip()


def _write_rejected(batch: ImportBatch) -> Path:
    """The rejected rows, with line and reason, as a file in the data directory."""
    path = Path(settings.DATA_DIR) / "rejected" / f"{Path(batch.name).stem}-{batch.pk}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(rejected_rows_csv(batch=batch))
    return path
