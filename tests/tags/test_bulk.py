"""Tags on many leads at once: what lands, what is kept of before, and what undo puts back."""

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from jobs.models import Job, JobRange
from jobs.operations import cancel_job, run_job
from leads.models import Lead, SelectedLead
from leads.selections import (
    MAX_IDS,
    CountDrifted,
    Selection,
    SelectionRefused,
    clear_selections,
    select_ids,
    select_matching,
)
from scoring.models import ScoreChange
from scoring.operations import drain_due
from scoring.queries import verify_scores
from tags import bulk
from tags.bulk import (
    Action,
    NothingSelected,
    TagArchived,
    UndoRefused,
    clear_former,
    preview_bulk_tagging,
    start_bulk_tagging,
    start_undo,
)
from tags.models import FormerAssignment, LeadTag, Tag
from tags.operations import assign_tag, remove_tag
from tests.conftest import NOW
from tests.factories import assign, make_lead, make_scored_lead, make_tag

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


@pytest.fixture(autouse=True)
def commits(monkeypatch):
    """What follows a commit follows at once in these tests, whose transactions never end; no worker is woken."""
    monkeypatch.setattr("jobs.operations.announce_job", lambda **kwargs: None)
    monkeypatch.setattr("leads.registry.transaction.on_commit", lambda callback: callback())


def start(selection: Selection, action: Action, tag: Tag, *, confirmed: int | None = None, at=NOW) -> Job:
    return start_bulk_tagging(selection=selection, action=action, tag=tag, confirmed=confirmed, by=None, at=at)


def do(job: Job) -> Job:
    done = run_job(job_id=job.pk)
    assert done is not None
    return done


def add(tag: Tag, *leads: Lead, at: dt.datetime = NOW) -> Job:
    return do(start(select_ids([lead.pk for lead in leads]), Action.ADD, tag, at=at))


def remove(tag: Tag, *leads: Lead, at: dt.datetime = NOW) -> Job:
    return do(start(select_ids([lead.pk for lead in leads]), Action.REMOVE, tag, at=at))


def undo(job: Job, *, at: dt.datetime = NOW + DAY) -> Job:
    return do(start_undo(job=job, by=None, at=at))


def state_of(tag: Tag) -> dict[int, Any]:
    return {
        row.lead_id: (row.assigned_at, row.expiration_at, row.is_expired, row.removed_at)
        for row in LeadTag.objects.filter(tag=tag)
    }


def clocks_of(tag: Tag) -> dict[int, Any]:
    """The assignments without the flag, which follows the clock by itself."""
    return {lead_id: (starts, ends, removed) for lead_id, (starts, ends, _, removed) in state_of(tag).items()}


def one_of_each(tag: Tag) -> list[Lead]:
    """A lead without the tag, and one for each state that an assignment can be in."""
    leads = [make_scored_lead(tags=[]) for _ in range(6)]
    assign(leads[1], tag, NOW - 2 * DAY)
    is_over = tag.expiration_days is not None
    assign(leads[2], tag, NOW - 40 * DAY, is_expired=is_over)
    assign(leads[3], tag, NOW - 40 * DAY)  # due to expire, not flagged yet
    assign(leads[4], tag, NOW - 5 * DAY, removed_at=NOW - DAY)
    assign(leads[5], tag, NOW - 40 * DAY, is_expired=is_over, removed_at=NOW - 3 * DAY)
    return leads


@pytest.mark.parametrize("policy", Tag.Reassertion.values)
@pytest.mark.parametrize("days", [None, 30])
def test_adding_in_bulk_does_what_adding_one_by_one_does(policy, days):
    by_hand, in_bulk = (make_tag(expiration_days=days, reassertion=policy) for _ in range(2))
    singles, many = one_of_each(by_hand), one_of_each(in_bulk)
    for lead in singles:
        assign_tag(lead_id=lead.pk, tag=by_hand, at=NOW)
    preview = preview_bulk_tagging(
        selection=select_ids([lead.pk for lead in many]), action=Action.ADD, tag=in_bulk, at=NOW
    )
    job = add(in_bulk, *many)
    assert [clocks_of(in_bulk)[lead.pk] for lead in many] == [clocks_of(by_hand)[lead.pk] for lead in singles]
    assert job.result["changed"] == preview.changing
    assert job.result["unchanged"] == preview.unchanged
    due = ("score", "rescore_at", "rescore_cause")
    drain_due(at=timezone.now())
    assert [state_of(in_bulk)[lead.pk] for lead in many] == [state_of(by_hand)[lead.pk] for lead in singles]
    assert list(Lead.objects.filter(pk__in=[lead.pk for lead in many]).order_by("pk").values_list(*due)) == list(
        Lead.objects.filter(pk__in=[lead.pk for lead in singles]).order_by("pk").values_list(*due)
    )


