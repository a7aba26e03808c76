"""The engine against the reference, and its boundaries by hand."""

import datetime as dt

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jobs.operations import run_job
from leads.models import Lead
from scoring.operations import drain_due, start_recalculation, sweep
from scoring.queries import explain_score, verify_scores
from scoring.sql import passes
from tags.models import LeadTag, RuleChange, Tag, TagGroup
from tags.operations import assign_tag, publish_rule_change, remove_tag
from tests.conftest import NOW
from tests.factories import assign, make_lead, make_scored_lead, make_tag
from tests.scoring.reference import next_change_of, score_of

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(hours=24)
SECOND = dt.timedelta(seconds=1)


def score_at(lead: Lead, at: dt.datetime) -> int:
    """Stored score after a pass at `at`."""
    passes.score_leads(lead_ids=[lead.pk], at=at)
    lead.refresh_from_db()
    return lead.score


steps = st.lists(st.integers(1, 400), unique=True, max_size=12).flatmap(
    lambda days: st.tuples(*[st.tuples(st.just(day), st.integers(0, 100)).map(list) for day in sorted(days)]).map(list)
)
tag_rules = st.fixed_dictionaries(
    {
        "base_score": st.integers(-2000, 2000),
        "decay_steps": steps,
        "expired_percent": st.integers(0, 100),
        "expiration_days": st.none() | st.integers(1, 400),
        "is_archived": st.sampled_from([False, False, False, True]),
    }
)
assignments = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(-500 * 24, 30 * 24), st.booleans()),
    unique_by=lambda item: item[:2],
    max_size=20,
)


@settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rules=st.lists(tag_rules, min_size=6, max_size=6),
    caps=st.tuples(st.none() | st.integers(0, 2500), st.integers(0, 2500)),
    given_tags=assignments,
    advance_hours=st.lists(st.integers(0, 24 * 500), min_size=1, max_size=4),
)
def test_stored_scores_equal_the_reference_at_every_moment(rules, caps, given_tags, advance_hours) -> None:
    LeadTag.objects.all().delete()
    Lead.objects.all().delete()
    groups = [TagGroup.objects.create(name=f"{make_lead().pk}-{n}", cap=cap) for n, cap in enumerate(caps)]
    Lead.objects.all().delete()
    tags = [make_tag(**rule, group=[None, groups[0], groups[1]][n % 3]) for n, rule in enumerate(rules)]
    leads = [make_lead() for _ in range(5)]
    for lead_number, tag_number, hours, is_removed in given_tags:
        start = NOW + dt.timedelta(hours=hours)
        assign(leads[lead_number], tags[tag_number], start, removed_at=NOW if is_removed else None)
    Lead.objects.update(rescore_at=NOW)
    at = NOW
    for hours in [0, *advance_hours]:
        at += dt.timedelta(hours=hours)
        drain_due(at=at)  # only what is due: what is not due must be right already
        for lead in leads:
            lead.refresh_from_db()
            assert lead.score == score_of(lead, at)
            assert lead.rescore_at == next_change_of(lead, at)
            explanation = explain_score(lead=lead, now=at)
            assert explanation.total == explanation.stored_score == lead.score
        flags = LeadTag.objects.filter(removed_at=None)
        assert all(row.is_expired == (row.expiration_at is not None and row.expiration_at <= at) for row in flags)
        assert verify_scores(at=at)["differences"] == 0


def test_a_step_begins_at_its_very_second() -> None:
    lead, tag = make_lead(), make_tag(base_score=1000, decay_steps=[[30, 80]])
    assign(lead, tag)
    assert score_at(lead, NOW + 30 * DAY - SECOND) == 1000
    assert lead.rescore_at == NOW + 30 * DAY
    assert score_at(lead, NOW + 30 * DAY) == 800
    assert lead.rescore_at is None


