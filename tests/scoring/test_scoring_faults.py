"""Scoring while others write, and while what it runs on dies. Real processes on servers of their own."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.installation import (
    NOBODY,
    PATIENCE,
    Installation,
    answers,
    clone,
    crash_postgresql,
    kill,
    throwaway_servers,
    wait_until,
)

LEADS = 12_000
pytestmark = pytest.mark.slow

# Every tag of these leads fades or has expired by then.
FUTURE = "2031-03-01T00:00:00Z"
PREPARE = """
from tags.models import Tag, TagGroup
group = TagGroup.objects.create(name="Distressed", cap=900)
Tag.objects.filter(name="Vacant").update(decay_steps=[[30, 90], [90, 40]], expiration_days=200, group=group)
Tag.objects.filter(name="Probate").update(decay_steps=[[60, 50]], expired_percent=10, expiration_days=100, group=group)
"""
START_FULL_RUN = f"""
import datetime as dt
from scoring.operations import start_recalculation
at = dt.datetime.fromisoformat("{FUTURE}")
print(start_recalculation(at=at, by=None, announce=ANNOUNCE).pk)
"""
RUN_JOB = "from jobs.operations import run_job\njob = run_job(job_id=JOB)\nprint(job and (job.status, job.attempt))"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Leads with fading tags, scored now."""
    file = tmp_path_factory.mktemp("lists") / "list.csv"
    tags = ("Vacant", "Probate", "Vacant;Probate", "Vacant;Divorce", "Probate;Foreclosure")
    file.write_text(
        "Address,ZIP,Tags\n" + "".join(f"{n + 1} Oak Street,07030,{tags[n % len(tags)]}\n" for n in range(LEADS))
    )
    with throwaway_servers() as installation:
        installation.environment["LEADSCORE_RANGE_LEADS"] = "2000"  # six ranges
        installation.run_code(PREPARE)
        report = json.loads(installation.run("manage.py", "import_leads", str(file), "--json"))
        assert report["created"] == LEADS
        yield installation


@pytest.fixture
def installation(servers: Installation, tmp_path: Path) -> Iterator[Installation]:
    yield from copy_of(servers, tmp_path)


def copy_of(servers: Installation, folder: Path) -> Iterator[Installation]:
    for installation in clone(servers, folder):
        installation.environment["LEADSCORE_RANGE_LEADS"] = "2000"
        yield installation


def queue_full_run(installation: Installation, *, announce: bool = False, **environment: str) -> int:
    return int(installation.run_code(START_FULL_RUN.replace("ANNOUNCE", str(announce)), **environment))


def end_state(installation: Installation) -> dict[str, Any]:
    return {
        "leads": installation.rows(
            "SELECT address_key, score, scored_at, rescore_at, rescore_cause FROM leads_lead ORDER BY 1"
        ),
        "flags": installation.rows(
            "SELECT address_key, tag_id, is_expired FROM tags_leadtag JOIN leads_lead lead ON lead.id = lead_id "
            "ORDER BY 1, 2"
        ),
        "history": installation.rows(
            "SELECT address_key, at, from_score, to_score, cause FROM scoring_scorechange "
            "JOIN leads_lead lead ON lead.id = lead_id WHERE at > '2031-01-01' ORDER BY 1, 2"
        ),
        "result": installation.rows(
            "SELECT status, done, result->'leads', result->'changed' FROM jobs_job WHERE kind = 'recalculate-scores'"
        ),
    }


