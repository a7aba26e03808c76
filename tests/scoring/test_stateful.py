"""Any sequence of what can happen to leads and rules, held against the reference after every drain."""

import datetime as dt
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from jobs.models import Job
from jobs.operations import run_job
from leads.models import Lead
from scoring.models import ScoreChange
from scoring.operations import drain_due, start_recalculation
from scoring.queries import explain_score, verify_scores
from tags.models import LeadTag, RuleChange, Tag, TagGroup, expiration_of
from tags.operations import assign_tag, mark_due, publish_rule_change, remove_tag, start_rule_change_job
from tests.conftest import NOW
from tests.factories import import_rows, make_tag
from tests.scoring.reference import next_change_of, score_of

INSTANT = dt.timedelta(microseconds=1)
FAR = dt.timedelta(days=40_000)
ADDRESSES = ["1 OAK ST", "2 OAK ST", "3 OAK ST"]
numbers = st.integers(0, 2)
days = st.none() | st.sampled_from([1, 10, 30, 90])
steps = st.sampled_from([[], [[10, 50]], [[1, 90], [30, 33], [60, 0]], [[10, 20], [20, 80]]])
bases = st.sampled_from([-150, 0, 1, 100, 333, 1000])
percents = st.sampled_from([0, 5, 50, 100])


