"""GET /api/referrals and its moves, /api/returns, POST /api/leads/{id}/assign, and the referral of a lead."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from territories.generation import operations
from territories.models import Referral, ReferralReturn
from tests.api import api_client, problem
from tests.factories import make_lead
from tests.territories.factories import make_contractor, make_referral, make_return, receipt_of

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


@pytest.fixture(autouse=True)
def no_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "replace_return", lambda **given: None)


@pytest.fixture
def viewing(viewer) -> Client:
    return api_client(viewer)


@pytest.fixture
def working(analyst) -> Client:
    return api_client(analyst)


@pytest.fixture
def managing(manager) -> Client:
    return api_client(manager)


def post(client: Client, address: str, body: Any = None, **headers: str) -> Any:
    if body is None:
        return client.generic("POST", address, headers=headers)
    return client.post(address, body, content_type="application/json", headers=headers)


def ids(response: Any) -> list[int]:
    return [one["id"] for one in response.json()["results"]]


# Reading --------------------------------------------------------------------------------------------------------------


def test_a_referral_tells_its_state_moments_steps_and_returns(viewing, manager) -> None:
    contractor = make_contractor(company="Harbor")
    referral = make_referral(contractor=contractor, urgency=62)
    wish = make_return(referral=referral, note="Sold", requested_by=manager)
    told = viewing.get(f"/api/referrals/{referral.pk}").json()
    events, returns = told.pop("events"), told.pop("returns")
    assert told == {
        "id": referral.pk,
        "status": "delivered",
        "lead_id": referral.lead_id,
        "zip": "07030",
        "score": 500,
        "urgency": 62,
        "contractor": {"id": contractor.pk, "company": "Harbor"},
        "profile_id": None,
        "job_id": None,
        "price": "25.00",
        "value": None,
        "generated_at": "2026-06-15T12:00:00Z",
        "assigned_at": "2026-06-15T12:00:00Z",
        "delivered_at": "2026-06-15T12:00:00Z",
        "accepted_at": None,
        "contacted_at": None,
        "converted_at": None,
        "ended_at": None,
        "released_at": None,
        "expires_at": None,
        "receipt": receipt_of(referral.lead, "07030", 500),
    }
    assert [event["what"] for event in events] == ["generated", "assigned", "delivered"]
    assert events[2] == {
        "at": "2026-06-15T12:00:00Z",
        "what": "delivered",
        "from_status": "assigned",
        "note": "",
        "by": None,
        "job_id": None,
    }
    assert [(one["id"], one["status"], one["requested_by"]) for one in returns] == [(wish.pk, "pending", "manager")]


def test_referrals_come_newest_first_page_by_page_and_filtered(viewing) -> None:
    harbor = make_contractor()
    made = [make_referral(contractor=harbor).pk for _ in range(3)]
    other = make_referral(status="generated", zip="07302")
    first = viewing.get("/api/referrals?limit=2").json()
    second = viewing.get(first["next"]).json()
    assert [one["id"] for one in [*first["results"], *second["results"]]] == [other.pk, *reversed(made)]
    assert second["next"] is None
    assert ids(viewing.get(f"/api/referrals?contractor={harbor.pk}&sort=id")) == made
    assert ids(viewing.get("/api/referrals?status=generated&zip=07302&until=2026-06-15")) == [other.pk]
    assert ids(viewing.get("/api/referrals?since=2026-06-16")) == []
    assert "receipt" not in first["results"][0]


def test_the_list_asks_the_same_number_of_queries_however_long(viewing, django_assert_max_num_queries) -> None:
    for _ in range(5):
        make_referral()
    with django_assert_max_num_queries(6):
        assert len(ids(viewing.get("/api/referrals"))) == 5


@pytest.mark.parametrize(
    ("query", "name"), [("status=sold", "status"), ("contractor=999", "contractor"), ("stauts=x", "stauts")]
)
def test_a_filter_that_cannot_be_right_is_refused(viewing, query, name) -> None:
    assert name in problem(viewing.get(f"/api/referrals?{query}"), 400)["errors"]


def test_sandbox_referrals_are_not_there(managing) -> None:
    double = make_referral(is_sandbox=True, contractor=make_contractor(sandbox_of=make_contractor()))
    wish = make_return(referral=double)
    assert ids(managing.get("/api/referrals")) == ids(managing.get("/api/returns")) == []
    problem(managing.get(f"/api/referrals/{double.pk}"), 404)
    problem(post(managing, f"/api/referrals/{double.pk}/cancel", {"note": "x"}), 404)
    problem(post(managing, f"/api/returns/{wish.pk}/approve", {}), 404)


# Moves ----------------------------------------------------------------------------------------------------------------


def test_cancel_and_release_write_who_and_why(working, analyst) -> None:
    assigned, converted = make_referral(status="assigned"), make_referral(status="converted")
    told = post(working, f"/api/referrals/{assigned.pk}/cancel", {"note": "Owner called"}).json()
    assert (told["status"], told["events"][-1]["by"], told["events"][-1]["note"]) == (
        "cancelled",
        "analyst",
        "Owner called",
    )
    told = post(working, f"/api/referrals/{converted.pk}/release", {"note": "Second trade"}).json()
    assert told["status"] == "converted"
    assert told["released_at"] is not None
    assert told["events"][-1]["what"] == "released"


def test_a_value_is_corrected_with_the_reason(working) -> None:
    url = f"/api/referrals/{make_referral(status='converted', value='100.00').pk}/correct"
    told = post(working, url, {"value": "1000.00", "note": "A nought was missing"}).json()
    assert (told["value"], told["events"][-1]["what"]) == ("1000.00", "corrected")
    for wrong in ({"value": "-1", "note": "x"}, {"value": "1"}, {"note": "x"}):
        problem(post(working, url, wrong), 400)
    delivered = make_referral(status="delivered")
    problem(post(working, f"/api/referrals/{delivered.pk}/correct", {"value": "1", "note": "x"}), 409)


@pytest.mark.parametrize("what", ["cancel", "release"])
@pytest.mark.parametrize("body", [{}, {"note": ""}, {"note": "x", "extra": 1}, [], {"note": "x" * 501}, {"note": "\0"}])
def test_a_move_without_a_sound_reason_is_refused(working, what, body) -> None:
    referral = make_referral(status="assigned")
    problem(post(working, f"/api/referrals/{referral.pk}/{what}", body), 400)
    assert Referral.objects.get(pk=referral.pk).status == "assigned"


def test_a_move_that_its_state_forbids_is_a_conflict_in_words(working) -> None:
    told = problem(post(working, f"/api/referrals/{make_referral(status='expired').pk}/cancel", {"note": "x"}), 409)
    assert told["code"] == "move_refused"
    assert "The referral is expired" in told["detail"]
    problem(post(working, "/api/referrals/999999/cancel", {"note": "x"}), 404)


def test_the_same_key_moves_once_and_tells_the_same_again(working) -> None:
    referral = make_referral(status="assigned")
    first, again = (
        post(working, f"/api/referrals/{referral.pk}/cancel", {"note": "x"}, **{"Idempotency-Key": "k-1"})
        for _ in range(2)
    )
    assert (first.status_code, again.status_code, again["Idempotent-Replayed"]) == (200, 200, "true")
    assert first.json() == again.json()
    assert referral.events.filter(what="cancelled").count() == 1
    problem(post(working, f"/api/referrals/{referral.pk}/cancel", {"note": "y"}, **{"Idempotency-Key": "k-1"}), 422)


# Returns --------------------------------------------------------------------------------------------------------------


def test_a_return_is_asked_for_approved_and_refused(working, managing) -> None:
    first, second = (make_referral(at=timezone.now() - DAY) for _ in range(2))
    asked = [
        post(working, f"/api/referrals/{one.pk}/return", {"reason": "sold", "note": "In May"})
        for one in (first, second)
    ]
    assert [response.status_code for response in asked] == [201, 201]
    approve, refuse = (response.json()["id"] for response in asked)
    assert ids(working.get("/api/returns?status=pending&sort=id")) == [approve, refuse]
    told = post(managing, f"/api/returns/{approve}/approve", {}).json()
    assert (told["status"], told["decided_by"], told["is_replacement_owed"]) == ("approved", "manager", True)
    told = post(managing, f"/api/returns/{refuse}/refuse", {"note": "The deed names them"}).json()
    assert (told["status"], told["decision_note"]) == ("refused", "The deed names them")
    assert [Referral.objects.get(pk=one.pk).status for one in (first, second)] == ["returned", "delivered"]
    assert problem(post(managing, f"/api/returns/{refuse}/approve", {}), 409)["code"] == "decided"
    assert ids(working.get(f"/api/returns?contractor={first.contractor_id}")) == [approve]


def test_window_and_quota_are_conflicts_and_anyway_takes_the_right_to_decide(working, managing) -> None:
    old = make_referral(at=timezone.now() - 40 * DAY)
    address = f"/api/referrals/{old.pk}/return"
    assert problem(post(working, address, {"reason": "sold"}), 409)["code"] == "window_closed"
    problem(post(working, address, {"reason": "sold", "anyway": True}), 403)
    assert ReferralReturn.objects.count() == 0
    told = post(managing, address, {"reason": "sold", "anyway": True})
    assert (told.status_code, told.json()["status"], told.json()["decided_by"]) == (201, "approved", "manager")


def test_refusing_takes_a_note(managing) -> None:
    wish = make_return()
    assert "note" in problem(post(managing, f"/api/returns/{wish.pk}/refuse", {}), 400)["errors"]


# Of leads -------------------------------------------------------------------------------------------------------------


def test_a_lead_is_assigned_by_hand(working, analyst, monkeypatch) -> None:
    lead = make_lead()

    def deal(*, lead_id: int, at: dt.datetime, by: Any) -> Referral:
        assert (lead_id, by) == (lead.pk, analyst)
        return make_referral(lead=lead, status="assigned", at=at)

    monkeypatch.setattr(operations, "assign_lead", deal)
    response = post(working, f"/api/leads/{lead.pk}/assign")
    told = response.json()
    assert (response.status_code, told["status"], told["lead_id"]) == (201, "assigned", lead.pk)
    assert response["Location"] == f"/api/referrals/{told['id']}"
    problem(post(working, f"/api/leads/{lead.pk}/assign", {"contractor": 1}), 400)
    problem(post(working, "/api/leads/999999/assign"), 404)


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (operations.NoHolder, "no_holder"),
        (operations.AlreadyReferred, "already_referred"),
        (operations.Suppressed, "suppressed"),
        (operations.CapReached, "cap_reached"),
        (operations.NotWanted, "not_wanted"),
        (operations.ReturnedBefore, "returned_before"),
    ],
)
def test_each_refusal_to_assign_has_its_code(working, monkeypatch, refusal, code) -> None:
    def refuse(**given: Any) -> Referral:
        raise refusal("So it is.")

    monkeypatch.setattr(operations, "assign_lead", refuse)
    told = problem(post(working, f"/api/leads/{make_lead().pk}/assign"), 409)
    assert (told["code"], told["detail"]) == (code, "So it is.")


def test_a_lead_tells_its_newest_referral_and_is_filtered_by_it(viewing) -> None:
    lead, free = make_lead(), make_lead()
    make_referral(lead=lead, status="expired")
    newest = make_referral(lead=lead)
    told = {one["id"]: one["referral"] for one in viewing.get("/api/leads").json()["results"]}
    assert told[free.pk] is None
    assert told[lead.pk] == {"id": newest.pk, "status": "delivered", "contractor_id": newest.contractor_id}
    assert ids(viewing.get("/api/leads?referral=live")) == [lead.pk]
    assert ids(viewing.get("/api/leads?referral=none")) == [free.pk]
    assert "referral" in problem(viewing.get("/api/leads?referral=sold"), 400)["errors"]
