"""Proof of exclusivity: who held a ZIP in a period, and that every lead of it went to its one holder."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from territories.holdings.operations import overlapping
from territories.holdings.periods import day_in_words
from territories.models import Referral, Territory
from territories.sql.exclusivity import count_breaches

SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of the period with its holder; without one, nobody held the ZIP."""

    from_at: dt.datetime
    to_at: dt.datetime
    territory: Territory | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was the case in [from_at, to_at), and what the database counts of what must not be.

    overlaps: territories that meet; strays: referrals to somebody who did not hold the ZIP then; doubles: leads that
    two contractors had at the same time.
    """

    zip: str
    from_at: dt.datetime
    to_at: dt.datetime
    at: dt.datetime
    stretches: list[Stretch]
    called_off: list[Territory]
    count: int
    overlaps: int
    strays: int
    doubles: int
    is_rule_in_force: bool

    @property
    def is_proven(self) -> bool:
        return self.is_rule_in_force and not (self.overlaps or self.strays or self.doubles)

    @property
    def holdings(self) -> list[Stretch]:
        return [stretch for stretch in self.stretches if stretch.territory]


def prove_exclusivity(*, zip_code: str, from_at: dt.datetime, to_at: dt.datetime, at: dt.datetime) -> Proof:
    """The proof for one ZIP and period. It tells of breaches as well: what it counts is counted in the data."""
    overlaps, strays, doubles, is_in_force = count_breaches(zip_code=zip_code, from_at=from_at, to_at=to_at)
    called_off = Territory.objects.in_zip(zip_code).filter(to_at__isnull=False, from_at__gte=from_at, from_at__lt=to_at)
    return Proof(
        zip=zip_code,
        from_at=from_at,
        to_at=to_at,
        at=at,
        stretches=_stretches(zip_code, from_at, to_at),
        called_off=[
            row for row in called_off.select_related("contractor").order_by("from_at") if row.to_at == row.from_at
        ],
        count=referrals_of(zip_code=zip_code, from_at=from_at, to_at=to_at).count(),
        overlaps=overlaps,
        strays=strays,
        doubles=doubles,
        is_rule_in_force=is_in_force,
    )


def _stretches(zip_code: str, from_at: dt.datetime, to_at: dt.datetime) -> list[Stretch]:
    """The period without a gap: what nobody held is a stretch as well."""
    found: list[Stretch] = []
    reached = from_at
    for row in sorted(overlapping(zips=[zip_code], from_at=from_at, to_at=to_at), key=lambda row: row.from_at):
        begins, ends = max(row.from_at, from_at), min(row.to_at or to_at, to_at)
        if begins > reached:
            found.append(Stretch(from_at=reached, to_at=begins, territory=None))
        found.append(Stretch(from_at=begins, to_at=ends, territory=row))
        reached = max(reached, ends)
    if reached < to_at:
        found.append(Stretch(from_at=reached, to_at=to_at, territory=None))
    return found


def referrals_of(*, zip_code: str, from_at: dt.datetime, to_at: dt.datetime) -> QuerySet[Referral]:
    """Every referral that was made of a ZIP in a period, oldest first: by assignment, else by generation."""
    made = Referral.objects.real().annotate(made_at=Coalesce("assigned_at", "generated_at"))
    made = made.filter(Q(made_at__gte=from_at), zip=zip_code, made_at__lt=to_at)
    return made.select_related("contractor", "lead").order_by("made_at", "pk")


HEADER = (
    "what",
    "zip",
    "from",
    "to",
    "contractor",
    "referral",
    "lead",
    "status",
    "assigned",
    "delivered",
    "ended",
    "entered_late",
)


def csv_rows(proof: Proof) -> Iterator[tuple[object, ...]]:
    """The proof as rows: the statement, each stretch, each referral. Moments in UTC.

    entered_late: when a territory was entered, where that is more than a day after it began.
    """
    yield HEADER
    verdict = "exclusive" if proof.is_proven else "NOT exclusive"
    told = f"{verdict}: {proof.overlaps} overlaps, {proof.strays} strays, {proof.doubles} doubles"
    yield (told, proof.zip, _utc(proof.from_at), _utc(proof.to_at), *[""] * 8)
    for stretch in proof.stretches:
        what, who = ("held", stretch.territory.contractor) if stretch.territory else ("held by nobody", "")
        entered = _utc(stretch.territory.entered_late_at) if stretch.territory else ""
        yield (what, proof.zip, _utc(stretch.from_at), _utc(stretch.to_at), who, *[""] * 6, entered)
    for one in referrals_of(zip_code=proof.zip, from_at=proof.from_at, to_at=proof.to_at).iterator():
        moments = (_utc(one.assigned_at), _utc(one.delivered_at), _utc(one.ended_at))
        yield ("referral", one.zip, "", "", one.contractor or "", one.pk, one.lead_id or "", one.status, *moments, "")


def _utc(at: dt.datetime | None) -> str:
    return at.astimezone(dt.UTC).isoformat(timespec="seconds") if at else ""


def title_of(proof: Proof) -> str:
    """The period in words, for a heading."""
    return f"{proof.zip}, {day_in_words(proof.from_at)} to {day_in_words(proof.to_at)}"