def test_an_expiration_begins_at_its_very_second() -> None:
    lead, tag = make_lead(), make_tag(base_score=1000, expiration_days=10, expired_percent=25)
    lead_tag = assign(lead, tag)
    assert score_at(lead, NOW + 10 * DAY - SECOND) == 1000
    lead_tag.refresh_from_db()
    assert not lead_tag.is_expired
    assert score_at(lead, NOW + 10 * DAY) == 250
    lead_tag.refresh_from_db()
    assert lead_tag.is_expired


def test_expiring_never_raises_points_and_a_residual_keeps_decaying() -> None:
    lead = make_lead()
    tag = make_tag(base_score=1000, expiration_days=10, expired_percent=50, decay_steps=[[5, 30], [20, 10]])
    assign(lead, tag)
    assert score_at(lead, NOW + 10 * DAY) == 300
    assert lead.rescore_at == NOW + 20 * DAY
    assert score_at(lead, NOW + 20 * DAY) == 100


@pytest.mark.parametrize(
    ("base", "percent", "points"), [(25, 50, 13), (-25, 50, -13), (1, 49, 0), (-1, 50, -1), (3, 50, 2)]
)
def test_halves_round_away_from_zero(base: int, percent: int, points: int) -> None:
    lead, tag = make_lead(), make_tag(base_score=base, decay_steps=[[1, percent]])
    assign(lead, tag)
    assert score_at(lead, NOW + DAY) == points


def test_a_day_is_24_hours_across_a_change_of_summer_time() -> None:
    # New York springs forward on 8 March 2026; the step must not come an hour early or late.
    start = dt.datetime(2026, 3, 7, 18, 0, tzinfo=dt.UTC)
    lead, tag = make_lead(at=start), make_tag(base_score=100, decay_steps=[[2, 10]], expiration_days=3)
    assign(lead, tag, start)
    assert score_at(lead, start + dt.timedelta(hours=48) - SECOND) == 100
    assert score_at(lead, start + dt.timedelta(hours=48)) == 10


def test_a_cap_counts_negatives_before_it() -> None:
    group = TagGroup.objects.create(name="g", cap=1000)
    lead = make_lead()
    for base in (900, 600, -200):
        assign(lead, make_tag(base_score=base, group=group))
    assign(lead, make_tag(base_score=50))
    assert score_at(lead, NOW) == 1050
    explanation = explain_score(lead=lead, now=NOW)
    assert [(line.group, line.points) for line in explanation.cap_lines] == [("g", -300)]
    assert explanation.total == 1050


def test_a_group_without_cap_caps_nothing() -> None:
    group = TagGroup.objects.create(name="g", cap=None)
    lead = make_lead()
    for base in (900, 600):
        assign(lead, make_tag(base_score=base, group=group))
    assert score_at(lead, NOW) == 1500


def test_a_cap_of_zero_lets_negatives_through() -> None:
    group = TagGroup.objects.create(name="g", cap=0)
    lead = make_lead()
    assign(lead, make_tag(base_score=-70, group=group))
    assert score_at(lead, NOW) == -70


def test_an_assignment_of_the_future_counts_from_its_start() -> None:
    lead, tag = make_lead(), make_tag(base_score=100)
    assign(lead, tag, NOW + 3 * DAY)
    assert score_at(lead, NOW) == 0
    assert lead.rescore_at == NOW + 3 * DAY
    assert score_at(lead, NOW + 3 * DAY) == 100


def test_removed_and_archived_give_nothing_and_a_lead_without_tags_has_zero() -> None:
    lead = make_lead()
    assign(lead, make_tag(base_score=100), removed_at=NOW)
    assign(lead, make_tag(base_score=100, is_archived=True))
    assert score_at(lead, NOW) == 0
    assert score_at(make_lead(), NOW) == 0


def test_a_clock_that_goes_back_leaves_later_scores_alone() -> None:
    lead = make_scored_lead(tags=[make_tag(base_score=100)], at=NOW)
    assign(lead, make_tag(base_score=50), NOW - DAY)
    scored = passes.score_leads(lead_ids=[lead.pk], at=NOW - SECOND)
    lead.refresh_from_db()
    assert (scored.newer, scored.changed, lead.score) == (1, 0, 100)
    assert drain_due(at=NOW - SECOND).leads == 0  # and the drain ends, though the lead is due


