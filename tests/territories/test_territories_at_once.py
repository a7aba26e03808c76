"""Many at once for the same ZIPs, over connections and transactions of their own."""

import datetime as dt
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db import connections
from django.db.models import Count

from territories.contractors.operations import end_contractor
from territories.holdings.operations import NotAHolder, TerritoryTaken, assign_territories, sweep_territories
from territories.models import Contractor, Referral, Territory, TerritoryEvent
from tests.api import api_client
from tests.conftest import NOW
from tests.territories.holders import make_contractor, make_referral, make_territory

pytestmark = pytest.mark.django_db(transaction=True, available_apps=settings.INSTALLED_APPS)
DAY = dt.timedelta(days=1)


def at_once(*acts: Callable[[], Any]) -> list[tuple[Any, float]]:
    """What each answered or raised, and how long it took, all begun at the same moment."""
    start: threading.Barrier = threading.Barrier(len(acts))
    answers: list[Any] = [None] * len(acts)

    def run(number: int) -> None:
        try:
            list(Contractor.objects.values_list("pk")[:1])  # connected before the clock runs
            start.wait(30)
            begun = time.monotonic()
            try:
                answer = acts[number]()
            except Exception as error:
                answer = error
            answers[number] = (answer, time.monotonic() - begun)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


def test_of_fifty_who_want_one_zip_one_gets_it_and_the_others_are_told_at_once(manager) -> None:
    contractors = [make_contractor() for _ in range(50)]

    def take(contractor: Contractor) -> Callable[[], Any]:
        return lambda: assign_territories(
            zips=["07030"], contractor=contractor, from_at=NOW, to_at=None, by=None, at=NOW
        )

    answers = at_once(*map(take, contractors))
    refusals = [answer for answer, _ in answers if isinstance(answer, TerritoryTaken)]
    assert len(refusals) == 49, [answer for answer, _ in answers if not isinstance(answer, TerritoryTaken)]
    winner = Territory.objects.get()
    assert all([one.contractor_id for one in refusal.conflicts] == [winner.contractor_id] for refusal in refusals)
    assert TerritoryEvent.objects.count() == 1
    assert max(seconds for _, seconds in answers) < 1


def test_programs_that_come_too_late_get_a_clean_409(manager) -> None:
    clients = [(api_client(manager), make_contractor().pk) for _ in range(50)]

    def take(client: Any, pk: int) -> Callable[[], Any]:
        body = {"zips": ["07030"], "contractor": pk}
        return lambda: client.post("/api/territories", body, content_type="application/json")

    answers = [answer for answer, _ in at_once(*(take(*pair) for pair in clients))]
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 49
    late = next(answer.json() for answer in answers if answer.status_code == 409)
    assert late["code"] == "territory_taken"
    assert [conflict["zip"] for conflict in late["conflicts"]] == ["07030"]


def test_bulk_assignments_in_opposite_order_meet_without_a_deadlock() -> None:
    zips = [f"{number:05}" for number in range(7_000, 7_060)]
    orders = [zips, zips[::-1], zips[30:] + zips[:30], zips[::2]] * 2

    def take(order: list[str]) -> Callable[[], Any]:
        contractor = make_contractor()
        return lambda: assign_territories(zips=order, contractor=contractor, from_at=NOW, to_at=None, by=None, at=NOW)

    answers = at_once(*map(take, orders))
    kinds = {type(answer).__name__ for answer, _ in answers}
    assert kinds <= {"Assigned", "TerritoryTaken"}, [repr(answer) for answer, _ in answers]
    assert sum(type(answer).__name__ == "Assigned" for answer, _ in answers) == 1
    assert not Territory.objects.values("zip").annotate(holders=Count("pk")).filter(holders__gt=1).exists()


def test_two_sweeps_and_an_end_at_once_take_each_lead_back_once() -> None:
    contractor = make_contractor()
    territory = make_territory(contractor, to_at=NOW)
    for _ in range(20):
        make_referral(contractor=contractor, territory=territory)
    answers = at_once(
        *[lambda: sweep_territories(at=NOW)] * 4, lambda: end_contractor(contractor=contractor, by=None, at=NOW)
    )
    assert not [answer for answer, _ in answers if isinstance(answer, Exception)]
    assert Referral.objects.filter(status="cancelled").count() == 20
    assert Referral.objects.filter(status="generated").count() == 20
    assert sum(answer.ended for answer, _ in answers[:4]) == 1


def test_a_contractor_that_ends_while_it_is_given_zips_keeps_none() -> None:
    contractor = make_contractor()
    answers = at_once(
        lambda: end_contractor(contractor=contractor, by=None, at=NOW),
        *(
            lambda zip_code=zip_code: assign_territories(
                zips=[zip_code], contractor=contractor, from_at=NOW - DAY, to_at=None, by=None, at=NOW
            )
            for zip_code in ("07030", "07031", "07032")
        ),
    )
    assert {type(answer).__name__ for answer, _ in answers[1:]} <= {"Assigned", NotAHolder.__name__}
    assert not Territory.objects.held(NOW).exists()
