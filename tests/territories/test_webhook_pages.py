"""Pages of webhooks: who may open them, what they show, and what their buttons do."""

import re
import uuid
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock, patch

import pytest
from django.test import Client
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import escape
from kombu.exceptions import OperationalError as BrokerError

from territories.models import Contractor, Referral, WebhookAttempt, WebhookEndpoint, WebhookMessage
from territories.referrals.lifecycle import move_referral
from territories.tasks import clear_webhooks, push_webhooks, wake_webhooks
from territories.webhooks import transport, urls
from territories.webhooks.messages import enqueue_messages, make_test_message
from territories.webhooks.queries import PAGE
from territories.webhooks.signing import make_secret
from tests.conftest import NOW
from tests.territories.receivers import receiver
from tests.territories.webhook_factories import assign_lead, make_listener, only_message

pytestmark = pytest.mark.django_db
URL = "https://hooks.example.com/leads"
ROLES = ("viewer", "analyst", "manager", "admin", "contractor")
MANAGERS, NOBODY = ("manager", "admin"), ()
# Name of the page -> who may GET it, who may POST to it.
PAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "webhook": (MANAGERS, MANAGERS),
    "webhook-rotate": (NOBODY, MANAGERS),
    "webhook-test": (NOBODY, MANAGERS),
    "webhook-resend-dead": (NOBODY, MANAGERS),
    "webhooks": (MANAGERS, NOBODY),
    "webhook-message": (MANAGERS, NOBODY),
    "webhook-resend": (NOBODY, MANAGERS),
}