def test_a_lead_written_meanwhile_stays_due() -> None:
    lead = make_scored_lead(tags=[make_tag(base_score=100)])
    assign_tag(lead_id=lead.pk, tag=make_tag(base_score=50), at=NOW + SECOND)
    lead.refresh_from_db()
    assert lead.rescore_at == NOW + SECOND
    assert lead.rescore_cause == Lead.Cause.TAG_CHANGE
    assert verify_scores(at=NOW + SECOND)["due"] == 1


def test_assigning_and_removing_by_hand_score_at_once(django_capture_on_commit_callbacks) -> None:
    lead, tag = make_scored_lead(tags=[]), make_tag(base_score=70)
    with django_capture_on_commit_callbacks(execute=True):
        assign_tag(lead_id=lead.pk, tag=tag, at=NOW + SECOND)
    lead.refresh_from_db()
    assert lead.score == 70
    with django_capture_on_commit_callbacks(execute=True):
        assert remove_tag(lead_id=lead.pk, tag=tag, at=NOW + 2 * SECOND)
    lead.refresh_from_db()
    assert lead.score == 0
    assert not remove_tag(lead_id=lead.pk, tag=tag, at=NOW + 3 * SECOND)


def test_verify_finds_a_score_that_was_tampered_with() -> None:
    lead = make_scored_lead(tags=[make_tag(base_score=100)])
    Lead.objects.filter(pk=lead.pk).update(score=99)
    assert verify_scores(at=NOW) == {"leads": 1, "differences": 1, "due": 0, "newer": 0, "pending": 0}


def test_a_published_rule_change_rescores_the_leads_that_carry_the_tag(
    manager, django_capture_on_commit_callbacks
) -> None:
    tag = make_tag(base_score=100)
    lead = make_scored_lead(tags=[tag])
    other = make_scored_lead(tags=[make_tag(base_score=5)])
    tag.base_score = 300
    change = publish_rule_change(save=[tag], by=manager, at=NOW + SECOND, reason="worth more")
    assert verify_scores(at=NOW + SECOND)["pending"] == 1
    assert explain_score(lead=lead, now=NOW + SECOND).pending
    with django_capture_on_commit_callbacks(execute=False):
        sweep(at=NOW + SECOND)  # the job was lost: the sweep makes it again
    from jobs.models import Job

    job = Job.objects.get(kind="apply-rule-change")
    ended = run_job(job_id=job.pk)
    assert ended is not None
    assert ended.result is not None
    assert ended.result | {"leads": 1, "changed": 1, "newer": 0} == ended.result
    lead.refresh_from_db()
    other.refresh_from_db()
    assert (lead.score, other.score) == (300, 5)
    assert RuleChange.objects.get(pk=change.pk).applied_at is not None
    history = Tag.history.filter(id=tag.pk).first()
    assert history is not None
    assert (history.base_score, history.rule_change_id, history.history_user) == (300, change.pk, manager)


def test_a_full_recalculation_is_single_flight_and_mends_every_lead(manager) -> None:
    lead = make_scored_lead(tags=[make_tag(base_score=100)])
    Lead.objects.update(score=1)
    job = start_recalculation(at=NOW, by=manager)
    assert start_recalculation(at=NOW, by=manager).pk == job.pk
    ended = run_job(job_id=job.pk)
    assert ended is not None
    assert ended.result is not None
    assert (ended.status, ended.result["leads"], ended.result["changed"]) == ("succeeded", 1, 1)
    lead.refresh_from_db()
    assert lead.score == 100


def test_an_explanation_at_another_moment_shows_todays_rules_then() -> None:
    lead = make_scored_lead(tags=[make_tag(base_score=100, decay_steps=[[10, 40]])])
    then = explain_score(lead=lead, now=NOW, at=NOW + 10 * DAY)
    assert (then.total, then.stored_score, then.lines[0].percent, then.lines[0].age_days) == (40, 100, 40, 10)
