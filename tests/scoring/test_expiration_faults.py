"""Clocks rewritten while others score, tag and import, and while the worker dies. Real processes and servers."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.installation import NOBODY, PATIENCE, Installation, clone, kill, throwaway_servers, wait_until
from tests.scoring.test_scoring_faults import FULL_RUNNER, LAST_DRAIN, RUN_JOB, SWEEPER, TAGGER

LEADS = 12_000  # two ranges of the job
pytestmark = pytest.mark.slow

# Two of three lose their Probate tag by 10 days; a third of the lists is too young.
PREPARE = """
import datetime as dt
from django.utils import timezone
from tags.models import LeadTag, Tag, calculate_tag_expiration
Tag.objects.filter(name="Probate").update(expiration_days=300, decay_steps=[[60, 50]])
Tag.objects.filter(name="Vacant").update(expiration_days=200)
"""
PUBLISH = """
from django.utils import timezone
from tags.expirations import ExpirationChange, publish_expirations
from tags.models import Tag
tag = Tag.objects.get(name="NAME")
change = publish_expirations(changes=[ExpirationChange(tag.pk, DAYS, True)], by=None, at=timezone.now())
from jobs.models import Job
print(Job.objects.get(key=str(change.pk), kind="apply-rule-change").pk)
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Leads whose lists are of three dates, scored now."""
    file = tmp_path_factory.mktemp("lists") / "list.csv"
    with throwaway_servers() as installation:
        installation.environment["LEADSCORE_RANGE_LEADS"] = "2000"
        installation.run_code(PREPARE)
        today = installation.rows("SELECT current_date - 40, current_date - 20, current_date - 5")[0]
        rows = (
            f"{n + 1} Oak Street,07030,{('Probate', 'Vacant;Probate')[n % 2]},{today[n % 3]}\n" for n in range(LEADS)
        )
        file.write_text("Address,ZIP,Tags,List Date\n" + "".join(rows))
        installation.run("manage.py", "import_leads", str(file), "--json")
        yield installation


@pytest.fixture
def installation(servers: Installation, tmp_path: Path) -> Iterator[Installation]:
    yield from copy_of(servers, tmp_path)


def copy_of(servers: Installation, folder: Path) -> Iterator[Installation]:
    for installation in clone(servers, folder):
        installation.environment["LEADSCORE_RANGE_LEADS"] = "2000"
        yield installation


def publish(installation: Installation, name: str, days: int | None, **environment: str) -> int:
    """The job that applies other days of a tag to all its assignments, queued and not announced."""
    code = PUBLISH.replace("NAME", name).replace("DAYS", str(days))
    return int(installation.run_code(code, **({"REDIS_URL": NOBODY} | environment)))


def end_state(installation: Installation) -> dict[str, Any]:
    return {
        "leads": installation.rows("SELECT address_key, score, rescore_at, rescore_cause FROM leads_lead ORDER BY 1"),
        "clocks": installation.rows(
            "SELECT address_key, tag_id, expiration_at, is_expired FROM tags_leadtag JOIN leads_lead lead "
            "ON lead.id = lead_id ORDER BY 1, 2"
        ),
        "history": installation.rows(
            "SELECT address_key, from_score, to_score, cause FROM scoring_scorechange "
            "JOIN leads_lead lead ON lead.id = lead_id ORDER BY 1, 2"
        ),
        "counts": installation.rows(
            "SELECT applied_at IS NOT NULL, affected, expired, revived FROM tags_rulechange ORDER BY id"
        ),
    }


@pytest.fixture(scope="module")
def undisturbed(servers: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the change leaves when nothing goes wrong."""
    for installation in copy_of(servers, tmp_path_factory.mktemp("undisturbed")):
        job_id = publish(installation, "Probate", 10)
        assert installation.run_code(RUN_JOB.replace("JOB", str(job_id))) == "('succeeded', 1)"
        state = end_state(installation)
        assert state["counts"] == [(True, LEADS, LEADS * 2 // 3, 0)]
        assert len(state["history"]) == LEADS + LEADS * 2 // 3
        yield state


def test_a_worker_killed_in_the_middle_resumes_and_its_counts_are_right(
    installation: Installation, undisturbed: dict[str, Any]
) -> None:
    def done_ranges() -> int:
        found = installation.rows("SELECT count(*) FROM jobs_jobrange WHERE counts->>'affected' <> '0'")
        return int(found[0][0])

    with psycopg.connect(installation.database_url) as holder:
        # The last leads of the ids cannot be written while this is held, and the first range can.
        holder.execute("SELECT FROM leads_lead WHERE id > (SELECT max(id) FROM leads_lead) - 1000 FOR UPDATE")
        job_id = publish(installation, "Probate", 10)
        worker = installation.start_worker(processes=2)
        wait_until(lambda: done_ranges() == 1)
        kill(worker)
    assert done_ranges() == 1
    installation.start_worker(processes=2)
    wait_until(lambda: installation.rows(f"SELECT status FROM jobs_job WHERE id = {job_id}") == [("succeeded",)])
    assert end_state(installation) == undisturbed


# The oldest lead alone carries a third tag, whose end stands behind an earlier step of another one: to move it moves
# neither its score nor the moment that it waits for.
LONELY = """
import datetime as dt
from leads.models import Lead
from scoring.operations import drain_leads
from tags.models import Tag
from tags.operations import assign_tag
from django.utils import timezone
now = timezone.now()
lonely = Tag.objects.create(name="Lonely", base_score=5000, expiration_days=400)
assign_tag(lead_id=Lead.objects.order_by("pk").values_list("pk", flat=True)[0], tag=lonely, at=now)
"""
FULL_RUN = """
import datetime as dt
from django.utils import timezone
from jobs.operations import run_job
from scoring.operations import start_recalculation
at = timezone.now() + dt.timedelta(days=450)
job = run_job(job_id=start_recalculation(at=at, by=None, announce=False).pk)
print(job.status)
"""
JUDGE = """
import datetime as dt
from django.utils import timezone
from leads.models import Lead
from scoring.operations import drain_due
from tests.scoring.reference import next_change_of, score_of
at = timezone.now() + dt.timedelta(days=451)
drain_due(at=at)
lead = Lead.objects.order_by("pk")[0]
print((lead.score == score_of(lead, at), lead.rescore_at == next_change_of(lead, at), lead.score >= 5000))
"""


@pytest.mark.parametrize("first", ["the change", "the run"])
def test_a_full_run_that_has_read_the_former_clock_does_not_keep_its_score(
    installation: Installation, first: str
) -> None:
    """Both want one lead, the run with the former clock in its hands; whoever goes first, the new clock counts."""
    installation.run_code(LONELY, REDIS_URL=NOBODY)
    job_id = publish(installation, "Lonely", 500)
    codes = {"the change": RUN_JOB.replace("JOB", str(job_id)), "the run": FULL_RUN}
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple') "
        "AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"
    )
    running = f"SELECT count(*) FROM jobs_job WHERE id >= {job_id} AND status = 'running'"
    actors: list[subprocess.Popen[str]] = []
    with psycopg.connect(installation.database_url) as holder:
        holder.execute("SELECT FROM leads_lead WHERE id = (SELECT min(id) FROM leads_lead) FOR UPDATE")
        for name in sorted(codes, key=lambda name: name != first):
            actors.append(installation.start("-c", f"import django; django.setup()\n{codes[name]}", REDIS_URL=NOBODY))
            wait_until(lambda: installation.rows(running)[0][0] == len(actors))
            # The change that comes second waits until nobody is writing assignments before it takes any lead.
            wait_until(lambda: installation.rows(waiting)[0][0] >= (len(actors) if first == "the change" else 1))
    said = {actor.communicate(timeout=PATIENCE)[0].strip() for actor in actors}
    assert said == {"('succeeded', 1)", "succeeded"}
    assert installation.run_code(JUDGE) == "(True, True, True)"
    assert installation.rows("SELECT affected, expired, revived FROM tags_rulechange") == [(1, 0, 0)]


def test_a_writer_that_has_read_the_former_days_is_waited_for(installation: Installation) -> None:
    """An import that began before the change and ends after it: its assignments are rewritten too."""
    insert = (
        "INSERT INTO tags_leadtag (lead_id, tag_id, assigned_at, expiration_at) "
        "SELECT max(lead.id), tag.id, '2026-01-01Z', timestamptz '2026-01-01Z' + make_interval(hours => 24 * "
        "expiration_days) FROM leads_lead lead, tags_tag tag WHERE name = 'Divorce' GROUP BY tag.id"
    )
    installation.run_code('from tags.models import Tag\nTag.objects.filter(name="Divorce").update(expiration_days=700)')
    with psycopg.connect(installation.database_url) as importer:
        importer.execute(insert)
        job_id = publish(installation, "Divorce", 900)
        job = installation.start("-c", f"import django; django.setup()\n{RUN_JOB.replace('JOB', str(job_id))}")
        wait_until(lambda: installation.rows(f"SELECT status FROM jobs_job WHERE id = {job_id}") == [("running",)])
        with pytest.raises(subprocess.TimeoutExpired):
            job.wait(timeout=1)
        importer.commit()
    assert job.communicate(timeout=PATIENCE)[0].strip() == "('succeeded', 1)"
    lasts = "SELECT expiration_at - assigned_at = interval '900 days' FROM tags_leadtag lt JOIN tags_tag tag "
    assert installation.rows(f"{lasts} ON tag.id = tag_id WHERE name = 'Divorce'") == [(True,)]
    assert installation.rows("SELECT affected FROM tags_rulechange") == [(1,)]


EXPIRER = """
import random, time
from django.utils import timezone
from jobs.models import Job
from jobs.operations import run_job
from tags.expirations import ExpirationChange, publish_expirations
from tags.models import Tag
from tags.operations import NothingToPublish
dice = random.Random(SEED)
tags = list(Tag.objects.filter(name__in=["Vacant", "Probate", "Divorce"]))
until, changes = time.monotonic() + 6, 0
while time.monotonic() < until:
    chosen = dice.sample(tags, 2)
    wanted = [ExpirationChange(tag.pk, dice.choice([None, 1, 10, 30, 400]), True) for tag in chosen]
    try:
        publish_expirations(changes=wanted, by=None, at=timezone.now())
    except NothingToPublish:
        continue
    for job_id in Job.objects.live().filter(kind="apply-rule-change").values_list("pk", flat=True):
        job = run_job(job_id=job_id)
        assert job is None or job.status == "succeeded", job.error
    changes += 1
print(changes)
"""
IMPORTER = """
import io, time
from django.utils import timezone
from jobs.operations import run_job
from imports.operations import receive_file, start_import
until, lists = time.monotonic() + 6, 0
while time.monotonic() < until:
    lists += 1
    lines = "".join(f"{n + lists * 500} Elm Street,07030,Vacant;Divorce\\n" for n in range(400))
    content = io.BytesIO(f"Address,ZIP,Tags\\n{lines}{lists} Oak Street,07030,Divorce\\n".encode())
    batch = receive_file(content=content, name="list.csv", at=timezone.now(), by=None)
    job = run_job(job_id=start_import(batch=batch, at=timezone.now(), by=None, announce=False).pk)
    assert job.status == "succeeded", job.error
print(lists)
"""
OTHER_CLOCKS = """
SELECT name, count(*) FROM tags_leadtag lt JOIN tags_tag tag ON tag.id = tag_id
WHERE expiration_at IS DISTINCT FROM assigned_at + make_interval(hours => 24 * expiration_days) GROUP BY 1
"""


def test_every_clock_is_that_of_the_last_rule_whoever_writes_meanwhile(installation: Installation) -> None:
    codes = [
        *(TAGGER.replace("SEED", "1"), SWEEPER, FULL_RUNNER, IMPORTER),
        *(EXPIRER.replace("SEED", str(seed)) for seed in range(2)),
    ]
    actors = [
        installation.start("-c", f"import django; django.setup()\n{code}", REDIS_URL=NOBODY, LOG_LEVEL="ERROR")
        for code in codes
    ]
    said = [actor.communicate(timeout=PATIENCE)[0].strip() for actor in actors]
    assert [actor.returncode for actor in actors] == [0] * len(actors), said
    assert all(int(count) > 0 for count in said)
    wrong, verified = eval(installation.run_code(LAST_DRAIN))  # noqa: S307
    assert (wrong, verified["differences"], verified["due"], verified["pending"]) == ([], 0, 0, 0)
    assert installation.rows(OTHER_CLOCKS) == []
    assert installation.rows("SELECT FROM tags_rulechange WHERE applied_at IS NULL OR affected IS NULL") == []
