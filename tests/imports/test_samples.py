"""The lists in samples/: made the same every time, and worth showing once imported."""

import datetime as dt
import importlib.util
import io
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings
from django.contrib.postgres.aggregates import ArrayAgg
from django.core.management import call_command
from django.db.models import Count, Q

from imports.management.commands import load_samples
from imports.models import ImportBatch, ImportRow
from imports.operations import receive_file, start_import
from jobs.models import Job
from leads.models import Lead
from scoring.queries import verify_scores
from tags.models import LeadTag, Tag
from tests.factories import make_lead

FOLDER = Path(settings.BASE_DIR) / "samples"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_samples", FOLDER / "make_samples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_samples"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def late_2026(monkeypatch) -> dt.datetime:
    """The day for which the dates in the files are made."""
    at = dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC)
    monkeypatch.setattr("django.utils.timezone.now", lambda: at)
    return at


def load() -> dict[str, Any]:
    out = io.StringIO()
    call_command("load_samples", "--json", stdout=out)
    report: dict[str, Any] = json.loads(out.getvalue())
    return report


def begin(sample: load_samples.Sample, at: dt.datetime) -> ImportBatch:
    with (FOLDER / sample.name).open("rb") as content:
        return receive_file(
            content=content, name=sample.name, at=at, by=None, source=sample.source, tag_names=sample.tags
        )


def test_the_files_are_what_the_generator_makes(maker) -> None:
    made = maker.make_samples().files
    assert made == maker.make_samples().files
    assert {path.name: path.read_bytes() for path in FOLDER.glob("*.csv")} == made
    assert {sample.name for sample in load_samples.SAMPLES} == set(made)
    assert all(len(content) < 400_000 for content in made.values())


def test_another_day_moves_the_dates_and_nothing_else(maker) -> None:
    later = maker.make_samples(today=dt.date(2027, 11, 1))
    assert later.files != maker.make_samples().files
    assert (later.properties, later.rows) == (maker.make_samples().properties, maker.make_samples().rows)


@pytest.mark.django_db
def test_every_row_lands_and_the_tags_stack(maker, late_2026) -> None:
    expected = maker.make_samples()
    report = load()
    assert report["leads"] == expected.properties == Lead.objects.count()
    assert 2_900 <= report["leads"] <= 3_100
    for entry in report["lists"]:
        name = entry["name"]
        counts = (entry["rows"], entry["rejected"], entry["blank"])
        assert counts == (expected.rows[name], expected.rejected[name], expected.blank[name])
        assert entry["rows"] == entry["created"] + entry["updated"] + entry["unchanged"] + entry["rejected"]
        assert 1_000 <= entry["rows"] <= 1_600
    assert [entry["updated"] > 300 for entry in report["lists"]] == [False, True, True]
    assert ImportRow.objects.count() == sum(expected.rows.values())
    assert not Tag.objects.filter(needs_review=True).exists()

    at = late_2026
    states = LeadTag.objects.aggregate(
        expired=Count("pk", filter=Q(expiration_at__lte=at)),
        recent=Count("pk", filter=Q(assigned_at__gt=at - dt.timedelta(days=60))),
        ahead=Count("pk", filter=Q(assigned_at__gt=at)),
        all=Count("pk"),
    )
    assert states["ahead"] == 0
    assert 0.03 < states["expired"] / states["all"] < 0.3
    assert 0.2 < states["recent"] / states["all"] < 0.8
    assert verify_scores(at=at) == {
        "leads": report["leads"], "differences": 0, "due": 0, "newer": 0, "pending": 0,
    }  # fmt: skip


@pytest.mark.django_db
def test_every_stack_of_lists_has_leads_above_2000(late_2026) -> None:
    load()
    best: dict[frozenset[str], int] = {}
    stacks = Lead.objects.annotate(lists=ArrayAgg("import_rows__batch__name", distinct=True))
    for lists, score in stacks.values_list("lists", "score"):
        best[frozenset(lists)] = max(best.get(frozenset(lists), 0), score)
    tax, vendor, code = (sample.name for sample in load_samples.SAMPLES)
    assert len(best) == 7  # each list alone, each pair, and all three
    for stack in ({tax, vendor}, {vendor, code}, {tax, vendor, code}):
        assert best[frozenset(stack)] > 2000, stack
    stacked = Lead.objects.filter(score__gt=2000)
    assert stacked.count() >= 10
    carried = set(LeadTag.objects.filter(lead__in=stacked).values_list("tag__name", flat=True))
    assert {"Tax Delinquent", "Probate", "Pre-foreclosure", "Foreclosure", "Code Violation", "Vacant"} <= carried


@pytest.mark.django_db
def test_a_second_run_does_nothing() -> None:
    out = io.StringIO()
    call_command("load_samples", stdout=out)
    first, *_, last = out.getvalue().splitlines()
    assert first.startswith("alder-county-tax-delinquent.csv: 1,408 rows, 1,3")
    assert last == f"{Lead.objects.count():,} leads"
    assert (load()["lists"], ImportBatch.objects.count()) == ([], 3)


@pytest.mark.django_db
def test_leads_of_ones_own_are_left_alone() -> None:
    make_lead()
    assert (load()["leads"], ImportBatch.objects.count()) == (1, 0)


@pytest.mark.django_db
@pytest.mark.parametrize("was", ["received", "queued", "running"])
def test_what_a_killed_run_left_is_finished_once(maker, late_2026, was: str) -> None:
    batch = begin(load_samples.SAMPLES[0], late_2026)
    if was != "received":
        job = start_import(batch=batch, at=late_2026, by=None, announce=False)
        if was == "running":
            Job.objects.filter(pk=job.pk).update(
                status="running", attempt=1, worker="elsewhere:1:1", heartbeat_at=late_2026 - dt.timedelta(minutes=1)
            )
    report = load()
    assert report["leads"] == maker.make_samples().properties
    assert ImportBatch.objects.filter(status="succeeded").count() == ImportBatch.objects.count() == 3
