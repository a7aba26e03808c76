"""Other expiration days: refused as a whole or published as one, and what becomes of the assignments that are there."""

import datetime as dt

import pytest

from jobs.models import Job
from jobs.operations import run_job
from leads.models import Lead
from scoring.expirations import preview_expirations_with_scores
from scoring.models import ScoreChange
from scoring.operations import drain_due, sweep
from scoring.queries import verify_scores
from tags.expirations import (
    ExpirationChange,
    ExpirationEffect,
    InvalidDays,
    RepeatedTags,
    UnknownTags,
    preview_expirations,
    publish_expirations,
)
from tags.models import LeadTag, RuleChange, Tag, calculate_tag_expiration
from tags.operations import (
    NothingToPublish,
    RuleStale,
    StillApplying,
    assign_tag,
    publish_edited_rule,
    publish_rule_change,
    remove_tag,
    start_rule_change_job,
)
from tags.queries import version_of
from tests.conftest import NOW
from tests.factories import assign, make_scored_lead, make_tag

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(hours=24)


def retroactive(tag: Tag, days: int | None) -> ExpirationChange:
    return ExpirationChange(tag.pk, days, True)


def later_only(tag: Tag, days: int | None) -> ExpirationChange:
    return ExpirationChange(tag.pk, days, False)


def publish(*changes: ExpirationChange, **given) -> RuleChange:
    return publish_expirations(**({"changes": changes, "by": None, "at": NOW} | given))


def apply(change: RuleChange, at: dt.datetime = NOW) -> dict[str, object]:
    """Run the job of a change at a moment; its result."""
    start_rule_change_job(change=change)
    job = Job.objects.latest("pk")
    Job.objects.filter(pk=job.pk).update(as_of=at)
    ended = run_job(job_id=job.pk)
    assert ended is not None
    assert ended.status == "succeeded", ended.error
    change.refresh_from_db()
    assert change.applied_at is not None
    return ended.result or {}


def clocks(tag: Tag) -> list[float | None]:
    """Days from start to end of each assignment, by lead."""
    rows = LeadTag.objects.filter(tag=tag).order_by("lead_id")
    return [row.expiration_at and (row.expiration_at - row.assigned_at) / DAY for row in rows]


def score_of(lead: Lead) -> int:
    lead.refresh_from_db()
    return lead.score


# What becomes of assignments ------------------------------------------------------------------------------------------


def test_an_assignment_ends_so_many_times_24_hours_after_its_start_or_never() -> None:
    start = dt.datetime(2026, 3, 7, 18, 0, tzinfo=dt.UTC)  # summer time begins that night
    assert calculate_tag_expiration(assigned_at=start, expiration_days=2) == start + dt.timedelta(hours=48)
    assert calculate_tag_expiration(assigned_at=start, expiration_days=None) is None


def test_without_retroactive_effect_only_later_assignments_change() -> None:
    tag = make_tag(base_score=100, expiration_days=30)
    lead, later = make_scored_lead(tags=[tag]), make_scored_lead(tags=[])
    change = publish(later_only(tag, 5))
    apply(change)
    assign_tag(lead_id=later.pk, tag=tag, at=NOW + DAY)
    assert clocks(tag) == [30, 5]
    assert (change.retroactive_tag_ids, change.affected, change.expired, change.revived) == ([], None, None, None)
    drain_due(at=NOW + 10 * DAY)
    assert (score_of(lead), score_of(later)) == (100, 0)


def test_with_it_each_assignment_ends_anew_from_its_own_start_and_leads_are_scored() -> None:
    tag, other = make_tag(base_score=100, expiration_days=30), make_tag(base_score=7, expiration_days=30)
    old, young = make_scored_lead(tags=[tag], at=NOW - 20 * DAY), make_scored_lead(tags=[tag, other], at=NOW - DAY)
    change = publish(retroactive(tag, 10), reason="they fade faster")
    result = apply(change)
    assert clocks(tag) == [10, 10]
    assert clocks(other) == [30]
    assert (score_of(old), score_of(young)) == (0, 107)
    assert (change.affected, change.expired, change.revived) == (2, 1, 0)
    assert {"affected": 2, "expired": 1, "revived": 0, "changed": 1}.items() <= result.items()
    written = ScoreChange.objects.get(lead_id=old.pk, to_score=0)
    assert written.cause == ScoreChange.Cause.RULE_CHANGE
    assert LeadTag.objects.get(lead=old).is_expired
    young.refresh_from_db()
    assert young.rescore_at == NOW + 9 * DAY
    assert verify_scores(at=NOW)["differences"] == 0


def test_expired_assignments_revive_and_null_is_never() -> None:
    tag = make_tag(base_score=100, expiration_days=10)
    lead = make_scored_lead(tags=[tag], at=NOW - 20 * DAY)
    drain_due(at=NOW)
    assert score_of(lead) == 0
    change = publish(retroactive(tag, None))
    apply(change)
    assert clocks(tag) == [None]
    assert (score_of(lead), change.affected, change.expired, change.revived) == (100, 1, 0, 1)
    assert not LeadTag.objects.get().is_expired
    again = publish(retroactive(tag, 20))
    apply(again)  # it ends at this very moment
    assert (score_of(lead), again.affected, again.expired, again.revived) == (0, 1, 1, 0)


