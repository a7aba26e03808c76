"""Which leads a profile chooses, to whom they go, and in which order: each rule by hand, and all by a reference."""

import dataclasses
import datetime as dt
import json
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from django import forms
from django.core.management import CommandError, call_command
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from jobs.models import Job
from jobs.operations import run_job
from jobs.registry import steps_for
from leads.models import Lead
from scoring.nightly import NIGHTLY, last_slot
from scoring.operations import drain_due
from tags.models import LeadTag, Tag
from territories import tasks
from territories.generation import criteria, dealing, registry, runs
from territories.generation.criteria import Criteria, UnknownCriterion, criteria_of
from territories.generation.dealing import preview_generation
from territories.generation.runs import GENERATE, ProfileArchived, pay_owed, start_generation, start_nightly_runs
from territories.models import GenerationProfile, Referral, ReferralEvent
from tests.conftest import NOW
from tests.factories import assign, make_lead, make_scored_lead, make_tag
from tests.territories.factories import make_contractor, make_referral, make_return, make_territory
from tests.territories.locks import is_dealing_locked

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)
Status = Referral.Status


@pytest.fixture
def tag() -> Tag:
    return make_tag(base_score=500)


@pytest.fixture
def slices_of_two(monkeypatch) -> None:
    monkeypatch.setattr(dealing, "MIN_SLICE", 2)
    monkeypatch.setattr(dealing, "SLICES_WANTED", 0)


def make_profile(*, required: Any = (), excluded: Any = (), **fields: Any) -> GenerationProfile:
    """A profile that takes any lead with points, held or not, unless said otherwise."""
    values = {"name": "Profile", "min_score": 1, "created_at": NOW, "updated_at": NOW} | fields
    profile = GenerationProfile.objects.create(**values)
    profile.required_tags.set(required)
    profile.excluded_tags.set(excluded)
    return profile


def generate(profile: GenerationProfile, at: dt.datetime = NOW) -> Job:
    job = run_job(job_id=start_generation(profile=profile, at=at, by=None, announce=False).pk)
    assert job is not None
    assert job.status == Job.Status.SUCCEEDED, job.error
    return job


def referred(profile: GenerationProfile, at: dt.datetime = NOW) -> set[int]:
    """The leads that a run refers; the preview said exactly these, with the same holders."""
    before = preview_generation(criteria=criteria_of(profile), at=at)
    job = generate(profile, at)
    made = Referral.objects.filter(job=job)
    assert {(pick.lead_id, pick.score, pick.zip, pick.urgency, pick.contractor_id) for pick in before.picks} == set(
        made.values_list("lead_id", "score", "zip", "urgency", "contractor_id")
    )
    assert job.result is not None
    assert job.result["left_out"] == before.left_out
    return set(made.values_list("lead_id", flat=True))


def left_out(profile: GenerationProfile, at: dt.datetime = NOW) -> dict[str, int]:
    return preview_generation(criteria=criteria_of(profile), at=at).left_out


# Candidates -----------------------------------------------------------------------------------------------------------


def test_a_lead_is_assigned_to_the_holder_of_its_zip_with_price_deadline_and_event(tag):
    lead = make_scored_lead(tags=[tag])
    contractor = make_contractor(price=Decimal("31.50"))
    territory = make_territory(contractor=contractor)
    job = generate(make_profile())
    referral = Referral.objects.get()
    assert (referral.lead, referral.status, referral.contractor) == (lead, Status.ASSIGNED, contractor)
    assert (referral.territory, referral.price, referral.zip, referral.score) == (
        territory,
        Decimal("31.50"),
        "07030",
        500,
    )
    assert (referral.generated_at, referral.assigned_at, referral.expires_at) == (NOW, NOW, NOW + 7 * DAY)
    event = ReferralEvent.objects.get()
    assert (event.referral, event.at, event.what, event.from_status, event.job) == (referral, NOW, "assigned", "", job)