def test_removing_in_bulk_does_what_removing_one_by_one_does():
    by_hand, in_bulk = (make_tag(expiration_days=30) for _ in range(2))
    singles, many = one_of_each(by_hand), one_of_each(in_bulk)
    for lead in singles:
        remove_tag(lead_id=lead.pk, tag=by_hand, at=NOW)
    job = remove(in_bulk, *many)
    assert [clocks_of(in_bulk).get(lead.pk) for lead in many] == [clocks_of(by_hand).get(lead.pk) for lead in singles]
    assert job.result == {"leads": 6, "changed": 3, "unchanged": 3}


def test_leads_that_did_not_change_are_not_touched():
    tag = make_tag()
    lead = make_scored_lead(tags=[tag])
    before = Lead.objects.values("score_revision", "rescore_at", "scored_at").get(pk=lead.pk)
    assert add(tag, lead).result == {"leads": 1, "changed": 0, "unchanged": 1}
    assert Lead.objects.values("score_revision", "rescore_at", "scored_at").get(pk=lead.pk) == before
    assert not FormerAssignment.objects.exists()


def test_scores_follow_at_once_without_a_worker_and_the_history_names_the_job(monkeypatch):
    monkeypatch.setattr("scoring.operations.DRAIN_AT_ONCE", 2)
    tag, leads = make_tag(base_score=250), [make_scored_lead(tags=[], at=NOW) for _ in range(5)]
    # Scored since the job began: its moment is older than what stands there.
    Lead.objects.filter(pk=leads[0].pk).update(scored_at=NOW + DAY)
    job = add(tag, *leads)
    assert set(Lead.objects.values_list("score", "rescore_at")) == {(250, None)}
    changes = ScoreChange.objects.filter(job_id=job.pk)
    assert {change.lead_id for change in changes} == {lead.pk for lead in leads}
    assert {change.get_cause_display() for change in changes} == {"tag change"}
    undo(job)
    assert set(Lead.objects.values_list("score", flat=True)) == {0}
    assert verify_scores(at=timezone.now())["differences"] == 0


def test_a_filter_is_evaluated_once_by_the_first_step():
    tag, mark = make_tag(), make_tag()
    here = [make_scored_lead(tags=[mark], city="HOBOKEN") for _ in range(3)]
    make_scored_lead(tags=[], city="NEWARK")
    job = start(select_matching({"city": ["hoboken"], "tags": [str(mark.pk)], "q": ["  "]}, at=NOW), Action.ADD, tag)
    assert not SelectedLead.objects.exists()
    do(job)
    chosen = SelectedLead.objects.filter(job=job).values_list("lead_id", flat=True)
    assert set(chosen) == {lead.pk for lead in here} == set(state_of(tag))


def test_a_change_that_takes_leads_out_of_its_own_filter_still_does_them_all(monkeypatch):
    monkeypatch.setattr(bulk, "RANGE_LEADS", 2)
    tag = make_tag()
    for _ in range(5):
        make_scored_lead(tags=[tag])
    job = do(start(select_matching({"tags": [str(tag.pk)]}, at=NOW), Action.REMOVE, tag))
    assert job.result == {"leads": 5, "changed": 5, "unchanged": 0}
    assert JobRange.objects.filter(job=job).count() == 3


def test_a_filter_without_any_match_of_the_search_is_nothing_to_do():
    make_lead()
    with pytest.raises(NothingSelected):
        start(select_matching({"q": ["nowhere"]}, at=NOW), Action.ADD, make_tag())
    assert not Job.objects.exists()


