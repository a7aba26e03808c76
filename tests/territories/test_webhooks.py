"""What a contractor's system is told, when, how often, and what becomes of the referral."""

import dataclasses
import datetime as dt
import json
import threading
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from territories.models import Referral, ReferralReturn, WebhookAttempt, WebhookEndpoint, WebhookMessage
from territories.referrals.lifecycle import move_referral
from territories.referrals.receipts import compose_receipts, deliver
from territories.sql.webhooks import PER_CONTRACTOR, claim
from territories.webhooks.configure import webhook_transport
from territories.webhooks.endpoints import NothingToSend, resend_dead, resend_message, rotate_secret
from territories.webhooks.messages import KEPT_FOR, clear_messages, enqueue_messages, make_test_message
from territories.webhooks.pushing import (
    LEASE,
    LONGEST_WAIT,
    SPREAD,
    WAITS,
    Pushed,
    push_messages,
    record_attempt,
    wait_after,
)
from territories.webhooks.transport import FakeTransport, HttpTransport, Policy, Result
from tests.conftest import NOW
from tests.territories.factories import make_territory
from tests.territories.receivers import HERE, Handler, receiver
from tests.territories.webhook_factories import assign_lead, make_listener, only_message

pytestmark = pytest.mark.django_db
URL = "https://hooks.example.com/leads"
REAL = HttpTransport(policy=HERE, total_seconds=2.0)
HOUR, MINUTE = dt.timedelta(hours=1), dt.timedelta(minutes=1)


def answering(*results: Result) -> FakeTransport:
    return FakeTransport(policy=Policy(), answers={URL: list(results)} if results else {})


def failing(status: int = 500, **fields: Any) -> Result:
    return Result(status=status, error=f"It answered {status}.", duration_ms=7, **fields)


# What there is to tell ------------------------------------------------------------------------------------------------


def test_an_assigned_referral_is_told_once_with_its_lead() -> None:
    contractor = make_listener(URL, at=NOW)
    referral = assign_lead(contractor, at=NOW)
    receipt = json.loads(json.dumps(compose_receipts(ids=[referral.pk], at=NOW)[referral.pk], default=str))
    assert (enqueue_messages(at=NOW).assigned, enqueue_messages(at=NOW + MINUTE).assigned) == (1, 0)
    message = only_message()
    assert (message.contractor, message.referral, message.kind, message.status) == (
        contractor, referral, "referral.assigned", "pending",
    )  # fmt: skip
    body = json.loads(message.body)
    assert body["type"] == "referral.assigned"
    assert body["timestamp"] == "2026-06-15T12:00:00Z"
    assert body["data"]["receipt"]["lead"]["id"] == receipt["lead"]["id"] == referral.lead_id
    del body["data"]["receipt"]
    assert body["data"] == {
        "id": referral.pk,
        "zip": "07030",
        "score": 1_200,
        "status": "assigned",
        "price": "45.00",
        "assigned_at": "2026-06-15T12:00:00Z",
        "expires_at": "2026-06-22T12:00:00Z",
    }


def test_nothing_is_told_to_who_does_not_listen_until_it_does() -> None:
    contractor = make_listener(URL, at=NOW, is_enabled=False)
    assign_lead(contractor, at=NOW)
    Referral.objects.update(status="assigned")
    assert enqueue_messages(at=NOW).assigned == 0
    WebhookEndpoint.objects.update(is_enabled=True)
    assert enqueue_messages(at=NOW).assigned == 1


def test_the_lead_is_frozen_in_the_body_at_the_first_moment() -> None:
    referral = assign_lead(make_listener(URL, at=NOW), at=NOW)
    enqueue_messages(at=NOW)
    before = only_message().body
    referral.score = 5
    referral.save()
    transport = answering(failing(), Result(status=200, duration_ms=1))
    push_messages(at=NOW, transport=transport)
    push_messages(at=NOW + MINUTE, transport=transport)
    assert [request.body.decode() for request in transport.sent] == [before, before]
    ids = [request.headers["webhook-id"] for request in transport.sent]
    assert ids == [f"msg_{only_message().pk.hex}"] * 2


