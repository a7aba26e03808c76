"""What waits for a ZIP is looked at again when it is taken; one lead by hand; a lead in place of a returned one."""

import datetime as dt
from decimal import Decimal

import pytest

from leads.models import Lead
from scoring.operations import drain_due
from tags.models import LeadTag
from territories import tasks
from territories.generation import taking
from territories.generation.operations import (
    AlreadyReferred,
    AssignRefused,
    CapReached,
    NoHolder,
    NotWanted,
    ReturnedBefore,
    Suppressed,
    assign_lead,
    replace_return,
)
from territories.generation.taking import TakenUp, sweep_waiting, take_up_zips
from territories.holdings.operations import end_territories
from territories.models import Referral, ReferralReturn
from territories.referrals.announce import announce_assigned
from tests.conftest import NOW
from tests.factories import assign, make_scored_lead, make_tag
from tests.territories.factories import make_contractor, make_referral, make_return, make_territory
from tests.territories.locks import is_dealing_locked
from tests.territories.test_generation import generate, make_profile

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)
Status = Referral.Status


@pytest.fixture
def tag():
    return make_tag(base_score=500)


def waiting(lead: Lead, at: dt.datetime = NOW - DAY, **fields) -> Referral:
    return make_referral(lead=lead, status=Status.GENERATED, at=at, **fields)


def fate(referral: Referral) -> tuple[str, str]:
    """Its state, and what the last event says."""
    referral.refresh_from_db()
    event = referral.events.latest("pk")
    assert (event.what, event.from_status) == (referral.status, "generated")
    return referral.status, event.note


# Taking up ------------------------------------------------------------------------------------------------------------


def test_what_waits_is_assigned_to_the_new_holder_with_todays_score(tag, analyst):
    lead = make_scored_lead(tags=[tag])
    referral = waiting(lead, score=100, profile=make_profile())
    elsewhere = waiting(make_scored_lead(tags=[tag], zip="07302"))
    territory = make_territory(contractor=make_contractor(price=Decimal("40")), from_at=NOW)
    assert take_up_zips(zips=["07030", "07302"], at=NOW, by=analyst) == TakenUp(assigned=1)
    assert fate(referral) == (Status.ASSIGNED, "the ZIP is taken")
    assert (referral.contractor, referral.territory, referral.price) == (territory.contractor, territory, Decimal("40"))
    assert (referral.score, referral.urgency, referral.assigned_at) == (500, 40, NOW)
    assert referral.expires_at == NOW + 7 * DAY
    assert referral.events.latest("pk").by == analyst
    elsewhere.refresh_from_db()
    assert elsewhere.status == Status.GENERATED
    assert take_up_zips(zips=["07030"], at=NOW) == take_up_zips(zips=[], at=NOW) == TakenUp()


def test_what_no_longer_fits_expires_and_says_why(tag):
    wanted, barred = make_tag(base_score=0), make_tag(base_score=0)
    leads = [make_scored_lead(tags=[tag]) for _ in range(7)]
    suppressed, low, changed, now_barred, old, unwanted, given_back = leads
    profile = make_profile(min_score=400, required=[wanted], excluded=[barred], max_reason_age_days=30)
    for lead in leads:
        assign(lead, wanted)
    Lead.objects.filter(pk=suppressed.pk).update(suppressed_at=NOW, suppressed_reason="asked us to stop")
    LeadTag.objects.filter(lead=low, tag=tag).delete()
    LeadTag.objects.filter(lead=changed, tag=wanted).update(removed_at=NOW)
    assign(now_barred, barred)
    LeadTag.objects.filter(lead=old).update(assigned_at=NOW - 31 * DAY)
    disliked = make_tag(base_score=0)
    assign(unwanted, disliked)
    contractor = make_contractor()
    contractor.unwanted_tags.add(disliked)
    make_referral(lead=given_back, contractor=contractor, status=Status.RETURNED, at=NOW - 90 * DAY)
    drain_due(at=NOW)
    referrals = [waiting(lead, profile=profile) for lead in leads]
    make_territory(contractor=contractor, from_at=NOW)
    assert take_up_zips(zips=["07030"], at=NOW) == TakenUp(expired=7)
    notes = [fate(referral) for referral in referrals]
    assert {status for status, _ in notes} == {Status.EXPIRED}
    assert [note for _, note in notes] == [
        "the ZIP is taken, and the lead is suppressed",
        "the ZIP is taken, and the lead's score is below the profile's by now",
        "the ZIP is taken, and the lead's tags no longer meet the profile",
        "the ZIP is taken, and the lead's tags no longer meet the profile",
        "the ZIP is taken, and the lead's reasons are too old for the profile by now",
        "the ZIP is taken, and the contractor does not take leads with these tags",
        "the ZIP is taken by a contractor to whom the lead cannot go after it was given back",
    ]
    assert referrals[0].ended_at == NOW
    assert referrals[0].expires_at is None