def test_a_lead_of_a_zip_that_nobody_holds_waits_for_it_if_the_profile_says_so(tag):
    make_scored_lead(tags=[tag])
    make_territory(contractor=make_contractor(), from_at=NOW - 9 * DAY, to_at=NOW - DAY)
    make_territory(contractor=make_contractor(), from_at=NOW + DAY)
    assert left_out(make_profile(includes_unheld=False)) == {"not_held": 1}
    generate(make_profile(name="Waiting"))
    referral = Referral.objects.get()
    assert (referral.status, referral.contractor, referral.assigned_at) == (Status.GENERATED, None, None)
    assert referral.expires_at == NOW + 14 * DAY
    assert ReferralEvent.objects.get().what == "generated"


def test_the_score_and_suppression_and_a_zip_decide_who_is_looked_at(tag):
    least = make_scored_lead(tags=[tag])
    make_scored_lead(tags=[make_tag(base_score=499)])
    suppressed = make_scored_lead(tags=[tag])
    Lead.objects.filter(pk=suppressed.pk).update(suppressed_at=NOW, suppressed_reason="asked us to stop")
    make_scored_lead(tags=[tag], zip="")
    assert referred(make_profile(min_score=500)) == {least.pk}


def test_required_and_excluded_tags_count_by_their_dates_not_by_a_flag(tag):
    wanted, barred = make_tag(base_score=0), make_tag(base_score=0)
    both, expired, removed, flagged, without = (make_scored_lead(tags=[tag]) for _ in range(5))
    assign(both, wanted)
    assign(expired, wanted, NOW - 3 * DAY, expiration_at=NOW)
    assign(removed, wanted, removed_at=NOW - DAY)
    assign(flagged, wanted, is_expired=True)  # never expires: the flag is wrong
    assign(without, wanted)
    assign(without, barred)
    assign(both, barred, NOW - 3 * DAY, expiration_at=NOW)
    drain_due(at=NOW)
    assert referred(make_profile(required=[tag, wanted], excluded=[barred])) == {both.pk, flagged.pk}


def test_only_these_zips(tag):
    leads = {zip_code: make_scored_lead(tags=[tag], zip=zip_code) for zip_code in ("07030", "07302", "10001")}
    profile = make_profile(zips=["07030"])
    assert {pick.zip for pick in preview_generation(criteria=criteria_of(profile), at=NOW).picks} == {"07030"}
    criteria = dataclasses.replace(criteria_of(profile), zips=("07030", "07302"))
    assert {pick.lead_id for pick in preview_generation(criteria=criteria, at=NOW).picks} == {
        leads["07030"].pk,
        leads["07302"].pk,
    }
    assert preview_generation(criteria=dataclasses.replace(criteria, zips=()), at=NOW).picks == []


def test_the_zips_of_counties_join_those_by_name_and_an_unknown_county_means_none(monkeypatch):
    monkeypatch.setattr(criteria, "zips_in_county", {"34017": ["07030", "07302"], "99999": []}.get)
    assert criteria_of(make_profile(zips=["10001"], counties=["34017"])).zips == ("07030", "07302", "10001")
    assert criteria_of(make_profile(name="Nowhere", counties=["99999"])).zips == ()


def test_the_newest_reason_may_be_too_old(tag):
    fresh, old, expired = make_lead(), make_lead(), make_lead()
    assign(fresh, tag, NOW - 30 * DAY)
    assign(old, tag, NOW - 31 * DAY)
    assign(expired, tag, NOW - 90 * DAY)
    assign(expired, make_tag(), NOW - 2 * DAY, expiration_at=NOW - DAY)
    drain_due(at=NOW)
    assert referred(make_profile(max_reason_age_days=30)) == {fresh.pk}


def test_an_old_reason_beside_a_fresh_one_does_no_harm(tag):
    lead = make_scored_lead(tags=[tag], at=NOW - 100 * DAY)
    assign(lead, make_tag(), NOW - DAY)
    drain_due(at=NOW)
    assert referred(make_profile(max_reason_age_days=30)) == {lead.pk}


def test_a_lead_with_a_live_referral_is_left_and_one_that_was_assigned_not_long_ago(tag):
    live, recent, released, long_ago = (make_scored_lead(tags=[tag]) for _ in range(4))
    make_referral(lead=live, status=Status.CONVERTED, at=NOW - 400 * DAY)
    make_referral(lead=recent, status=Status.EXPIRED, at=NOW - 89 * DAY)
    make_referral(lead=released, status=Status.CONVERTED, at=NOW - 400 * DAY, released_at=NOW - DAY)
    make_referral(lead=long_ago, status=Status.EXPIRED, at=NOW - 90 * DAY)
    profile = make_profile(not_referred_days=90)
    assert left_out(profile) == {"already_referred": 1, "referred_recently": 1}
    assert referred(profile) == {released.pk, long_ago.pk}


