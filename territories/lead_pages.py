"""What referrals add to the lead pages: their state as column, filter and API field, and a panel."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import django_filters
from django.db.models import Exists, OuterRef

from accounts.models import User
from leads import registry
from leads.filters import ChoiceFilter
from leads.models import LeadQuerySet
from territories.models import Referral
from territories.referrals.lifecycle import cancel_waiting
from territories.referrals.listing import STATES, latest_referrals

NONE, LIVE = "none", "live"


def referral_of(lead_ids: Sequence[int]) -> Mapping[int, dict[str, Any]]:
    return {
        lead_id: {"id": one.pk, "status": one.status, "contractor_id": one.contractor_id}
        for lead_id, one in latest_referrals(lead_ids).items()
    }


def with_referral(leads: LeadQuerySet, name: str, value: str) -> LeadQuerySet:
    """Leads with no live referral, with one, or whose newest referral is in a state."""
    of_lead = Referral.objects.filter(lead=OuterRef("pk"))
    if value in {NONE, LIVE}:
        live = Exists(of_lead.live())
        return leads.filter(live if value == LIVE else ~live)
    newer = Referral.objects.filter(lead=OuterRef("lead"), pk__gt=OuterRef("pk"))
    return leads.filter(Exists(of_lead.filter(~Exists(newer), status=value)))


def referral_filter() -> django_filters.Filter:
    choices = [(NONE, "No live one"), (LIVE, "A live one"), *((value, words[0]) for value, words in STATES.items())]
    return ChoiceFilter(method=with_referral, label="Referral", choices=choices)


def take_back(lead_ids: Sequence[int], reason: str, by: User | None, at: dt.datetime) -> None:
    """A suppressed lead waits for nobody."""
    cancel_waiting(lead_ids=lead_ids, note=f"The lead was suppressed: {reason}", by=by, at=at)


def register() -> None:
    registry.add_column(
        registry.Column(
            key="referral",
            label="Referral",
            fetch=latest_referrals,
            template="territories/_referral_cell.html",
            order=65,
        )
    )
    registry.add_filter("referral", referral_filter)
    registry.add_api_field("referral", referral_of)
    registry.add_panel(
        registry.Panel(key="referrals", title="Referrals", url_name="territories:lead-referrals", order=15)
    )
    registry.on_suppressed(take_back)
