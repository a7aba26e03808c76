"""What a contractor has used of its caps, as its API tells it; the sandbox counts its invented referrals."""

import datetime as dt
from typing import Any

from django.db.models import Count, Q

from territories.contractors.usage import beginnings, usage_of
from territories.models import Contractor, Referral
from territories.referrals.receipts import utc_text


def usage_body(contractor: Contractor, *, at: dt.datetime) -> dict[str, Any]:
    """Used, cap and rest of today, the month and in total; day and month begin in the contractor's zone."""
    if contractor.sandbox_of_id is None:
        usage = usage_of([contractor.pk], at)[contractor.pk]
        used = {"today": usage.today, "month": usage.month, "total": usage.total}
    else:
        used = _invented(contractor, at)
    caps = {"today": contractor.daily_cap, "month": contractor.monthly_cap, "total": contractor.total_cap}
    rests = {name: None if cap is None else max(0, cap - used[name]) for name, cap in caps.items()}
    lines = {name: {"used": used[name], "cap": caps[name], "remaining": rests[name]} for name in caps}
    left = [rest for rest in rests.values() if rest is not None]
    return {
        "at": utc_text(at),
        "time_zone": str(contractor.zone),
        **lines,
        "remaining": min(left) if left else None,
    }


def _invented(double: Contractor, at: dt.datetime) -> dict[str, int]:
    day, month = beginnings(double.zone, at)
    gone = [Referral.Status.RETURNED, Referral.Status.CANCELLED]
    counted = Referral.objects.filter(contractor=double, is_sandbox=True).exclude(status__in=gone)
    return counted.aggregate(
        today=Count("pk", filter=Q(assigned_at__gte=day)),
        month=Count("pk", filter=Q(assigned_at__gte=month)),
        total=Count("pk"),
    )