def test_what_was_taken_back_unread_has_been_referred_to_nobody(tag):
    unread, read, expired = (make_scored_lead(tags=[tag]) for _ in range(3))
    make_referral(lead=unread, status=Status.CANCELLED, at=NOW - DAY)
    make_referral(lead=read, status=Status.CANCELLED, at=NOW - DAY, delivered_at=NOW - DAY)
    make_referral(lead=expired, status=Status.EXPIRED, at=NOW - DAY)
    assert Referral.objects.filter(assigned_at=NOW - DAY).count() == 3
    assert referred(make_profile(not_referred_days=90)) == {unread.pk}


def test_a_registered_criterion_joins_the_form_and_the_choice(tag, monkeypatch):
    monkeypatch.setitem(
        registry.criteria,
        "state",
        registry.Criterion(
            key="state",
            make_field=lambda: forms.CharField(label="State", required=False),
            condition=lambda value, bind: sql.SQL("lead.state = {}").format(bind(value)),
            in_words=lambda value: f"in {value}",
        ),
    )
    there = make_scored_lead(tags=[tag], state="N%", phone="201-555-0100")
    make_scored_lead(tags=[tag], state="N%")
    make_scored_lead(tags=[tag], state="NY", phone="212-555-0100")
    profile = make_profile(criteria={"state": "N%", "is_reachable": True})
    assert referred(profile) == {there.pk}
    monkeypatch.delitem(registry.criteria, "state")
    with pytest.raises(UnknownCriterion, match="“state”"):
        criteria_of(profile)


@pytest.mark.parametrize("ended", [Status.RETURNED, Status.CANCELLED])
def test_a_lead_that_was_delivered_and_given_back_goes_only_to_a_later_holder_of_its_zip(tag, ended):
    lead = make_scored_lead(tags=[tag])
    returner, later = make_contractor(), make_contractor()
    at = NOW - 200 * DAY
    make_referral(lead=lead, contractor=returner, status=ended, at=at, delivered_at=at)
    profile = make_profile()
    make_territory(contractor=returner, from_at=at - DAY, to_at=NOW - 20 * DAY)
    holder = make_territory(contractor=later, from_at=NOW - 20 * DAY)
    assert referred(profile) == {lead.pk}
    assert Referral.objects.get(status=Status.ASSIGNED).contractor == later
    Referral.objects.filter(status=Status.ASSIGNED).delete()
    # Of who held it when it was given back, and of the returner in whatever time, it stays away; free, it waits.
    holder.delete()
    make_territory(contractor=returner, from_at=NOW - 20 * DAY, to_at=NOW + DAY)
    assert left_out(profile) == {"returned_before": 1}
    assert [pick.contractor_id for pick in preview_generation(criteria=criteria_of(profile), at=NOW + DAY).picks] == [
        None
    ]


@pytest.mark.parametrize("handed_on", [NOW - 30 * DAY, NOW - 5 * DAY])
def test_who_took_the_zip_after_the_giver_had_got_the_lead_is_a_later_holder(tag, handed_on):
    """It may come back days after the ZIP went on, and a form begins a period at midnight: both are later."""
    lead = make_scored_lead(tags=[tag])
    giver, later = make_contractor(), make_contractor()
    got_at = NOW - 40 * DAY
    make_referral(
        lead=lead, contractor=giver, status=Status.RETURNED, at=NOW - 5 * DAY, assigned_at=got_at, delivered_at=got_at
    )
    make_territory(contractor=giver, from_at=NOW - 90 * DAY, to_at=handed_on)
    make_territory(contractor=later, from_at=handed_on)
    assert referred(make_profile(not_referred_days=0)) == {lead.pk}
    assert Referral.objects.get(status=Status.ASSIGNED).contractor == later


