"""Any order of changes of days, with and without retroactive effect, against a plain reading of the rules."""

import datetime as dt
from dataclasses import dataclass

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from jobs.models import Job
from jobs.operations import run_job
from leads.models import Lead
from scoring.operations import drain_due
from scoring.queries import verify_scores
from tags.expirations import ExpirationChange, publish_expirations
from tags.models import LeadTag, RuleChange, Tag
from tags.operations import NothingToPublish, StillApplying, assign_tag, remove_tag, start_rule_change_job
from tests.conftest import NOW
from tests.factories import make_lead, make_tag
from tests.scoring.reference import next_change_of, score_of

DAY = dt.timedelta(hours=24)
numbers = st.integers(0, 2)
days = st.none() | st.sampled_from([1, 5, 10, 30, 60])


@dataclass
class Clock:
    """An assignment as a person with paper and pencil keeps it."""

    start: dt.datetime
    lasts: int | None
    is_removed: bool = False

    def has_ended(self, at: dt.datetime) -> bool:
        return self.lasts is not None and self.start + self.lasts * DAY <= at


class Expirations(RuleBasedStateMachine):
    """Three leads and three tags; changes are published, and applied later in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        self.at = NOW
        self.clocks: dict[tuple[int, int], Clock] = {}
        self.pending: dict[int, set[int]] = {}  # by change, the tags whose assignments wait for it

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.savepoint.__exit__(None, None, None)

    @initialize(lasts=st.tuples(days, days, days))
    def begin(self, lasts: tuple[int | None, ...]) -> None:
        self.leads = [make_lead() for _ in range(3)]
        self.tags = [
            make_tag(base_score=100 * 10**n, expiration_days=lasts[n], reassertion=["keep", "keep", "restart"][n])
            for n in range(3)
        ]
        self.days = list(lasts)
        for number in range(3):
            self.assign(number, number)
            self.assign(number, (number + 1) % 3)

    @rule(lead=numbers, tag=numbers)
    def assign(self, lead: int, tag: int) -> None:
        # The tag as it was read before other days were published: they count all the same.
        assign_tag(lead_id=self.leads[lead].pk, tag=self.tags[tag], at=self.at)
        clock = self.clocks.get((lead, tag))
        if clock is None or clock.is_removed or clock.has_ended(self.at) or tag == 2:
            self.clocks[lead, tag] = Clock(self.at, self.days[tag])

    @rule(lead=numbers, tag=numbers)
    def remove(self, lead: int, tag: int) -> None:
        remove_tag(lead_id=self.leads[lead].pk, tag=self.tags[tag], at=self.at)
        if clock := self.clocks.get((lead, tag)):
            clock.is_removed = True

    @rule(lead=numbers, tag=numbers)
    def undo_a_removal(self, lead: int, tag: int) -> None:
        clock = self.clocks.get((lead, tag))
        if clock and clock.is_removed:
            LeadTag.objects.filter(lead=self.leads[lead], tag=self.tags[tag]).update(removed_at=None)
            Lead.objects.filter(pk=self.leads[lead].pk).update(rescore_at=self.at)
            clock.is_removed = False

    @rule(hours=st.integers(1, 24 * 20))
    def pass_time(self, hours: int) -> None:
        self.at += dt.timedelta(hours=hours)

    @rule(wanted=st.dictionaries(numbers, st.tuples(days, st.booleans()), min_size=1))
    def publish(self, wanted: dict[int, tuple[int | None, bool]]) -> None:
        changes = [ExpirationChange(self.tags[n].pk, lasts, retro) for n, (lasts, retro) in wanted.items()]
        waiting = set().union(*self.pending.values()) if self.pending else set()
        must_wait = any(
            n in waiting and lasts != self.days[n] and not is_retroactive
            for n, (lasts, is_retroactive) in wanted.items()
        )
        try:
            change = publish_expirations(changes=changes, by=None, at=self.at)
        except StillApplying:
            assert must_wait
            return
        except NothingToPublish:
            assert all(
                lasts == self.days[n] and not (is_retroactive and any(c.lasts != lasts for c in self.kept_clocks(n)))
                for n, (lasts, is_retroactive) in wanted.items()
            )
            return
        assert not must_wait
        for n, (lasts, _) in wanted.items():
            self.days[n] = lasts
        retroactive = {n for n in wanted if self.tags[n].pk in change.retroactive_tag_ids}
        self.pending[change.pk] = retroactive

    def kept_clocks(self, tag: int) -> list[Clock]:
        return [clock for (_, n), clock in self.clocks.items() if n == tag and not clock.is_removed]

    @rule(pick=st.integers(0, 5))
    def apply_one(self, pick: int) -> None:
        """Jobs may overtake each other; each does what today's days say."""
        if not self.pending:
            return
        pk = sorted(self.pending)[pick % len(self.pending)]
        change = RuleChange.objects.get(pk=pk)
        start_rule_change_job(change=change)
        job = Job.objects.latest("pk")
        Job.objects.filter(pk=job.pk).update(as_of=self.at)
        ended = run_job(job_id=job.pk)
        assert ended is not None
        assert ended.status == "succeeded", ended.error
        change.refresh_from_db()
        moved = []
        for n in self.pending.pop(pk):
            for (_, tag), clock in self.clocks.items():
                if tag == n and clock.lasts != self.days[n]:
                    if not clock.is_removed:
                        before, after = clock.has_ended(self.at), Clock(clock.start, self.days[n]).has_ended(self.at)
                        moved.append((before, after))
                    clock.lasts = self.days[n]
        if change.retroactive_tag_ids:
            counted = (change.affected, change.expired, change.revived)
            assert counted == (len(moved), moved.count((False, True)), moved.count((True, False)))

    @rule()
    def apply_all_and_check(self) -> None:
        while self.pending:
            self.apply_one(0)
        drain_due(at=self.at)
        rows = {(row.lead_id, row.tag_id): row for row in LeadTag.objects.all()}
        assert len(rows) == len(self.clocks)
        for (lead, tag), clock in self.clocks.items():
            row = rows[self.leads[lead].pk, self.tags[tag].pk]
            assert row.assigned_at == clock.start
            assert row.expiration_at == (None if clock.lasts is None else clock.start + clock.lasts * DAY)
            assert (row.removed_at is not None) == clock.is_removed
            assert clock.is_removed or row.is_expired == clock.has_ended(self.at)
        for number, lead in enumerate(self.leads):
            lead.refresh_from_db()
            live = {n for (of, n), c in self.clocks.items() if of == number and not c.is_removed}
            live = {n for n in live if not self.clocks[number, n].has_ended(self.at)}
            assert lead.score == sum(100 * 10**n for n in live) == score_of(lead, self.at)
            assert lead.rescore_at == next_change_of(lead, self.at)
        assert verify_scores(at=self.at)["differences"] == 0
        assert [Tag.objects.get(pk=tag.pk).expiration_days for tag in self.tags] == self.days


@pytest.mark.django_db
def test_any_order_of_changes_ends_as_a_plain_reading_says() -> None:
    run_state_machine_as_test(
        Expirations,
        settings=settings(
            max_examples=40,
            stateful_step_count=20,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
