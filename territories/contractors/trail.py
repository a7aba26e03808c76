"""The trail of a contractor: what was agreed and when it changed, so that a price or a cap can be proven."""

import datetime as dt
from collections.abc import Iterable

from accounts.models import User
from territories.models import Contractor, ContractorEvent, ReferralReturn

Kind = ContractorEvent.Kind
type_Agreement = dict[str, str]


def agreement_of(contractor: Contractor) -> type_Agreement:
    """What holds for a contractor, as texts by what people call it; nothing is an empty text."""
    reasons = dict(ReferralReturn.Reason.choices)
    contacts = contractor.contacts.order_by("pk").values_list("name", "role", "email", "phone")
    caps = {"Leads a day": contractor.daily_cap, "Leads a month": contractor.monthly_cap}
    caps |= {"Leads in total": contractor.total_cap, "Minimum score": contractor.min_score}
    return {
        "Company": contractor.company,
        "Trade": contractor.trade,
        "Time zone": contractor.time_zone,
        "Price": f"{contractor.price:.2f}",
        **{name: "" if cap is None else f"{cap:,}" for name, cap in caps.items()},
        "Wanted tags": _names(contractor.wanted_tags.values_list("name", flat=True)),
        "Unwanted tags": _names(contractor.unwanted_tags.values_list("name", flat=True)),
        "Days to return a lead": f"{contractor.return_window_days}",
        "Most returns, percent": f"{contractor.return_quota_percent}",
        "Returns approved without a person": _names(reasons.get(one, one) for one in contractor.auto_return_reasons),
        "Contacts": "; ".join(", ".join(filter(None, contact)) for contact in contacts),
        "Notes": contractor.notes,
    }


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def note_event(
    *,
    contractor: Contractor,
    kind: str,
    at: dt.datetime,
    by: User | None,
    note: str = "",
    changes: list[list[str]] | None = None,
) -> None:
    """Write what was done; in the transaction that does it."""
    ContractorEvent.objects.create(
        contractor=contractor, kind=kind, at=at, by=by, note=note, changes=changes if changes is not None else []
    )


def note_changes(*, contractor: Contractor, before: type_Agreement, at: dt.datetime, by: User | None) -> None:
    """Write what differs from `before`, if anything does. The contractor is as the database has it."""
    after = agreement_of(contractor)
    changes = [[what, before[what], text] for what, text in after.items() if before[what] != text]
    if changes:
        note_event(contractor=contractor, kind=Kind.CHANGED, at=at, by=by, changes=changes)


def version_of(contractor: Contractor) -> int:
    """Rises with each change of the agreement; 0 before the first."""
    changes = ContractorEvent.objects.filter(contractor=contractor, kind=Kind.CHANGED).order_by("-pk")
    return changes.values_list("pk", flat=True).first() or 0