@pytest.mark.parametrize("what", ["points taken away", "archived", "yet to begin"])
def test_what_gives_no_points_is_no_newer_reason(tag, what):
    lead = make_scored_lead(tags=[tag], at=NOW - 100 * DAY)
    newer = make_tag(base_score=-10 if what == "points taken away" else 100, is_archived=what == "archived")
    assign(lead, newer, NOW + DAY if what == "yet to begin" else NOW - DAY)
    drain_due(at=NOW)
    assert referred(make_profile(max_reason_age_days=30)) == set()
    assert referred(make_profile(name="Older", max_reason_age_days=100)) == {lead.pk}


def test_who_holds_the_zip_since_the_very_moment_of_the_return_is_no_later_holder(tag):
    lead = make_scored_lead(tags=[tag])
    make_referral(lead=lead, status=Status.RETURNED, at=NOW - 200 * DAY)
    make_territory(contractor=make_contractor(), from_at=NOW - 200 * DAY)
    assert left_out(make_profile()) == {"returned_before": 1}


def test_a_cancelled_referral_that_was_never_delivered_binds_nobody(tag):
    lead = make_scored_lead(tags=[tag])
    contractor = make_contractor()
    make_territory(contractor=contractor, from_at=NOW - 300 * DAY)
    make_referral(lead=lead, contractor=contractor, status=Status.CANCELLED, at=NOW - 200 * DAY)
    assert referred(make_profile()) == {lead.pk}


# The holder -----------------------------------------------------------------------------------------------------------


def test_a_holder_that_is_paused_or_ended_gets_nothing_and_nobody_else_does(tag):
    make_scored_lead(tags=[tag])
    make_scored_lead(tags=[tag], zip="07302")
    make_territory(contractor=make_contractor(status="paused"))
    make_territory(contractor=make_contractor(status="ended"), zip_code="07302")
    assert left_out(make_profile()) == {"holder_not_active": 2}
    assert referred(make_profile(name="Other")) == set()


def test_a_sandbox_gets_no_leads_though_somebody_gave_it_a_zip(tag):
    make_scored_lead(tags=[tag])
    make_territory(contractor=make_contractor(sandbox_of=make_contractor()))
    assert left_out(make_profile()) == {"holder_not_active": 1}


def test_a_territory_that_was_wound_up_after_a_late_runs_moment_holds_nothing(tag):
    lead = make_scored_lead(tags=[tag])
    make_territory(contractor=make_contractor(), to_at=NOW + DAY, wound_up_at=NOW + DAY)
    assert referred(make_profile()) == {lead.pk}
    assert Referral.objects.get().status == Status.GENERATED


def test_the_holders_wishes_decide(tag):
    liked, disliked = make_tag(), make_tag()
    good, low, plain, bad, ended = (make_lead() for _ in range(5))
    assign(low, liked)
    for lead in (good, plain, bad, ended):
        assign(lead, tag)
    for lead in (good, bad):
        assign(lead, liked)
    assign(bad, disliked)
    assign(ended, liked, NOW - 2 * DAY, expiration_at=NOW)
    drain_due(at=NOW)
    contractor = make_contractor(min_score=500)
    contractor.wanted_tags.add(liked, make_tag())
    contractor.unwanted_tags.add(disliked)
    make_territory(contractor=contractor)
    profile = make_profile()
    assert left_out(profile) == {"score_not_wanted": 1, "tags_not_wanted": 3}
    assert referred(profile) == {good.pk}


def test_caps_count_in_the_contractors_day_across_a_change_of_clocks(tag):
    for _ in range(4):
        make_scored_lead(tags=[tag])
    contractor = make_contractor(time_zone="America/New_York", daily_cap=2)
    make_territory(contractor=contractor, from_at=NOW - 300 * DAY)
    drain = dt.datetime(2026, 11, 1, 3, 59, tzinfo=dt.UTC)  # October 31, 23:59; November 1 has 25 hours
    late = make_referral(contractor=contractor, at=drain)
    early = make_referral(contractor=contractor, at=drain + dt.timedelta(minutes=1))
    assert (late.zip, early.zip) == ("07030", "07030")
    evening = dt.datetime(2026, 11, 2, 4, 59, tzinfo=dt.UTC)  # 24 h 59 min after midnight: still November 1
    profile = make_profile()
    assert len(preview_generation(criteria=criteria_of(profile), at=evening).picks) == 1
    morning = evening + dt.timedelta(minutes=1)
    assert len(preview_generation(criteria=criteria_of(profile), at=morning).picks) == 2
    assert len(referred(profile, evening)) == 1
    assert left_out(profile, evening)["cap_reached"] == 3