@pytest.fixture(autouse=True)
def woken() -> Iterator[Mock]:
    """No page reaches the broker; the fixture tells whether a worker was woken."""
    with patch("territories.tasks.push_webhooks.delay") as delay:
        yield delay


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to, without asking anybody."""
    known = {"hooks.example.com": ["198.41.0.4"], "inside.example.com": ["10.0.0.5"]}

    def find(host: str, port: int, **_: Any) -> list[Any]:
        if host not in known:
            raise OSError("Name or service not known")
        return [(2, 1, 6, "", (address, port)) for address in known[host]]

    monkeypatch.setattr(transport.socket, "getaddrinfo", find)
    return known


def dead_message(contractor: Any = None) -> WebhookMessage:
    referral = assign_lead(contractor or make_listener(URL, at=NOW), at=NOW)
    enqueue_messages(at=NOW)
    mine = WebhookMessage.objects.filter(referral=referral)
    mine.update(
        status="dead", attempts=8, ended_at=NOW, next_attempt_at=None, last_status=500, last_error="It answered 500: no"
    )
    return mine.get()


# Rights ---------------------------------------------------------------------------------------------------------------


def address_of(pattern: URLPattern, message: WebhookMessage) -> str:
    of_message = {"webhook-message", "webhook-resend"}
    key = message.pk if pattern.name in of_message else message.contractor_id
    return reverse(f"territories:{pattern.name}", args=[key] if pattern.pattern.converters else [])


def test_every_page_is_in_the_table() -> None:
    assert {pattern.name for pattern in urls.urlpatterns} == set(PAGES)


@pytest.mark.parametrize("role", ROLES)
def test_every_role_at_every_page(role: str, person: Any) -> None:
    client, message = Client(), dead_message()
    client.force_login(person(role))
    before = WebhookEndpoint.objects.values().get()
    wrong = []
    for pattern in urls.urlpatterns:
        gets, posts = PAGES[str(pattern.name)]
        for method in ("get", "post", "put", "patch", "delete"):
            address = address_of(pattern, message)
            status = getattr(client, method)(address).status_code
            may = role in {"get": gets, "post": posts}.get(method, NOBODY)
            exists = bool({"get": gets, "post": posts}.get(method, NOBODY))
            fits = status in (200, 302, 409, 422) if may else status == 403 if exists else status in (403, 405)
            if not fits:
                wrong.append((role, method, address, status))
    assert wrong == []
    if role not in MANAGERS:
        assert WebhookEndpoint.objects.values().get() == before
        assert only_message().status == "dead"


def test_nobody_gets_in_without_login(client: Client) -> None:
    message = dead_message()
    for pattern in urls.urlpatterns:
        for method in ("get", "post"):
            response = getattr(client, method)(address_of(pattern, message))
            assert (response.status_code, response.url[:7]) == (302, "/login/")


def test_what_is_not_there_is_not_there(manager_client: Client) -> None:
    missing = uuid.uuid4()
    for address in ("/contractors/999/webhook/", f"/webhooks/{missing}/"):
        assert manager_client.get(address).status_code == 404
    for address in (
        "/contractors/999/webhook/rotate/",
        "/contractors/999/webhook/test/",
        "/contractors/999/webhook/resend/",
        f"/webhooks/{missing}/resend/",
    ):
        assert manager_client.post(address).status_code == 404


def test_who_may_only_look_sees_no_button(person: Any) -> None:
    from django.contrib.auth.models import Permission

    user = person("viewer")
    user.user_permissions.add(Permission.objects.get(codename="view_webhookmessage"))
    client, message = Client(), dead_message()
    client.force_login(user)
    for address in (f"/contractors/{message.contractor_id}/webhook/", "/webhooks/", message.get_absolute_url()):
        main = client.get(address).content.decode().split('<main id="main"')[1]
        assert 'method="post"' not in main
    assert client.post(f"/contractors/{message.contractor_id}/webhook/", {"url": URL}).status_code == 403


# A contractor's webhook -----------------------------------------------------------------------------------------------


@pytest.fixture
def contractor() -> Any:
    made = make_listener(URL, at=NOW)
    made.webhook.delete()
    made.refresh_from_db()
    return made


def test_setting_it_up_shows_the_secret_once(manager_client: Client, contractor: Any, woken: Mock) -> None:
    address = f"/contractors/{contractor.pk}/webhook/"
    assert "No webhook yet" in manager_client.get(address).content.decode()
    saved = manager_client.post(address, {"url": URL, "is_enabled": "on"})
    assert (saved.status_code, saved.url) == (302, address)
    assert woken.called
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.contractor, endpoint.url, endpoint.is_enabled) == (contractor, URL, True)
    # htmx asking for rows in between must not use it up.
    assert endpoint.secret not in manager_client.get(address, headers={"HX-Request": "true"}).content.decode()
    first, second = manager_client.get(address), manager_client.get(address)
    assert endpoint.secret in first.content.decode()
    assert "no-store" in first["Cache-Control"]
    assert endpoint.secret not in second.content.decode()
    assert endpoint.secret not in manager_client.get("/webhooks/").content.decode()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "Give the address"),
        ("http://hooks.example.com/", "Only https://"),
        ("https://inside.example.com/", "inside.example.com resolves to 10.0.0.5, a private address"),
        ("https://127.0.0.1/", "127.0.0.1 is this machine itself"),
        ("https://unknown.example.com/", "does not resolve"),
        ("https://hooks.example.com/" + "x" * 500, "at most 500 characters"),
        ("javascript:alert(1)", "beginning with https://"),
    ],
)
def test_an_address_that_cannot_be_taken_says_why_and_keeps_what_was_typed(
    manager_client: Client, contractor: Any, names: dict[str, list[str]], url: str, says: str, woken: Mock
) -> None:
    names["127.0.0.1"] = ["127.0.0.1"]
    response = manager_client.post(f"/contractors/{contractor.pk}/webhook/", {"url": url, "is_enabled": "on"})
    assert response.status_code == 422
    assert says in response.content.decode()
    assert f'value="{url[:500]}' in response.content.decode()
    assert not WebhookEndpoint.objects.exists()
    assert not woken.called


def test_changing_the_address_keeps_the_secret_and_off_needs_no_name(
    manager_client: Client, names: dict[str, list[str]]
) -> None:
    contractor = make_listener(URL, at=NOW)
    secret = contractor.webhook.secret
    address = f"/contractors/{contractor.pk}/webhook/"
    names["new.example.com"] = ["198.41.0.5"]
    manager_client.post(address, {"url": "https://new.example.com/", "is_enabled": "on"})
    contractor.webhook.refresh_from_db()
    assert (contractor.webhook.url, contractor.webhook.secret) == ("https://new.example.com/", secret)
    names.clear()
    assert manager_client.post(address, {"url": "https://new.example.com/"}).status_code == 302
    contractor.webhook.refresh_from_db()
    assert not contractor.webhook.is_enabled
    assert "The webhook is off." in manager_client.get(address).content.decode()
    assert manager_client.post(address, {"url": "https://new.example.com/", "is_enabled": "on"}).status_code == 422


def test_a_new_secret_is_shown_once_and_the_former_one_signs_on_for_a_day(manager_client: Client) -> None:
    contractor = make_listener(URL, at=NOW)
    former = contractor.webhook.secret
    before = timezone.now()
    manager_client.post(f"/contractors/{contractor.pk}/webhook/rotate/")
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.former_secret, endpoint.secret != former) == (former, True)
    assert endpoint.former_secret_until is not None
    assert 0 <= (endpoint.former_secret_until - before).total_seconds() - 24 * 3600 < 60
    page = manager_client.get(f"/contractors/{contractor.pk}/webhook/").content.decode()
    assert endpoint.secret in page
    assert former not in page
    assert "both signatures until" in page


def test_a_test_message_is_queued_and_a_worker_woken(manager_client: Client, woken: Mock) -> None:
    contractor = make_listener(URL, at=NOW)
    response = manager_client.post(f"/contractors/{contractor.pk}/webhook/test/", follow=True)
    message = only_message()
    assert (message.kind, message.status) == ("test", "pending")
    assert woken.called
    assert message.webhook_id in response.content.decode()
    assert re.search(r'hx-trigger="every 2s"', response.content.decode())


def test_a_receiver_that_is_gone_is_named_until_somebody_switches_it_on(manager_client: Client) -> None:
    message = dead_message()
    WebhookMessage.objects.update(last_status=410)
    WebhookEndpoint.objects.update(is_enabled=False)
    address = f"/contractors/{message.contractor_id}/webhook/"
    assert "answered 410 Gone" in manager_client.get(address).content.decode()
    WebhookEndpoint.objects.update(is_enabled=True)
    assert "answered 410 Gone" not in manager_client.get(address).content.decode()


# All messages, and one ------------------------------------------------------------------------------------------------


def test_the_list_says_what_to_do_when_there_is_nothing(manager_client: Client) -> None:
    assert "No webhook is set up" in manager_client.get("/webhooks/").content.decode()
    contractor = make_listener(URL, at=NOW)
    assert "No message yet" in manager_client.get("/webhooks/").content.decode()
    make_test_message(contractor=contractor, at=NOW)
    assert "No message matches" in manager_client.get("/webhooks/?state=dead").content.decode()


def test_dead_letters_stand_first_by_contractor(manager_client: Client) -> None:
    message = dead_message()
    dead_message(message.contractor)
    make_test_message(contractor=message.contractor, at=NOW)
    WebhookMessage.objects.filter(kind="test").update(status="dead")  # nobody's loss
    page = manager_client.get("/webhooks/").content.decode()
    assert page.index("Dead letters") < page.index('id="webhook-results"')
    assert "Send all 2 again" in page
    assert "Roofs &amp; Sons" in page
    for status, says in (("cancelled", "Send 1 of 2 again"), ("expired", "their referrals are not assigned any more")):
        move_referral(referral=Referral.objects.filter(status="assigned")[0], to=status, at=NOW)
        assert says in manager_client.get("/webhooks/").content.decode()


def test_filters_hold_and_a_wrong_one_is_left_out_aloud(manager_client: Client) -> None:
    mine, other = make_listener(URL, at=NOW), make_listener("https://other.example.com/", at=NOW)
    shown = make_test_message(contractor=mine, at=NOW)
    hidden = make_test_message(contractor=other, at=NOW)
    page = manager_client.get(f"/webhooks/?contractor={mine.pk}&state=pending").content.decode()
    assert str(shown.pk) in page
    assert str(hidden.pk) not in page
    wrong = manager_client.get("/webhooks/?state=lost&contractor=x&before=nonsense").content.decode()
    assert "this filter was left out" in wrong
    assert str(hidden.pk) in wrong


def test_the_double_of_a_sandbox_has_no_webhook(manager_client: Client) -> None:
    contractor = make_listener(URL, at=NOW)
    double = Contractor.objects.create(company=contractor.company, sandbox_of=contractor, created_at=NOW)
    assert manager_client.get(f"/contractors/{double.pk}/webhook/").status_code == 404
    WebhookEndpoint.objects.create(contractor=double, url=URL, secret="whsec_", created_at=NOW)
    assert manager_client.get("/webhooks/").content.decode().count(f">{escape(contractor.company)}</option>") == 1


def test_a_long_list_has_pages_and_loses_nothing(manager_client: Client, django_assert_max_num_queries: Any) -> None:
    contractor = make_listener(URL, at=NOW)
    for _ in range(2 * PAGE + 3):  # all of one moment
        make_test_message(contractor=contractor, at=NOW)
    address, found = f"/webhooks/?contractor={contractor.pk}", []
    while address:
        with django_assert_max_num_queries(12):
            page = manager_client.get(address).content.decode()
        found += re.findall(r'class="r-title"><a href="/webhooks/([0-9a-f-]{36})/"', page)
        older = re.search(r'rel="next" href="([^"]+)"', page)
        address = older[1].replace("&amp;", "&") if older else ""
    assert len(found) == len(set(found)) == 2 * PAGE + 3


def test_a_message_shows_its_attempts_and_its_body(manager_client: Client) -> None:
    message = dead_message()
    WebhookAttempt.objects.create(message=message, at=NOW, duration_ms=1234, status=500, error="It answered 500: <b>no")
    WebhookAttempt.objects.create(message=message, at=NOW, duration_ms=3001, error="No connection within 3 s.")
    page = manager_client.get(message.get_absolute_url()).content.decode()
    for text in (message.webhook_id, "It answered 500: &lt;b&gt;no", "1,234", "No connection within 3 s.", "receipt"):
        assert text in page
    assert "<script>" not in page


def test_sending_one_again(manager_client: Client, woken: Mock) -> None:
    message = dead_message()
    assert manager_client.post(f"{message.get_absolute_url()}resend/").url == message.get_absolute_url()
    assert (only_message().status, only_message().attempts, woken.called) == ("pending", 0, True)
    again = manager_client.post(f"{message.get_absolute_url()}resend/")
    assert again.status_code == 409
    assert "only a dead one can be sent again" in again.content.decode()


def test_what_must_not_go_out_is_refused_in_words(manager_client: Client, woken: Mock) -> None:
    message = dead_message()
    assert message.referral is not None
    move_referral(referral=message.referral, to="cancelled", at=NOW)
    response = manager_client.post(f"{message.get_absolute_url()}resend/")
    assert (response.status_code, woken.called) == (409, False)
    assert "is not assigned any more" in response.content.decode()
    all_of_them = manager_client.post(f"/contractors/{message.contractor_id}/webhook/resend/", follow=True)
    assert "can be sent again: the referrals" in all_of_them.content.decode()


def test_a_webhook_that_is_off_sends_nothing_again_and_says_so(manager_client: Client, woken: Mock) -> None:
    message = dead_message()
    WebhookEndpoint.objects.update(is_enabled=False)
    page = manager_client.post(f"/contractors/{message.contractor_id}/webhook/resend/", follow=True).content.decode()
    assert "is off. Enter its address anew and switch it on first." in page
    assert (only_message().status, woken.called) == ("dead", False)


def test_sending_all_of_a_contractor_again(manager_client: Client, woken: Mock) -> None:
    message = dead_message()
    dead_message(message.contractor)
    elsewhere = dead_message()
    page = manager_client.post(f"/contractors/{message.contractor_id}/webhook/resend/", follow=True).content.decode()
    assert "2 messages to" in page
    assert woken.called
    assert WebhookMessage.objects.get(status="dead") == elsewhere


# Tasks ----------------------------------------------------------------------------------------------------------------


def test_the_task_sends_by_the_settings_and_the_other_clears(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the real resolver
    at = timezone.now()
    with receiver(200) as server:
        contractor = make_listener(server.url, at=at)
        make_test_message(contractor=contractor, at=at)
        push_webhooks()
        assert "Only https" in only_message().last_error
        WebhookMessage.objects.all().delete()
        settings.WEBHOOK_ALLOW_HTTP, settings.WEBHOOK_PORTS = True, None
        settings.WEBHOOK_ALLOWED_NETWORKS = [transport.ipaddress.ip_network("127.0.0.0/8")]
        make_test_message(contractor=contractor, at=at)
        push_webhooks()
    assert (only_message().status, len(server.received)) == ("delivered", 1)
    WebhookMessage.objects.update(created_at=at - timezone.timedelta(days=91))
    clear_webhooks()
    assert not WebhookMessage.objects.exists()


def test_without_a_broker_a_wake_is_a_warning(woken: Mock, caplog: pytest.LogCaptureFixture) -> None:
    woken.side_effect = BrokerError("away")
    wake_webhooks()
    assert "webhooks wait for the next look" in caplog.text


def test_secrets_are_long_and_never_the_same() -> None:
    assert len({make_secret() for _ in range(50)}) == 50
    assert all(re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", make_secret()) for _ in range(5))