@pytest.mark.parametrize("end", ["cancelled", "expired"])
def test_who_heard_of_a_referral_hears_of_its_end_without_the_lead(end: str) -> None:
    referral = assign_lead(make_listener(URL, at=NOW), at=NOW)
    transport = answering(failing(), Result(status=200, duration_ms=1))
    push_messages(at=NOW, transport=transport)
    move_referral(referral=referral, to=end, at=NOW + MINUTE)
    later = NOW + 2 * MINUTE
    assert push_messages(at=later, transport=transport) == Pushed(delivered=1, failed=0, dead=0)
    first, second = (json.loads(request.body) for request in transport.sent)
    assert (first["type"], second["type"]) == ("referral.assigned", f"referral.{end}")
    assert second["data"] == {
        "id": referral.pk, "zip": "07030", "score": 1_200, "status": end, "ended_at": "2026-06-15T12:01:00Z",
    }  # fmt: skip
    withdrawn = only_message(kind="referral.assigned")
    assert (withdrawn.status, withdrawn.ended_at) == ("cancelled", later)
    assert enqueue_messages(at=later + MINUTE).ended == 0


def test_who_never_heard_of_a_referral_hears_nothing_of_its_end() -> None:
    referral = assign_lead(make_listener(URL, at=NOW), at=NOW)
    enqueue_messages(at=NOW)
    move_referral(referral=referral, to="cancelled", at=NOW)
    transport = answering()
    assert push_messages(at=NOW + MINUTE, transport=transport) == Pushed(delivered=0, failed=0, dead=0)
    assert (transport.sent, only_message().status) == ([], "cancelled")


def test_a_lead_that_was_fetched_by_the_api_is_not_sent_as_well() -> None:
    referral = assign_lead(make_listener(URL, at=NOW), at=NOW)
    enqueue_messages(at=NOW)
    deliver(ids=[referral.pk], at=NOW)
    # Nobody has withdrawn it yet: what is claimed looks at the referral itself.
    assert claim(at=NOW + MINUTE, lost_at=NOW + HOUR, limit=10) == []
    transport = answering()
    push_messages(at=NOW + MINUTE, transport=transport)
    assert transport.sent == []
    assert "no longer assigned" in only_message().last_error


def test_nothing_goes_out_once_the_territory_has_ended_though_no_sweep_came_by() -> None:
    listener = make_listener(URL, at=NOW)
    territory = make_territory(contractor=listener, from_at=NOW - HOUR, to_at=NOW + HOUR)
    assign_lead(listener, at=NOW, territory=territory)
    enqueue_messages(at=NOW)
    assert claim(at=NOW + HOUR, lost_at=NOW + 2 * HOUR, limit=10) == []
    assert len(claim(at=NOW + HOUR - MINUTE, lost_at=NOW + 2 * HOUR, limit=10)) == 1


def test_each_decision_on_a_return_is_told_once_also_when_it_is_the_second() -> None:
    referral = assign_lead(make_listener(URL, at=NOW), at=NOW)
    transport = answering(Result(status=200, duration_ms=1))
    push_messages(at=NOW, transport=transport)
    for minute, status in ((1, "refused"), (5, "approved")):
        ReferralReturn.objects.create(
            referral=referral,
            reason="sold",
            status=status,
            requested_at=NOW,
            decided_at=NOW + minute * MINUTE,
            decision_note="See the deed.",
        )
        assert enqueue_messages(at=NOW + (minute + 1) * MINUTE).decided == 1
        assert enqueue_messages(at=NOW + (minute + 2) * MINUTE).decided == 0
    bodies = [
        json.loads(one.body) for one in WebhookMessage.objects.filter(kind="return.decided").order_by("created_at")
    ]
    assert [body["data"]["return"]["status"] for body in bodies] == ["refused", "approved"]
    assert bodies[0]["data"]["return"]["decision_note"] == "See the deed."
    assert "receipt" not in bodies[0]["data"]


def test_what_was_decided_before_there_was_a_webhook_or_long_ago_is_no_news() -> None:
    contractor = make_listener(URL, at=NOW)
    referral = assign_lead(contractor, at=NOW - 9 * 24 * HOUR, status="delivered", delivered_at=NOW - 9 * 24 * HOUR)
    for days in (1, 8):
        ReferralReturn.objects.all().delete()
        moment = NOW - days * 24 * HOUR
        WebhookEndpoint.objects.update(created_at=NOW if days == 1 else NOW - 30 * 24 * HOUR)
        ReferralReturn.objects.create(
            referral=referral, reason="sold", status="refused", requested_at=moment, decided_at=moment
        )
        assert enqueue_messages(at=NOW).decided == 0