def test_the_lowest_cap_binds_over_slices_and_the_runs_limits_too(tag, slices_of_two):
    for number in range(12):
        make_scored_lead(tags=[make_tag(base_score=1000 - number)], zip="07030" if number % 2 else "07302")
    capped, other = make_contractor(monthly_cap=4, total_cap=9), make_contractor()
    make_territory(contractor=capped)
    make_territory(contractor=other, zip_code="07302")
    profile = make_profile(max_per_zip=5, max_per_contractor=3, max_referrals=100)
    assert len(referred(profile)) == 6
    job = Job.objects.get(kind=GENERATE)
    assert job.result is not None
    assert job.result["slices"] == 7
    assert job.result["by_contractor"] == {capped.company: 3, other.company: 3}
    assert job.result["left_out"] == {"contractor_limit": 6}
    profile.max_per_contractor = None
    profile.save()
    # The first three are referred and count for the month; of one run no more than five in a ZIP.
    assert len(referred(profile)) == 1 + 3
    assert left_out(profile) == {"already_referred": 10, "cap_reached": 2}


def test_what_waits_for_a_holder_counts_over_slices_for_the_limits_of_a_zip_and_of_the_run(slices_of_two):
    for number in range(8):
        make_scored_lead(tags=[make_tag(base_score=900 - number)], zip="07030" if number < 6 else "07302")
    generate(make_profile(max_per_zip=3, max_referrals=4))
    waiting = Referral.objects.filter(status=Status.GENERATED).order_by("zip")
    assert list(waiting.values_list("zip", flat=True)) == ["07030"] * 3 + ["07302"]


def test_a_run_stops_when_nobody_has_room_left(tag, slices_of_two):
    for _ in range(6):
        make_scored_lead(tags=[tag])
    make_territory(contractor=make_contractor(daily_cap=1))
    profile = make_profile(includes_unheld=False, max_referrals=100)
    assert preview_generation(criteria=criteria_of(profile), at=NOW).slices == 1


def test_a_slice_is_neither_too_small_to_rank_nor_too_large_for_one_transaction():
    few, many = Criteria(min_score=1, max_referrals=1), Criteria(min_score=1, max_referrals=1_000_000)
    assert (dealing.slice_size(few), dealing.slice_size(many)) == (dealing.MIN_SLICE, dealing.MAX_SLICE)


def test_the_best_come_first_by_score_and_urgency_and_ties_by_id(tag, monkeypatch):
    urgent, calm = make_tag(base_score=500, expiration_days=10), make_tag(base_score=700)
    old_calm = [make_lead(), make_lead()]
    for lead in old_calm:
        assign(lead, calm, NOW - 40 * DAY)
    soon = make_lead()
    assign(soon, urgent)
    drain_due(at=NOW)
    picks = preview_generation(criteria=criteria_of(make_profile(max_referrals=2)), at=NOW).picks
    # 500 points, all of them new and gone within 14 days: 1,000; 700 points that stay: 700.
    assert [(pick.lead_id, pick.urgency) for pick in picks] == [(soon.pk, 100), (old_calm[0].pk, 0)]


def test_urgency_weighs_what_fades_within_two_weeks_and_how_new_the_reasons_are():
    fading = make_tag(base_score=1000, decay_steps=[[14, 75], [60, 10]])
    steady, harmful = make_tag(base_score=500), make_tag(base_score=-900, expiration_days=7)
    lead = make_lead()
    assign(lead, fading, NOW - dt.timedelta(hours=6))  # loses 250 in less than 14 days; 30 of 30 days new
    assign(lead, steady, NOW - 12 * DAY)  # 18 of 30 days new
    assign(lead, harmful, NOW)
    drain_due(at=NOW)
    (pick,) = preview_generation(criteria=criteria_of(make_profile()), at=NOW).picks
    # 60 x 250 / 1500 + 40 x (1000 x 30 + 500 x 18) / 30 / 1500 = 10 + 34.67
    assert pick.urgency == 45


