"""Merging two tags: clocks, names, scores, pages while it runs, a kill in the middle, and undoing it."""

import datetime as dt
import itertools

import pytest
from django.utils import timezone

from jobs.models import Job
from jobs.operations import run_job
from leads.models import Lead
from scoring import merges as jobs_of_merges
from scoring.models import ScoreChange
from scoring.operations import drain_due, sweep
from scoring.sql import passes
from tags.merges import operations, sql
from tags.merges.operations import MergeDrifted, MergeRefused, forget_former_clocks, merge_tags, undo_merge
from tags.models import LeadTag, MergedAssignment, RuleChange, Tag, TagAlias, TagMerge
from tags.operations import assign_tag, create_unreviewed_tag, find_tag_ids, publish_rule_change, remove_tag
from tests.factories import assign, import_rows, make_lead, make_scored_lead, make_tag

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now().replace(microsecond=0)


@pytest.fixture
def pair() -> tuple[Tag, Tag]:
    """The tag that goes, 700 points, and the one that stays, 300."""
    return make_tag(name="Sherif Sale", base_score=700), make_tag(name="Sheriff Sale", base_score=300)


@pytest.fixture
def committing(django_capture_on_commit_callbacks):
    return lambda: django_capture_on_commit_callbacks(execute=True)


def work() -> None:
    """What workers do: every job that waits."""
    for job in Job.objects.live().order_by("pk"):
        done = run_job(job_id=job.pk)
        assert done is not None
        assert done.status == Job.Status.SUCCEEDED, done.error


def merge(pair, at, committing, *, expected: int | None = None) -> TagMerge:
    merged, into = pair
    if expected is None:
        expected = sql.extent(merged=merged.pk, into=into.pk, at=at).assignments
    with committing():
        done = merge_tags(merged_id=merged.pk, into_id=into.pk, expected=expected, by=None, at=at)
    work()
    return TagMerge.objects.select_related("change", "merged", "into").get(pk=done.pk)


def undo(merge: TagMerge, at, committing) -> TagMerge:
    with committing():
        undo_merge(merge_id=merge.pk, by=None, at=at)
    work()
    return TagMerge.objects.select_related("change", "merged", "into").get(pk=merge.pk)


# Clocks ---------------------------------------------------------------------------------------------------------------

DAY = dt.timedelta(days=1)
# (assigned, expires, removed) in days from now; None: no assignment.
LIVE_LONG, LIVE_EARLY, NEVER = (-10, 300, None), (-200, 20, None), (-5, None, None)
SPENT, SPENT_LATER = (-400, -100, None), (-300, -50, None)
GONE, GONE_LATER = (-90, 200, -30), (-80, None, -3)


@pytest.mark.parametrize(
    ("goes", "stays", "left"),
    [
        (LIVE_LONG, None, LIVE_LONG),
        (SPENT, None, SPENT),
        (GONE, None, GONE),
        (LIVE_LONG, LIVE_EARLY, (-200, 300, None)),
        (LIVE_EARLY, LIVE_LONG, (-200, 300, None)),
        (LIVE_EARLY, NEVER, (-200, None, None)),
        (NEVER, LIVE_EARLY, (-200, None, None)),
        (LIVE_LONG, SPENT, LIVE_LONG),
        (SPENT, LIVE_LONG, LIVE_LONG),
        (SPENT, SPENT_LATER, SPENT_LATER),
        (SPENT_LATER, SPENT, SPENT_LATER),
        (LIVE_LONG, GONE, LIVE_LONG),
        (GONE, LIVE_LONG, LIVE_LONG),
        (SPENT, GONE, SPENT),
        (GONE, SPENT, SPENT),
        (GONE, GONE_LATER, GONE_LATER),
        (GONE_LATER, GONE, GONE_LATER),
    ],
)
def test_the_clock_that_stays_is_the_one_the_rules_say_and_undoing_gives_both_back(
    pair, at, committing, goes, stays, left
):
    def clock(days):
        assigned, expires, removed = days
        moments = [at + DAY * day if day is not None else None for day in (assigned, expires, removed)]
        return dict(zip(("assigned_at", "expiration_at", "removed_at"), moments, strict=True)) | {
            "is_expired": removed is None and expires is not None and expires <= 0
        }

    lead = make_lead(at=at)
    for tag, days in zip(pair, (goes, stays), strict=True):
        if days is not None:
            LeadTag.objects.create(lead=lead, tag=tag, **clock(days))
    drain_due(at=at)

    def found():
        names = ("tag_id", "assigned_at", "expiration_at", "removed_at", "is_expired")
        return sorted(LeadTag.objects.filter(lead=lead).values_list(*names))

    before, score_before = found(), Lead.objects.get(pk=lead.pk).score
    done = merge(pair, at, committing)
    after = clock(left)
    assert found() == [
        (pair[1].pk, *(after[name] for name in ("assigned_at", "expiration_at", "removed_at")), after["is_expired"])
    ]
    assert (done.moved, done.joined) == ((1, 0) if stays is None else (0, 1))
    assert Lead.objects.get(pk=lead.pk).score == (300 if left[2] is None and (left[1] is None or left[1] > 0) else 0)
    undone = undo(done, at, committing)
    assert found() == before
    assert Lead.objects.get(pk=lead.pk).score == score_before
    assert (undone.restored, undone.left) == (1, 0)
    assert passes.verify_range(first=0, last=lead.pk, at=timezone.now())["differences"] == 0


