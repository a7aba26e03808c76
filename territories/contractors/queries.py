"""What pages and API tell of contractors: what they hold and what they have used of their caps."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count

from territories.contractors.usage import Usage, usage_of
from territories.models import Contractor, Territory


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A contractor with the number of ZIPs it holds now and its use of caps."""

    contractor: Contractor
    zips: int
    usage: Usage


def accounts_of(contractors: Sequence[Contractor], at: dt.datetime) -> list[Account]:
    """The contractors in their order, by a fixed number of queries."""
    ids = [contractor.pk for contractor in contractors]
    held = Territory.objects.held(at).filter(contractor__in=ids).order_by()
    zips = dict(held.values_list("contractor").annotate(Count("pk")))
    usage = usage_of(ids, at)
    return [
        Account(contractor=contractor, zips=zips.get(contractor.pk, 0), usage=usage[contractor.pk])
        for contractor in contractors
    ]
