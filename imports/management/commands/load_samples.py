"""manage.py load_samples: import the lists in samples/ into an empty installation, for something to look at."""

import json
import sys
import time
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from imports.models import ImportBatch
from imports.operations import receive_file, start_import
from jobs.commands import run_in_this_process
from jobs.models import Job
from leads.models import Lead

COUNTS = ("rows", "created", "updated", "unchanged", "rejected", "blank")


@dataclass(frozen=True, slots=True)
class Sample:
    """One list in samples/, and what a person would say about it when importing."""

    name: str
    source: str
    tags: tuple[str, ...] = ()


SAMPLES = (
    Sample("alder-county-tax-delinquent.csv", "Alder County Treasurer (sample)", ("Tax Delinquent",)),
    Sample("vendor-preforeclosure-probate.csv", "Lantern Lists (sample)"),
    Sample("code-enforcement.csv", "Three Rivers Code Enforcement (sample)", ("Code Violation",)),
)


class Command(BaseCommand):
    help = "Import the sample lists unless there are leads already; what a killed run left is finished."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        was_begun = any(_batch_of(sample) for sample in SAMPLES)
        loaded: list[dict[str, Any]] = []
        if was_begun or not Lead.objects.exists():
            for sample in SAMPLES:
                batch = _batch_of(sample)
                if batch is not None and batch.status == ImportBatch.Status.SUCCEEDED:
                    continue
                loaded.append(self._load(sample, batch, options))
        report = {"leads": Lead.objects.count(), "lists": loaded, "seconds": round(time.monotonic() - started, 3)}
        if options["json"]:
            self.stdout.write(json.dumps(report))
            return
        for entry in loaded:
            counts = ", ".join(f"{entry[name]:,} {name}" for name in COUNTS if entry[name])
            self.stdout.write(f"{entry['name']}: {counts}")
        note = "" if loaded else "; nothing to load"
        self.stdout.write(f"{report['leads']:,} leads{note}")

    def _load(self, sample: Sample, batch: ImportBatch | None, options: dict[str, Any]) -> dict[str, Any]:
        """Import one list, or go on with what a killed run began of it."""
        if batch is None:
            with (settings.BASE_DIR / "samples" / sample.name).open("rb") as content:
                batch = receive_file(
                    content=content,
                    name=sample.name,
                    at=timezone.now(),
                    by=None,
                    source=sample.source,
                    tag_names=sample.tags,
                )
        job = run_in_this_process(start_import(batch=batch, at=timezone.now(), by=None, announce=False))
        if job.status != Job.Status.SUCCEEDED:
            message = f"{sample.name} is {job.status}: {job.error or 'it was stopped.'}"
            self.stdout.write(json.dumps({"error": message})) if options["json"] else self.stderr.write(message)
            sys.exit(1)
        batch.refresh_from_db()
        return {"name": sample.name, **{name: getattr(batch, name) for name in COUNTS}, "job": job.pk}


def _batch_of(sample: Sample) -> ImportBatch | None:
    """The import of this list that ended well or can still go on; one that failed or was stopped is done anew."""
    ended_badly = (Job.Status.FAILED, Job.Status.CANCELLED)
    batches = ImportBatch.objects.filter(name=sample.name, source=sample.source)
    return batches.exclude(job__status__in=ended_badly).order_by("-pk").first()
