"""Merging two tags: clocks, names, scores, pages while it runs, a kill in the middle, and undoing it."""

import datetime as dt
import itertools

import pytest
from django.utils import timezone

from jobs.models import Job
from jobs.operations import run_job
from leads.models import Lead
from leads.selections import CountDrifted
from scoring import merges as jobs_of_merges
from scoring.models import ScoreChange
from scoring.operations import drain_due, sweep
from scoring.sql import passes
from tags.merges import operations, sql
from tags.merges.operations import MergeRefused, forget_former_clocks, merge_tags, undo_merge
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
    with pytest.raises(CountDrifted):
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


# Pages ----------------------------------------------------------------------------------------------------------------


def test_a_manager_chooses_sees_the_counts_merges_and_undoes(
    manager_client, pair, at, django_capture_on_commit_callbacks
):
    merged, into = pair
    both = make_scored_lead(tags=[merged, into], at=at, address="7 BOTH ST")
    make_scored_lead(tags=[merged], at=at, address="8 ONE ST")
    assert f'href="/tags/{merged.pk}/merge/"' in manager_client.get(f"/tags/{merged.pk}/").content.decode()
    choose = manager_client.get(f"/tags/{merged.pk}/merge/").content.decode()
    assert f'<option value="{into.pk}">Sheriff Sale</option>' in choose
    assert f'<option value="{merged.pk}">' not in choose
    part = manager_client.get(f"/tags/{merged.pk}/merge/", {"into": into.pk}, headers=HTMX).content.decode()
    assert "<html" not in part
    assert 'data-announce="2 leads carry Sherif Sale, 1 of them Sheriff Sale too"' in part
    assert part.index("7 BOTH ST") < part.index("8 ONE ST")
    values = {"into": into.pk, "expected": 2}
    with django_capture_on_commit_callbacks(execute=True):
        done = manager_client.post(f"/tags/{merged.pk}/merge/", values)
    merge = TagMerge.objects.get()
    assert done.url == f"/tags/merges/{merge.pk}/"
    for page in (f"/tags/{merged.pk}/", f"/tags/{into.pk}/", done.url):
        assert "<strong>being applied</strong>" in manager_client.get(page).content.decode()
    assert manager_client.post(f"/tags/merges/{merge.pk}/undo/").status_code == 409
    work()
    state = manager_client.get(done.url, headers=HTMX)
    assert state.status_code == 286
    assert "Undo the merge?" in state.content.decode()
    assert "Up to 2 leads" in state.content.decode()
    page = manager_client.get(f"/tags/{merged.pk}/").content.decode()
    assert "Merged into" in page
    assert 'id="rule-form"' not in page
    assert "merged into Sheriff Sale" in manager_client.get("/tags/").content.decode()
    (entry,) = [
        part
        for part in manager_client.get("/tags/changes/", {"tag": into.pk}).content.decode().split("<li>")
        if "1 assignment moved, 1 joined" in part
    ]
    assert f'href="/tags/merges/{merge.pk}/"' in entry
    assert manager_client.get(f"/tags/changes/{merge.change_id}/undo/").url == done.url
    with django_capture_on_commit_callbacks(execute=True):
        assert manager_client.post(f"/tags/merges/{merge.pk}/undo/").url == done.url
    work()
    page = manager_client.get(done.url).content.decode()
    assert "is a tag of its own again" in page
    assert Lead.objects.get(pk=both.pk).score == 1000


def test_rolling_back_leaves_merges_as_they_are_and_says_so(manager_client, pair, at, committing):
    merged, into = pair
    first = publish_rule_change(save=[make_tag(name="Other")], by=None, at=at)
    RuleChange.objects.update(applied_at=at)
    merge(pair, at, committing)
    rule = Tag.objects.get(pk=into.pk)
    rule.base_score = 999
    publish_rule_change(save=[rule], by=None, at=at)
    page = manager_client.get(f"/tags/changes/{first.pk}/").content.decode()
    assert "Merges made since stay as they are" in page
    assert "1 rule would change" in page
    seen = RuleChange.objects.latest("pk").pk
    assert manager_client.post(f"/tags/changes/{first.pk}/", {"seen": seen}).status_code == 302
    assert Tag.objects.get(pk=into.pk).base_score == 300
    assert Tag.objects.get(pk=merged.pk).merged_into == into


def test_what_a_form_cannot_mean_is_said(manager_client, pair, at, committing):
    merged, into = pair
    address = f"/tags/{merged.pk}/merge/"
    assert b"Choose the tag that stays." in manager_client.post(address, {}).content
    assert b"not there any more" in manager_client.post(address, {"into": "999999"}).content
    assert manager_client.get(address, {"into": "x"}).status_code == 422
    itself = manager_client.get(address, {"into": merged.pk})
    assert (itself.status_code, b"into itself" in itself.content) == (422, True)
    make_scored_lead(tags=[merged], at=at)
    drifted = manager_client.post(address, {"into": into.pk, "expected": 0})
    assert drifted.status_code == 409
    assert b"since you looked" in drifted.content
    assert not TagMerge.objects.exists()
    merge(pair, at, committing)
    again = manager_client.get(address)
    assert b"was merged into Sheriff Sale already" in again.content
    assert manager_client.get(f"/tags/{merged.pk}/archive/").url == f"/tags/{merged.pk}/"
    refused = manager_client.post(f"/tags/{merged.pk}/", {"name": "New", "color": "#123456", "base_score": 5})
    assert refused.status_code == 422
    assert Tag.objects.get(pk=merged.pk).name == "Sherif Sale"