# Sending --------------------------------------------------------------------------------------------------------------


def test_a_lead_that_is_taken_is_delivered_with_the_receipt_of_the_body() -> None:
    with receiver(200) as server:
        referral = assign_lead(make_listener(server.url, at=NOW), at=NOW)
        enqueue_messages(at=NOW)
        # Whatever is composed later, the contractor has what was sent.
        Referral.objects.update(score=7)
        assert push_messages(at=NOW + MINUTE, transport=REAL) == Pushed(delivered=1, failed=0, dead=0)
    referral.refresh_from_db()
    message, attempt = only_message(), WebhookAttempt.objects.get()
    assert server.received[0].body.decode() == message.body
    assert (message.status, message.last_status, message.last_error, message.next_attempt_at) == (
        "delivered", 200, "", None,
    )  # fmt: skip
    assert referral.status == "delivered"
    assert referral.receipt == json.loads(message.body)["data"]["receipt"]
    assert referral.delivered_at == message.ended_at == attempt.at
    assert NOW + MINUTE < attempt.at < NOW + 2 * MINUTE
    assert (attempt.status, attempt.error, attempt.duration_ms > 0) == (200, "", True)
    event = referral.events.get(what="delivered")
    assert (event.from_status, event.note) == ("assigned", f"webhook {message.webhook_id}")


def test_a_receiver_that_fails_then_works() -> None:
    def second_time(handler: Handler, number: int) -> None:
        handler.say(503 if number == 1 else 204)

    with receiver(second_time) as server:
        assign_lead(make_listener(server.url, at=NOW), at=NOW)
        assert push_messages(at=NOW, transport=REAL) == Pushed(delivered=0, failed=1, dead=0)
        waiting = only_message()
        assert (waiting.status, waiting.attempts, waiting.last_status) == ("pending", 1, 503)
        assert waiting.next_attempt_at is not None
        assert WAITS[0] <= waiting.next_attempt_at - NOW < WAITS[0] * (1 + SPREAD) + dt.timedelta(seconds=2)
        assert push_messages(at=NOW + dt.timedelta(seconds=1), transport=REAL).delivered == 0
        assert Referral.objects.get().status == "assigned"
        assert push_messages(at=NOW + MINUTE, transport=REAL).delivered == 1
    assert Referral.objects.get().status == "delivered"
    first, second = server.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]


def test_what_fails_to_the_end_is_dead_after_eight_attempts_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assign_lead(make_listener(URL, at=NOW), at=NOW)
    transport, moment, waits = answering(failing()), NOW, []
    for number in range(1, 9):
        # A wait later it has its turn, and none before.
        assert push_messages(at=moment, transport=transport) == Pushed(
            delivered=0, failed=int(number < 8), dead=int(number == 8)
        )
        message = only_message()
        assert message.attempts == number == message.tries.count()
        if message.next_attempt_at is not None:
            waits.append(message.next_attempt_at - moment)
            moment = message.next_attempt_at
    for wait, least in zip(waits, WAITS, strict=True):
        assert least <= wait <= least * (1 + SPREAD) + dt.timedelta(seconds=2)
    assert (message.status, message.last_status, message.next_attempt_at) == ("dead", 500, None)
    assert "is dead after attempt 8: It answered 500." in caplog.text
    assert push_messages(at=moment + 24 * HOUR, transport=transport) == Pushed(delivered=0, failed=0, dead=0)
    assert Referral.objects.get().status == "assigned"  # until it expires: the API has it


def test_a_receiver_that_is_gone_for_ever_is_switched_off_at_once() -> None:
    contractor = make_listener(URL, at=NOW)
    for _ in range(2):
        assign_lead(contractor, at=NOW)
    enqueue_messages(at=NOW)
    first = WebhookMessage.objects.order_by("created_at").first()
    assert first is not None
    WebhookMessage.objects.exclude(pk=first.pk).update(next_attempt_at=NOW + HOUR)
    push_messages(at=NOW, transport=answering(failing(410)))
    first.refresh_from_db()
    assert (first.status, first.attempts) == ("dead", 1)
    assert "switched off" in first.last_error
    assert not WebhookEndpoint.objects.get().is_enabled
    transport = answering()
    push_messages(at=NOW + 2 * HOUR, transport=transport)
    assert transport.sent == []
    WebhookEndpoint.objects.update(is_enabled=True)
    assert push_messages(at=NOW + 3 * HOUR, transport=transport).delivered == 1