def test_what_has_expired_or_moved_away_is_not_taken_up(tag):
    late = waiting(make_scored_lead(tags=[tag]), expires_at=NOW)
    moved = waiting(make_scored_lead(tags=[tag], zip="07302"), zip="07030")
    make_territory(contractor=make_contractor(), from_at=NOW)
    assert take_up_zips(zips=["07030"], at=NOW) == TakenUp(expired=1)
    assert fate(moved) == (Status.EXPIRED, "the ZIP is taken, and the lead has another ZIP by now")
    late.refresh_from_db()
    assert late.status == Status.GENERATED  # the sweep's to expire


def test_what_just_meets_the_profile_still_fits(tag):
    profile = make_profile(min_score=500, max_reason_age_days=30)
    referral = waiting(make_scored_lead(tags=[tag], at=NOW - 30 * DAY), profile=profile)
    make_territory(contractor=make_contractor(), from_at=NOW)
    assert take_up_zips(zips=["07030"], at=NOW) == TakenUp(assigned=1)
    assert fate(referral)[0] == Status.ASSIGNED


def test_what_waits_again_is_still_held_to_the_profile_it_was_made_by(tag):
    lead = make_scored_lead(tags=[tag])
    contractor = make_contractor()
    territory = make_territory(contractor=contractor)
    profile = make_profile(min_score=400)
    generate(profile)
    assert end_territories(ids=[territory.pk], by=None, at=NOW + DAY).requeued == 1
    again = Referral.objects.get(status=Status.GENERATED)
    assert again.profile == profile
    LeadTag.objects.update(removed_at=NOW + DAY)
    Lead.objects.filter(pk=lead.pk).update(rescore_at=NOW + DAY)
    drain_due(at=NOW + DAY)
    make_territory(contractor=contractor, from_at=NOW + DAY)
    assert take_up_zips(zips=["07030"], at=NOW + DAY) == TakenUp(expired=1)
    assert fate(again) == (Status.EXPIRED, "the ZIP is taken, and the lead's score is below the profile's by now")


def test_the_best_fill_the_caps_and_the_others_expire(tag):
    referrals = [waiting(make_scored_lead(tags=[make_tag(base_score=base)])) for base in (300, 500, 400)]
    make_territory(contractor=make_contractor(daily_cap=2), from_at=NOW)
    assert take_up_zips(zips=["07030"], at=NOW) == TakenUp(assigned=2, expired=1)
    assert fate(referrals[0]) == (Status.EXPIRED, "the ZIP is taken, and better leads fill the contractor's caps")
    assert fate(referrals[1])[0] == fate(referrals[2])[0] == Status.ASSIGNED


def test_what_the_caps_leave_is_counted_under_the_dealing_lock(monkeypatch):
    locked = []

    def rests_of(ids, at):
        locked.append(is_dealing_locked())
        return {}

    monkeypatch.setattr(taking, "rests_of", rests_of)
    take_up_zips(zips=["07030"], at=NOW)
    assert locked == [True]


