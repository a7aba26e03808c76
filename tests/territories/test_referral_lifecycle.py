"""The moves of a referral: which are allowed, what each writes, when time is up, and two people at once."""

import datetime as dt
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from leads.suppression import suppress_leads
from territories.models import Referral
from territories.referrals import lifecycle
from territories.referrals.lifecycle import (
    Expired,
    MoveRefused,
    accept_referral,
    cancel_referral,
    convert_referral,
    correct_value,
    expire_overdue,
    mark_contacted,
    move_referral,
    release_referral,
)
from territories.tasks import expire_referrals
from tests.factories import make_lead
from tests.territories.factories import WAYS, make_contractor, make_referral, make_return

pytestmark = pytest.mark.django_db
MANY = pytest.mark.django_db(transaction=True, available_apps=settings.INSTALLED_APPS)
Status = Referral.Status
MINUTE, DAY = dt.timedelta(minutes=1), dt.timedelta(days=1)

MOVES: dict[str, Callable[..., Referral]] = {
    "accept": accept_referral,
    "contact": lambda **given: mark_contacted(**given),
    "convert": convert_referral,
    "cancel": lambda **given: cancel_referral(**({"note": "why"} | given)),
    "release": lambda **given: release_referral(**({"note": "why"} | given)),
}
# Which moves each state allows; contacting an accepted one only.
ALLOWED = {
    Status.GENERATED: {"cancel"},
    Status.ASSIGNED: {"cancel"},
    Status.DELIVERED: {"accept", "convert", "cancel"},
    Status.CONVERTED: {"release"},
    Status.RETURNED: set(),
    Status.EXPIRED: set(),
    Status.CANCELLED: set(),
}


def steps(referral: Referral) -> list[str]:
    return [event.what for event in referral.events.order_by("pk")]


@pytest.mark.parametrize("status", WAYS)
def test_each_state_allows_its_moves_and_refuses_the_others_unchanged(status, now, manager) -> None:
    for name, move in MOVES.items():
        referral = make_referral(status=status)
        before = steps(referral)
        if name in ALLOWED[status]:
            moved = move(referral=referral, at=now, by=manager)
            event = moved.events.latest("pk")
            assert (event.at, event.by) == (now, manager)
            assert len(steps(referral)) == len(before) + 1
        else:
            with pytest.raises(MoveRefused):
                move(referral=referral, at=now, by=manager)
            assert steps(referral) == before
            assert Referral.objects.get(pk=referral.pk).status == status


def test_a_refusal_names_the_state_and_what_is_allowed(now) -> None:
    with pytest.raises(MoveRefused, match="The referral is expired; only one that is generated or assigned or deliv"):
        cancel_referral(referral=make_referral(status="expired"), at=now, by=None, note="")
    with pytest.raises(MoveRefused, match="The referral is assigned; only one that is delivered can be accepted"):
        accept_referral(referral=make_referral(status="assigned"), at=now)


def test_accepting_comes_before_contacting_and_each_is_noted_once(now) -> None:
    referral = make_referral()
    with pytest.raises(MoveRefused, match="not accepted yet"):
        mark_contacted(referral=referral, at=now)
    accept_referral(referral=referral, at=now + MINUTE)
    mark_contacted(referral=referral, at=now + 2 * MINUTE, note="Called twice")
    assert (referral.status, referral.accepted_at, referral.contacted_at) == (
        "delivered",
        now + MINUTE,
        now + 2 * MINUTE,
    )
    assert steps(referral)[-2:] == ["accepted", "contacted"]
    assert referral.events.latest("pk").note == "Called twice"
    with pytest.raises(MoveRefused, match="was accepted already, on 2026-06-15 at 12:01 UTC"):
        accept_referral(referral=referral, at=now + DAY)
    assert Referral.objects.get(pk=referral.pk).accepted_at == now + MINUTE


def test_converting_tells_the_value_and_ends_a_return_that_waits(now, manager) -> None:
    referral = make_referral()
    wish = make_return(referral=referral)
    convert_referral(referral=referral, at=now, by=manager, value=Decimal("12500.50"))
    assert (referral.status, referral.converted_at, referral.value) == ("converted", now, Decimal("12500.50"))
    wish.refresh_from_db()
    assert (wish.status, wish.decided_at, wish.decided_by) == ("refused", now, manager)
    assert "converted meanwhile" in wish.decision_note