def test_gone_says_nothing_about_an_address_that_was_set_meanwhile() -> None:
    assign_lead(make_listener(URL, at=NOW), at=NOW)

    enqueue_messages(at=NOW)
    (claimed,) = claim(at=NOW, lost_at=NOW + LEASE, limit=1)
    WebhookEndpoint.objects.update(url="https://new.example.com/")

    record_attempt(one=claimed, result=failing(410), at=NOW)
    assert WebhookEndpoint.objects.get().is_enabled


@pytest.mark.parametrize(
    ("attempt", "retry_after", "waits"),
    [
        (1, "", WAITS[0]),
        (3, "", WAITS[2]),
        (1, "120", 2 * MINUTE),
        (1, " 90 ", dt.timedelta(seconds=90)),
        (7, "60", WAITS[6]),
        (1, "Mon, 15 Jun 2026 13:30:00 GMT", 90 * MINUTE),
        (1, "Mon, 15 Jun 2026 11:00:00 GMT", WAITS[0]),
        (1, "99999999999999999999", LONGEST_WAIT),
        (1, "Fri, 15 Jun 2096 13:30:00 GMT", LONGEST_WAIT),
        (1, "-5", WAITS[0]),
        (1, "soon", WAITS[0]),
        (1, "٣", WAITS[0]),
    ],
)
def test_how_long_to_wait(attempt: int, retry_after: str, waits: dt.timedelta) -> None:
    assert wait_after(attempt=attempt, retry_after=retry_after, at=NOW, spread=0) == waits
    assert wait_after(attempt=attempt, retry_after="", at=NOW, spread=0.2) == WAITS[attempt - 1] * 1.2


def test_a_receiver_that_asks_for_time_gets_it() -> None:
    with receiver(lambda handler, _: handler.say(429, Retry_After="3600")) as server:
        assign_lead(make_listener(server.url, at=NOW), at=NOW)
        push_messages(at=NOW, transport=REAL)
    due_at = only_message().next_attempt_at
    assert due_at is not None
    assert HOUR <= due_at - NOW < HOUR + MINUTE


def test_a_name_that_leads_inside_is_refused_by_default_and_that_is_written_down(settings: Any) -> None:
    with receiver() as server:
        assign_lead(make_listener(f"https://localhost:{server.port}/", at=NOW), at=NOW)
        settings.WEBHOOK_PORTS = None
        assert push_messages(at=NOW, transport=webhook_transport()) == Pushed(delivered=0, failed=1, dead=0)
    assert server.received == []
    attempt = WebhookAttempt.objects.get()
    assert attempt.status is None
    assert "this machine itself" in attempt.error
    assert only_message().last_error == attempt.error


def test_one_that_hangs_holds_up_its_own_messages_only() -> None:
    released = threading.Event()
    quick_ones = 3 * PER_CONTRACTOR

    def hang(handler: Handler, number: int) -> None:
        released.wait(5)
        handler.say(200)

    def count(handler: Handler, number: int) -> None:
        handler.say(200)
        if number == quick_ones:
            released.set()

    with receiver(hang) as slow, receiver(count) as quick:
        slow_one, quick_one = make_listener(slow.url, at=NOW), make_listener(quick.url, at=NOW)
        for _ in range(PER_CONTRACTOR + 1):
            assign_lead(slow_one, at=NOW)
        for _ in range(quick_ones):
            assign_lead(quick_one, at=NOW)
        transport = dataclasses.replace(REAL, total_seconds=8.0)
        pushed = push_messages(at=NOW, transport=transport)
    # The slow one is let go only by the last message of the quick one.
    assert released.is_set()
    assert pushed == Pushed(delivered=quick_ones + PER_CONTRACTOR + 1, failed=0, dead=0)


def test_a_failure_that_nobody_foresaw_costs_an_attempt_and_stops_no_other() -> None:
    @dataclasses.dataclass
    class Broken:
        def send(self, request: Any) -> Result:
            raise RuntimeError("boom")

    assign_lead(make_listener(URL, at=NOW), at=NOW)
    assign_lead(make_listener("https://other.example.com/", at=NOW), at=NOW)
    assert push_messages(at=NOW, transport=Broken()) == Pushed(delivered=0, failed=2, dead=0)
    assert "unforeseen went wrong (RuntimeError)" in only_message(contractor__webhook__url=URL).last_error


