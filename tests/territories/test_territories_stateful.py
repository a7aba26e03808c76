"""Any sequence of what can happen to territories, caps, generation and returns, held against a plain model.

The model keeps its own calendar of who holds what, its own log of what each contractor was given, and what was given
back; after every step it goes over all referrals, and knows nothing of the statements that made them.
"""

import contextlib
import datetime as dt
import zoneinfo
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from jobs.models import Job
from jobs.operations import run_job
from leads.suppression import lift_suppression, suppress_leads
from tags.models import LeadTag
from territories.contractors.operations import (
    StatusRefused,
    end_contractor,
    pause_contractor,
    resume_contractor,
)
from territories.generation.operations import AssignRefused, assign_lead
from territories.generation.runs import start_generation
from territories.generation.taking import sweep_waiting
from territories.holdings.operations import (
    NotAHolder,
    PeriodRefused,
    SameHolder,
    TerritoryOver,
    TerritoryTaken,
    assign_territories,
    end_territories,
    sweep_territories,
    transfer_territory,
)
from territories.models import GenerationProfile, Referral, ReferralEvent, ReferralReturn, Territory
from territories.referrals.lifecycle import (
    MoveRefused,
    accept_referral,
    cancel_referral,
    convert_referral,
    expire_overdue,
    mark_contacted,
    release_referral,
)
from territories.referrals.receipts import deliver
from territories.referrals.returns import ReturnRefused, approve_return, refuse_return, request_return
from tests.conftest import NOW
from tests.factories import make_lead, make_tag
from tests.territories.factories import make_contractor

ZIPS = ["07030", "07102", "96813"]
# The first and the last place where a day begins, and one whose clocks change.
ZONES = ["Pacific/Kiritimati", "Pacific/Honolulu", "America/New_York"]
SCORES = [900, 700, 700, 500, 300, 100]  # of the leads of each ZIP
LIVE = {"generated", "assigned", "delivered", "converted"}
# Each state and those that may follow; "" stands before the first.
FOLLOWS = {
    "": {"generated", "assigned"},
    "generated": {"assigned", "expired", "cancelled"},
    "assigned": {"delivered", "expired", "cancelled"},
    "delivered": {"converted", "returned", "cancelled"},
    "converted": set(),
    "returned": set(),
    "expired": set(),
    "cancelled": set(),
}
numbers = st.integers(0, 2)
caps = st.sampled_from([None, None, None, 0, 2, 3, 5])
many = st.integers(0, 30)
several = st.lists(many, min_size=1, max_size=8)


def attempt(act: Callable[[], Any], *refusals: type[Exception]) -> tuple[Any, Exception | None]:
    """What came of it, and how it was refused."""
    refused: Exception | None = None
    try:
        with transaction.atomic():
            return act(), None
    except refusals as refusal:
        refused = refusal
    assert str(refused)  # in words
    return None, refused


@dataclass
class Holding:
    """A row of the model's calendar."""

    zip: str
    contractor: int
    from_at: dt.datetime
    to_at: dt.datetime | None

    def holds(self, at: dt.datetime) -> bool:
        return self.from_at <= at and (self.to_at is None or at < self.to_at)

    def meets(self, zip_code: str, from_at: dt.datetime, to_at: dt.datetime | None) -> bool:
        is_empty = self.to_at is not None and self.to_at <= self.from_at
        begins_before = to_at is None or self.from_at < to_at
        return self.zip == zip_code and not is_empty and begins_before and (self.to_at is None or from_at < self.to_at)


@dataclass
class GivenBack:
    """A lead that a contractor had, since that moment, and gave back, or that was taken from it."""

    contractor: int
    at: dt.datetime


@dataclass
class Model:
    """What must be so, by nothing but what was asked for and what was answered."""

    holdings: dict[int, Holding] = field(default_factory=dict)
    status: dict[int, str] = field(default_factory=dict)
    given_back: defaultdict[int, list[GivenBack]] = field(default_factory=lambda: defaultdict(list))
    suppressed: set[int] = field(default_factory=set)
    tags: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    # What each referral was when it was looked at last.
    known: dict[int, tuple[str, int, int | None]] = field(default_factory=dict)

    def holder(self, zip_code: str, at: dt.datetime) -> Holding | None:
        found = [one for one in self.holdings.values() if one.zip == zip_code and one.holds(at)]
        assert len(found) <= 1, found
        return found[0] if found else None