def test_removed_assignments_get_their_clock_and_are_not_counted() -> None:
    tag, base = make_tag(expiration_days=30), make_tag(base_score=5)
    lead = make_scored_lead(tags=[tag, base])
    remove_tag(lead_id=lead.pk, tag=tag, at=NOW)
    drain_due(at=NOW)
    change = publish(retroactive(tag, 10))
    apply(change)
    assert clocks(tag) == [10]
    assert (change.affected, score_of(lead)) == (0, 5)
    LeadTag.objects.filter(tag=tag).update(removed_at=None)  # what undoing the removal does
    assert LeadTag.objects.get(tag=tag).expiration_at == NOW + 10 * DAY


def test_what_the_days_are_when_the_job_comes_to_it_counts() -> None:
    tag = make_tag(expiration_days=30)
    make_scored_lead(tags=[tag])
    first, second = publish(retroactive(tag, 10)), publish(retroactive(tag, 50))
    apply(second)
    apply(first)  # the later job was faster
    assert clocks(tag) == [50]
    assert (first.affected, second.affected) == (0, 1)


def test_other_days_for_later_assignments_wait_until_a_retroactive_change_is_applied() -> None:
    tag = make_tag(expiration_days=30)
    make_scored_lead(tags=[tag])
    first = publish(retroactive(tag, 10))
    for refused in (
        lambda: publish(later_only(tag, 50)),
        lambda: publish_rule_change(save=[Tag(pk=tag.pk, name=tag.name, expiration_days=50)], by=None, at=NOW),
    ):
        with pytest.raises(StillApplying, match=f"Version {first.pk} of {tag.name} is still being applied"):
            refused()
    assert RuleChange.objects.count() == 1
    points = Tag.objects.get(pk=tag.pk)
    points.base_score = 5  # other fields need not wait
    publish_rule_change(save=[points], by=None, at=NOW)
    apply(first)
    apply(publish(later_only(tag, 50)))
    assert clocks(tag) == [10]


def test_a_tag_put_on_between_publishing_and_the_job_has_the_new_days() -> None:
    tag = make_tag(expiration_days=30)
    lead = make_scored_lead(tags=[])
    change = publish(retroactive(tag, 10))
    assign_tag(lead_id=lead.pk, tag=tag, at=NOW)  # by a page that had read the tag before
    assert clocks(tag) == [10]
    apply(change)
    assert change.affected == 0


def test_a_lead_scored_at_a_later_moment_is_scored_again_by_its_new_clocks() -> None:
    tag = make_tag(base_score=100, expiration_days=30)
    lead = make_scored_lead(tags=[tag], at=NOW - 20 * DAY)
    change = publish(retroactive(tag, 10))
    Lead.objects.filter(pk=lead.pk).update(scored_at=NOW + DAY)  # by a run that has begun meanwhile
    result = apply(change)
    assert result["newer"] == 1
    assert score_of(lead) == 0
    assert not Lead.objects.filter(rescore_at__isnull=False).exists()


def test_a_lead_scored_in_a_future_stays_due_until_then() -> None:
    tag = make_tag(base_score=100, expiration_days=30)
    lead = make_scored_lead(tags=[tag], at=NOW - 20 * DAY)
    change = publish(retroactive(tag, 10))
    future = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
    Lead.objects.filter(pk=lead.pk).update(scored_at=future)
    apply(change)
    lead.refresh_from_db()
    assert (lead.rescore_at, lead.rescore_cause) == (NOW, Lead.Cause.RULE_CHANGE)
    sweep(at=future)
    assert score_of(lead) == 0


def test_counts_of_a_lost_job_are_not_lost() -> None:
    tag = make_tag(expiration_days=30)
    make_scored_lead(tags=[tag])
    change = publish(retroactive(tag, 10))
    apply(change)
    RuleChange.objects.update(applied_at=None, affected=None)  # as if its job had been cancelled before the end
    apply(change)
    assert change.affected == 1


# Publishing -----------------------------------------------------------------------------------------------------------


def test_many_tags_are_one_change_and_what_stays_is_left_out() -> None:
    tags = [make_tag(expiration_days=30) for _ in range(4)]
    make_scored_lead(tags=[*tags])
    change = publish(
        later_only(tags[2], 5), retroactive(tags[0], 10), later_only(tags[1], 30), retroactive(tags[3], 30)
    )
    assert change.tag_ids == [tags[0].pk, tags[2].pk]
    assert change.retroactive_tag_ids == [tags[0].pk]
    apply(change)
    assert [clocks(tag) for tag in tags] == [[10], [30], [30], [30]]
    assert list(Tag.history.filter(rule_change=change).values_list("id", "expiration_days").order_by("id")) == [
        (tags[0].pk, 10),
        (tags[2].pk, 5),
    ]


