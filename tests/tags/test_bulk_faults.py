"""Bulk tagging while workers die and while others write the same leads. Real processes on servers of their own."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.installation import NOBODY, PATIENCE, Installation, clone, kill, throwaway_servers, wait_until

LEADS = 7_000  # four ranges
pytestmark = pytest.mark.slow

AT = "2026-06-15T12:00:00Z"
PREPARE = f"""
import datetime as dt
from leads.models import Lead
from tags.models import LeadTag, Tag
tag = Tag.objects.get(name="Divorce")
at = dt.datetime.fromisoformat("{AT}") - dt.timedelta(days=3)
ids = list(Lead.objects.order_by("pk").values_list("pk", flat=True))
LeadTag.objects.bulk_create(
    LeadTag(lead_id=pk, tag=tag, assigned_at=at, removed_at=at if pk % 6 else None) for pk in ids[::3]
)
"""
START = f"""
import datetime as dt
from leads.selections import select_matching
from tags.bulk import Action, start_bulk_tagging
from tags.models import Tag
at = dt.datetime.fromisoformat("{AT}")
tag = Tag.objects.get(name="Divorce")
selection = select_matching({{"zip": ["07030"]}}, at=at)
print(start_bulk_tagging(selection=selection, action=Action.ADD, tag=tag, confirmed=None, by=None, at=at).pk)
"""
START_UNDO = """
from django.utils import timezone
from jobs.models import Job
from tags.bulk import start_undo
print(start_undo(job=Job.objects.get(pk=JOB), by=None, at=timezone.now()).pk)
"""
RUN = "from jobs.operations import run_job\nfrom jobs.models import Job\n" + (
    "assert run_job(job_id=Job.objects.latest('pk').pk).status == 'succeeded'\n"
)
SWEEP = "from django.utils import timezone\nfrom scoring.operations import drain_due\ndrain_due(at=timezone.now())\n"
VERIFY = (
    "from django.utils import timezone\nfrom scoring.queries import verify_scores\n"
    "print(verify_scores(at=timezone.now()))"
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Scored leads; a third of them had the tag already, most of these removed."""
    file = tmp_path_factory.mktemp("lists") / "list.csv"
    file.write_text(
        "Address,ZIP,Tags\n" + "".join(f"{n + 1} Oak Street,07030,{'Vacant' if n % 2 else ''}\n" for n in range(LEADS))
    )
    with throwaway_servers() as installation:
        report = json.loads(installation.run("manage.py", "import_leads", str(file), "--json"))
        assert report["created"] == LEADS
        installation.run_code(PREPARE)
        yield installation


@pytest.fixture
def installation(servers: Installation, tmp_path: Path) -> Iterator[Installation]:
    yield from clone(servers, tmp_path)


def code(installation: Installation, text: str) -> str:
    """Run it where no worker can be reached."""
    return installation.run_code(text, REDIS_URL=NOBODY, LOG_LEVEL="ERROR")


def end_state(installation: Installation) -> dict[str, Any]:
    return {
        "leads": installation.rows("SELECT id, score, rescore_at, rescore_cause, score_revision FROM leads_lead"),
        "tags": installation.rows(
            "SELECT lead_id, tag_id, assigned_at, expiration_at, is_expired, removed_at FROM tags_leadtag ORDER BY 1, 2"
        ),
        "former": installation.rows(
            "SELECT job_id, lead_id, existed, assigned_at, removed_at, written_assigned_at, written_removed_at "
            "FROM tags_formerassignment ORDER BY 1, 2"
        ),
        "selected": installation.rows("SELECT job_id, lead_id FROM leads_selectedlead ORDER BY 1, 2"),
        "history": installation.rows("SELECT lead_id, from_score, to_score, cause FROM scoring_scorechange"),
        "result": installation.rows("SELECT id, status, done, total, result::text FROM jobs_job ORDER BY 1"),
    }


def in_order(state: dict[str, Any]) -> dict[str, Any]:
    return {name: sorted(rows, key=repr) for name, rows in state.items()}