def test_each_profiles_registered_criteria_are_asked_again(tag):
    reachable, silent, free = (make_scored_lead(tags=[tag]) for _ in range(3))
    Lead.objects.filter(pk=reachable.pk).update(phone="201-555-0100")
    demanding = make_profile(name="Demanding", criteria={"is_reachable": True, "of a room that is gone": 1})
    plain = make_profile(name="Plain")
    referrals = [
        waiting(reachable, profile=demanding),
        waiting(silent, profile=demanding),
        waiting(free, profile=plain),
    ]
    make_territory(contractor=make_contractor(), from_at=NOW)
    assert take_up_zips(zips=["07030"], at=NOW) == TakenUp(assigned=2, expired=1)
    assert fate(referrals[1]) == (Status.EXPIRED, "the ZIP is taken, and the lead no longer meets the profile")


def test_under_a_paused_holder_it_goes_on_waiting_and_the_sweep_takes_it_up_later(tag):
    referral = waiting(make_scored_lead(tags=[tag]))
    contractor = make_contractor(status="paused")
    make_territory(contractor=contractor)
    assert take_up_zips(zips=["07030"], at=NOW) == sweep_waiting(at=NOW) == TakenUp()
    contractor.status = "active"
    contractor.save()
    assert sweep_waiting(at=NOW) == TakenUp(assigned=1)
    assert fate(referral)[0] == Status.ASSIGNED
    assert sweep_waiting(at=NOW) == TakenUp()


def test_a_contractor_who_held_the_zip_before_can_be_given_what_was_requeued(tag):
    """Not delivered, so given back by nobody; that it was assigned lately is no reason, for it never arrived."""
    lead = make_scored_lead(tags=[tag])
    make_referral(lead=lead, status=Status.CANCELLED, at=NOW - DAY)
    referral = waiting(lead, profile=make_profile(not_referred_days=90))
    make_territory(contractor=make_contractor(), from_at=NOW)
    assert take_up_zips(zips=["07030"], at=NOW) == TakenUp(assigned=1)
    assert fate(referral)[0] == Status.ASSIGNED


def test_the_sweeps_task_runs_each_minute(monkeypatch, settings):
    asked: list[dt.datetime] = []
    monkeypatch.setattr("territories.generation.taking.sweep_waiting", lambda *, at: asked.append(at))
    tasks.sweep_waiting()
    assert len(asked) == 1
    assert settings.CELERY_BEAT_SCHEDULE["take-up-waiting"]["task"] == "territories.sweep-waiting"


# By hand --------------------------------------------------------------------------------------------------------------


def test_a_person_refers_a_lead_whatever_its_score_or_its_past(tag, analyst):
    lead = make_scored_lead(tags=[make_tag(base_score=-50)])
    make_referral(lead=lead, status=Status.EXPIRED, at=NOW - DAY)
    contractor = make_contractor()
    make_territory(contractor=contractor)
    referral = assign_lead(lead_id=lead.pk, at=NOW, by=analyst)
    assert (referral.status, referral.contractor, referral.score, referral.profile) == (
        Status.ASSIGNED, contractor, -50, None,
    )  # fmt: skip
    event = referral.events.get()
    assert (event.what, event.by, event.note) == ("assigned", analyst, "by hand")


@pytest.mark.parametrize(
    ("refusal", "words", "contractor_is", "lead_is"),
    [
        (NoHolder, "Nobody holds 07030 now", None, {}),
        (NoHolder, "holds 07030 and is paused", {"status": "paused"}, {}),
        (NoHolder, "This lead has no ZIP", {}, {"zip": ""}),
        (Suppressed, "asked us to stop", {}, {"suppressed_at": NOW, "suppressed_reason": "asked us to stop"}),
        (CapReached, "as many leads as its caps allow", {"total_cap": 0}, {}),
        (NotWanted, "takes leads from 501 points on, and this one has 500", {"min_score": 501}, {}),
    ],
)
def test_a_refusal_says_why(tag, refusal, words, contractor_is, lead_is):
    lead = make_scored_lead(tags=[tag])
    Lead.objects.filter(pk=lead.pk).update(**lead_is)
    if contractor_is is not None:
        make_territory(contractor=make_contractor(**contractor_is))
    with pytest.raises(refusal, match=words):
        assign_lead(lead_id=lead.pk, at=NOW, by=None)
    assert issubclass(refusal, AssignRefused)
    assert not Referral.objects.exists()


