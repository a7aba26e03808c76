"""What the API's description says of messages is what is sent."""

import datetime as dt
import json
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

from territories.models import Contractor, Referral, ReferralReturn, WebhookMessage
from territories.referrals.lifecycle import move_referral
from territories.webhooks.messages import enqueue_messages, make_test_message
from tests.conftest import NOW
from tests.territories.contractors import BASE, make_login, program_of
from tests.territories.webhook_factories import assign_lead, make_listener

pytestmark = pytest.mark.django_db
URL = "https://hooks.example.com/leads"
MINUTE = dt.timedelta(minutes=1)


def shape(value: Any) -> Any:
    """The names of all members; of a list, those of its first item."""
    if isinstance(value, list):
        return shape(value[0]) if value else None
    return {name: shape(inner) for name, inner in value.items()} if isinstance(value, dict) else None


def described(node: Any, schema: Any) -> Any:
    """The same of a schema."""
    if name := node.get("$ref"):
        node = schema["components"]["schemas"][name.rpartition("/")[2]]
    for way in ("oneOf", "allOf"):
        if way in node:
            return described(node[way][0], schema)
    if "items" in node:
        return described(node["items"], schema)
    inner = node.get("properties")
    return {name: described(one, schema) for name, one in inner.items()} if inner else None


def decide(referral: Referral, at: dt.datetime, replacement: Referral | None = None) -> None:
    ReferralReturn.objects.create(
        referral=referral, reason="sold", status="approved", requested_at=at, decided_at=at, replacement=replacement
    )


def test_each_kind_of_message_is_described_as_it_is_sent() -> None:
    contractor = make_listener(URL, at=NOW)
    referrals = [assign_lead(contractor, at=NOW) for _ in range(3)]
    enqueue_messages(at=NOW)
    WebhookMessage.objects.update(attempts=1)
    for referral, end in zip(referrals, ("cancelled", "expired"), strict=False):
        move_referral(referral=referral, to=end, at=NOW + MINUTE)
    decide(referrals[2], NOW + MINUTE)
    make_test_message(contractor=contractor, at=NOW)
    enqueue_messages(at=NOW + MINUTE)
    sent = {one.kind: json.loads(one.body) for one in WebhookMessage.objects.all()}
    schema: Any = SchemaGenerator().get_schema(request=None, public=True)
    assert set(schema["webhooks"]) == set(sent) == set(WebhookMessage.Kind.values)
    for kind, told in schema["webhooks"].items():
        media = told["post"]["requestBody"]["content"]["application/json"]
        (example,) = media["examples"].values()
        assert example["value"]["type"] == sent[kind]["type"] == kind
        real = shape(sent[kind])
        assert shape(example["value"]) == real, kind
        if "receipt" in real["data"]:  # this lead is in no group with a cap
            real["data"]["receipt"]["score"]["cap_lines"] = {"group": None, "cap": None, "points": None}
        assert described(media["schema"], schema) == real, kind


def test_a_message_and_the_api_tell_the_same_moment_and_the_same_replacement() -> None:
    contractor: Contractor = make_login()
    at = NOW + dt.timedelta(microseconds=123_456)
    listener = make_listener(URL, at=NOW)
    listener.webhook.contractor = contractor
    listener.webhook.save()
    replacement = assign_lead(contractor, at=at)
    referral = assign_lead(contractor, at=at, status="returned", delivered_at=at, ended_at=at)
    decide(referral, at, replacement)
    enqueue_messages(at=at)
    api = program_of(contractor)
    told = api.get(f"{BASE}/referrals/{referral.pk}").json()
    sent = {one.kind: json.loads(one.body)["data"] for one in WebhookMessage.objects.all()}
    assert sent["referral.assigned"]["assigned_at"] == told["assigned_at"] == "2026-06-15T12:00:00.123456Z"
    assert sent["return.decided"]["return"]["decided_at"] == told["return"]["decided_at"]
    assert sent["return.decided"]["return"]["replacement_id"] == told["return"]["replacement_id"] == replacement.pk
