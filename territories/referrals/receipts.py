"""The receipt of a referral: the lead, its explained score and its evidence, frozen when it is delivered."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from accounts.models import User
from territories.models import Referral
from territories.referrals.lifecycle import move_referrals


def compose_receipts(*, ids: Sequence[int], at: dt.datetime) -> Mapping[int, dict[str, Any]]:
    """What each referral's lead is at `at`: {referral id: receipt}; one that has a receipt keeps it."""
    return {
        referral.pk: referral.receipt or {"lead": {"id": referral.lead_id, "zip": referral.zip}}
        for referral in Referral.objects.filter(pk__in=ids)
    }


def deliver(*, ids: Sequence[int], at: dt.datetime, by: User | None = None, note: str = "") -> list[int]:
    """Note that the contractor has the full lead now: assigned ones become delivered, with their receipt frozen.

    The ids that moved. Those that were delivered before stay as they are.
    """
    receipts = compose_receipts(ids=ids, at=at)
    moved = move_referrals(ids=ids, to=Referral.Status.DELIVERED, at=at, by=by, note=note)
    for referral in Referral.objects.filter(pk__in=moved, receipt__isnull=True):
        referral.receipt = receipts[referral.pk]
        referral.save(update_fields=["receipt"])
    return moved
