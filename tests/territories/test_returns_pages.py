"""The queue of returns, deciding them, and returning a lead in the contractor's name."""

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from territories.generation import operations
from territories.models import Referral, ReferralReturn
from territories.referrals.return_views import PAGE
from tests.factories import make_lead
from tests.territories.factories import make_contractor, make_referral, make_return
from tests.territories.test_referral_pages import streets, text_of

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


@pytest.fixture(autouse=True)
def no_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no other lead: the return stays owed."""
    monkeypatch.setattr(operations, "replace_return", lambda **given: None)


def waiting(street: str, **given: Any) -> ReferralReturn:
    contractor = make_contractor(company=given.pop("company", f"Company of {street}"))
    at = timezone.now() - given.pop("ago", DAY)
    referral = make_referral(lead=make_lead(address=street), contractor=contractor, at=at - DAY)
    return make_return(referral=referral, **({"at": at} | given))


def test_the_queue_has_the_oldest_first_with_what_it_takes_to_decide(manager_client, manager) -> None:
    waiting("1 NEW ST", ago=DAY)
    waiting("2 OLD ST", ago=5 * DAY, note="Sold <i>in May</i>", requested_by=manager, reason="sold", company="Harbor")
    waiting("3 DONE ST", status="refused")
    response = manager_client.get("/returns/")
    page = text_of(response)
    assert streets(response) == ["2 OLD ST", "1 NEW ST"]
    for words in (
        "Pending 2 Approved 0 Refused 1",
        "Harbor",
        "The property is sold. “Sold &lt;i&gt;in May&lt;/i&gt;”",
        "by manager",
        "Price $25.00.",
        "0 of 1 returns used in 30 days, 1 to be decided (20% of 1 delivered).",
    ):
        assert words in page, words
    assert streets(manager_client.get("/returns/?status=refused")) == ["3 DONE ST"]
    assert streets(manager_client.get("/returns/?status=nonsense&page=x")) == ["2 OLD ST", "1 NEW ST"]


def test_a_return_asked_for_after_the_window_says_so(manager_client) -> None:
    wish = waiting("1 LATE ST")
    Referral.objects.filter(pk=wish.referral_id).update(delivered_at=timezone.now() - 40 * DAY)
    assert "after the contractor's window" in text_of(manager_client.get("/returns/"))


def test_the_queue_goes_page_by_page_with_the_same_number_of_queries(
    manager_client, django_assert_max_num_queries
) -> None:
    for number in range(PAGE + 1):
        waiting(f"{number} MAIN ST")
    with django_assert_max_num_queries(10):
        first = manager_client.get("/returns/")
    second = manager_client.get("/returns/?page=2")
    assert (len(streets(first)), len(streets(second))) == (PAGE, 1)


def test_an_empty_queue_says_what_comes_here(viewer_client) -> None:
    assert "Nothing waits for a decision" in text_of(viewer_client.get("/returns/"))


def test_a_manager_approves_and_reads_that_a_replacement_is_owed(manager_client, manager) -> None:
    wish = waiting("1 MAIN ST")
    response = manager_client.post(f"/returns/{wish.pk}/approve/", {"note": "Sorry"}, follow=True)
    assert "Approved: the lead is not charged" in text_of(response)
    wish.refresh_from_db()
    assert (wish.status, wish.decided_by, wish.decision_note) == ("approved", manager, "Sorry")
    page = text_of(manager_client.get(wish.referral.get_absolute_url()))
    assert "returned" in page
    assert "not charged" in page
    assert "A replacement is owed: the next run gives it first." in page


def test_refusing_takes_a_note(manager_client) -> None:
    wish = waiting("1 MAIN ST")
    response = manager_client.post(f"/returns/{wish.pk}/refuse/", {"note": " "})
    assert response.status_code == 422
    assert "Tell the contractor why the return is refused." in text_of(response)
    manager_client.post(f"/returns/{wish.pk}/refuse/", {"note": "The deed names them"})
    wish.refresh_from_db()
    assert (wish.status, wish.decision_note, wish.referral.status) == ("refused", "The deed names them", "delivered")


def test_a_return_that_was_decided_meanwhile_is_told_and_stays(manager_client) -> None:
    wish = waiting("1 MAIN ST", status="refused", decision_note="First")
    response = manager_client.post(f"/returns/{wish.pk}/approve/", follow=True)
    assert "Nothing was changed. This return is refused already" in text_of(response)
    wish.refresh_from_db()
    assert (wish.status, wish.decision_note) == ("refused", "First")


def test_a_decision_on_the_second_page_stays_on_it(manager_client) -> None:
    for number in range(PAGE + 2):
        waiting(f"{number} MAIN ST", ago=DAY - number * dt.timedelta(minutes=1))
    late, last = ReferralReturn.objects.order_by("requested_at")[PAGE:]
    html = manager_client.get("/returns/?page=2").content.decode()
    assert html.count('<input type="hidden" name="page" value="2">') == 2
    refused = manager_client.post(f"/returns/{late.pk}/refuse/", {"note": "", "page": "2"})
    assert len(streets(refused)) == 2
    assert text_of(refused).count("Tell the contractor why the return is refused.") == 2  # above all, and at the field
    done = manager_client.post(f"/returns/{late.pk}/refuse/", {"note": "It is theirs", "page": "2"})
    assert done["Location"] == "/returns/?page=2"
    assert len(streets(manager_client.get(done["Location"]))) == 1
    assert manager_client.post(f"/returns/{last.pk}/approve/", {"page": "x"})["Location"] == "/returns/"


def test_what_was_typed_is_told_when_somebody_was_quicker(manager_client) -> None:
    wish = waiting("1 MAIN ST", status="refused", decision_note="First")
    response = manager_client.post(f"/returns/{wish.pk}/refuse/", {"note": "Mine, long thought out"}, follow=True)
    assert "Your note was: “Mine, long thought out”" in text_of(response)


def test_an_empty_refusal_on_the_page_of_a_referral_is_told_there(manager_client) -> None:
    wish = waiting("1 MAIN ST")
    typed = {"note": "", "next": "referral"}
    response = manager_client.post(f"/returns/{wish.pk}/refuse/", typed, follow=True)
    assert response.redirect_chain[-1][0] == wish.referral.get_absolute_url()
    assert "Nothing was changed. Tell the contractor why the return is refused." in text_of(response)


def test_who_may_not_decide_sees_no_buttons(analyst_client) -> None:
    waiting("1 MAIN ST")
    page = analyst_client.get("/returns/").content.decode()
    assert "A manager decides it." in page
    assert "/approve/" not in page


def test_an_analyst_returns_in_the_contractors_name_within_the_rules(analyst_client, analyst) -> None:
    referral = make_referral(at=timezone.now() - DAY)
    typed = {"reason": "not_owner", "note": "Called", "anyway": "1"}  # the tick is for those who may decide
    assert analyst_client.post(f"/referrals/{referral.pk}/return/", typed).status_code == 302
    wish = referral.returns.get()
    assert (wish.status, wish.reason, wish.note, wish.requested_by) == ("pending", "not_owner", "Called", analyst)
    old = make_referral(at=timezone.now() - 40 * DAY)
    response = analyst_client.post(f"/referrals/{old.pk}/return/", typed)
    assert response.status_code == 409
    assert "The time for returns is over" in text_of(response)
    assert old.returns.count() == 0


def test_a_manager_may_return_it_anyway(manager_client, manager) -> None:
    old = make_referral(at=timezone.now() - 40 * DAY)
    manager_client.post(f"/referrals/{old.pk}/return/", {"reason": "other", "note": "Goodwill", "anyway": "1"})
    old.refresh_from_db()
    assert (old.status, old.returns.get().decided_by) == ("returned", manager)
    assert old.events.latest("pk").note == "Another reason: Goodwill"


def test_a_reason_that_does_not_exist_returns_nothing(manager_client) -> None:
    referral = make_referral(at=timezone.now())
    assert manager_client.post(f"/referrals/{referral.pk}/return/", {"reason": "bored"}).status_code == 422
    assert referral.returns.count() == 0