class Territories(RuleBasedStateMachine):
    """Three contractors, three ZIPs, eighteen leads, two profiles; the clock only goes forward."""

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        self.at = NOW
        self.model = Model()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.savepoint.__exit__(None, None, None)

    @initialize(
        limits=st.tuples(*[st.tuples(caps, caps, caps)] * 3),
        least=st.tuples(*[st.none() | st.just(400)] * 3),
        wishes=st.tuples(*[st.sampled_from(["", "", "wanted_tags", "unwanted_tags"])] * 3),
        per_zip=st.none() | st.integers(1, 3),
        per_contractor=st.none() | st.integers(1, 3),
        most=st.sampled_from([1, 4, 100]),
        not_referred_days=st.sampled_from([0, 2]),
    )
    def begin(
        self,
        limits: tuple[tuple[int | None, int | None, int | None], ...],
        least: tuple[int | None, ...],
        wishes: tuple[str, ...],
        per_zip: int | None,
        per_contractor: int | None,
        most: int,
        not_referred_days: int,
    ) -> None:
        self.contractors = [
            make_contractor(
                time_zone=ZONES[n],
                daily_cap=daily,
                monthly_cap=None if monthly is None else 2 * monthly,
                total_cap=None if total is None else 4 * total,
                min_score=least[n],
                return_quota_percent=50,
                return_window_days=5,
                auto_return_reasons=["sold"],
            )
            for n, (daily, monthly, total) in enumerate(limits)
        ]
        self.model.status = {contractor.pk: "active" for contractor in self.contractors}
        self.tag = make_tag(base_score=0)
        self.wishes = {contractor.pk: wish for contractor, wish in zip(self.contractors, wishes, strict=True)}
        for contractor in self.contractors:
            if self.wishes[contractor.pk]:
                getattr(contractor, self.wishes[contractor.pk]).add(self.tag)
        self.leads = [
            make_lead(zip=zip_code, score=score, scored_at=NOW, rescore_at=None, rescore_cause=None)
            for zip_code in ZIPS
            for score in SCORES
        ]
        for number in range(0, len(self.leads), 2):
            self.turn_tag(number)
        self.profiles = [
            GenerationProfile.objects.create(
                name=f"Profile {n}",
                min_score=200,
                not_referred_days=not_referred_days,
                max_referrals=most if n == 0 else 100,
                max_per_zip=per_zip if n == 0 else None,
                max_per_contractor=per_contractor if n == 0 else None,
                includes_unheld=n == 0,
                created_at=NOW,
                updated_at=NOW,
            )
            for n in range(2)
        ]
        # Two ZIPs are held, one waits for somebody; leads lie with contractors already.
        self.assign(zips=ZIPS[:1], number=0, begins=0, lasts=None)
        self.assign(zips=ZIPS[1:2], number=1, begins=0, lasts=None)
        self.run(self.profiles[0])
        self.referrals_are_as_they_must_be()
        self.deliver(several=[0, 1, 2, 3])

    @rule(number=many)
    def turn_tag(self, number: int) -> None:
        """The tag that some contractors want and some do not goes on a lead, or off it."""
        lead = self.leads[number % len(self.leads)]
        if LeadTag.objects.filter(lead=lead, removed_at=None).update(removed_at=self.at):
            self.model.tags[lead.pk].clear()
        else:
            LeadTag.objects.filter(lead=lead).delete()
            LeadTag.objects.create(lead=lead, tag=self.tag, assigned_at=self.at)
            self.model.tags[lead.pk].add(self.tag.pk)

    def suits(self, contractor: int, lead: int) -> bool:
        """Whether the contractor wants leads with, or without, the tag."""
        has_tag = bool(self.model.tags[lead])
        return {"": True, "wanted_tags": has_tag, "unwanted_tags": not has_tag}[self.wishes[contractor]]

    def referral(self, number: int, *statuses: str) -> Referral | None:
        found = list(Referral.objects.filter(status__in=statuses or list(FOLLOWS)).order_by("pk"))
        return found[number % len(found)] if found else None

    # Time ------------------------------------------------------------------------------------------------------------

    @rule(hours=st.sampled_from([1, 5, 11, 24, 60, 24 * 8, 24 * 15]))
    def pass_time(self, hours: int) -> None:
        self.at += dt.timedelta(hours=hours)

    @rule()
    def sweep(self) -> None:
        """What the minute does; afterwards nothing is overdue, over, or waiting where somebody takes leads."""
        expire_overdue(at=self.at)
        sweep_territories(at=self.at)
        sweep_waiting(at=self.at)
        for referral in Referral.objects.filter(status__in=["generated", "assigned"]):
            assert referral.expires_at is not None
            assert referral.expires_at > self.at
            holder = self.model.holder(referral.zip, self.at)
            if referral.status == "assigned":
                assert holder is not None
                assert holder.contractor == referral.contractor_id
            elif holder is not None:
                assert self.model.status[holder.contractor] == "paused"
        # A second look finds nothing left to do.
        before = self.rows()
        expire_overdue(at=self.at)
        sweep_territories(at=self.at)
        sweep_waiting(at=self.at)
        assert self.rows() == before

    # Who holds what --------------------------------------------------------------------------------------------------

    @rule(
        zips=st.lists(st.sampled_from(ZIPS), min_size=1, max_size=3, unique=True),
        number=numbers,
        begins=st.sampled_from([-48, 0, 0, 0, 24, 72]),
        lasts=st.sampled_from([None, None, None, 1, 30, 100]),
    )
    def assign(self, zips: list[str], number: int, begins: int, lasts: int | None) -> None:
        contractor = self.contractors[number]
        from_at = self.at + dt.timedelta(hours=begins)
        to_at = None if lasts is None else from_at + dt.timedelta(hours=lasts)
        is_taken = any(one.meets(zip_code, from_at, to_at) for one in self.model.holdings.values() for zip_code in zips)
        done, refusal = attempt(
            lambda: assign_territories(
                zips=zips, contractor=contractor, from_at=from_at, to_at=to_at, by=None, at=self.at
            ),
            TerritoryTaken,
            NotAHolder,
            PeriodRefused,
        )
        is_over = to_at is not None and to_at <= self.at
        assert isinstance(refusal, PeriodRefused) == is_over
        if is_over:
            return
        has_ended = self.model.status[contractor.pk] == "ended"
        assert isinstance(refusal, NotAHolder) == has_ended
        assert isinstance(refusal, TerritoryTaken) == (is_taken and not has_ended)
        if isinstance(refusal, TerritoryTaken):
            assert {one.zip for one in refusal.conflicts} <= set(zips)
        if done:
            for pk in done.territory_ids:
                row = Territory.objects.get(pk=pk)
                self.model.holdings[pk] = Holding(row.zip, contractor.pk, from_at, to_at)
            assert sorted(self.model.holdings[pk].zip for pk in done.territory_ids) == sorted(zips)

    @rule(number=many, hours=st.sampled_from([0, 0, 24]))
    def end(self, number: int, hours: int) -> None:
        if not self.model.holdings:
            return
        pk = sorted(self.model.holdings)[number % len(self.model.holdings)]
        holding, to_at = self.model.holdings[pk], self.at + dt.timedelta(hours=hours)
        is_over = holding.to_at is not None and (holding.to_at <= self.at or holding.to_at == holding.from_at)
        others = [one for key, one in self.model.holdings.items() if key != pk]
        try:
            end_territories(ids=[pk], to_at=to_at, by=None, at=self.at)
        except TerritoryOver:
            assert is_over
        except TerritoryTaken:
            assert any(one.meets(holding.zip, holding.from_at, to_at) for one in others)
        else:
            assert not is_over
            holding.to_at = max(holding.from_at, to_at)

    @rule(number=many, to=numbers, hours=st.sampled_from([0, 0, 24]))
    def transfer(self, number: int, to: int, hours: int) -> None:
        if not self.model.holdings:
            return
        pk = sorted(self.model.holdings)[number % len(self.model.holdings)]
        holding, contractor = self.model.holdings[pk], self.contractors[to]
        wanted = self.at + dt.timedelta(hours=hours)
        is_over = holding.to_at is not None and (holding.to_at <= self.at or holding.to_at == holding.from_at)
        try:
            done = transfer_territory(
                territory=Territory.objects.get(pk=pk), contractor=contractor, from_at=wanted, by=None, at=self.at
            )
        except TerritoryOver:
            assert is_over
        except SameHolder:
            assert holding.contractor == contractor.pk
        except NotAHolder:
            assert self.model.status[contractor.pk] == "ended"
        except PeriodRefused:
            assert holding.to_at is not None
            assert max(wanted, holding.from_at) >= holding.to_at
        else:
            assert not is_over
            from_at = max(wanted, holding.from_at)
            self.model.holdings[done.territory_id] = Holding(holding.zip, contractor.pk, from_at, holding.to_at)
            holding.to_at = from_at

    @rule(number=st.integers(0, 2), to=numbers, hours=st.sampled_from([0, 1]), are_returned=st.booleans())
    def hand_on_after_returns(self, number: int, to: int, hours: int, are_returned: bool) -> None:
        """Leads come back, then the ZIP goes to another one: what random steps seldom find in this order."""
        if are_returned:
            self.give_back_some(several=[0, 1, 2], reason="sold", anyway=True)
        else:
            for referral in Referral.objects.filter(status="delivered").order_by("pk")[:3]:
                cancel_referral(referral=referral, at=self.at, by=None, note="wrong")
        self.referrals_are_as_they_must_be()
        self.at += dt.timedelta(hours=hours)
        self.transfer(number=number, to=to, hours=0)
        self.referrals_are_as_they_must_be()
        self.run(self.profiles[1])

    @rule(number=numbers, what=st.sampled_from(["pause", "pause", "resume", "resume", "resume", "end"]))
    def stop_or_go(self, number: int, what: str) -> None:
        contractor = self.contractors[number]
        before = self.model.status[contractor.pk]
        had = set(Referral.objects.filter(contractor=contractor, status="assigned").values_list("lead_id", flat=True))
        act = {"pause": pause_contractor, "resume": resume_contractor, "end": end_contractor}[what]
        try:
            act(contractor=contractor, by=None, at=self.at)
        except StatusRefused:
            assert (what, before) not in {
                ("pause", "active"),
                ("resume", "paused"),
                ("end", "active"),
                ("end", "paused"),
            }
            return
        if what == "resume":
            self.model.status[contractor.pk] = "active"
            return
        self.model.status[contractor.pk] = "paused" if what == "pause" else "ended"
        assert not Referral.objects.filter(contractor=contractor, status="assigned").exists()
        # What it had not got is offered again: nothing is lost.
        offered = set(Referral.objects.live().values_list("lead_id", flat=True))
        assert had <= offered
        if what == "end":
            for holding in self.model.holdings.values():
                if holding.contractor == contractor.pk and (holding.to_at is None or holding.to_at > self.at):
                    holding.to_at = max(holding.from_at, self.at)

    # Leads to contractors --------------------------------------------------------------------------------------------

    @rule(number=st.integers(0, 1))
    def generate(self, number: int) -> None:
        profile = self.profiles[number]
        made = self.run(profile)
        assert made <= profile.max_referrals
        if profile.max_referrals == 100 and profile.max_per_zip is None and profile.max_per_contractor is None:
            assert self.run(profile) == 0  # whoever runs it again makes nothing new

    def run(self, profile: GenerationProfile) -> int:
        before = Referral.objects.count()
        owed = ReferralReturn.objects.filter(is_replacement_owed=True).count()
        job = run_job(job_id=start_generation(profile=profile, at=self.at, by=None, announce=False).pk)
        assert job is not None
        assert job.status == Job.Status.SUCCEEDED, job.error
        paid = owed - ReferralReturn.objects.filter(is_replacement_owed=True).count()
        made = Referral.objects.filter(job=job)
        assert Referral.objects.count() == before + made.count() + paid
        for what, most in (("zip", profile.max_per_zip), ("contractor_id", profile.max_per_contractor)):
            counts = Counter(found for found in made.values_list(what, flat=True) if found is not None)
            assert most is None or all(count <= most for count in counts.values())
        assert profile.includes_unheld or not made.filter(status="generated").exists()
        return made.count()

    @rule(number=many)
    def assign_by_hand(self, number: int) -> None:
        lead = self.leads[number % len(self.leads)]
        holder = self.model.holder(lead.zip, self.at)
        referral, refusal = attempt(lambda: assign_lead(lead_id=lead.pk, at=self.at, by=None), AssignRefused)
        if referral:
            assert holder is not None
            assert referral.contractor_id == holder.contractor
        elif (
            lead.pk not in self.model.suppressed
            and not self.model.given_back[lead.pk]
            and (holder is None or self.suits(holder.contractor, lead.pk))
        ):
            is_live = Referral.objects.live().filter(lead=lead).exists()
            takes = holder is not None and self.model.status[holder.contractor] == "active"
            is_limited = holder is not None and any(
                one.pk == holder.contractor and {one.min_score, one.daily_cap, one.monthly_cap, one.total_cap} != {None}
                for one in self.contractors
            )
            assert is_live or not takes or is_limited, refusal

    @rule(several=several)
    def deliver(self, several: list[int]) -> None:
        for number in several:
            referral = self.referral(number, "assigned") or self.referral(number)
            if referral is not None:
                moved = deliver(ids=[referral.pk], at=self.at)
                assert (moved == [referral.pk]) == (referral.status == "assigned")

    @rule(several=several, what=st.sampled_from(["accept", "contact", "convert", "cancel", "cancel", "release"]))
    def move_some(self, several: list[int], what: str) -> None:
        for number in several:
            self.move(number, what)

    def move(self, number: int, what: str) -> None:
        # Two of three are such that it may be done, if there is one.
        fitting = {
            "accept": ["delivered"],
            "contact": ["delivered"],
            "convert": ["delivered"],
            "release": ["converted"],
        }
        referral = (self.referral(number, *fitting.get(what, [])) if number % 3 else None) or self.referral(number)
        if referral is None:
            return
        status, had = referral.status, (referral.accepted_at, referral.contacted_at, referral.released_at)
        may = {
            "accept": status == "delivered" and had[0] is None,
            "contact": status == "delivered" and had[0] is not None and had[1] is None,
            "convert": status == "delivered",
            "cancel": status in {"generated", "assigned", "delivered"},
            "release": status == "converted" and had[2] is None,
        }[what]
        acts = {
            "accept": lambda: accept_referral(referral=referral, at=self.at),
            "contact": lambda: mark_contacted(referral=referral, at=self.at),
            "convert": lambda: convert_referral(referral=referral, at=self.at),
            "cancel": lambda: cancel_referral(referral=referral, at=self.at, by=None, note="wrong"),
            "release": lambda: release_referral(referral=referral, at=self.at, by=None, note="free again"),
        }
        _, refusal = attempt(acts[what], MoveRefused)
        assert (refusal is None) == may, (what, status, refusal)

    @rule(several=several, reason=st.sampled_from(["sold", "sold", "other"]), anyway=st.booleans())
    def give_back_some(self, several: list[int], reason: str, anyway: bool) -> None:
        for number in several:
            self.give_back(number, reason, anyway)

    def give_back(self, number: int, reason: str, anyway: bool) -> None:
        referral = self.referral(number, "delivered") or self.referral(number, "assigned")
        if referral is None:
            return
        is_late = referral.delivered_at is not None and self.at > referral.delivered_at + dt.timedelta(days=5)
        _, refusal = attempt(
            lambda: request_return(referral=referral, reason=reason, at=self.at, by=None, anyway=anyway),
            MoveRefused,
            ReturnRefused,
        )
        assert isinstance(refusal, MoveRefused) == (referral.status == "assigned")
        if isinstance(refusal, ReturnRefused):
            assert refusal.code in {"window_closed", "quota_reached", "already_returned"}
            assert refusal.code == "already_returned" or not anyway
            assert refusal.code != "window_closed" or is_late
        if refusal is None:
            assert anyway or not is_late

    @rule(number=many, approves=st.booleans())
    def decide(self, number: int, approves: bool) -> None:
        pending = list(ReferralReturn.objects.filter(status="pending").order_by("pk"))
        if not pending:
            return
        wish = pending[number % len(pending)]
        with contextlib.suppress(MoveRefused):
            if approves:
                approve_return(wish=wish, at=self.at, by=None)
            else:
                refuse_return(wish=wish, at=self.at, by=None, note="it is theirs")

    @rule(number=many, lifts=st.booleans())
    def suppress(self, number: int, lifts: bool) -> None:
        lead = self.leads[number % len(self.leads)]
        if lifts:
            lift_suppression(lead_ids=[lead.pk], reason="", by=None, at=self.at)
            self.model.suppressed.discard(lead.pk)
        else:
            suppress_leads(lead_ids=[lead.pk], reason="asked", by=None, at=self.at)
            self.model.suppressed.add(lead.pk)
            assert not Referral.objects.filter(lead=lead, status__in=["generated", "assigned"]).exists()

    # What must hold after every step ---------------------------------------------------------------------------------

    def rows(self) -> list[tuple[Any, ...]]:
        return list(Referral.objects.order_by("pk").values_list("pk", "status", "contractor", "ended_at"))

    @invariant()
    def a_zip_has_one_holder_and_the_calendar_is_the_models(self) -> None:
        if not hasattr(self, "leads"):
            return
        rows = {row.pk: (row.zip, row.contractor_id, row.from_at, row.to_at) for row in Territory.objects.all()}
        assert rows == {
            pk: (one.zip, one.contractor, one.from_at, one.to_at) for pk, one in self.model.holdings.items()
        }
        holdings = list(self.model.holdings.values())
        for place, one in enumerate(holdings):
            for other in holdings[place + 1 :]:
                is_empty = one.to_at is not None and one.to_at <= one.from_at
                assert is_empty or not other.meets(one.zip, one.from_at, one.to_at), (one, other)

    @invariant()
    def referrals_are_as_they_must_be(self) -> None:
        if not hasattr(self, "leads"):
            return
        referrals = list(Referral.objects.select_related("territory").order_by("pk"))
        self.check_that_nothing_is_lost(referrals)
        self.check_events(referrals)
        live = Counter(one.lead_id for one in referrals if one.status in LIVE and one.released_at is None)
        assert all(count == 1 for count in live.values()), live
        for referral in referrals:
            if referral.status in {"generated", "assigned"}:
                assert referral.lead_id not in self.model.suppressed
        self.check_what_was_assigned_now(referrals)
        self.check_caps(referrals)
        self.note(referrals)
        self.check_replacements()

    def check_that_nothing_is_lost(self, referrals: list[Referral]) -> None:
        now = {one.pk: one for one in referrals}
        assert set(self.model.known) <= set(now)
        for pk, (status, lead, contractor) in self.model.known.items():
            assert now[pk].lead_id == lead
            assert contractor is None or now[pk].contractor_id == contractor  # nobody else gets the same referral
            assert FOLLOWS[status] or now[pk].status == status  # what has ended stays so

    def check_events(self, referrals: list[Referral]) -> None:
        """Every status has its event, in an order that is allowed; played again they end where the referral is."""
        events = defaultdict(list)
        for event in ReferralEvent.objects.order_by("pk"):
            events[event.referral_id].append(event)
        for referral in referrals:
            status, last_at = "", NOW - dt.timedelta(days=1)
            seen = {}
            for event in events[referral.pk]:
                assert event.at >= last_at
                last_at = event.at
                seen[event.what] = event.at
                if event.what in FOLLOWS:
                    assert event.from_status == status
                    assert event.what in FOLLOWS[status], (status, event.what)
                    status = event.what
            assert status == referral.status, referral.pk
            assert referral.generated_at == events[referral.pk][0].at
            for what in ("assigned", "delivered", "accepted", "contacted", "converted", "released"):
                assert getattr(referral, f"{what}_at") == seen.get(what), (referral.pk, what)
            ends = [seen[what] for what in ("returned", "expired", "cancelled") if what in seen]
            assert [referral.ended_at] == (ends or [None])
            assert (referral.receipt is not None) == ("delivered" in seen)

    def check_what_was_assigned_now(self, referrals: list[Referral]) -> None:
        """What a contractor got in this step it may have: it holds the ZIP, is active, and nobody gave it back."""
        for referral in referrals:
            known = self.model.known.get(referral.pk)
            if referral.assigned_at is None or (known is not None and known[2] is not None):
                continue
            assert referral.assigned_at == self.at
            holder = self.model.holder(referral.zip, self.at)
            # Ended or transferred in the step that took it up: then it has been taken back again.
            if referral.status == "assigned":
                assert holder is not None
                assert holder.contractor == referral.contractor_id
                assert self.model.holdings[referral.territory_id] is holder
                assert self.model.status[holder.contractor] == "active"
            territory = self.model.holdings[referral.territory_id]
            assert territory.contractor == referral.contractor_id
            assert territory.zip == referral.zip
            contractor = next(one for one in self.contractors if one.pk == referral.contractor_id)
            assert contractor.min_score is None or referral.score >= contractor.min_score
            assert self.suits(contractor.pk, referral.lead_id)
            for former in self.model.given_back[referral.lead_id]:
                assert referral.contractor_id != former.contractor, "back to whom it came from"
                assert territory.from_at > former.at, "to a holder who held the ZIP when its giver got it"

    def check_caps(self, referrals: list[Referral]) -> None:
        for contractor in self.contractors:
            zone = zoneinfo.ZoneInfo(contractor.time_zone)
            days = [
                one.assigned_at.astimezone(zone).date()
                for one in referrals
                if one.contractor_id == contractor.pk
                and one.assigned_at is not None
                and one.status not in {"returned", "cancelled"}
            ]
            by_day, by_month = Counter(days), Counter((day.year, day.month) for day in days)
            assert contractor.daily_cap is None or all(count <= contractor.daily_cap for count in by_day.values())
            assert contractor.monthly_cap is None or all(count <= contractor.monthly_cap for count in by_month.values())
            assert contractor.total_cap is None or len(days) <= contractor.total_cap

    def note(self, referrals: list[Referral]) -> None:
        """Remember what was given back in this step, and what each referral is."""
        for referral in referrals:
            was = self.model.known.get(referral.pk)
            has_ended = was is not None and not FOLLOWS[referral.status] and was[0] != referral.status
            # Taken away after its delivery is as if it were given back; what was never read is not.
            if has_ended and referral.ended_at is not None and referral.delivered_at is not None:
                assert referral.ended_at == self.at
                given = GivenBack(referral.contractor_id, referral.assigned_at)
                self.model.given_back[referral.lead_id].append(given)
            self.model.known[referral.pk] = (referral.status, referral.lead_id, referral.contractor_id)

    def check_replacements(self) -> None:
        for wish in ReferralReturn.objects.select_related("referral", "replacement"):
            if wish.status != "approved":
                assert not wish.is_replacement_owed
                assert wish.replacement is None
                continue
            assert wish.referral.status == "returned"
            is_owed = wish.replacement is None and self.model.status[wish.referral.contractor_id] != "ended"
            assert wish.is_replacement_owed == is_owed
            if wish.replacement is not None:
                assert wish.replacement.contractor_id == wish.referral.contractor_id
                assert wish.replacement.lead_id != wish.referral.lead_id


@pytest.mark.slow
@pytest.mark.django_db
def test_exclusivity_caps_and_returns_hold_whatever_happens() -> None:
    run_state_machine_as_test(
        Territories,
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
