"""Reads for pages: the jobs of late, and what one is doing."""

import datetime as dt

from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Min

from jobs.models import Job, JobQuerySet

RECENT = 50


def recent_jobs(*, count: int = RECENT) -> JobQuerySet:
    """The newest jobs with the people who started them."""
    jobs: JobQuerySet = Job.objects.newest_first().select_related("created_by")[:count]
    return jobs


def count_live_jobs() -> int:
    return Job.objects.live().count()


def installed_at() -> dt.datetime | None:
    """Since when this installation exists: days before that need no run."""
    found: dt.datetime | None = MigrationRecorder.Migration.objects.aggregate(at=Min("applied"))["at"]
    return found


def result_lines(job: Job) -> list[tuple[str, object]]:
    """The result in words, as far as it is plain values, or counts by name."""
    result = job.result if isinstance(job.result, dict) else {}
    lines: list[tuple[str, object]] = []
    for name, value in result.items():
        if isinstance(value, list):
            value = ", ".join(map(str, value))
        if isinstance(value, dict):
            counts = [(part, count) for part, count in value.items() if isinstance(count, int)]
            value = ", ".join(f"{part.replace('_', ' ')} {count:,}" for part, count in counts)
        if value not in ("", None):
            lines.append((name.replace("_", " ").capitalize(), value))
    return lines