@pytest.fixture(scope="module")
def undisturbed(servers: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """What a bulk change leaves when nothing goes wrong, and then its undo."""
    for installation in clone(servers, tmp_path_factory.mktemp("undisturbed")):
        before = in_order(end_state(installation))
        job_id = code(installation, START + RUN + SWEEP)
        changed = in_order(end_state(installation))
        code(installation, START_UNDO.replace("JOB", job_id) + RUN + SWEEP)
        yield [before, changed, in_order(end_state(installation))]


def done_ranges(installation: Installation, job_id: str) -> int:
    return int(
        installation.rows(f"SELECT count(*) FROM jobs_jobrange WHERE job_id = {job_id} AND counts IS NOT NULL")[0][0]
    )


# The last leads cannot be written while this is held, and the first can.
HOLD_THE_LAST = "SELECT FROM leads_lead WHERE id IN (SELECT id FROM leads_lead ORDER BY id DESC LIMIT 2000) FOR UPDATE"


def interrupt(installation: Installation, job_id: str) -> None:
    """Two workers begin the job and are killed in its middle; others end it."""
    with psycopg.connect(installation.database_url) as holder:
        holder.execute(HOLD_THE_LAST)
        worker = installation.start_worker(processes=2)
        wait_until(lambda: done_ranges(installation, job_id) >= 2)
        kill(worker)
    assert 2 <= done_ranges(installation, job_id) < 4
    worker = installation.start_worker(processes=2)
    wait_until(lambda: installation.rows(f"SELECT status FROM jobs_job WHERE id = {job_id}") == [("succeeded",)])
    kill(worker)


def test_workers_killed_in_the_middle_of_a_bulk_change_and_of_its_undo(
    installation: Installation, undisturbed: list[dict[str, Any]]
) -> None:
    before, changed, undone = undisturbed
    assert before["tags"] == undone["tags"] != changed["tags"]
    job_id = code(installation, START)
    interrupt(installation, job_id)
    undo_id = code(installation, SWEEP + START_UNDO.replace("JOB", job_id))
    landed = in_order(end_state(installation))
    for name, rows in changed.items():
        assert [row for row in landed[name] if name != "result" or row[0] != int(undo_id)] == rows, name
    interrupt(installation, undo_id)
    code(installation, SWEEP)
    assert in_order(end_state(installation)) == undone


def test_scores_are_there_when_a_job_ends_in_a_process_without_worker(installation: Installation) -> None:
    expected = {"leads": LEADS, "differences": 0, "due": 0, "newer": 0, "pending": 0}
    assert code(installation, START + RUN + VERIFY).partition("\n")[2] == str(expected)


BULK = """
import random, time
from django.utils import timezone
from jobs.models import Job
from jobs.operations import run_job
from leads.models import Lead
from leads.selections import select_ids, select_matching
from tags.bulk import Action, UndoRefused, start_bulk_tagging, start_undo
from tags.models import Tag
dice = random.Random(SEED)
tags = list(Tag.objects.filter(name__in=["Divorce", "Probate"]))
ids = list(Lead.objects.order_by("pk").values_list("pk", flat=True))
until, writes = time.monotonic() + 5, 0
while time.monotonic() < until:
    chosen = dice.choice([select_matching({"zip": ["07030"]}, at=timezone.now()), select_ids(dice.sample(ids, 3000))])
    job = start_bulk_tagging(
        selection=chosen, action=dice.choice(list(Action)), tag=dice.choice(tags), confirmed=None, by=None,
        at=timezone.now(),
    )
    done = run_job(job_id=job.pk)
    assert done.status == "succeeded", done.error
    try:
        undo = run_job(job_id=start_undo(job=done, by=None, at=timezone.now()).pk)
        assert undo.status == "succeeded", undo.error
    except UndoRefused:
        pass
    writes += 1
print(writes)
"""
TAGGER = """
import random, time
from django.utils import timezone
from leads.models import Lead
from tags.models import Tag
from tags.operations import assign_tag, remove_tag
dice = random.Random(SEED)
tags = list(Tag.objects.filter(name__in=["Divorce", "Probate"]))
leads = list(Lead.objects.order_by("pk").values_list("pk", flat=True)[:60])
until, writes = time.monotonic() + 5, 0
while time.monotonic() < until:
    write = dice.choice([assign_tag, remove_tag])
    write(lead_id=dice.choice(leads), tag=dice.choice(tags), at=timezone.now())
    writes += 1
print(writes)
"""
LAST_CHECK = """
from django.utils import timezone
from leads.models import Lead
from scoring.models import ScoreChange
from scoring.operations import drain_due
from scoring.queries import verify_scores
at = timezone.now()
drain_due(at=at)
wrong = []
for lead in Lead.objects.order_by("pk")[:200]:
    replayed = 0
    for change in ScoreChange.objects.filter(lead_id=lead.pk).order_by("id"):
        replayed = change.to_score if change.from_score == replayed else -10**9
    if lead.score != replayed:
        wrong.append((lead.pk, lead.score, replayed))
print((wrong, verify_scores(at=at)))
"""


def test_bulk_changes_and_undos_of_the_same_leads_at_once_spoil_nothing(installation: Installation) -> None:
    codes = [BULK.replace("SEED", str(seed)) for seed in range(3)] + [TAGGER.replace("SEED", "7")]
    actors: list[subprocess.Popen[str]] = [
        installation.start("-c", f"import django; django.setup()\n{code}", REDIS_URL=NOBODY, LOG_LEVEL="ERROR")
        for code in codes
    ]
    said = [actor.communicate(timeout=PATIENCE)[0].strip() for actor in actors]
    assert [actor.returncode for actor in actors] == [0] * len(actors), said
    assert all(int(count) > 0 for count in said)
    expected = {"leads": LEADS, "differences": 0, "due": 0, "newer": 0, "pending": 0}
    assert code(installation, LAST_CHECK) == str(([], expected))
    # What a job kept is what it wrote over: no two jobs claim to have made the same step of one assignment.
    assert installation.rows(
        "SELECT count(*) FROM tags_formerassignment WHERE existed AND "
        "ROW(assigned_at, expiration_at, removed_at) IS NOT DISTINCT FROM "
        "ROW(written_assigned_at, written_expiration_at, written_removed_at)"
    ) == [(0,)]