def test_a_tag_that_begins_only_later_takes_nothing_from_the_urgency_of_today():
    fading = make_tag(base_score=500, expiration_days=10)
    plain, surprising = make_lead(), make_lead()
    assign(surprising, make_tag(base_score=500), NOW + 7 * DAY)
    for lead in (plain, surprising):
        assign(lead, fading)  # last, for it makes the lead due now
    drain_due(at=NOW)
    make_territory(contractor=make_contractor())
    picks = preview_generation(criteria=criteria_of(make_profile()), at=NOW).picks
    assert {pick.lead_id: pick.urgency for pick in picks} == {plain.pk: 100, surprising.pk: 100}


# Runs -----------------------------------------------------------------------------------------------------------------


def test_running_again_makes_nothing_new(tag):
    for _ in range(3):
        make_scored_lead(tags=[tag])
    make_territory(contractor=make_contractor())
    profile = make_profile(not_referred_days=0)
    assert len(referred(profile)) == 3
    assert referred(profile) == set()
    assert Referral.objects.count() == ReferralEvent.objects.count() == 3


def test_a_run_keeps_the_rules_it_was_asked_with(tag):
    make_scored_lead(tags=[tag])
    profile = make_profile()
    job = start_generation(profile=profile, at=NOW, by=None, announce=False)
    GenerationProfile.objects.update(min_score=9_999)
    assert start_generation(profile=profile, at=NOW + DAY, by=None, announce=False) == job
    run_job(job_id=job.pk)
    assert Referral.objects.get().generated_at == NOW
    assert Criteria.from_params(json.loads(json.dumps(job.params))) == Criteria.from_params(job.params)


def test_what_is_owed_for_a_return_is_given_first(tag):
    best, second = make_scored_lead(tags=[tag, make_tag()]), make_scored_lead(tags=[tag])
    contractor = make_contractor(daily_cap=1)
    make_territory(contractor=contractor, from_at=NOW - 300 * DAY)
    returned = make_referral(contractor=contractor, status=Status.RETURNED, at=NOW - 9 * DAY)
    owed = make_return(referral=returned, status="approved", is_replacement_owed=True)
    profile = make_profile()
    before = preview_generation(criteria=criteria_of(profile), at=NOW)
    assert ([pick.lead_id for pick in before.replacements], before.picks) == ([best.pk], [])
    job = generate(profile)
    owed.refresh_from_db()
    assert owed.replacement is not None
    assert (owed.replacement.lead, owed.is_replacement_owed) == (best, False)
    assert owed.replacement.events.get().note == "in place of a returned lead"
    assert job.result is not None
    assert (job.result["replacements"], job.result["referrals"]) == (1, 0)
    assert job.result["left_out"] == {"already_referred": 1, "referred_recently": 1, "cap_reached": 1}
    assert not Referral.objects.filter(lead=second).exists()


def test_of_what_is_owed_the_oldest_return_is_replaced_first(tag):
    lead = make_scored_lead(tags=[tag])
    contractor = make_contractor()
    make_territory(contractor=contractor, from_at=NOW - 300 * DAY)
    younger, older = (
        make_return(
            referral=make_referral(contractor=contractor, status=Status.RETURNED, at=NOW - 90 * DAY, score=1),
            status="approved",
            is_replacement_owed=True,
            decided_at=NOW - days * DAY,
        )
        for days in (2, 5)
    )
    generate(make_profile())
    for owed in (younger, older):
        owed.refresh_from_db()
    assert older.replacement is not None
    assert older.replacement.lead == lead
    assert younger.is_replacement_owed


def test_what_is_owed_is_looked_up_under_the_dealing_lock(monkeypatch):
    locked = []

    def owed_returns(*, at):
        locked.append(is_dealing_locked())
        return []

    monkeypatch.setattr(runs, "owed_returns", owed_returns)
    with transaction.atomic():
        pay_owed(at=NOW, job_id=None)
    assert locked == [True]


def test_an_archived_profile_does_not_run(tag):
    with pytest.raises(ProfileArchived, match="is archived"):
        start_generation(profile=make_profile(archived_at=NOW), at=NOW, by=None)


