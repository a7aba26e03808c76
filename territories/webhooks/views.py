"""Pages of webhooks: a contractor's own, all messages with the dead ones first, and one message."""

import datetime as dt
import json
import uuid
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.pages import HtmxHttpRequest, needs, person_of, show, wants_part
from territories.models import Contractor, WebhookEndpoint, WebhookMessage
from territories.tasks import wake_webhooks
from territories.webhooks.endpoints import NothingToSend, resend_dead, resend_message, rotate_secret, save_endpoint
from territories.webhooks.forms import EndpointForm, MessageFilter
from territories.webhooks.messages import make_test_message
from territories.webhooks.queries import dead_by_contractor, message_page, was_gone

SEES = ("territories.view_contractor", "territories.view_webhookmessage")
CHANGES = "territories.change_webhookmessage"


@require_http_methods(["GET", "HEAD", "POST"])
@needs(*SEES)
def webhook(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Where a contractor's messages go, and the last of them. POST saves; htmx asks for the messages again."""
    contractor = get_object_or_404(Contractor.objects.real().select_related("webhook"), pk=pk)
    endpoint: WebhookEndpoint | None = getattr(contractor, "webhook", None)
    kept = {"url": endpoint.url, "is_enabled": endpoint.is_enabled} if endpoint else {"is_enabled": True}
    if request.method != "POST":
        return _show_webhook(request, contractor, endpoint, EndpointForm(initial=kept))
    if not person_of(request).has_perm(CHANGES):
        raise PermissionDenied
    form = EndpointForm(request.POST, initial=kept)
    if not form.is_valid():
        return _show_webhook(request, contractor, endpoint, form, status=422)
    saved = save_endpoint(contractor=contractor, by=person_of(request), at=timezone.now(), **form.cleaned_data)
    if saved.secret:
        request.session[_secret_of(contractor)] = saved.secret
    if saved.endpoint.is_enabled:
        wake_webhooks()
    messages.success(request, f"Saved. Messages {'go there' if saved.endpoint.is_enabled else 'wait until it is on'}.")
    return redirect("territories:webhook", contractor.pk)


def _secret_of(contractor: Contractor) -> str:
    """The secret's place in the session, from the answer to the form to the page that shows it once."""
    return f"webhook-secret-{contractor.pk}"


def _show_webhook(
    request: HtmxHttpRequest,
    contractor: Contractor,
    endpoint: WebhookEndpoint | None,
    form: EndpointForm,
    *,
    status: int = 200,
) -> HttpResponse:
    is_whole = not wants_part(request)
    secret = request.session.pop(_secret_of(contractor), "") if is_whole and request.method == "GET" else ""
    at = timezone.now()
    context = {
        "contractor": contractor,
        "endpoint": endpoint,
        "form": form,
        "secret": secret,
        "both_until": _both_until(endpoint, at),
        "gone": was_gone(endpoint) if endpoint else None,
        "page": message_page(contractor=contractor),
        "may_change": person_of(request).has_perm(CHANGES),
    }
    response = show(request, "territories/webhook.html", context, part="messages", status=status)
    if secret:
        add_never_cache_headers(response)
    return response


def _both_until(endpoint: WebhookEndpoint | None, at: dt.datetime) -> dt.datetime | None:
    until = endpoint.former_secret_until if endpoint else None
    return until if until is not None and until > at else None


@require_POST
@needs(*SEES, CHANGES)
def rotate(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Make a fresh secret; the page after it shows it once."""
    endpoint = get_object_or_404(WebhookEndpoint.objects.select_related("contractor"), contractor_id=pk)
    secret = rotate_secret(endpoint=endpoint, by=person_of(request), at=timezone.now())
    request.session[_secret_of(endpoint.contractor)] = secret
    return redirect("territories:webhook", pk)


@require_POST
@needs(*SEES, CHANGES)
def test(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Send a message that says nothing."""
    endpoint = get_object_or_404(WebhookEndpoint.objects.select_related("contractor"), contractor_id=pk)
    message = make_test_message(contractor=endpoint.contractor, at=timezone.now())
    wake_webhooks()
    messages.success(request, f"A test message is on its way ({message.webhook_id}); what comes of it shows below.")
    return redirect(f"{reverse('territories:webhook', args=[pk])}#messages")


@require_safe
@needs(*SEES)
def webhooks(request: HtmxHttpRequest) -> HttpResponse:
    """All messages, newest first, the dead ones counted above; filters and page stand in the address."""
    form = MessageFilter(request.GET)
    wanted = form.wanted
    page = message_page(**wanted, before=_uuid_of(request.GET.get("before", "")))
    state = {name: request.GET[name] for name in form.fields if request.GET.get(name) and name not in form.errors}
    address = reverse("territories:webhooks")
    context = {
        "form": form,
        "problems": [form.fields[name].label or name.title() for name in form.errors],
        "dead": dead_by_contractor(),
        "page": page,
        "is_filtered": bool(wanted),
        "is_first": "before" not in request.GET,
        "newest": f"{address}?{urlencode(state)}" if state else address,
        "older": f"{address}?{urlencode(state | {'before': str(page.older)})}" if page.older else "",
        "any_endpoint": WebhookEndpoint.objects.exists(),
        "may_change": person_of(request).has_perm(CHANGES),
    }
    return show(request, "territories/webhooks.html", context, part="results")


def _uuid_of(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


@require_safe
@needs(*SEES)
def webhook_message(request: HtmxHttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One message: its state, each attempt, and its body."""
    return _show_message(request, _find(pk))


def _find(pk: uuid.UUID) -> WebhookMessage:
    return get_object_or_404(WebhookMessage.objects.select_related("contractor", "contractor__webhook"), pk=pk)


def _show_message(
    request: HtmxHttpRequest, message: WebhookMessage, *, problem: str = "", status: int = 200
) -> HttpResponse:
    context: dict[str, Any] = {
        "message": message,
        "tries": message.tries.order_by("-at", "-pk"),
        "body": json.dumps(json.loads(message.body), indent=2, ensure_ascii=False),
        "problem": problem,
        "may_change": person_of(request).has_perm(CHANGES),
    }
    return show(request, "territories/webhook_message.html", context, part="state", status=status)


@require_POST
@needs(*SEES, CHANGES)
def resend(request: HtmxHttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Send one dead message again."""
    message = _find(pk)
    try:
        resend_message(message=message, at=timezone.now())
    except NothingToSend as refusal:
        return _show_message(request, message, problem=str(refusal), status=409)
    wake_webhooks()
    return redirect(message.get_absolute_url())


@require_POST
@needs(*SEES, CHANGES)
def resend_all(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Send all dead messages of a contractor again."""
    contractor = get_object_or_404(Contractor, pk=pk)
    problem, count = "", 0
    try:
        count = resend_dead(contractor=contractor, at=timezone.now())
    except NothingToSend as refusal:
        problem = str(refusal)
    if count:
        wake_webhooks()
        messages.success(request, f"{count:,} message{'' if count == 1 else 's'} to {contractor} will be sent again.")
    else:
        none = f"Nothing of {contractor} can be sent again: the referrals of its dead messages are not assigned."
        messages.error(request, problem or none)
    return redirect(f"{reverse('territories:webhooks')}?{urlencode({'contractor': contractor.pk})}")