@pytest.fixture(scope="module")
def undisturbed(servers: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What a full run leaves when nothing goes wrong."""
    for installation in copy_of(servers, tmp_path_factory.mktemp("undisturbed")):
        job_id = queue_full_run(installation)
        assert installation.run_code(RUN_JOB.replace("JOB", str(job_id))) == "('succeeded', 1)"
        state = end_state(installation)
        assert len(state["history"]) == LEADS
        assert state["result"] == [("succeeded", LEADS, LEADS, LEADS)]
        yield state


def done_ranges(installation: Installation) -> int:
    return int(installation.rows("SELECT count(*) FROM jobs_jobrange WHERE counts->>'changed' <> '0'")[0][0])


# The last leads of the ids cannot be scored while this is held, and the first can.
HOLD_THE_LAST = "SELECT FROM leads_lead WHERE id IN (SELECT id FROM leads_lead ORDER BY id DESC LIMIT 3000) FOR UPDATE"


@contextlib.contextmanager
def halfway(installation: Installation) -> Iterator[None]:
    """A full run with some of its ranges done, and one that cannot go on."""
    with psycopg.connect(installation.database_url) as holder:
        holder.execute(HOLD_THE_LAST)
        yield


def test_a_worker_killed_in_the_middle_of_a_run(installation: Installation, undisturbed: dict[str, Any]) -> None:
    job_id = queue_full_run(installation)
    with halfway(installation):
        worker = installation.start_worker(processes=2)
        wait_until(lambda: done_ranges(installation) >= 3)
        kill(worker)
    assert 3 <= done_ranges(installation) < 6
    installation.start_worker(processes=2)
    wait_until(lambda: installation.rows(f"SELECT status FROM jobs_job WHERE id = {job_id}") == [("succeeded",)])
    assert end_state(installation) == undisturbed


def test_postgresql_crashes_in_the_middle_of_a_run(
    servers: Installation, installation: Installation, undisturbed: dict[str, Any]
) -> None:
    job_id = queue_full_run(installation)
    code = (
        "import django; django.setup()\n"
        "from jobs.commands import run_in_this_process\n"
        "from jobs.models import Job\n"
        f"print(run_in_this_process(Job.objects.get(pk={job_id})).status)"
    )
    with contextlib.suppress(psycopg.OperationalError), halfway(installation):
        command = installation.start("-c", code, LEADSCORE_JOB_CONNECTIONS="2")
        wait_until(lambda: done_ranges(installation) >= 3)
        crash_postgresql(servers)
    wait_until(lambda: answers(installation))
    said, _ = command.communicate(timeout=PATIENCE)
    assert said.strip() == "succeeded"
    assert end_state(installation) == undisturbed


def test_two_full_runs_at_once_without_a_broker_are_one(
    installation: Installation, undisturbed: dict[str, Any]
) -> None:
    both = [
        installation.start(
            "-c", f"import django; django.setup()\n{START_FULL_RUN}".replace("ANNOUNCE", "True"), REDIS_URL=NOBODY
        )
        for _ in range(2)
    ]
    first, second = (int(process.communicate(timeout=PATIENCE)[0]) for process in both)
    assert first == second
    rivals = [
        installation.start(
            "-c", f"import django; django.setup()\n{RUN_JOB}".replace("JOB", str(first)), REDIS_URL=NOBODY
        )
        for _ in range(2)
    ]
    said = sorted(rival.communicate(timeout=PATIENCE)[0].strip() for rival in rivals)
    assert said == ["('succeeded', 1)", "None"]
    assert end_state(installation) == undisturbed


TAGGER = """
import random, time
from django.utils import timezone
from leads.models import Lead
from tags.models import Tag
from tags.operations import assign_tag, remove_tag
dice = random.Random(SEED)
tags = list(Tag.objects.filter(name__in=["Vacant", "Probate", "Divorce", "Eviction", "Foreclosure"]))
leads = list(Lead.objects.order_by("pk").values_list("pk", flat=True)[:40])
until, writes = time.monotonic() + 6, 0
while time.monotonic() < until:
    write = dice.choice([assign_tag, remove_tag])
    write(lead_id=dice.choice(leads), tag=dice.choice(tags), at=timezone.now())
    writes += 1
print(writes)
"""
SWEEPER = """
import time
from django.utils import timezone
from scoring.operations import sweep
until = time.monotonic() + 6
while time.monotonic() < until:
    sweep(at=timezone.now())
print(1)
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
RULE_CHANGER = """
import random, time
from django.utils import timezone
from jobs.models import Job
from jobs.operations import run_job
from tags.models import Tag, TagGroup
from tags.operations import publish_rule_change
dice = random.Random(5)
until, changes = time.monotonic() + 6, 0
while time.monotonic() < until:
    tag, group = Tag.objects.get(name=dice.choice(["Vacant", "Divorce"])), TagGroup.objects.get(name="Distressed")
    tag.base_score, group.cap = dice.randint(0, 2000), dice.choice([None, 500, 900])
    publish_rule_change(save=[tag, group], by=None, at=timezone.now())
    for job_id in Job.objects.live().filter(kind="apply-rule-change").values_list("pk", flat=True):
        job = run_job(job_id=job_id)
        assert job is None or job.status == "succeeded", job.error
    changes += 1
print(changes)
"""
LAST_DRAIN = """
from django.utils import timezone
from jobs.models import Job
from jobs.operations import run_job
from leads.models import Lead
from scoring.models import ScoreChange
from scoring.operations import drain_due
from scoring.queries import verify_scores
from tests.scoring.reference import next_change_of, score_of
for job_id in Job.objects.live().values_list("pk", flat=True):
    run_job(job_id=job_id)
at = timezone.now()
drain_due(at=at)
wrong = []
for lead in Lead.objects.order_by("pk")[:200]:
    replayed = 0
    for change in ScoreChange.objects.filter(lead_id=lead.pk).order_by("id"):
        replayed = change.to_score if change.from_score == replayed else -10**9
    if (lead.score, lead.rescore_at, lead.score) != (score_of(lead, at), next_change_of(lead, at), replayed):
        wrong.append((lead.pk, lead.score, score_of(lead, at), replayed))
print((wrong, verify_scores(at=at)))
"""


def test_nothing_is_lost_while_people_sweeps_runs_and_rule_changes_write_at_once(installation: Installation) -> None:
    codes = [TAGGER.replace("SEED", str(seed)) for seed in range(3)] + [SWEEPER, FULL_RUNNER, RULE_CHANGER]
    actors: list[subprocess.Popen[str]] = [
        installation.start("-c", f"import django; django.setup()\n{code}", REDIS_URL=NOBODY, LOG_LEVEL="ERROR")
        for code in codes
    ]
    said = [actor.communicate(timeout=PATIENCE)[0].strip() for actor in actors]
    assert [actor.returncode for actor in actors] == [0] * len(actors), said
    assert all(int(count) > 0 for count in said)
    expected = {"leads": LEADS, "differences": 0, "due": 0, "newer": 0, "pending": 0}
    assert installation.run_code(LAST_DRAIN) == str(([], expected))