def test_the_jobs_page_leads_to_the_referrals_the_profile_and_the_way_to_take_it_back(tag):
    make_scored_lead(tags=[tag])
    profile = make_profile()
    job = generate(profile)
    assert [step.url for step in steps_for(job, NOW)] == [
        f"/referrals/?job={job.pk}",
        f"/generation/{profile.pk}/",
        f"/generation/runs/{job.pk}/take-back/",
    ]


# Nightly --------------------------------------------------------------------------------------------------------------


def test_a_nightly_profile_runs_once_a_night_when_the_scores_are_done(tag):
    slot = last_slot(NOW)
    before, after = slot.due_at - DAY, slot.due_at + dt.timedelta(minutes=5)
    nightly = make_profile(runs_nightly=True, updated_at=before)
    make_profile(name="By hand", updated_at=before)
    make_profile(name="Changed since", runs_nightly=True, updated_at=after)
    make_profile(name="Archived", runs_nightly=True, updated_at=before, archived_at=before)
    assert start_nightly_runs(at=NOW) == []
    scores = Job.objects.create(
        kind=NIGHTLY, slot=slot.name, title="Scores", status="running", as_of=NOW, created_at=NOW
    )
    assert start_nightly_runs(at=NOW) == []
    Job.objects.filter(pk=scores.pk).update(status="failed")
    (job,) = start_nightly_runs(at=NOW)
    assert (job.slot, job.params["profile_id"]) == (f"{nightly.pk}:{slot.name}", nightly.pk)
    assert start_nightly_runs(at=NOW) == []


def test_the_nightly_task_asks_each_minute(monkeypatch, settings):
    asked: list[dt.datetime] = []
    monkeypatch.setattr("territories.generation.runs.start_nightly_runs", lambda *, at: asked.append(at))
    tasks.generate_nightly()
    assert len(asked) == 1
    assert settings.CELERY_BEAT_SCHEDULE["generate-leads"]["task"] == "territories.generate-nightly"


# Command --------------------------------------------------------------------------------------------------------------


def test_the_command_previews_then_makes(tag, capsys):
    make_scored_lead(tags=[tag])
    contractor = make_contractor()
    make_territory(contractor=contractor)
    make_profile(name="Fresh ones")
    call_command("generate_leads", "fresh ones", "--dry-run", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["assigned"], told["by_contractor"], Referral.objects.count()) == (1, {contractor.company: 1}, 0)
    call_command("generate_leads", "Fresh ones", "--json")
    made = json.loads(capsys.readouterr().out)
    assert (made["assigned"], made["referrals"]) == (1, 1)
    call_command("generate_leads", "Fresh ones")
    assert "1  already_referred" in capsys.readouterr().out
    with pytest.raises(CommandError, match=r"There is no profile “Others”\. The profiles are “Fresh ones”"):
        call_command("generate_leads", "Others")


# A reference ----------------------------------------------------------------------------------------------------------

tag_on_lead = st.tuples(st.integers(0, 3), st.integers(0, 40), st.none() | st.integers(-5, 20))
one_lead = st.tuples(st.integers(0, 2), st.lists(tag_on_lead, max_size=3, unique_by=lambda one: one[0]))
world = st.fixed_dictionaries(
    {
        "leads": st.lists(one_lead, min_size=1, max_size=9),
        "caps": st.tuples(*[st.none() | st.integers(0, 3)] * 2),
        "holders": st.tuples(*[st.sampled_from([None, 0, 1])] * 3),
        "wanted": st.none() | st.integers(0, 3),
        "required": st.none() | st.integers(0, 3),
        "excluded": st.none() | st.integers(0, 3),
        "least": st.sampled_from([-200, 1, 300, 500]),
        "most": st.integers(1, 6),
        "per_zip": st.none() | st.integers(1, 3),
        "per_contractor": st.none() | st.integers(1, 3),
        "unheld": st.booleans(),
    }
)
BASES = (400, 250, -120, 333)
STEPS: tuple[list[list[int]], ...] = ([], [[10, 60], [20, 30]], [], [[7, 50]])
ZIPS = ("07030", "07302", "10001")


