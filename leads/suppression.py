"""Suppression: a lead that is offered to nobody, for a reason; it is kept, scored and shown."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from accounts.models import User
from leads import registry
from leads.models import Lead, LeadSuppression


class NoReason(Exception):
    """Whoever suppresses a lead says why."""

    def __init__(self) -> None:
        super().__init__("Say why this lead is offered to nobody, such as “Owner asked not to be contacted”.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressed:
    """Ids of the leads that changed; those that were so already, or are not there, are not among them."""

    changed: Sequence[int]


def suppress_leads(*, lead_ids: Sequence[int], reason: str, by: User | None, at: dt.datetime) -> Suppressed:
    """Offer these leads to nobody from now on; what waits for a contractor is taken back.

    Leads that are suppressed already keep their day and reason. Raises NoReason.
    """
    reason = reason.strip()
    if not reason:
        raise NoReason
    with transaction.atomic():
        changed = _lock(lead_ids, is_suppressed=False)
        Lead.objects.filter(pk__in=changed).update(suppressed_at=at, suppressed_reason=reason)
        LeadSuppression.objects.bulk_create(
            LeadSuppression(lead_id=pk, reason=reason, suppressed_at=at, suppressed_by=by) for pk in changed
        )
        if changed:
            registry.announce_suppressed(changed, reason, by, at)
    return Suppressed(changed=changed)


def lift_suppression(*, lead_ids: Sequence[int], reason: str, by: User | None, at: dt.datetime) -> Suppressed:
    """Let these leads be offered again; `reason` may be blank. What was taken back stays so."""
    with transaction.atomic():
        changed = _lock(lead_ids, is_suppressed=True)
        Lead.objects.filter(pk__in=changed).update(suppressed_at=None, suppressed_reason="")
        LeadSuppression.objects.filter(lead__in=changed, lifted_at__isnull=True).update(
            lifted_at=at, lifted_by=by, lift_reason=reason.strip()
        )
    return Suppressed(changed=changed)


def _lock(lead_ids: Sequence[int], *, is_suppressed: bool) -> list[int]:
    """Those of the leads that are to change, locked in id order, so that two who overlap wait instead of deadlock."""
    leads = Lead.objects.filter(pk__in=lead_ids, suppressed_at__isnull=not is_suppressed)
    return list(leads.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))


def suppressions_of(lead: Lead) -> list[LeadSuppression]:
    """The suppressions of a lead, the newest first. Index: leadsuppression_by_lead."""
    return list(LeadSuppression.objects.filter(lead=lead).select_related("suppressed_by", "lifted_by").order_by("-pk"))