def test_a_merge_writes_history_a_change_scores_and_counts(pair, at, committing):
    merged, into = pair
    leads = [make_scored_lead(tags=[merged], at=at) for _ in range(3)] + [make_scored_lead(tags=[merged, into], at=at)]
    other = make_scored_lead(tags=[into], at=at)
    done = merge(pair, at, committing)
    assert [Lead.objects.get(pk=lead.pk).score for lead in (*leads, other)] == [300] * 5
    assert (done.moved, done.joined) == (3, 1)
    change = RuleChange.objects.get()
    assert (change.reason, change.affected) == ("merged Sherif Sale into Sheriff Sale", 4)
    assert change.tag_ids == sorted([merged.pk, into.pk])
    assert change.applied_at is not None
    merged.refresh_from_db()
    assert (merged.is_archived, merged.merged_into) == (True, into)
    rows = Tag.history.filter(rule_change=change)
    assert {row.id for row in rows} == {merged.pk, into.pk}
    assert rows.get(id=merged.pk).merged_into_id == into.pk
    job = Job.objects.get()
    assert job.title == "Merge the tag Sherif Sale into Sheriff Sale"
    assert job.result["moved"] == 3
    assert set(causes(leads)) == {1}


def causes(leads):
    return [ScoreChange.objects.filter(lead_id=lead.pk).latest("id").cause for lead in leads[:3]]


# Names ----------------------------------------------------------------------------------------------------------------


def test_lists_find_the_survivor_at_once_and_again_the_tag_once_it_is_undone(pair, at, committing):
    merged, into = pair
    TagAlias.objects.create(name_key="sherifs", tag=merged)
    with committing():
        started = merge_tags(merged_id=merged.pk, into_id=into.pk, expected=0, by=None, at=at)
    import_rows("Address,ZIP,Tags\n1 OAK ST,07030,SHERIF-SALE\n2 OAK ST,07030,Sherifs\n", at=at)
    import_rows("Address,ZIP\n3 OAK ST,07030\n", at=at, tag_ids=[merged.pk])  # a program that knows the old id
    assert set(LeadTag.objects.values_list("tag_id", flat=True)) == {into.pk}
    assert create_unreviewed_tag(name="sherif sale", by=None) == into
    work()
    assert LeadTag.objects.filter(tag=into).count() == 3
    undo(TagMerge.objects.get(pk=started.pk), at, committing)
    assert find_tag_ids(["Sherif Sale", "Sherifs", "Sheriff Sale"]) == {
        "sherifsale": merged.pk,
        "sherifs": merged.pk,
        "sheriffsale": into.pk,
    }


def test_a_name_follows_from_merge_to_merge(pair, at, committing):
    _, into = pair
    last = make_tag(name="Auctioned")
    first = merge(pair, at, committing)
    merge((into, last), at, committing)
    assert find_tag_ids(["sherif sale", "sheriff sale"]) == {"sherifsale": last.pk, "sheriffsale": last.pk}
    with pytest.raises(MergeRefused, match="was merged into Auctioned since"):
        undo_merge(merge_id=first.pk, by=None, at=at)


def test_a_merged_tag_is_neither_renamed_nor_taken_out_of_the_archive(pair, at, committing):
    merge(pair, at, committing)
    merged = Tag.objects.get(pk=pair[0].pk)
    merged.name, merged.is_archived = "Something else", False
    with pytest.raises(Exception, match="merged into Sheriff Sale"):
        publish_rule_change(save=[merged], by=None, at=at)
    assert RuleChange.objects.count() == 1


# Refusals -------------------------------------------------------------------------------------------------------------


def test_what_cannot_be_merged_is_refused_in_words(pair, at, committing):
    merged, into = pair
    archived = make_tag(name="Old", is_archived=True)
    for a, b, said in (
        (merged, merged, "into itself"),
        (merged, archived, "archived"),
    ):
        with pytest.raises(MergeRefused, match=said):
            merge_tags(merged_id=a.pk, into_id=b.pk, expected=0, by=None, at=at)
    publish_rule_change(save=[into], by=None, at=at)
    with pytest.raises(MergeRefused, match="still being applied"):
        merge_tags(merged_id=merged.pk, into_id=into.pk, expected=0, by=None, at=at)
    RuleChange.objects.update(applied_at=at)
    merge(pair, at, committing)
    with pytest.raises(MergeRefused, match="was merged into Sheriff Sale already"):
        merge_tags(merged_id=merged.pk, into_id=make_tag().pk, expected=0, by=None, at=at)


