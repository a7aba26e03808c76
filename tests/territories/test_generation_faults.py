"""Runs that meet each other, hands that deal beside them, and a run that is killed in between."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import transaction
from psycopg import Rollback

from jobs.models import Job
from jobs.operations import retry_job, run_job
from leads.models import Lead
from territories.generation import dealing, runs
from territories.generation.operations import AlreadyReferred, CapReached, assign_lead
from territories.generation.runs import start_generation
from territories.generation.taking import sweep_waiting
from territories.models import Referral, ReferralEvent
from territories.referrals.lifecycle import move_referrals
from territories.sql.locks import lock_dealing
from tests.conftest import NOW
from tests.factories import make_scored_lead, make_tag
from tests.installation import Installation, clone, kill, throwaway_servers, wait_until
from tests.jobs.test_slots import at_once
from tests.territories.factories import make_contractor, make_territory
from tests.territories.test_generation import make_profile

Status = Referral.Status


@pytest.mark.django_db(transaction=True)
def test_two_runs_and_a_hand_at_once_give_each_lead_once_and_no_more_than_the_caps():
    tag = make_tag()
    leads = [make_scored_lead(tags=[tag], zip="07030" if number % 2 else "07302") for number in range(24)]
    contractors = [make_contractor(daily_cap=5), make_contractor(total_cap=7)]
    for contractor, zip_code in zip(contractors, ("07030", "07302"), strict=True):
        make_territory(contractor=contractor, zip_code=zip_code)
    profiles = [make_profile(name=f"Profile {number}", max_referrals=100) for number in range(2)]
    work = [lambda profile=profile: generate(profile) for profile in profiles for _ in range(2)]
    work += [lambda lead=lead: by_hand(lead.pk) for lead in leads[:4]]
    at_once(len(work), lambda: work.pop()())
    assert Counter(Referral.objects.values_list("contractor__company", flat=True)) == {
        contractors[0].company: 5,
        contractors[1].company: 7,
    }
    assert Referral.objects.values("lead").distinct().count() == ReferralEvent.objects.count() == 12


def generate(profile):
    return run_job(job_id=start_generation(profile=profile, at=NOW, by=None, announce=False).pk)


def by_hand(lead_id):
    try:
        return assign_lead(lead_id=lead_id, at=NOW, by=None)
    except (AlreadyReferred, CapReached) as refusal:
        return refusal


@pytest.mark.django_db(transaction=True)
def test_a_zip_taken_while_its_leads_wait_is_taken_up_once_by_two_sweeps():
    leads = [make_scored_lead(tags=[make_tag()]) for _ in range(6)]
    generate(make_profile())
    assert set(Referral.objects.values_list("status", flat=True)) == {Status.GENERATED}
    make_territory(contractor=make_contractor(daily_cap=4), from_at=NOW)
    done = at_once(3, lambda: sweep_waiting(at=NOW))
    assert (sum(one.assigned for one in done), sum(one.expired for one in done)) == (4, 2)
    assert ReferralEvent.objects.count() == 2 * len(leads)


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_run_keeps_what_it_dealt_and_goes_on_when_it_is_asked_again(monkeypatch):
    monkeypatch.setattr(dealing, "MIN_SLICE", 2)
    monkeypatch.setattr(dealing, "SLICES_WANTED", 0)
    for _ in range(6):
        make_scored_lead(tags=[make_tag()])
    job = start_generation(profile=make_profile(max_referrals=100), at=NOW, by=None, announce=False)
    rests_of = runs.rests_of

    def rests_then_cancel(contractor_ids, at):
        if Referral.objects.count() == 2:  # in the second slice; the job is held by its chunk, so ask from within
            Job.objects.filter(pk=job.pk).update(is_cancel_requested=True)
        return rests_of(contractor_ids, at)

    with monkeypatch.context() as patched:
        patched.setattr(runs, "rests_of", rests_then_cancel)
        assert run_job(job_id=job.pk).status == Job.Status.CANCELLED
    assert Referral.objects.count() == 4
    assert retry_job(job_id=job.pk)
    assert run_job(job_id=job.pk).result["referrals"] == Referral.objects.count() == 6


@pytest.mark.django_db(transaction=True)
def test_a_lead_that_is_being_suppressed_holds_no_run_up():
    """Who suppresses has written the lead, and takes the dealing lock to take its referrals back: after the run's."""
    lead = make_scored_lead(tags=[make_tag()])
    make_territory(contractor=make_contractor())
    profile = make_profile()
    with transaction.atomic():
        Lead.objects.filter(pk=lead.pk).update(suppressed_at=NOW, suppressed_reason="asked us to stop")
        (job,) = at_once(1, lambda: generate(profile))
        assert job.status == Job.Status.SUCCEEDED
        lock_dealing()
        assert move_referrals(ids=list(Referral.objects.values_list("pk", flat=True)), to="cancelled", at=NOW)
    assert not Referral.objects.live().exists()
    assert generate(profile).result["referrals"] == 0


