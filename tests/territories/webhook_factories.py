"""Contractors with a webhook, and referrals that it is told of."""

import datetime as dt
import itertools
from typing import Any

from territories.models import Contractor, Referral, WebhookEndpoint, WebhookMessage
from territories.webhooks.signing import make_secret
from tests.factories import make_scored_lead, make_tag

_numbers = itertools.count(1)


def make_listener(url: str, *, at: dt.datetime, **fields: Any) -> Contractor:
    """A contractor whose webhook is at `url`."""
    contractor = Contractor.objects.create(company=f"Roofs & Sons {next(_numbers)}", created_at=at)
    WebhookEndpoint.objects.create(
        contractor=contractor, **({"url": url, "secret": make_secret(), "created_at": at} | fields)
    )
    return contractor


def assign_lead(contractor: Contractor, *, at: dt.datetime, **fields: Any) -> Referral:
    """A referral of a fresh lead, assigned to the contractor."""
    lead = make_scored_lead(tags=[make_tag(base_score=1_200)], at=at, owner_name="ADA EXAMPLE")
    values: dict[str, Any] = {
        "lead": lead,
        "zip": lead.zip,
        "score": lead.score,
        "status": Referral.Status.ASSIGNED,
        "contractor": contractor,
        "price": "45.00",
        "generated_at": at,
        "assigned_at": at,
        "expires_at": at + dt.timedelta(days=7),
    }
    return Referral.objects.create(**(values | fields))


def only_message(**wanted: Any) -> WebhookMessage:
    return WebhookMessage.objects.get(**wanted)