def points(number: int, age: int, ends: int | None, later: int) -> int:
    """Points of a tag that is `age` days old and ends in `ends` days, `later` days from now."""
    percent = 100
    for days, left in STEPS[number]:
        percent = left if age + later >= days else percent
    if ends is not None and ends <= later:
        percent = 0
    return int((Decimal(BASES[number]) * percent / 100).quantize(Decimal(1), ROUND_HALF_UP))


def reference(world: dict[str, Any]) -> list[tuple[int, int, int | None]]:
    """What a slice gives, going down the list one by one: (lead's number, urgency, contractor's number)."""
    candidates = []
    for number, (place, tags) in enumerate(world["leads"]):
        live = {tag for tag, _, ends in tags if ends is None or ends > 0}
        score = sum(points(*one, 0) for one in tags)
        if score < world["least"] or world["required"] not in {None, *live} or world["excluded"] in live:
            continue
        now = sum(max(points(*one, 0), 0) for one in tags)
        then = sum(max(points(*one, 14), 0) for one in tags)
        new = sum(max(points(*one, 0), 0) * max(0, 30 - one[1]) for one in tags)
        share = (Decimal(1800 * max(now - then, 0) + 40 * new) / (30 * now)) if now else Decimal(0)
        urgency = int(share.quantize(Decimal(1), ROUND_HALF_UP))
        holder = world["holders"][place]
        takes = holder is not None and (holder == 0 or world["wanted"] in {None, *live})
        if takes or (holder is None and world["unheld"]):
            candidates.append((-(score + max(score, 0) * urgency // 100), number, place, urgency, holder))
    given: list[tuple[int, int, int | None]] = []
    zips, contractors = [0, 0, 0], [0, 0]
    for _, number, place, urgency, holder in sorted(candidates):
        limits = [world["per_zip"] is not None and zips[place] >= world["per_zip"], len(given) >= world["most"]]
        if holder is not None:
            limits += [limit is not None and contractors[holder] >= limit for limit in
                       (world["caps"][holder], world["per_contractor"])]  # fmt: skip
        if any(limits):
            continue
        zips[place] += 1
        if holder is not None:
            contractors[holder] += 1
        given.append((number, urgency, holder))
    return given


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=world)
def test_a_slice_gives_what_going_down_the_list_would(db, world):
    with transaction.atomic():
        tags = [make_tag(base_score=base, decay_steps=steps) for base, steps in zip(BASES, STEPS, strict=True)]
        leads = []
        for place, given_tags in world["leads"]:
            leads.append(make_lead(zip=ZIPS[place]))
            LeadTag.objects.bulk_create(
                LeadTag(
                    lead=leads[-1],
                    tag=tags[number],
                    # One that has ended began before that; it gives nothing, however old it is.
                    assigned_at=NOW - (age if ends is None or ends > 0 else max(age, 6)) * DAY,
                    expiration_at=None if ends is None else NOW + ends * DAY,
                )
                for number, age, ends in given_tags
            )
        contractors = [make_contractor(daily_cap=cap) for cap in world["caps"]]
        if world["wanted"] is not None:
            contractors[1].wanted_tags.add(tags[world["wanted"]])
        for place, holder in enumerate(world["holders"]):
            if holder is not None:
                make_territory(contractor=contractors[holder], zip_code=ZIPS[place])
        drain_due(at=NOW)
        profile = make_profile(
            min_score=world["least"],
            required=[tags[world["required"]]] if world["required"] is not None else [],
            excluded=[tags[world["excluded"]]] if world["excluded"] is not None else [],
            max_referrals=world["most"],
            max_per_zip=world["per_zip"],
            max_per_contractor=world["per_contractor"],
            includes_unheld=world["unheld"],
        )
        picks = preview_generation(criteria=criteria_of(profile), at=NOW).picks
        numbers = {lead.pk: number for number, lead in enumerate(leads)}
        holders = {contractor.pk: number for number, contractor in enumerate(contractors)}
        found = [
            (numbers[pick.lead_id], pick.urgency, None if pick.contractor_id is None else holders[pick.contractor_id])
            for pick in picks
        ]
        transaction.set_rollback(True)
    assert found == reference(world)
