"""Contractors, territories and referrals as their operations leave them; each says only what the test is about."""

import datetime as dt
import itertools
from decimal import Decimal
from typing import Any

from leads.models import Lead
from territories.models import Contractor, Referral, ReferralEvent, ReferralReturn, Territory
from tests.conftest import NOW
from tests.factories import make_lead

_numbers = itertools.count(1)
Status = Referral.Status
# The way to each state; every step is an event.
WAYS: dict[str, tuple[str, ...]] = {
    Status.GENERATED: ("generated",),
    Status.ASSIGNED: ("generated", "assigned"),
    Status.DELIVERED: ("generated", "assigned", "delivered"),
    Status.CONVERTED: ("generated", "assigned", "delivered", "converted"),
    Status.RETURNED: ("generated", "assigned", "delivered", "returned"),
    Status.EXPIRED: ("generated", "assigned", "expired"),
    Status.CANCELLED: ("generated", "assigned", "cancelled"),
}
HOLDS_FOR = {Status.GENERATED: dt.timedelta(days=14), Status.ASSIGNED: dt.timedelta(days=7)}


def make_contractor(*, at: dt.datetime = NOW, **fields: Any) -> Contractor:
    """An active contractor without caps or wishes, 25 dollars a lead."""
    values = {"company": f"Contractor {next(_numbers)}", "price": Decimal("25.00"), "created_at": at} | fields
    return Contractor.objects.create(**values)


def make_territory(
    *,
    contractor: Contractor,
    zip_code: str = "07030",
    from_at: dt.datetime = NOW - dt.timedelta(days=60),
    **fields: Any,
) -> Territory:
    """A ZIP that the contractor holds, without end unless said otherwise; what waited in it has been looked at."""
    values = {"created_at": from_at, "taken_up_at": from_at} | fields
    return Territory.objects.create(zip=zip_code, contractor=contractor, from_at=from_at, **values)


def receipt_of(lead: Lead | None, zip_code: str, score: int) -> dict[str, Any]:
    """A receipt of a lead with one reason, as it is delivered."""
    return {
        "composed_at": "2026-06-15T12:00:00Z",
        "lead": {"id": lead.pk if lead else None, "address": lead.address if lead else "", "zip": zip_code},
        "score": {
            "total": score,
            "when_assigned": score,
            "lines": [{"reason": "Haunted", "group": None, "base_score": score, "percent": 100, "points": score}],
            "cap_lines": [],
        },
        "evidence": [
            {
                "reason": "Haunted",
                "assigned_at": "2026-06-01T00:00:00Z",
                "age_days": 14,
                "expiration_at": None,
                "is_expired": False,
                "last_listed_at": None,
            }
        ],
    }


def make_referral(
    *,
    status: str = Status.DELIVERED,
    at: dt.datetime = NOW,
    lead: Lead | None = None,
    contractor: Contractor | None = None,
    **fields: Any,
) -> Referral:
    """A referral that came to its state at `at`, all steps in that moment, with their events.

    Without a lead it gets a new one, without a contractor (unless it is only generated) a new one too. Moments,
    `score`, `price`, `territory` and the like may be given.
    """
    steps = WAYS[status]
    if lead is None and not fields.get("is_sandbox"):
        lead = make_lead(at=at, score=500, scored_at=at, rescore_at=None, rescore_cause=None)
    if contractor is None and "assigned" in steps:
        contractor = make_contractor(at=at)
    values: dict[str, Any] = {
        "lead": lead,
        "zip": lead.zip if lead else "07030",
        "score": lead.score if lead else 500,
        "status": status,
        "contractor": contractor,
        "price": contractor.price if contractor else None,
        "generated_at": at,
        "assigned_at": at if "assigned" in steps else None,
        "delivered_at": at if "delivered" in steps else None,
        "converted_at": at if "converted" in steps else None,
        "ended_at": at if steps[-1] in ("returned", "expired", "cancelled") else None,
        "expires_at": at + HOLDS_FOR[Status(status)] if status in HOLDS_FOR else None,
    }
    if "delivered" in steps:
        values["receipt"] = receipt_of(lead, values["zip"], values["score"])
    referral = Referral.objects.create(**(values | fields))
    ReferralEvent.objects.bulk_create(
        ReferralEvent(referral=referral, at=at, what=what, from_status=former)
        for former, what in zip(("", *steps), steps, strict=False)
    )
    return referral


def make_return(*, referral: Referral | None = None, at: dt.datetime = NOW, **fields: Any) -> ReferralReturn:
    """A contractor's wish to give back a delivered referral; pending unless said otherwise."""
    if referral is None:
        referral = make_referral(at=at)
    values = {"reason": ReferralReturn.Reason.UNREACHABLE, "requested_at": at} | fields
    if values.get("status", "pending") != "pending":
        values.setdefault("decided_at", at)
    return ReferralReturn.objects.create(referral=referral, **values)