@pytest.mark.parametrize(("more", "stops"), [(0, False), (2, False), (3, True)])
def test_a_count_that_drifts_by_more_than_a_percent_stops_with_nothing_done(more, stops):
    tag = make_tag()
    Lead.objects.bulk_create(
        Lead(address_key=f"1|{n}", address=f"{n} A ST", created_at=NOW, updated_at=NOW) for n in range(200)
    )
    job = start(select_matching({}, at=NOW), Action.ADD, tag, confirmed=200)
    for _ in range(more):
        make_lead()
    done = do(job)
    if stops:
        assert done.status == Job.Status.FAILED
        assert "203 leads match now, and 200 were confirmed. Nothing was changed" in done.error
        assert not SelectedLead.objects.exists()
        assert not LeadTag.objects.exists()
    else:
        assert done.result["changed"] == 200 + more


def test_a_count_that_drifted_before_the_start_is_refused_at_once():
    make_lead()
    with pytest.raises(CountDrifted, match="1 leads match now, and 2 were confirmed"):
        start(select_matching({}, at=NOW), Action.ADD, make_tag(), confirmed=2)
    assert not Job.objects.exists()


def test_a_tag_that_is_archived_meanwhile_is_not_added_and_can_be_removed():
    tag, lead = make_tag(), make_lead()
    job = start(select_ids([lead.pk]), Action.ADD, tag)
    Tag.objects.filter(pk=tag.pk).update(is_archived=True)
    tag.refresh_from_db()
    done = do(job)
    assert done.status == Job.Status.FAILED
    assert "is archived and cannot be added" in done.error
    with pytest.raises(TagArchived):
        start(select_ids([lead.pk]), Action.ADD, tag)
    assign(lead, tag)
    assert remove(tag, lead).result["changed"] == 1


def test_a_filter_whose_tag_is_gone_by_then_fails_in_words():
    tag, mark = make_tag(), make_tag()
    make_scored_lead(tags=[mark])
    job = start(select_matching({"tags": [str(mark.pk)]}, at=NOW), Action.ADD, tag)
    Tag.objects.filter(pk=mark.pk).update(is_archived=True)
    done = do(job)
    assert done.status == Job.Status.FAILED
    assert f"Nothing was changed. tags: There is no tag with the id {mark.pk}." in done.error


def test_ids_are_few_enough_and_exist():
    lead = make_lead()
    with pytest.raises(SelectionRefused, match=f"There is no lead with the ids {lead.pk + 1}, {10**30}"):
        select_ids([lead.pk, lead.pk + 1, 10**30, lead.pk])
    with pytest.raises(SelectionRefused, match="and 5 more"):
        select_ids(range(lead.pk + 1, lead.pk + 26))
    with pytest.raises(SelectionRefused, match="No lead is selected"):
        select_ids([])
    with pytest.raises(SelectionRefused, match="These are 10,001 leads; name at most 10,000"):
        select_ids(range(MAX_IDS + 1))
    with pytest.raises(SelectionRefused, match="Unknown filter; the filters are city"):
        select_matching({"town": ["Hoboken"]}, at=NOW)


# Undo -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [add, remove])
def test_undo_puts_back_exactly_what_was_there_and_can_be_undone_itself(change):
    tag = make_tag(expiration_days=30, base_score=300)
    leads = one_of_each(tag)
    drain_due(at=NOW)
    before = clocks_of(tag)
    job = change(tag, *leads)
    after = clocks_of(tag)
    assert after != before
    undone = undo(job)
    changed = job.result["changed"]
    assert undone.result == {"leads": changed, "put_back": changed, "left_because_changed_since": 0}
    assert clocks_of(tag) == before
    assert verify_scores(at=timezone.now())["differences"] == 0
    assert undo(undone).result["put_back"] == changed
    assert clocks_of(tag) == after
    assert verify_scores(at=timezone.now())["differences"] == 0


def test_undo_leaves_what_somebody_changed_since():
    tag = make_tag()
    taken, kept, again = (make_lead() for _ in range(3))
    job = add(tag, taken, kept, again)
    remove_tag(lead_id=taken.pk, tag=tag, at=NOW + DAY / 4)
    remove_tag(lead_id=again.pk, tag=tag, at=NOW + DAY / 4)
    assign_tag(lead_id=again.pk, tag=tag, at=NOW + DAY / 2)
    undone = undo(job)
    assert undone.result == {"leads": 3, "put_back": 1, "left_because_changed_since": 2}
    assert set(state_of(tag)) == {taken.pk, again.pk}
    assert {row.lead.pk for row in bulk.left_by_undo(undone)} == {taken.pk, again.pk}


