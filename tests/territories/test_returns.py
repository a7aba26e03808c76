"""Returning a lead: window, quota, the contractor's own rules, a person's decision, and two at once."""

import datetime as dt
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction

from territories.generation import operations
from territories.models import Referral, ReferralReturn
from territories.referrals.lifecycle import MoveRefused, cancel_referral, convert_referral
from territories.referrals.returns import (
    QuotaStanding,
    ReturnRefused,
    approve_return,
    quota_standing,
    refuse_return,
    request_return,
)
from tests.territories.factories import WAYS, make_contractor, make_referral, make_return
from tests.territories.test_referral_lifecycle import together

pytestmark = pytest.mark.django_db
MANY = pytest.mark.django_db(transaction=True, available_apps=settings.INSTALLED_APPS)
DAY = dt.timedelta(days=1)


@pytest.fixture(autouse=True)
def replaced(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What replacing is asked for; that it finds the best other lead is tested where it lives."""
    asked: list[dict[str, Any]] = []

    def note(**given: Any) -> None:
        assert transaction.get_connection().in_atomic_block
        asked.append(given)

    monkeypatch.setattr(operations, "replace_return", note)
    return asked


def give_back(referral: Referral, at: dt.datetime, **given: Any) -> ReferralReturn:
    return request_return(referral=referral, at=at, **({"reason": "not_owner", "by": None} | given))


def delivered_to(contractor: Any, count: int, at: dt.datetime) -> list[Referral]:
    return [make_referral(contractor=contractor, at=at) for _ in range(count)]


def test_a_return_waits_for_a_person_and_changes_nothing_meanwhile(now, manager, replaced) -> None:
    referral = make_referral()
    wish = give_back(referral, now + DAY, note="Sold in May", by=manager)
    assert (wish.status, wish.reason, wish.note, wish.requested_by) == ("pending", "not_owner", "Sold in May", manager)
    assert (wish.requested_at, wish.decided_at, wish.is_automatic) == (now + DAY, None, False)
    assert Referral.objects.get(pk=referral.pk).status == "delivered"
    assert replaced == []


def test_who_asked_not_to_be_contacted_is_offered_to_nobody_any_more(now, replaced) -> None:
    contractor = make_contractor(auto_return_reasons=["do_not_contact"])
    referral = make_referral(contractor=contractor)
    give_back(referral, now, reason="do_not_contact")
    assert referral.lead is not None
    referral.lead.refresh_from_db()
    assert referral.lead.suppressed_at == now
    assert "asked not to be contacted" in referral.lead.suppressed_reason
    waits = make_referral(contractor=make_contractor())
    assert give_back(waits, now, reason="do_not_contact").status == "pending"
    assert waits.lead is not None
    waits.lead.refresh_from_db()
    assert waits.lead.suppressed_at is None  # until somebody approves it


def test_returns_that_wait_to_be_decided_use_the_quota(now, replaced) -> None:
    contractor = make_contractor(return_quota_percent=20)
    first, second, third, *_ = delivered_to(contractor, 10, now)
    give_back(first, now)
    wish = give_back(second, now)
    with pytest.raises(ReturnRefused, match="0 of 2 returns used in 30 days, 2 to be decided"):
        give_back(third, now)
    refuse_return(wish=wish, at=now, by=None, note="It is theirs")
    assert give_back(third, now).status == "pending"


def test_nothing_is_owed_to_a_contractor_that_has_ended(now, replaced) -> None:
    ended = make_contractor(status="ended")
    wish = give_back(make_referral(contractor=ended), now)
    approve_return(wish=wish, at=now, by=None)
    assert (wish.is_replacement_owed, replaced) == (False, [])


def test_a_reason_of_the_contractors_own_rules_is_approved_at_once(now, replaced) -> None:
    contractor = make_contractor(auto_return_reasons=["unreachable"])
    referral = make_referral(contractor=contractor)
    wish = give_back(referral, now + DAY, reason="unreachable", note="Line is dead")
    assert (wish.status, wish.is_automatic, wish.decided_at, wish.decided_by) == ("approved", True, now + DAY, None)
    referral.refresh_from_db()
    event = referral.events.latest("pk")
    assert (referral.status, referral.ended_at) == ("returned", now + DAY)
    assert (event.what, event.note) == ("returned", "Contact data are wrong: Line is dead")
    assert replaced == [{"return_id": wish.pk, "at": now + DAY}]


def test_a_person_approves_and_a_replacement_is_owed(now, manager, replaced) -> None:
    referral = make_referral()
    wish = approve_return(wish=give_back(referral, now + DAY), at=now + 2 * DAY, by=manager, note="Sorry")
    assert (wish.status, wish.decided_by, wish.decision_note) == ("approved", manager, "Sorry")
    assert wish.is_replacement_owed
    assert Referral.objects.get(pk=referral.pk).status == "returned"
    assert replaced == [{"return_id": wish.pk, "at": now + 2 * DAY}]
    make_referral(status="generated", lead=referral.lead)  # the lead is free


def test_a_person_refuses_and_the_lead_stays(now, manager, replaced) -> None:
    referral = make_referral()
    wish = refuse_return(wish=give_back(referral, now + DAY), at=now + 2 * DAY, by=manager, note="The deed names them")
    assert (wish.status, wish.decided_by, wish.decision_note) == ("refused", manager, "The deed names them")
    assert Referral.objects.get(pk=referral.pk).status == "delivered"
    assert replaced == []
    # A better reason may be brought afterwards.
    assert give_back(referral, now + 3 * DAY, reason="sold").status == "pending"


@pytest.mark.parametrize("status", [status for status in WAYS if status != "delivered"])
def test_only_a_delivered_lead_can_be_returned(status, now) -> None:
    with pytest.raises(MoveRefused, match=f"The referral is {status}; only one that is delivered can become returned"):
        give_back(make_referral(status=status), now)
    assert ReferralReturn.objects.count() == 0


def test_the_window_counts_from_delivery_to_its_last_moment(now, manager) -> None:
    contractor = make_contractor(return_window_days=14)
    late, last = (make_referral(contractor=contractor) for _ in range(2))
    assert give_back(last, now + 14 * DAY).status == "pending"
    with pytest.raises(
        ReturnRefused, match="14 days after delivery, which was until 2026-06-29 at 12:00 UTC"
    ) as refusal:
        give_back(late, now + 14 * DAY + dt.timedelta(seconds=1))
    assert refusal.value.code == "window_closed"
    wish = give_back(late, now + 15 * DAY, by=manager, anyway=True)
    assert (wish.status, wish.is_automatic, wish.decided_by) == ("approved", False, manager)


def test_one_return_is_allowed_at_least_and_then_the_share_of_deliveries(now) -> None:
    contractor = make_contractor(return_quota_percent=20, auto_return_reasons=["sold"])
    first, second, *rest = delivered_to(contractor, 9, now)
    assert give_back(first, now + DAY, reason="sold").status == "approved"
    # 20% of 9 are 1.8: one, and no second.
    with pytest.raises(ReturnRefused, match=r"1 of 1 returns used in 30 days \(20% of 9 delivered\)") as refusal:
        give_back(second, now + DAY, reason="sold")
    assert refusal.value.code == "quota_reached"
    delivered_to(contractor, 1, now)
    assert give_back(second, now + DAY, reason="sold").status == "approved"
    with pytest.raises(ReturnRefused):
        give_back(rest[0], now + DAY, reason="not_owner")


def test_a_quota_of_0_percent_allows_no_return_but_by_a_person(now, manager) -> None:
    contractor = make_contractor(return_quota_percent=0, auto_return_reasons=["sold"])
    referral = delivered_to(contractor, 9, now)[0]
    with pytest.raises(ReturnRefused, match="quota is 0%") as refusal:
        give_back(referral, now + DAY, reason="sold")
    assert refusal.value.code == "quota_reached"
    assert give_back(referral, now + DAY, by=manager, anyway=True).status == "approved"


def test_the_quota_looks_back_thirty_days(now) -> None:
    contractor = make_contractor(return_quota_percent=1, return_window_days=365, auto_return_reasons=["sold"])
    first, second = delivered_to(contractor, 2, now)
    give_back(first, now, reason="sold")
    with pytest.raises(ReturnRefused):
        give_back(second, now + 30 * DAY - dt.timedelta(seconds=1), reason="sold")
    assert give_back(second, now + 30 * DAY, reason="sold").status == "approved"


def test_the_quotas_thirty_days_begin_after_their_first_moment_and_end_now(now) -> None:
    contractor = make_contractor(return_quota_percent=50)
    delivered_to(contractor, 2, now - 30 * DAY)
    make_referral(contractor=contractor, status="returned", at=now + DAY)  # by a clock that goes ahead
    assert quota_standing(contractor=contractor, at=now) == QuotaStanding(delivered=0, returned=0, percent=50)
    assert quota_standing(contractor=contractor, at=now - dt.timedelta(seconds=1)).delivered == 2


def test_the_standing_counts_what_is_the_contractors_own(now) -> None:
    contractor = make_contractor(return_quota_percent=50)
    delivered_to(contractor, 3, now)
    make_referral(contractor=contractor, status="returned", at=now)
    make_referral(contractor=contractor, status="assigned")
    make_referral(contractor=contractor, at=now - 31 * DAY)
    make_referral(status="returned")
    standing = quota_standing(contractor=contractor, at=now)
    assert standing == QuotaStanding(delivered=4, returned=1, percent=50)
    assert (standing.allowed, standing.is_reached) == (2, False)


def test_a_referral_has_one_open_or_approved_return(now) -> None:
    referral = make_referral()
    give_back(referral, now)
    with pytest.raises(ReturnRefused, match="is pending already") as refusal:
        give_back(referral, now)
    assert refusal.value.code == "already_returned"
    assert referral.returns.count() == 1


def test_a_return_is_decided_once(now) -> None:
    wish = give_back(make_referral(), now)
    stale = ReferralReturn.objects.get(pk=wish.pk)
    refuse_return(wish=wish, at=now, by=None, note="No")
    with pytest.raises(ReturnRefused, match="refused already"):
        approve_return(wish=stale, at=now, by=None)
    assert Referral.objects.get(pk=wish.referral_id).status == "delivered"


def test_what_the_referral_answers_itself_needs_no_decision(now) -> None:
    for move in (convert_referral, lambda **given: cancel_referral(by=None, note="Ours", **given)):
        referral = make_referral()
        wish = give_back(referral, now)
        move(referral=referral, at=now)
        wish.refresh_from_db()
        assert wish.status == "refused"
        with pytest.raises(ReturnRefused):
            approve_return(wish=wish, at=now, by=None)


def test_an_unknown_reason_is_refused_with_those_there_are(now) -> None:
    with pytest.raises(ReturnRefused, match="choose one of unreachable, not_owner"):
        give_back(make_referral(), now, reason="bored")


def test_an_invented_referral_of_a_sandbox_is_returned_and_nothing_is_owed(now, replaced) -> None:
    sandbox = make_contractor(sandbox_of=make_contractor(), auto_return_reasons=["sold"])
    referral = make_referral(contractor=sandbox, is_sandbox=True)
    wish = give_back(referral, now, reason="sold")
    assert (wish.status, wish.is_replacement_owed, replaced) == ("approved", False, [])


# Two at once ----------------------------------------------------------------------------------------------------------


@MANY
def test_returns_that_come_at_once_do_not_pass_the_quota_together(now, replaced) -> None:
    contractor = make_contractor(return_quota_percent=20, auto_return_reasons=["sold"])
    pks = [one.pk for one in delivered_to(contractor, 10, now)]

    def ask(pk: int) -> Any:
        return lambda: give_back(Referral.objects.get(pk=pk), now + DAY, reason="sold")

    found = together(*(ask(pk) for pk in pks[:6]))
    assert sum(isinstance(one, ReferralReturn) for one in found) == 2, found
    assert sum(isinstance(one, ReturnRefused) for one in found) == 4, found
    assert Referral.objects.filter(status="returned").count() == len(replaced) == 2


@MANY
def test_of_two_who_decide_a_return_and_one_who_converts_it_one_wins(now) -> None:
    pk = make_return().pk

    def wish() -> ReferralReturn:
        return ReferralReturn.objects.get(pk=pk)

    found = together(
        lambda: approve_return(wish=wish(), at=now, by=None),
        lambda: refuse_return(wish=wish(), at=now, by=None, note="No"),
        lambda: convert_referral(referral=wish().referral, at=now),
    )
    decided = wish()
    referral = decided.referral
    assert not any(isinstance(one, Exception) and not isinstance(one, MoveRefused | ReturnRefused) for one in found)
    assert (decided.status, referral.status) in {
        ("approved", "returned"),
        ("refused", "delivered"),
        ("refused", "converted"),
    }
    assert referral.events.filter(what__in=["returned", "converted"]).count() <= 1


@MANY
def test_of_two_who_ask_for_the_same_return_one_is_told_it_is_under_way(now) -> None:
    pk = make_referral().pk
    found = together(*[lambda: give_back(Referral.objects.get(pk=pk), now)] * 3)
    assert sum(isinstance(one, ReturnRefused) for one in found) == 2, found
    assert ReferralReturn.objects.count() == 1
