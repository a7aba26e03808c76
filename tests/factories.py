"""Plain keyword-only factories: each says only what the test is about."""

import datetime as dt
import io
import itertools
import json
from typing import Any

from imports.models import ImportBatch
from imports.operations import receive_file, start_import
from jobs.models import Job
from jobs.operations import run_job
from leads.models import Lead, LeadSearch
from scoring.operations import drain_due
from tags.models import LeadTag, Tag, calculate_tag_expiration
from tests.conftest import NOW

_numbers = itertools.count(1)


def make_lead(*, at: dt.datetime = NOW, **fields: Any) -> Lead:
    """A lead as an import leaves it, due at `at`."""
    number = next(_numbers)
    values: dict[str, Any] = {
        "address": f"{number} MAIN ST",
        "city": "HOBOKEN",
        "state": "NJ",
        "zip": "07030",
        "owner_name": f"OWNER {number}",
        "raw_address": f"{number} Main Street",
        "rescore_at": at,
        "rescore_cause": Lead.Cause.IMPORT,
        "created_at": at,
        "updated_at": at,
    } | fields
    values.setdefault("address_key", f"1|{values['address']}|{values.get('unit', '')}|{values['zip']}|{number}")
    lead = Lead.objects.create(**values)
    lead.refresh_from_db()
    text = " ".join(filter(None, [lead.address, lead.unit, lead.city, lead.zip, lead.owner_name])).lower()
    LeadSearch.objects.create(lead=lead, text=text)
    return lead


def make_tag(**fields: Any) -> Tag:
    """A tag; 100 points, never expiring, unless said otherwise."""
    values = {"name": f"Tag {next(_numbers)}", "base_score": 100} | fields
    return Tag.objects.create(**values)


def assign(lead: Lead, tag: Tag, at: dt.datetime = NOW, **fields: Any) -> LeadTag:
    """A tag on a lead as SQL would put it there; the lead is due at `at`."""
    values = {"expiration_at": calculate_tag_expiration(assigned_at=at, expiration_days=tag.expiration_days)} | fields
    lead_tag = LeadTag.objects.create(lead=lead, tag=tag, assigned_at=at, **values)
    Lead.objects.filter(pk=lead.pk).update(rescore_at=at)
    return lead_tag


def make_scored_lead(*, tags: list[Tag], at: dt.datetime = NOW, **fields: Any) -> Lead:
    """A lead with live tags and its score."""
    lead = make_lead(at=at, **fields)
    for tag in tags:
        assign(lead, tag, at)
    drain_due(at=at)
    lead.refresh_from_db()
    return lead


def make_batch(content: str | bytes | list[dict[str, Any]], *, name: str = "list.csv", **options: Any) -> ImportBatch:
    """A draft of a file with this content."""
    if isinstance(content, list):
        content, name = json.dumps(content), "list.json"
    data = content.encode() if isinstance(content, str) else content
    return receive_file(content=io.BytesIO(data), name=name, **({"at": NOW, "by": None} | options))


def import_rows(content: str | bytes | list[dict[str, Any]], **options: Any) -> ImportBatch:
    """Import a file in this process; the batch as it ended. Fails the test when the job did not succeed."""
    at = options.get("at", NOW)
    batch = make_batch(content, **options)
    job = run_job(job_id=start_import(batch=batch, at=at, by=None, announce=False).pk)
    assert job is not None
    assert job.status == Job.Status.SUCCEEDED, job.error
    batch.refresh_from_db()
    return batch
