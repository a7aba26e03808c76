"""What several pages of the room ask: who holds which ZIP, and what waits in it."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Avg, Count, Exists, Max, OuterRef

from leads.models import Lead
from territories.models import Referral, Territory

# Live ones that a contractor has. A generated one belongs to nobody: its lead waits.
_GIVEN = (Referral.Status.ASSIGNED, Referral.Status.DELIVERED, Referral.Status.CONVERTED)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Leads of one ZIP that nobody has: how many, and how good."""

    leads: int = 0
    best_score: int = 0
    average_score: int = 0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a ZIP."""

    contractor_id: int
    company: str
    territory_id: int


def waiting_by_zip(*, min_score: int, zips: Collection[str] | None = None) -> dict[str, Waiting]:
    """The leads at or above a score that are offered to nobody, by ZIP; of these ZIPs, or of all.

    Not suppressed, not with a contractor; those that wait as generated referrals count. ZIPs without one are left out.
    Index: lead_by_score, or lead_by_zip where ZIPs are named; referral_one_live_per_lead.
    """
    given = Referral.objects.live().filter(lead=OuterRef("pk"), status__in=_GIVEN)
    leads = Lead.objects.offerable().filter(~Exists(given), score__gte=min_score)
    leads = leads.exclude(zip="") if zips is None else leads.filter(zip__in=zips)
    found = leads.order_by().values_list("zip").annotate(Count("pk"), Max("score"), Avg("score"))
    return {zip_code: Waiting(count, best, round(average)) for zip_code, count, best, average in found}


def holders_by_zip(*, at: dt.datetime, zips: Collection[str] | None = None) -> dict[str, Holder]:
    """Who holds each ZIP at `at`; of these ZIPs, or of all."""
    held = Territory.objects.held(at)
    if zips is not None:
        held = held.filter(zip__in=zips)
    found = held.values_list("zip", "contractor_id", "contractor__company", "pk")
    return {zip_code: Holder(contractor, company, pk) for zip_code, contractor, company, pk in found}