def test_a_live_referral_unwanted_tags_and_a_return_refuse_too(tag):
    lead = make_scored_lead(tags=[tag])
    contractor = make_contractor()
    make_territory(contractor=contractor, from_at=NOW - 90 * DAY)
    live = make_referral(lead=lead, contractor=contractor)
    with pytest.raises(AlreadyReferred, match=f"it is delivered, to {contractor}"):
        assign_lead(lead_id=lead.pk, at=NOW, by=None)
    Referral.objects.filter(pk=live.pk).update(status=Status.RETURNED, ended_at=NOW)
    with pytest.raises(ReturnedBefore, match="only to a later holder"):
        assign_lead(lead_id=lead.pk, at=NOW, by=None)
    live.delete()
    contractor.unwanted_tags.add(tag)
    with pytest.raises(NotWanted, match="with these tags"):
        assign_lead(lead_id=lead.pk, at=NOW, by=None)


# In place of a return -------------------------------------------------------------------------------------------------


def test_a_return_is_replaced_by_the_best_lead_of_the_contractors_zips_and_the_profile(tag):
    low, best = make_scored_lead(tags=[tag]), make_scored_lead(tags=[tag, make_tag()], zip="07302")
    make_scored_lead(tags=[tag, make_tag(base_score=900)], zip="10001")
    contractor = make_contractor()
    make_territory(contractor=contractor, from_at=NOW - 300 * DAY)
    make_territory(contractor=contractor, zip_code="07302")
    profile = make_profile(zips=["07030", "07302", "10001"])
    returned = make_referral(contractor=contractor, status=Status.RETURNED, at=NOW - DAY, profile=profile)
    owed = make_return(referral=returned, status="approved", is_replacement_owed=True)
    referral = replace_return(return_id=owed.pk, at=NOW)
    assert referral is not None
    assert (referral.lead, referral.contractor, referral.profile) == (best, contractor, profile)
    owed.refresh_from_db()
    assert (owed.replacement, owed.is_replacement_owed) == (referral, False)
    assert replace_return(return_id=owed.pk, at=NOW) is None
    assert low.referrals.count() == 0


@pytest.mark.parametrize("status", ["active", "paused"])
def test_without_a_lead_that_fits_it_stays_owed(tag, status):
    make_scored_lead(tags=[tag])
    contractor = make_contractor(min_score=900, status=status)
    make_territory(contractor=contractor)
    returned = make_referral(contractor=contractor, status=Status.RETURNED, at=NOW - DAY)
    owed = make_return(referral=returned, status="approved", is_replacement_owed=True)
    assert replace_return(return_id=owed.pk, at=NOW) is None
    assert ReferralReturn.objects.get().is_replacement_owed


def test_without_a_profile_a_replacement_scores_no_less_than_what_was_returned(tag):
    make_scored_lead(tags=[make_tag(base_score=499)])
    contractor = make_contractor()
    make_territory(contractor=contractor, from_at=NOW - 300 * DAY)
    returned = make_referral(contractor=contractor, status=Status.RETURNED, at=NOW - DAY, score=500)
    owed = make_return(referral=returned, status="approved", is_replacement_owed=True)
    assert replace_return(return_id=owed.pk, at=NOW) is None
    equal = make_scored_lead(tags=[tag])
    referral = replace_return(return_id=owed.pk, at=NOW)
    assert referral is not None
    assert referral.lead == equal


# Telling webhooks -----------------------------------------------------------------------------------------------------


def test_webhooks_are_woken_after_the_commit_and_a_dead_broker_is_no_harm(
    monkeypatch, caplog, django_capture_on_commit_callbacks
):
    woken = []

    class Push:
        @staticmethod
        def delay() -> None:
            woken.append(1)
            raise ConnectionRefusedError("nobody listens")

    monkeypatch.setattr(tasks, "push_webhooks", Push, raising=False)
    with django_capture_on_commit_callbacks(execute=True):
        announce_assigned([1, 2])
        announce_assigned([])
        assert woken == []
    assert woken == [1]
    assert "webhooks wait for the next look" in caplog.text