def test_a_value_that_was_typed_wrong_is_corrected_and_the_timeline_keeps_both(now, manager) -> None:
    referral = make_referral(status="converted", value="1850000.00")
    later = now + dt.timedelta(hours=1)
    correct_value(referral=referral, value=Decimal("18500.00"), at=later, by=manager, note="Two noughts too many")
    assert (referral.status, referral.value, referral.converted_at) == ("converted", Decimal("18500.00"), now)
    event = referral.events.latest("pk")
    assert (event.what, event.at, event.by) == ("corrected", later, manager)
    assert event.note == "Value 1850000.00 -> 18500.00: Two noughts too many"
    delivered = make_referral(status="delivered")
    with pytest.raises(MoveRefused, match="only one that is converted has a value"):
        correct_value(referral=delivered, value=Decimal(1), at=now, by=None, note="No")
    assert delivered.value is None


def test_a_converted_lead_is_free_for_another_referral_only_when_it_is_released(now) -> None:
    referral = make_referral(status="converted")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_referral(status="generated", lead=referral.lead)
    release_referral(referral=referral, at=now, by=None, note="Second trade")
    assert (referral.status, referral.released_at) == ("converted", now)
    make_referral(status="generated", lead=referral.lead)
    with pytest.raises(MoveRefused, match="was released already"):
        release_referral(referral=referral, at=now, by=None, note="Again")


def test_cancelling_frees_the_lead_and_keeps_why(now, manager) -> None:
    referral = make_referral(status="assigned")
    cancel_referral(referral=referral, at=now, by=manager, note="The owner called us")
    assert (referral.status, referral.ended_at, referral.expires_at) == ("cancelled", now, None)
    event = referral.events.latest("pk")
    assert (event.what, event.from_status, event.note) == ("cancelled", "assigned", "The owner called us")
    make_referral(status="generated", lead=referral.lead)


# Expiry ---------------------------------------------------------------------------------------------------------------


def test_what_is_overdue_expires_to_the_second_and_says_why(now) -> None:
    waiting, assigned = make_referral(status="generated"), make_referral(status="assigned")
    early = make_referral(status="assigned", expires_at=now + 7 * DAY + dt.timedelta(seconds=1))
    kept = [make_referral(status=status, expires_at=None) for status in ("delivered", "converted")]
    assert expire_overdue(at=now + 7 * DAY) == Expired(generated=0, assigned=1)
    assert expire_overdue(at=now + 14 * DAY) == Expired(generated=1, assigned=1)
    for referral, note in ((waiting, lifecycle.NOT_TAKEN), (assigned, lifecycle.NOT_DELIVERED)):
        referral.refresh_from_db()
        event = referral.events.latest("pk")
        assert (referral.status, referral.expires_at, referral.ended_at) == ("expired", None, event.at)
        assert (event.what, event.note, event.by) == ("expired", note, None)
    assert Referral.objects.get(pk=early.pk).status == "expired"
    assert [Referral.objects.get(pk=one.pk).status for one in kept] == ["delivered", "converted"]


def test_the_sweep_takes_any_number_in_several_statements(now, monkeypatch) -> None:
    monkeypatch.setattr(lifecycle, "AT_ONCE", 2)
    contractor = make_contractor()
    for _ in range(5):
        make_referral(status="assigned", contractor=contractor)
    assert expire_overdue(at=now + 7 * DAY) == Expired(assigned=5)


def test_when_the_clock_goes_back_nothing_moves_twice(now) -> None:
    referral = make_referral(status="assigned")
    expire_overdue(at=now + 8 * DAY)
    before = steps(referral)
    assert expire_overdue(at=now) == Expired()
    assert expire_overdue(at=now + 8 * DAY) == Expired()
    with pytest.raises(MoveRefused):
        cancel_referral(referral=referral, at=now, by=None, note="")
    assert steps(referral) == before


