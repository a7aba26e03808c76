"""A preview for people and programs: how many, for whom, where, and a sample."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from leads.models import Lead
from territories.generation.dealing import REASONS, Preview
from territories.models import Contractor
from territories.sql.generation import Pick

SAMPLE = 12
ROWS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one contractor, or one ZIP, would get."""

    name: str
    leads: int
    best_score: int
    average_urgency: int
    contractor: Contractor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    lead: Lead
    pick: Pick
    contractor: Contractor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A preview told: the largest shares first; `more_...`: how many are not shown."""

    preview: Preview
    by_contractor: list[Share]
    more_contractors: int
    by_zip: list[Share]
    more_zips: int
    sample: list[Example]
    left_out: list[tuple[int, str]]


def tell(preview: Preview) -> Told:
    """Group a preview by contractor and by ZIP, with its best leads; three queries whatever its size."""
    picks = [*preview.replacements, *preview.picks]
    contractors = Contractor.objects.in_bulk({pick.contractor_id for pick in picks if pick.contractor_id is not None})
    leads = Lead.objects.in_bulk([pick.lead_id for pick in picks[:SAMPLE]])
    holders: dict[int | None, list[Pick]] = {}
    zips: dict[str, list[Pick]] = {}
    for pick in picks:
        holders.setdefault(pick.contractor_id, []).append(pick)
        zips.setdefault(pick.zip, []).append(pick)
    of_contractors = [
        _share(contractors[pk].company if pk is not None else "", some, contractors.get(pk) if pk else None)
        for pk, some in holders.items()
    ]
    of_zips = [
        _share(zip_code, some, contractors.get(some[0].contractor_id or 0)) for zip_code, some in sorted(zips.items())
    ]
    for shares in (of_contractors, of_zips):
        shares.sort(key=lambda share: -share.leads)
    return Told(
        preview=preview,
        by_contractor=of_contractors[:ROWS],
        more_contractors=max(0, len(of_contractors) - ROWS),
        by_zip=of_zips[:ROWS],
        more_zips=max(0, len(of_zips) - ROWS),
        sample=[
            Example(lead=leads[pick.lead_id], pick=pick, contractor=contractors.get(pick.contractor_id or 0))
            for pick in picks[:SAMPLE]
            if pick.lead_id in leads
        ],
        left_out=[(preview.left_out[key], words) for key, words in REASONS.items() if preview.left_out.get(key)],
    )


def _share(name: str, picks: list[Pick], contractor: Contractor | None) -> Share:
    return Share(
        name=name,
        leads=len(picks),
        best_score=max(pick.score for pick in picks),
        average_urgency=round(sum(pick.urgency for pick in picks) / len(picks)),
        contractor=contractor,
    )


def summary_of(preview: Preview) -> dict[str, Any]:
    """The numbers, as a run's result gives them."""
    counts = Counter(pick.contractor_id for pick in preview.picks if pick.contractor_id is not None)
    companies = Contractor.objects.in_bulk(counts)
    return {
        "referrals": len(preview.picks),
        "assigned": preview.assigned,
        "generated": preview.generated,
        "replacements": len(preview.replacements),
        "by_contractor": {
            companies[pk].company: count for pk, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
        },
        "left_out": {key: preview.left_out[key] for key in REASONS if key in preview.left_out},
        "leads_read": preview.read,
        "slices": preview.slices,
    }