# Claims, withdrawals and late answers ---------------------------------------------------------------------------------


def test_who_claims_a_message_has_it_for_a_minute() -> None:
    assign_lead(make_listener(URL, at=NOW), at=NOW)
    enqueue_messages(at=NOW)
    (first,) = claim(at=NOW, lost_at=NOW + LEASE, limit=10)
    assert claim(at=NOW + LEASE / 2, lost_at=NOW + HOUR, limit=10) == []
    (second,) = claim(at=NOW + LEASE, lost_at=NOW + 2 * LEASE, limit=10)
    assert (first.id, first.body, first.attempt, second.attempt) == (second.id, second.body, 1, 2)


def test_nothing_is_claimed_for_a_contractor_that_is_busy() -> None:
    busy, free = make_listener(URL, at=NOW), make_listener(URL, at=NOW)
    for contractor in (busy, free):
        assign_lead(contractor, at=NOW)
    enqueue_messages(at=NOW)
    claimed = claim(at=NOW, lost_at=NOW + LEASE, limit=10, busy=[busy.pk])
    assert [one.contractor_id for one in claimed] == [free.pk]


def test_a_late_failure_does_not_disturb_who_has_it_now_and_a_late_success_is_one() -> None:

    assign_lead(make_listener(URL, at=NOW), at=NOW)
    enqueue_messages(at=NOW)
    (lost,) = claim(at=NOW, lost_at=NOW + LEASE, limit=1)
    (held,) = claim(at=NOW + LEASE, lost_at=NOW + 2 * LEASE, limit=1)
    assert record_attempt(one=lost, result=failing(), at=NOW + LEASE) == "pending"
    assert only_message().next_attempt_at == held.lost_at
    assert record_attempt(one=lost, result=Result(status=200, duration_ms=1), at=NOW + LEASE) == "delivered"
    assert Referral.objects.get().status == "delivered"
    assert record_attempt(one=held, result=failing(), at=NOW + 2 * LEASE) == "delivered"
    assert WebhookAttempt.objects.count() == 3


def test_a_lead_that_was_taken_while_its_referral_was_cancelled_is_told_of_the_end() -> None:
    referral = assign_lead(make_listener(URL, at=NOW), at=NOW)

    enqueue_messages(at=NOW)
    (claimed,) = claim(at=NOW, lost_at=NOW + LEASE, limit=1)
    move_referral(referral=referral, to="cancelled", at=NOW)
    told = enqueue_messages(at=NOW)
    assert (told.withdrawn, told.ended) == (1, 1)
    assert record_attempt(one=claimed, result=Result(status=200, duration_ms=1), at=NOW) == "delivered"
    referral.refresh_from_db()
    assert (referral.status, referral.receipt, referral.delivered_at) == ("cancelled", None, None)
    assert only_message(kind="referral.cancelled").status == "pending"


