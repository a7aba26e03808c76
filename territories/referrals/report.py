"""The report on contractors: what became of the leads that were delivered to each in some days."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from territories.referrals.listing import start_of_day
from territories.sql import report as sql

CSV_HEADER = (
    "contractor_id",
    "contractor",
    "delivered",
    "accepted",
    "contacted",
    "converted",
    "conversion_percent",
    "returned",
    "returns_refused",
    "cancelled",
    "median_response_minutes",
    "spend",
    "value",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractorLine:
    """Of the leads that were delivered in the days: how many went which way since. Money in dollars.

    `response`: the middle time from delivery to accepting or reaching the owner, whichever came first; None where
    nobody did either. `spend`: the prices of those that neither came back nor were taken back.
    """

    contractor_id: int | None
    company: str
    delivered: int
    accepted: int
    contacted: int
    converted: int
    returned: int
    refused: int
    cancelled: int
    response: dt.timedelta | None
    spend: Decimal
    value: Decimal

    @property
    def conversion_percent(self) -> Decimal | None:
        """Converted ones of those that stayed with the contractor, to a tenth."""
        kept = self.delivered - self.returned - self.cancelled
        return (Decimal(100) * self.converted / kept).quantize(Decimal("0.1")) if kept else None

    @property
    def response_words(self) -> str:
        if self.response is None:
            return ""
        minutes = round(self.response.total_seconds() / 60)
        if minutes < 60:
            return f"{minutes} min"
        hours, rest = divmod(minutes, 60)
        return f"{hours} h {rest} min" if hours < 48 else f"{hours // 24} days {hours % 24} h"


def contractor_report(*, since: dt.date, until: dt.date, contractor_id: int | None = None) -> list[ContractorLine]:
    """A line for each contractor that got a lead from the day `since` to the day `until`, both included."""
    rows = sql.report(since=start_of_day(since), until=start_of_day(until, days=1), contractor_id=contractor_id)
    return [
        ContractorLine(
            contractor_id=row[0],
            company=row[1],
            delivered=row[2],
            accepted=row[3],
            contacted=row[4],
            converted=row[5],
            returned=row[6],
            refused=row[7],
            cancelled=row[8],
            response=None if row[9] is None else dt.timedelta(seconds=row[9]),
            spend=row[10],
            value=row[11],
        )
        for row in rows
    ]


def total_of(lines: Sequence[ContractorLine]) -> ContractorLine:
    """All lines together; a median of medians would say nothing, so there is none."""
    return ContractorLine(
        contractor_id=None,
        company="All contractors",
        delivered=sum(line.delivered for line in lines),
        accepted=sum(line.accepted for line in lines),
        contacted=sum(line.contacted for line in lines),
        converted=sum(line.converted for line in lines),
        returned=sum(line.returned for line in lines),
        refused=sum(line.refused for line in lines),
        cancelled=sum(line.cancelled for line in lines),
        response=None,
        spend=sum((line.spend for line in lines), Decimal(0)),
        value=sum((line.value for line in lines), Decimal(0)),
    )


def csv_rows(lines: Sequence[ContractorLine]) -> Iterator[Sequence[object]]:
    """The report for a spreadsheet; what is not known stays blank."""
    yield CSV_HEADER
    for line in lines:
        percent, response = line.conversion_percent, line.response
        yield (
            line.contractor_id,
            line.company,
            line.delivered,
            line.accepted,
            line.contacted,
            line.converted,
            "" if percent is None else percent,
            line.returned,
            line.refused,
            line.cancelled,
            "" if response is None else round(response.total_seconds() / 60),
            line.spend,
            line.value,
        )