# Killed ---------------------------------------------------------------------------------------------------------------

# 4,000 leads in score order, every hundredth with the tag; a run of 60 reads them in slices of 1,200.
WORLD = """
from django.db import connection
from django.utils import timezone
from scoring.operations import drain_due
from tags.models import Tag
from territories.models import Contractor, GenerationProfile, Territory
at = timezone.now()
points, wanted = Tag.objects.create(name='Points', base_score=1000), Tag.objects.create(name='Wanted', base_score=1)
with connection.cursor() as cursor:
    cursor.execute("INSERT INTO leads_lead (address_key, address, raw_address, zip, score, scored_at, created_at, "
                   "updated_at) SELECT '1|' || i || ' MAIN ST||07030', i || ' MAIN ST', '', '07030', 9000 - i, %s, %s, "
                   "%s FROM generate_series(1, 4000) i", [at, at, at])
    cursor.execute("INSERT INTO tags_leadtag (lead_id, tag_id, assigned_at, is_expired) "
                   "SELECT id, %s, %s, false FROM leads_lead WHERE score %% 100 = 0", [wanted.pk, at])
contractor = Contractor.objects.create(company='Hudson Roofing', total_cap=35, created_at=at)
Territory.objects.create(zip='07030', contractor=contractor, from_at=at, created_at=at)
profile = GenerationProfile.objects.create(name='Wanted', min_score=0, max_referrals=60, created_at=at, updated_at=at)
profile.required_tags.add(wanted)
"""
WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with throwaway_servers() as servers:
        servers.run_code(WORLD)
        yield from clone(servers, tmp_path)


@pytest.mark.slow
def test_a_run_killed_between_slices_goes_on_without_giving_a_lead_twice(installation: Installation) -> None:
    told = json.loads(installation.run("manage.py", "generate_leads", "Wanted", "--dry-run", "--json"))
    assert (told["assigned"], told["slices"], told["left_out"]) == (35, 4, {"cap_reached": 5})
    third = installation.rows("SELECT id FROM leads_lead WHERE score % 100 = 0 ORDER BY score DESC OFFSET 26 LIMIT 1")
    for slices in (2, 2):
        command = installation.start("manage.py", "generate_leads", "Wanted", "--json")
        with installation.connect() as holder, installation.connect() as observer, holder.transaction():
            # Somebody is referring a lead of the third slice: the run waits to hear what becomes of that.
            holder.execute(
                "INSERT INTO territories_referral (lead_id, zip, score, urgency, status, generated_at) "
                f"VALUES ({third[0][0]}, '07030', 1, 0, 'generated', now())"  # type: ignore[call-overload]
            )
            wait_until(lambda observer=observer: observer.execute(WAITING).fetchone())
            kill(command)
            raise Rollback
        assert installation.rows("SELECT status, (cursor ->> 'slices')::int FROM jobs_job") == [("running", slices)]
    made = json.loads(installation.run("manage.py", "generate_leads", "Wanted", "--json"))
    assert {key: made[key] for key in told} == told
    assert installation.rows("SELECT status, attempt FROM jobs_job") == [("succeeded", 3)]
    assert installation.rows(
        "SELECT count(*), count(DISTINCT lead_id), (SELECT count(*) FROM territories_referralevent) "
        "FROM territories_referral"
    ) == [(35, 35, 35)]
