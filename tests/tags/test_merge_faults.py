"""Merging tags while its worker dies, and while others write. Real processes on servers of their own."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.installation import NOBODY, PATIENCE, Installation, clone, kill, throwaway_servers, wait_until

LEADS = 24_000  # three ranges
OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND backend_type = 'client backend'"
)
pytestmark = pytest.mark.slow
START = """
from django.utils import timezone
from tags.merges.operations import merge_tags
from tags.models import Tag
goes, stays = Tag.objects.get(name="Vacant"), Tag.objects.get(name="Condemned")
merge = merge_tags(merged_id=goes.pk, into_id=stays.pk, expected=goes.lead_tags.count(), by=None, at=timezone.now())
print(merge.change_id)
"""
UNDO = """
from django.utils import timezone
from jobs.models import Job
from jobs.operations import run_job
from tags.merges.operations import undo_merge
from tags.models import TagMerge
undo_merge(merge_id=TagMerge.objects.get().pk, by=None, at=timezone.now())
print(run_job(job_id=Job.objects.latest("pk").pk).status)
"""
VERIFY = """
from django.utils import timezone
from scoring.operations import drain_due
from scoring.queries import verify_scores
at = timezone.now()
drain_due(at=at)
print(verify_scores(at=at)["differences"])
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Every lead is vacant, every third condemned too."""
    file = tmp_path_factory.mktemp("lists") / "list.csv"
    tags = ("Vacant", "Vacant", "Vacant;Condemned")
    file.write_text("Address,ZIP,Tags\n" + "".join(f"{n + 1} Oak Street,07030,{tags[n % 3]}\n" for n in range(LEADS)))
    with throwaway_servers() as installation:
        report = json.loads(installation.run("manage.py", "import_leads", str(file), "--json"))
        assert report["created"] == LEADS
        yield installation


@pytest.fixture
def installation(servers: Installation, tmp_path: Path) -> Iterator[Installation]:
    yield from clone(servers, tmp_path)


def carried(installation: Installation) -> dict[str, int]:
    rows = installation.rows(
        "SELECT name, count(*) FROM tags_leadtag JOIN tags_tag tag ON tag.id = tag_id GROUP BY name ORDER BY name"
    )
    return dict(rows)


def clocks(installation: Installation) -> list[tuple[object, ...]]:
    return installation.rows(
        "SELECT lead_id, tag_id, assigned_at, expiration_at, removed_at FROM tags_leadtag ORDER BY lead_id, tag_id"
    )


def test_a_worker_killed_in_the_middle_of_a_merge(installation: Installation) -> None:
    before = clocks(installation)
    assert carried(installation) == {"Condemned": LEADS // 3, "Vacant": LEADS}
    change = installation.run_code(START, REDIS_URL=NOBODY)
    done = f"SELECT applied_at IS NOT NULL FROM tags_rulechange WHERE id = {change}"
    with psycopg.connect(installation.database_url) as holder:
        # The last leads cannot be moved while this is held, and the first can.
        holder.execute("SELECT FROM leads_lead ORDER BY id DESC LIMIT 100 FOR UPDATE")
        worker = installation.start_worker(processes=2)
        wait_until(lambda: carried(installation)["Vacant"] < LEADS)
        kill(worker)
    wait_until(lambda: installation.rows(OTHERS) == [(0,)])  # what it had sent before may still be committed
    halfway = carried(installation)
    assert 0 < halfway["Vacant"] < LEADS
    assert installation.rows(done) == [(False,)]
    noted = installation.rows("SELECT count(*) FROM tags_mergedassignment")[0][0]
    assert noted == LEADS - halfway["Vacant"]
    installation.start_worker(processes=2)
    wait_until(lambda: installation.rows(done) == [(True,)])
    assert carried(installation) == {"Condemned": LEADS}
    assert installation.rows("SELECT moved, joined FROM tags_tagmerge") == [(LEADS * 2 // 3, LEADS // 3)]
    assert installation.run_code(VERIFY) == "0"
    assert installation.run_code(UNDO, REDIS_URL=NOBODY) == "succeeded"
    assert clocks(installation) == before
    assert installation.rows('SELECT restored, "left" FROM tags_tagmerge') == [(LEADS, 0)]
    assert installation.run_code(VERIFY) == "0"


TAGGER = """
import random, time
from django.utils import timezone
from leads.models import Lead
from tags.models import Tag
from tags.operations import assign_tag, remove_tag
dice = random.Random(SEED)
tags = list(Tag.objects.filter(name__in=["Vacant", "Condemned", "Probate"]))
leads = list(Lead.objects.order_by("pk").values_list("pk", flat=True)[:40])
until, writes = time.monotonic() + 6, 0
while time.monotonic() < until:
    write = dice.choice([assign_tag, remove_tag])
    write(lead_id=dice.choice(leads), tag=dice.choice(tags), at=timezone.now())
    writes += 1
print(writes)
"""
FULL_RUNNER = """
import time
from django.utils import timezone
from jobs.operations import run_job
from scoring.operations import start_recalculation
until, runs = time.monotonic() + 6, 0
while time.monotonic() < until:
    job = run_job(job_id=start_recalculation(at=timezone.now(), by=None, announce=False).pk)
    assert job is None or job.status == "succeeded", job.error
    runs += 1
print(runs)
"""
MERGER = f"""
import time
from jobs.models import Job
from jobs.operations import run_job
time.sleep(2)
{START}
for job_id in Job.objects.live().filter(kind="merge-tags").values_list("pk", flat=True):
    job = run_job(job_id=job_id)
    assert job is None or job.status == "succeeded", job.error
"""
SWEEP = """
from django.utils import timezone
from jobs.models import Job
from jobs.operations import run_job
from scoring.operations import sweep
sweep(at=timezone.now())
for job_id in Job.objects.live().values_list("pk", flat=True):
    run_job(job_id=job_id)
print(0)
"""


def test_people_who_tag_and_full_runs_meet_a_merge(installation: Installation) -> None:
    """The taggers go on putting the merged tag on leads by an old page; the sweep moves these too."""
    codes = [TAGGER.replace("SEED", "1"), TAGGER.replace("SEED", "2"), FULL_RUNNER, MERGER]
    actors = [
        installation.start("-c", f"import django; django.setup()\n{code}", REDIS_URL=NOBODY, LOG_LEVEL="ERROR")
        for code in codes
    ]
    for actor in actors:
        said, complaint = actor.communicate(timeout=PATIENCE)
        assert actor.returncode == 0, complaint
        assert int(said.split()[-1]) > 0
    assert carried(installation).get("Vacant", 0) <= 40
    installation.run_code(SWEEP, REDIS_URL=NOBODY)
    assert "Vacant" not in carried(installation)
    assert installation.run_code(VERIFY) == "0"