def test_the_minute_sweep_expires(now) -> None:
    overdue = make_referral(status="generated", expires_at=timezone.now() - DAY)
    fresh = make_referral(status="generated", expires_at=timezone.now() + DAY)
    expire_referrals()
    assert Referral.objects.get(pk=overdue.pk).status == "expired"
    assert Referral.objects.get(pk=fresh.pk).status == "generated"
    assert {"task": "territories.expire", "schedule": 60.0} in settings.CELERY_BEAT_SCHEDULE.values()


# Suppression ----------------------------------------------------------------------------------------------------------


def test_suppressing_a_lead_takes_back_what_no_contractor_has_got(now, manager) -> None:
    waiting, assigned, delivered = (make_referral(status=status) for status in ("generated", "assigned", "delivered"))
    other = make_referral(status="assigned")
    leads = [one.lead_id for one in (waiting, assigned, delivered)]
    suppress_leads(lead_ids=leads, reason="Asked for peace", by=manager, at=now)
    for referral in (waiting, assigned):
        event = Referral.objects.get(pk=referral.pk).events.latest("pk")
        assert (event.what, event.note, event.by) == ("cancelled", "The lead was suppressed: Asked for peace", manager)
    assert Referral.objects.get(pk=delivered.pk).status == "delivered"
    assert Referral.objects.get(pk=other.pk).status == "assigned"


# Two at once ----------------------------------------------------------------------------------------------------------


def together(*acts: Callable[[], Any]) -> list[Any]:
    """What each answers, or the exception it ends with, when all begin at the same moment on their own connections."""
    found: list[Any] = [None] * len(acts)
    ready = threading.Barrier(len(acts))

    def run(number: int) -> None:
        try:
            ready.wait(10)
            found[number] = acts[number]()
        except Exception as error:
            found[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[number]) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


@MANY
def test_of_many_who_move_one_referral_at_the_same_moment_one_wins(now) -> None:
    pk = make_referral(status="delivered").pk

    def move(to: str) -> Callable[[], Any]:
        return lambda: move_referral(referral=Referral.objects.get(pk=pk), to=to, at=now)

    found = together(*(move(to) for to in ("cancelled", "converted", "returned") * 3))
    refused = [one for one in found if isinstance(one, MoveRefused)]
    assert len(refused) == 8, found
    referral = Referral.objects.get(pk=pk)
    assert referral.status in {"cancelled", "converted", "returned"}
    assert steps(referral) == ["generated", "assigned", "delivered", referral.status]


@MANY
def test_of_two_who_accept_at_the_same_moment_one_is_told_it_was_done(now) -> None:
    pk = make_referral().pk
    found = together(*[lambda: accept_referral(referral=Referral.objects.get(pk=pk), at=now)] * 4)
    assert sum(isinstance(one, MoveRefused) for one in found) == 3, found
    assert steps(Referral.objects.get(pk=pk)).count("accepted") == 1


@MANY
def test_two_sweeps_at_once_expire_each_referral_once(now) -> None:
    contractor = make_contractor()
    pks = [make_referral(status="assigned", contractor=contractor).pk for _ in range(40)]
    found = together(*[lambda: expire_overdue(at=now + 8 * DAY)] * 3)
    assert sum(one.assigned for one in found) == len(pks)
    assert all(steps(Referral.objects.get(pk=pk)).count("expired") == 1 for pk in pks)


@MANY
def test_a_referral_that_is_dealt_while_its_lead_is_suppressed_is_taken_back(now) -> None:
    """A run holds the dealing lock, has read the lead as offerable, and has not committed its referral yet."""
    from territories.sql.locks import lock_dealing

    lead, contractor = make_lead(), make_contractor()
    dealt, suppressing = threading.Event(), threading.Event()

    def deal() -> int:
        with transaction.atomic():
            lock_dealing()
            pk = make_referral(status="assigned", lead=lead, contractor=contractor).pk
            dealt.set()
            suppressing.wait(10)
            threading.Event().wait(0.3)  # long enough for the other to wait at the lock
            return pk

    def suppress() -> None:
        dealt.wait(10)
        suppressing.set()
        suppress_leads(lead_ids=[lead.pk], reason="Asked for peace", by=None, at=now)

    pk, _ = together(deal, suppress)
    assert Referral.objects.get(pk=pk).status == "cancelled"