def test_a_message_whose_senders_all_die_is_given_up() -> None:
    assign_lead(make_listener(URL, at=NOW), at=NOW)
    enqueue_messages(at=NOW)
    moment = NOW
    for _ in range(len(WAITS) + 1):
        assert len(claim(at=moment, lost_at=moment + LEASE, limit=1)) == 1
        moment += LEASE
    transport = answering()
    push_messages(at=moment, transport=transport)
    message = only_message()
    assert (transport.sent, message.status) == ([], "dead")
    assert "each worker that sent it ended" in message.last_error


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_send_each_message_once() -> None:
    at = timezone.now()
    together = threading.Barrier(2)
    with receiver(200) as server:
        contractors = [make_listener(server.url, at=at) for _ in range(3)]
        for number in range(24):
            assign_lead(contractors[number % 3], at=at)
        pushed: list[Pushed] = []

        def work() -> None:
            try:
                together.wait()
                pushed.append(push_messages(at=timezone.now(), transport=REAL))
            finally:
                connection.close()

        workers = [threading.Thread(target=work) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(30)
        pushed.append(push_messages(at=timezone.now(), transport=REAL))  # what neither of them had the time for
    ids = [one.headers["webhook-id"] for one in server.received]
    assert len(ids) == len(set(ids)) == 24
    assert sum(one.delivered for one in pushed) == 24
    assert WebhookMessage.objects.count() == 24  # both made them, and each is there once
    assert set(Referral.objects.values_list("status", flat=True)) == {"delivered"}


# Signatures -----------------------------------------------------------------------------------------------------------


def test_a_receiver_can_tell_that_it_is_from_here_and_what_was_changed_on_the_way() -> None:
    at = timezone.now()
    with receiver(200) as server:
        assign_lead(make_listener(server.url, at=at), at=at)
        push_messages(at=at, transport=REAL)
    (received,) = server.received
    secret = WebhookEndpoint.objects.get().secret
    told = Webhook(secret).verify(received.body, received.headers)
    assert told["type"] == "referral.assigned"
    for changed in (
        {"data": received.body.replace(b"1200", b"9999")},
        {"headers": received.headers | {"webhook-id": "msg_other"}},
        {"headers": received.headers | {"webhook-timestamp": str(int(received.headers["webhook-timestamp"]) + 1)}},
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(**({"data": received.body, "headers": received.headers} | changed))
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 43).verify(received.body, received.headers)


def test_during_a_rotation_both_secrets_hold_and_after_a_day_only_the_new_one() -> None:
    at = timezone.now()
    with receiver(200) as server:
        contractor = make_listener(server.url, at=at)
        endpoint = WebhookEndpoint.objects.get()
        former = endpoint.secret
        fresh = rotate_secret(endpoint=endpoint, by=None, at=at - 23 * HOUR)
        assert fresh != former
        for moment in (at, at + HOUR + MINUTE):
            make_test_message(contractor=contractor, at=moment)
            push_messages(at=moment, transport=REAL)
    during, after = server.received
    assert len(during.headers["webhook-signature"].split()) == 2
    for secret in (former, fresh):
        Webhook(secret).verify(during.body, during.headers)
    assert len(after.headers["webhook-signature"].split()) == 1


def test_a_captured_message_that_is_played_again_is_told_by_its_id() -> None:
    at = timezone.now()
    with receiver(200) as server:
        contractor = make_listener(server.url, at=at)
        for _ in range(2):
            assign_lead(contractor, at=at)
        push_messages(at=at, transport=REAL)
    secret = WebhookEndpoint.objects.get().secret
    seen: set[str] = set()
    taken = []
    for one in [*server.received, server.received[0]]:  # the last is a replay
        Webhook(secret).verify(one.body, one.headers)
        if one.headers["webhook-id"] not in seen:
            seen.add(one.headers["webhook-id"])
            taken.append(json.loads(one.body)["data"]["id"])
    assert sorted(taken) == sorted(Referral.objects.values_list("pk", flat=True))
    # Long after, the time that is signed too gives it away.
    old = server.received[0]
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(old.body, old.headers | {"webhook-timestamp": str(int((at - HOUR).timestamp()))})


# By hand --------------------------------------------------------------------------------------------------------------


def make_dead(**fields: Any) -> WebhookMessage:
    assign_lead(make_listener(URL, at=NOW), at=NOW)
    enqueue_messages(at=NOW)
    WebhookMessage.objects.update(
        **({"status": "dead", "attempts": 8, "ended_at": NOW, "next_attempt_at": None} | fields)
    )
    return only_message()


def test_a_dead_message_is_sent_again_with_all_its_attempts_before_it() -> None:
    message = make_dead()
    before = message.body
    resend_message(message=message, at=NOW + HOUR)
    transport = answering(failing(), Result(status=200, duration_ms=1))
    push_messages(at=NOW + HOUR, transport=transport)
    again = only_message()
    assert (again.status, again.attempts) == ("pending", 1)
    push_messages(at=NOW + 2 * HOUR, transport=transport)
    assert only_message().status == Referral.objects.get().status == "delivered"
    assert {(one.headers["webhook-id"], one.body.decode()) for one in transport.sent} == {(message.webhook_id, before)}


def test_a_lead_that_must_not_go_out_any_more_cannot_be_sent_again() -> None:
    message = make_dead()
    move_referral(referral=Referral.objects.get(), to="cancelled", at=NOW)
    with pytest.raises(NothingToSend, match="not assigned any more"):
        resend_message(message=message, at=NOW)
    assert resend_dead(contractor=message.contractor, at=NOW) == 0
    assert only_message(kind="referral.assigned").status == "dead"


def test_who_read_a_lead_over_the_api_hears_when_it_is_taken_back() -> None:
    referral = assign_lead(make_listener(URL, at=NOW), at=NOW)
    deliver(ids=[referral.pk], at=NOW)
    move_referral(referral=referral, to="cancelled", at=NOW + HOUR)
    assert enqueue_messages(at=NOW + HOUR).ended == 1
    assert only_message(kind="referral.cancelled").contractor == referral.contractor


def test_what_has_expired_is_not_sent_even_before_the_sweep() -> None:
    assign_lead(make_listener(URL, at=NOW), at=NOW, expires_at=NOW + HOUR)
    transport = answering()
    assert push_messages(at=NOW + HOUR, transport=transport).delivered == 0
    assert transport.sent == []


def test_who_heard_of_a_referral_before_it_was_to_be_sent_again_hears_of_its_end() -> None:
    referral = assign_lead(make_listener(URL, at=NOW), at=NOW)
    push_messages(at=NOW, transport=answering(failing()))
    WebhookMessage.objects.update(status="dead", attempts=8, ended_at=NOW, next_attempt_at=None)
    resend_message(message=only_message(), at=NOW + HOUR)  # its attempts count from nought again
    move_referral(referral=referral, to="cancelled", at=NOW + HOUR)
    assert enqueue_messages(at=NOW + HOUR).ended == 1


def test_nothing_is_sent_again_while_the_webhook_is_off() -> None:
    message = make_dead()
    WebhookEndpoint.objects.update(is_enabled=False)
    for again in (
        lambda: resend_message(message=message, at=NOW),
        lambda: resend_dead(contractor=message.contractor, at=NOW),
    ):
        with pytest.raises(NothingToSend, match=r"is off\. Enter its address anew and switch it on first\."):
            again()
    assert only_message().status == "dead"


def test_only_a_dead_message_is_sent_again() -> None:
    message = make_dead(status="delivered")
    with pytest.raises(NothingToSend, match="The message is delivered"):
        resend_message(message=message, at=NOW)


def test_all_dead_messages_of_one_contractor_are_sent_again_and_no_others() -> None:
    mine, other = make_listener(URL, at=NOW), make_listener("https://other.example.com/", at=NOW)
    for contractor in (mine, mine, other):
        assign_lead(contractor, at=NOW)
    enqueue_messages(at=NOW)
    WebhookMessage.objects.update(status="dead", ended_at=NOW, next_attempt_at=None)
    assert resend_dead(contractor=mine, at=NOW) == 2
    transport = answering()
    assert push_messages(at=NOW, transport=transport).delivered == 2
    assert {request.url for request in transport.sent} == {URL}


def test_a_test_is_tried_once_also_while_the_webhook_is_off_and_is_no_dead_letter() -> None:
    contractor = make_listener(URL, at=NOW, is_enabled=False)
    make_test_message(contractor=contractor, at=NOW)
    assert push_messages(at=NOW, transport=answering(failing())) == Pushed(delivered=0, failed=0, dead=1)
    assert not WebhookMessage.objects.dead_letters().exists()
    make_test_message(contractor=contractor, at=NOW)
    transport = answering()
    assert push_messages(at=NOW, transport=transport).delivered == 1
    assert json.loads(transport.sent[0].body)["type"] == "test"


def test_old_messages_are_cleared_and_what_still_counts_stays() -> None:
    contractor = make_listener(URL, at=NOW)
    done, told = assign_lead(contractor, at=NOW), assign_lead(contractor, at=NOW)
    push_messages(at=NOW, transport=answering())
    Referral.objects.filter(pk=told.pk).update(status="assigned")
    waiting = assign_lead(contractor, at=NOW)
    enqueue_messages(at=NOW)
    assert clear_messages(at=NOW + KEPT_FOR) == 0
    later = NOW + KEPT_FOR + MINUTE
    assert clear_messages(at=later) == 1
    assert not WebhookAttempt.objects.filter(message__referral=done).exists()
    # The rest is still to be sent, or keeps its referral from being told a second time.
    assert set(WebhookMessage.objects.values_list("referral", flat=True)) == {told.pk, waiting.pk}
    assert enqueue_messages(at=later).assigned == 0
