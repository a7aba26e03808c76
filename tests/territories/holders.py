"""Factories of contractors and of what they hold; each says only what the test is about."""

import datetime as dt
import itertools
from typing import Any

from leads.models import Lead
from territories.models import Contractor, Referral, Territory
from tests.conftest import NOW
from tests.factories import make_lead

_numbers = itertools.count(1)


def make_contractor(**fields: Any) -> Contractor:
    """An active contractor without caps."""
    values = {"company": f"Contractor {next(_numbers)}", "created_at": NOW, "time_zone": "America/New_York"} | fields
    return Contractor.objects.create(**values)


def make_territory(contractor: Contractor, zip_code: str = "07030", **fields: Any) -> Territory:
    """A ZIP held since a day ago, its waiting leads looked at."""
    day = dt.timedelta(days=1)
    values = {"from_at": NOW - day, "taken_up_at": NOW - day, "created_at": NOW - day} | fields
    return Territory.objects.create(zip=zip_code, contractor=contractor, **values)


def make_referral(
    lead: Lead | None = None, *, contractor: Contractor | None = None, status: str = "assigned", **fields: Any
) -> Referral:
    """A referral as generation leaves it in this state, of a lead of its own unless one is given."""
    values: dict[str, Any] = {"generated_at": NOW, "score": 300, "status": status, "contractor": contractor}
    if contractor is not None:
        values["assigned_at"] = NOW
    if status in ("delivered", "converted", "returned"):
        values["delivered_at"] = NOW
    if status in ("generated", "assigned"):
        values["expires_at"] = NOW + dt.timedelta(days=7)
    if not fields.get("is_sandbox"):
        values["lead"] = lead or make_lead(zip=fields.get("zip", "07030"))
    values["zip"] = values["lead"].zip if values.get("lead") else "07030"
    return Referral.objects.create(**(values | fields))
