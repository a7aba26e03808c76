"""The past of a score and its future: history, forecast, and what a change of rules would do."""

import datetime as dt

import pytest

from leads.models import Lead
from scoring.models import ScoreChange
from scoring.operations import drain_due
from scoring.queries import explain_score, forecast_score, score_history
from scoring.sql import history
from scoring.what_if import nice_width, what_if
from tags.models import TagGroup
from tags.operations import mark_due, publish_rule_change
from tests.conftest import NOW
from tests.factories import assign, import_rows, make_lead, make_scored_lead, make_tag

DAY = dt.timedelta(days=1)
pytestmark = pytest.mark.django_db


def changes(lead: Lead) -> list[tuple[int, int, str]]:
    return [(row.from_score, row.to_score, row.get_cause_display()) for row in reversed(score_history(lead=lead))]


def test_every_change_leaves_one_row_that_says_why() -> None:
    tag = make_tag(base_score=100, decay_steps=[[10, 50]], expiration_days=20)
    import_rows(f"Address,ZIP,Tags\n1 OAK ST,07030,{tag.name}\n", at=NOW)
    lead = Lead.objects.get()
    for days in (5, 10, 15, 20, 25):
        drain_due(at=NOW + days * DAY)
    other = make_tag(base_score=7)
    assign(lead, other, NOW + 26 * DAY)
    mark_due(lead_ids=[lead.pk], at=NOW + 26 * DAY, cause=Lead.Cause.TAG_CHANGE)
    drain_due(at=NOW + 26 * DAY)
    other.base_score = 9
    publish_rule_change(save=[other], by=None, at=NOW + 27 * DAY)
    mark_due(lead_ids=[lead.pk], at=NOW + 27 * DAY, cause=Lead.Cause.IMPORT)
    drain_due(at=NOW + 27 * DAY)  # an unapplied change of rules tells before the import does
    assert changes(lead) == [
        (0, 100, "import"),
        (100, 50, "decay"),
        (50, 0, "expiration"),
        (0, 7, "tag change"),
        (7, 9, "rule change"),
    ]
    assert ScoreChange.objects.get(cause=ScoreChange.Cause.IMPORT).job_id is not None


def test_what_does_not_move_the_score_leaves_no_row() -> None:
    tag = make_tag(base_score=0, decay_steps=[[10, 50]])
    lead = make_scored_lead(tags=[tag])
    drain_due(at=NOW + 11 * DAY)
    assert changes(lead) == []


def test_the_forecast_says_what_happens_when_and_adds_up() -> None:
    group = TagGroup.objects.create(name="Money", cap=450)
    tags = [
        make_tag(name="Sheriff", base_score=400, expiration_days=30, group=group),
        make_tag(name="Taxes", base_score=100, decay_steps=[[10, 50], [120, 0]], group=group),
        make_tag(name="Empty", base_score=10),
    ]
    lead = make_scored_lead(tags=tags)
    points = forecast_score(lead=lead, at=NOW)
    assert [(point.at - NOW, point.score, point.change) for point in points] == [
        (0 * DAY, 460, 0),
        (10 * DAY, 460, 0),
        (30 * DAY, 60, -400),
    ]
    assert [[(turn.tag, turn.what, turn.points) for turn in point.turns] for point in points] == [
        [],
        [("Taxes", "fades to 50%", -50), ("Cap of Money", "gives back", 50)],
        [("Sheriff", "expires", -400)],
    ]
    for point in points:
        assert point.change == sum(turn.points for turn in point.turns)
        assert point.score == explain_score(lead=lead, now=NOW, at=point.at).total


def test_a_forecast_sees_a_start_in_the_future_and_a_lead_without_tags_stays_at_zero() -> None:
    lead = make_lead()
    assert [(point.score, point.turns) for point in forecast_score(lead=lead, at=NOW)] == [(0, [])]
    assign(lead, make_tag(base_score=5), NOW + 3 * DAY)
    start = forecast_score(lead=lead, at=NOW)[-1]
    assert (start.at, start.score, start.turns[0].what) == (NOW + 3 * DAY, 5, "starts to count")
    assert len(forecast_score(lead=lead, at=NOW, days=2)) == 1


def test_a_what_if_counts_moves_and_crossings_and_writes_nothing() -> None:
    tag, other = make_tag(base_score=100), make_tag(base_score=50)
    first, second = make_scored_lead(tags=[tag]), make_scored_lead(tags=[tag, other])
    make_scored_lead(tags=[other])
    tag.base_score = 60
    effect = what_if(proposed=[tag], at=NOW, threshold=100)
    assert (effect.leads, effect.rising, effect.falling) == (2, 0, 2)
    assert (effect.crossing_up, effect.crossing_down) == (0, 1)
    assert [(m.lead, m.before, m.after) for m in effect.fallers] == [(first, 100, 60), (second, 150, 110)]
    assert sum(b.before for b in effect.bins) == sum(b.after for b in effect.bins) == 2
    assert set(Lead.objects.values_list("score", flat=True)) == {100, 150, 50}
    publish_rule_change(save=[tag], by=None, at=NOW)
    assert what_if(proposed=[tag], at=NOW).moving == 0


def test_a_what_if_of_caps_membership_archiving_and_retroactive_days() -> None:
    group = TagGroup.objects.create(name="Money", cap=None)
    tag = make_tag(base_score=100, group=group, expiration_days=None)
    lead = make_scored_lead(tags=[tag], at=NOW - 10 * DAY)
    drain_due(at=NOW)

    def after(*rules: object, **options: object) -> int:
        effect = what_if(proposed=rules, at=NOW, **options)  # type: ignore[arg-type]
        movers = effect.risers + effect.fallers
        return movers[0].after if movers else lead.score

    lead.refresh_from_db()
    group.cap = 30
    assert after(group) == 30
    tag.group = None
    assert after(group, tag) == 100
    assert after(tag) == 100
    tag.is_archived = True
    assert after(tag) == 0
    tag.is_archived, tag.expiration_days, tag.expired_percent = False, 5, 20
    assert after(tag) == 100
    assert after(tag, retroactive_tag_ids=[tag.pk]) == 20


@pytest.mark.parametrize(("span", "width"), [(0, 1), (30, 1), (31, 2), (2900, 100), (3100, 200), (14_999, 500)])
def test_bins_have_round_widths(span: int, width: int) -> None:
    assert nice_width(span) == width


def test_partitions_are_made_ahead_and_dropped_when_past_keeping() -> None:
    at = dt.datetime(2031, 11, 30, 23, 59, tzinfo=dt.UTC)
    names = [f"scoring_scorechange_{month}" for month in ("2031_11", "2031_12", "2032_01", "2032_02")]
    assert history.make_partitions(at=at) == names
    assert history.make_partitions(at=at) == []
    ScoreChange.objects.create(lead_id=1, at=at, from_score=0, to_score=1, cause=1)
    assert history.count_strays() == 0
    assert names[0] not in history.drop_partitions(at=at + 380 * DAY, months=13)
    assert ScoreChange.objects.filter(lead_id=1).exists()
    assert names[0] in history.drop_partitions(at=at + 460 * DAY, months=13)
    assert not ScoreChange.objects.filter(lead_id=1).exists()


def test_a_stray_row_is_counted_and_its_month_not_made() -> None:
    at = dt.datetime(2040, 5, 1, tzinfo=dt.UTC)
    ScoreChange.objects.create(lead_id=1, at=at, from_score=0, to_score=1, cause=1)
    assert history.count_strays() == 1
    assert history.make_partitions(at=at)[0] == "scoring_scorechange_2040_06"