def test_running_clocks_alone_are_something_to_publish() -> None:
    tag = make_tag(base_score=100, expiration_days=30)
    lead = make_scored_lead(tags=[tag])
    apply(publish(later_only(tag, 5)))
    rule = Tag.objects.get(pk=tag.pk)
    with pytest.raises(NothingToPublish):
        publish_edited_rule(rule=rule, version=version_of(rule), by=None, at=NOW)
    change = publish_edited_rule(rule=rule, version=version_of(rule), by=None, at=NOW, is_retroactive=True)
    apply(change)
    assert (clocks(tag), change.affected) == ([5], 1)
    for nothing in (
        lambda: publish(retroactive(tag, 5)),
        lambda: publish(later_only(tag, 5)),
        lambda: publish_edited_rule(rule=rule, version=version_of(rule), by=None, at=NOW, is_retroactive=True),
        lambda: publish(),
    ):
        with pytest.raises(NothingToPublish):
            nothing()
    assert score_of(lead) == 100


def test_what_cannot_be_meant_is_refused_as_a_whole() -> None:
    tag, other = make_tag(expiration_days=30), make_tag(expiration_days=30)
    missing, huge = other.pk + 1000, 10**30
    with pytest.raises(UnknownTags) as unknown:
        publish(retroactive(tag, 5), ExpirationChange(huge, 5, True), ExpirationChange(missing, 5, True))
    assert unknown.value.ids == [missing, huge]
    with pytest.raises(RepeatedTags) as repeated:
        publish(retroactive(tag, 5), later_only(other, 5), later_only(tag, 6))
    assert repeated.value.ids == [tag.pk]
    with pytest.raises(InvalidDays) as invalid:
        publish(retroactive(tag, 0), retroactive(other, 36_501), ExpirationChange(missing, 1.5, True))  # type: ignore[arg-type]
    assert invalid.value.errors == {
        tag.pk: "0 days is outside 1 to 36,500.",
        other.pk: "36501 days is outside 1 to 36,500.",
        missing: "1.5 is not a whole number of days.",
    }
    for refused in (retroactive(tag, -1), ExpirationChange(missing, 5, True)):
        with pytest.raises((InvalidDays, UnknownTags)):
            preview_expirations(changes=[refused], at=NOW)
    assert not RuleChange.objects.exists()
    assert set(Tag.objects.filter(pk__in=[tag.pk, other.pk]).values_list("expiration_days", flat=True)) == {30}


def test_somebody_was_faster() -> None:
    tag, other = make_tag(name="Haunted", expiration_days=30), make_tag(expiration_days=30)
    seen = {tag.pk: version_of(tag), other.pk: version_of(other)}
    publish(later_only(tag, 60))
    with pytest.raises(RuleStale) as stale:
        publish(later_only(tag, 5), later_only(other, 5), seen=seen)
    (difference,) = stale.value.differences
    assert (difference.label, difference.old, difference.new) == ("Haunted: Expires after", "30 days", "60 days")
    other.refresh_from_db()
    assert other.expiration_days == 30
    publish(later_only(tag, 5), later_only(other, 5), seen=seen | {tag.pk: version_of(tag)})


# Preview --------------------------------------------------------------------------------------------------------------


def test_the_preview_says_what_the_job_then_does(django_assert_num_queries) -> None:
    tag, other = make_tag(base_score=100, expiration_days=30), make_tag(base_score=10, expiration_days=10)
    for age in (40, 20, 5):
        lead = make_scored_lead(tags=[tag, other], at=NOW - age * DAY)
    remove_tag(lead_id=lead.pk, tag=tag, at=NOW)
    assign(make_scored_lead(tags=[]), other, NOW + DAY, expiration_at=NOW + 2 * DAY)
    drain_due(at=NOW)
    changes = [retroactive(other, 30), retroactive(tag, 15), later_only(make_tag(), 3)]
    with django_assert_num_queries(2):  # the tags, and one for all counts
        effects = preview_expirations(changes=changes, at=NOW)
    assert effects == [
        ExpirationEffect(other.pk, assignments=4, affected=4, expired=0, revived=1),
        ExpirationEffect(tag.pk, assignments=2, affected=2, expired=1, revived=0),
        ExpirationEffect(changes[2].tag_id, assignments=0, affected=0, expired=0, revived=0),
    ]
    same, effect = preview_expirations_with_scores(changes=changes, at=NOW, threshold=50)
    assert same == effects
    assert (effect.leads, effect.rising, effect.falling, effect.crossing_down) == (4, 0, 1, 1)
    assert not RuleChange.objects.exists()
    change = publish(*changes)
    result = apply(change)
    assert (change.affected, change.expired, change.revived) == (6, 1, 1)
    assert result["changed"] == effect.moving
    assert preview_expirations(changes=changes, at=NOW)[0].affected == 0


def test_without_retroactive_effect_a_preview_counts_assignments_only() -> None:
    tag = make_tag(expiration_days=30)
    make_scored_lead(tags=[tag])
    (effect,) = preview_expirations(changes=[later_only(tag, 1)], at=NOW + 5 * DAY)
    assert effect == ExpirationEffect(tag.pk, assignments=1, affected=0, expired=0, revived=0)
    assert preview_expirations(changes=[], at=NOW) == []