def test_a_count_that_has_drifted_asks_again(pair, at):
    for _ in range(2):
        make_scored_lead(tags=[pair[0]], at=at)
    with pytest.raises(MergeDrifted):
        merge_tags(merged_id=pair[0].pk, into_id=pair[1].pk, expected=1, by=None, at=at)
    assert not RuleChange.objects.exists()


# Undoing --------------------------------------------------------------------------------------------------------------


def test_undoing_leaves_alone_what_was_changed_since(pair, at, committing):
    merged, into = pair
    kept, touched, taken = (make_scored_lead(tags=[merged], at=at) for _ in range(3))
    done = merge(pair, at, committing)
    LeadTag.objects.filter(lead=touched).update(expiration_at=at + 90 * DAY)
    remove_tag(lead_id=taken.pk, tag=into, at=at)
    undone = undo(done, at, committing)
    assert dict(LeadTag.objects.values_list("lead_id", "tag_id")) == {
        kept.pk: merged.pk,
        touched.pk: into.pk,
        taken.pk: into.pk,
    }
    assert (undone.restored, undone.left) == (1, 2)
    assert RuleChange.objects.latest("pk").reason == "undid the merge of Sherif Sale into Sheriff Sale"
    with pytest.raises(MergeRefused, match="undone already"):
        undo_merge(merge_id=done.pk, by=None, at=at)


def test_after_thirty_days_the_former_clocks_are_forgotten(pair, at, committing):
    make_scored_lead(tags=[pair[0]], at=at)
    done = merge(pair, at, committing)
    assert forget_former_clocks(at=at + 29 * DAY) == 0
    assert forget_former_clocks(at=at + 31 * DAY) == 1
    with pytest.raises(MergeRefused, match="more than 30 days"):
        undo_merge(merge_id=done.pk, by=None, at=at + 31 * DAY)


# While it runs --------------------------------------------------------------------------------------------------------


def test_a_merge_killed_in_the_middle_is_gone_on_with(pair, at, committing, monkeypatch):
    monkeypatch.setattr(jobs_of_merges, "BATCH", 2)
    leads = [make_scored_lead(tags=[pair[0]], at=at) for _ in range(5)]
    with committing():
        merge_tags(merged_id=pair[0].pk, into_id=pair[1].pk, expected=5, by=None, at=at)
    job, calls, real = Job.objects.get(), itertools.count(), operations.move_range

    def dying(**kwargs):
        answer = real(**kwargs)
        if next(calls) == 1:
            raise MemoryError
        return answer

    monkeypatch.setattr(operations, "move_range", dying)
    run_job(job_id=job.pk)
    assert Job.objects.get().status == Job.Status.FAILED
    assert LeadTag.objects.filter(tag=pair[1]).count() == 2  # what the second range had moved went back
    assert MergedAssignment.objects.count() == 2
    assert RuleChange.objects.get().applied_at is None
    monkeypatch.setattr(operations, "move_range", real)
    with committing():
        sweep(at=timezone.now())
    work()
    assert LeadTag.objects.filter(tag=pair[1]).count() == 5
    assert [Lead.objects.get(pk=lead.pk).score for lead in leads] == [300] * 5
    done = TagMerge.objects.select_related("change", "merged", "into").get()
    assert (done.moved, done.joined) == (5, 0)
    assert done.change.applied_at is not None
    undo(done, at, committing)
    assert LeadTag.objects.filter(tag=pair[0]).count() == 5


def test_what_a_list_under_way_put_on_a_lead_is_swept_up(pair, at, committing):
    merged, into = pair
    known = make_scored_lead(tags=[merged], at=at)
    merge(pair, at, committing)
    late = make_lead(at=at)
    assign(late, merged, at)
    assign(known, merged, at + DAY)
    with committing():
        sweep(at=timezone.now())
    work()
    assert dict(LeadTag.objects.values_list("lead_id", "tag_id")) == {late.pk: into.pk, known.pk: into.pk}
    assert Lead.objects.get(pk=late.pk).score == 300
    assert TagMerge.objects.get().moved == 2
    with committing():
        sweep(at=timezone.now())
    assert not Job.objects.live().exists()


def test_a_lead_written_meanwhile_keeps_its_revision_counted(pair, at, committing):
    """A pass that read the lead before the merge must not write after it: the revision has moved."""
    lead = make_scored_lead(tags=[pair[0]], at=at)
    before = Lead.objects.get(pk=lead.pk).score_revision
    merge(pair, at, committing)
    assert Lead.objects.get(pk=lead.pk).score_revision == before + 1
    assign_tag(lead_id=lead.pk, tag=Tag.objects.get(pk=pair[1].pk), at=at)