class Scores(RuleBasedStateMachine):
    """Three properties, three tags and a group; the clock only goes forward."""

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        self.at = NOW

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.savepoint.__exit__(None, None, None)

    @initialize(cap=st.none() | st.sampled_from([0, 200, 1500]), decays=st.tuples(steps, steps, steps))
    def begin(self, cap: int | None, decays: tuple[Any, ...]) -> None:
        self.group = TagGroup.objects.create(name="Group", cap=cap)
        self.tags = [
            make_tag(
                base_score=400, decay_steps=decay, expiration_days=(None, 30, 90)[n], group=[None, self.group][n > 0]
            )
            for n, decay in enumerate(decays)
        ]
        self.import_list(number=0, tags=[0, 1], age=0, on_duplicate="fill")
        self.import_list(number=1, tags=[1, 2], age=40, on_duplicate="fill")

    @property
    def leads(self) -> list[Lead]:
        return list(Lead.objects.order_by("pk"))

    def lead(self, number: int) -> Lead:
        return self.leads[number % len(self.leads)]

    @rule(
        number=numbers,
        tags=st.lists(numbers, max_size=3, unique=True),
        age=st.sampled_from([-5, 0, 0, 40]),
        on_duplicate=st.sampled_from(["fill", "overwrite", "skip"]),
    )
    def import_list(self, number: int, tags: list[int], age: int, on_duplicate: str) -> None:
        date = (self.at - dt.timedelta(days=age)).date()
        names = ";".join(self.tags[n].name for n in tags)
        content = f"Address,ZIP,Tags,List Date\n{ADDRESSES[number]},07030,{names},{date}\n"
        import_rows(content, at=self.at, on_duplicate=on_duplicate)

    @rule(number=numbers, tag=numbers)
    def assign(self, number: int, tag: int) -> None:
        assign_tag(lead_id=self.lead(number).pk, tag=Tag.objects.get(pk=self.tags[tag].pk), at=self.at)

    @rule(number=numbers, tag=numbers)
    def remove(self, number: int, tag: int) -> None:
        remove_tag(lead_id=self.lead(number).pk, tag=self.tags[tag], at=self.at)

    @rule(hours=st.integers(0, 24 * 40))
    def pass_time(self, hours: int) -> None:
        self.at += dt.timedelta(hours=hours)

    @rule(early=st.booleans())
    def pass_to_the_next_change(self, early: bool) -> None:
        moments = [lead.rescore_at for lead in self.leads if lead.rescore_at and lead.rescore_at > self.at]
        if moments:
            self.at = min(moments) - (INSTANT if early else dt.timedelta(0))

    @rule(
        number=numbers,
        base=bases,
        decay=steps,
        percent=percents,
        lasts=days,
        archived=st.sampled_from([False] * 3 + [True]),
    )
    def change_a_tag(
        self, number: int, base: int, decay: list[Any], percent: int, lasts: int | None, archived: bool
    ) -> None:
        tag = Tag.objects.get(pk=self.tags[number].pk)
        tag.base_score, tag.decay_steps, tag.expired_percent = base, decay, percent
        tag.expiration_days, tag.is_archived = lasts, archived
        publish_rule_change(save=[tag], by=None, at=self.at)

    @rule(cap=st.none() | st.integers(0, 900), number=numbers, joins=st.booleans())
    def change_a_group(self, cap: int | None, number: int, joins: bool) -> None:
        group, tag = TagGroup.objects.get(pk=self.group.pk), Tag.objects.get(pk=self.tags[number].pk)
        group.cap, tag.group = cap, self.group if joins else None
        publish_rule_change(save=[group, tag], by=None, at=self.at)

    @rule(number=numbers)
    def expire_anew_from_each_start(self, number: int) -> None:
        """What a retroactive change of days does to the assignments."""
        tag = Tag.objects.get(pk=self.tags[number].pk)
        touched = LeadTag.objects.filter(tag=tag)
        for lead_tag in touched:
            lead_tag.expiration_at = expiration_of(
                assigned_at=lead_tag.assigned_at, expiration_days=tag.expiration_days
            )
            # Whoever moves a clock sets its flag.
            lead_tag.is_expired = lead_tag.expiration_at is not None and lead_tag.expiration_at <= self.at
            lead_tag.save()
        mark_due(lead_ids={row.lead_id for row in touched}, at=self.at, cause=Lead.Cause.TAG_CHANGE)

    @rule()
    def apply_rule_changes(self) -> None:
        for change in RuleChange.objects.filter(applied_at=None):
            start_rule_change_job(change=change)
        for job in Job.objects.live():
            Job.objects.filter(pk=job.pk).update(as_of=self.at)  # the command reads the machine's clock
            run_job(job_id=job.pk)
        assert not RuleChange.objects.filter(applied_at=None).exists()

    @rule()
    def drain(self) -> None:
        drain_due(at=self.at)
        self.check()

    @rule()
    def recalculate_all(self) -> None:
        run_job(job_id=start_recalculation(at=self.at, by=None, announce=False).pk)
        self.check()

    def check(self) -> None:
        """Everything that must hold once nothing is due."""
        if RuleChange.objects.filter(applied_at=None).exists():
            self.apply_rule_changes()
        for lead in self.leads:
            assert lead.score == score_of(lead, self.at)
            assert lead.rescore_at == next_change_of(lead, self.at)
            explanation = explain_score(lead=lead, now=self.at)
            parts = [*explanation.lines, *explanation.cap_lines]
            assert sum(part.points for part in parts) == explanation.total == lead.score
            # Nothing happens before the moment that the lead waits for.
            quiet_until = (lead.rescore_at or self.at + FAR) - INSTANT
            assert score_of(lead, quiet_until) == lead.score
            for row in LeadTag.objects.filter(lead=lead, removed_at=None):
                is_expired = row.expiration_at is not None and row.expiration_at <= self.at
                assert row.is_expired == is_expired
                assert is_expired or row.expiration_at is None or row.expiration_at > quiet_until
        assert verify_scores(at=self.at)["differences"] == 0

    @invariant()
    def history_replays(self) -> None:
        for lead in self.leads:
            score = 0
            for change in ScoreChange.objects.filter(lead_id=lead.pk).order_by("id"):
                assert change.from_score == score != change.to_score
                score = change.to_score
            assert score == lead.score


@pytest.mark.django_db
def test_scores_explanations_and_history_hold_whatever_happens() -> None:
    run_state_machine_as_test(
        Scores,
        settings=settings(
            max_examples=40,
            stateful_step_count=20,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