def test_an_expiry_that_comes_by_itself_is_no_change():
    tag = make_tag(expiration_days=1)
    lead = make_lead()
    job = add(tag, lead)
    drain_due(at=NOW + 2 * DAY)
    assert LeadTag.objects.get().is_expired
    assert undo(job, at=NOW + 3 * DAY).result["put_back"] == 1
    assert not LeadTag.objects.exists()


def test_the_later_of_two_bulk_changes_is_not_undone_with_the_earlier():
    tag, lead, other = make_tag(), make_lead(), make_lead()
    first = add(tag, lead, other)
    second = remove(tag, lead, at=NOW + DAY / 2)
    assert undo(first).result == {"leads": 2, "put_back": 1, "left_because_changed_since": 1}
    assert undo(second).result["put_back"] == 1
    assert state_of(tag) == {lead.pk: (NOW, None, False, None)}


def test_who_took_a_tag_off_since_the_job_began_meant_it():
    tag, lead = make_tag(), make_lead()
    assign_tag(lead_id=lead.pk, tag=tag, at=NOW - DAY)
    job = start(select_ids([lead.pk]), Action.ADD, tag)
    remove_tag(lead_id=lead.pk, tag=tag, at=NOW + DAY)
    assert do(job).result["unchanged"] == 1
    assert LeadTag.objects.get().removed_at is not None


def test_a_stopped_job_keeps_what_it_did_and_that_can_be_undone(monkeypatch):
    monkeypatch.setattr(bulk, "RANGE_LEADS", 2)
    tag, leads = make_tag(), [make_lead() for _ in range(6)]
    job = start(select_ids([lead.pk for lead in leads]), Action.ADD, tag)
    with pytest.raises(UndoRefused, match="still at work"):
        start_undo(job=job, by=None, at=NOW)
    add_tag, calls = bulk.statements.add_tag, []

    def stop_after_two(**kwargs):
        calls.append(kwargs)
        if len(calls) == 2:
            cancel_job(job_id=job.pk)
        return add_tag(**kwargs)

    monkeypatch.setattr(bulk.statements, "add_tag", stop_after_two)
    assert do(job).status == Job.Status.CANCELLED
    assert len(state_of(tag)) == 4
    job.refresh_from_db()
    assert undo(job).result["put_back"] == 4
    assert state_of(tag) == {}


def test_a_job_is_undone_once_and_an_undo_that_was_stopped_goes_on():
    tag, lead = make_tag(), make_lead()
    job = add(tag, lead)
    first = start_undo(job=job, by=None, at=NOW)
    assert start_undo(job=job, by=None, at=NOW) == first
    cancel_job(job_id=first.pk)
    again = start_undo(job=job, by=None, at=NOW)
    assert again == first
    assert again.status == Job.Status.QUEUED
    assert do(again).result["put_back"] == 1
    assert start_undo(job=job, by=None, at=NOW).status == Job.Status.SUCCEEDED


def test_what_cannot_be_undone_says_why():
    tag, lead = make_tag(), make_lead()
    job = add(tag, lead)
    nothing = add(tag, lead)
    with pytest.raises(UndoRefused, match="It changed nothing"):
        start_undo(job=nothing, by=None, at=NOW)
    late = timezone.now() + 31 * DAY
    with pytest.raises(UndoRefused, match="more than 30 days ago"):
        start_undo(job=job, by=None, at=late)
    other = Job.objects.create(kind="test", title="Other", as_of=NOW, created_at=NOW, status=Job.Status.SUCCEEDED)
    with pytest.raises(UndoRefused, match="does not tag leads in bulk"):
        start_undo(job=other, by=None, at=NOW)


def test_selections_and_former_values_are_cleared_after_thirty_days():
    tag, lead = make_tag(), make_lead()
    add(tag, lead)
    waiting = start(select_ids([lead.pk]), Action.REMOVE, tag)
    soon, late = timezone.now() + 29 * DAY, timezone.now() + 32 * DAY
    assert (clear_selections(at=soon), clear_former(at=soon)) == (0, 0)
    assert (clear_selections(at=late), clear_former(at=late)) == (1, 1)
    assert set(SelectedLead.objects.values_list("job_id", flat=True)) == {waiting.pk}
    assert do(waiting).result["changed"] == 1
