"""Reads: a page of the leads table, in the order and with the columns that the rooms registered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leads import registry
from leads.models import Lead, LeadQuerySet

PAGE_SIZE = 50
DEFAULT_SORT = "-score"

# What `sort=NAME` orders by; `-NAME` is the exact reverse, so that one index serves both ways.
OWN_SORTS: dict[str, tuple[str, ...]] = {
    "address": ("address", "unit", "state", "city", "id"),
    "owner": ("owner_name", "id"),
    "city": ("city", "state", "id"),
    "zip": ("zip", "id"),
    "created": ("created_at", "id"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    column: registry.Column
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    lead: Lead
    cells: list[Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadPage:
    """One page of the table; `number` is in range whatever was asked for. `first` and `last` count from 1."""

    columns: list[registry.Column]
    rows: list[Row]
    count: int
    number: int
    pages: int
    first: int
    last: int


def _nothing(lead_ids: object) -> Mapping[int, Any]:
    return {}


def _own_column(key: str, label: str, order: int, sort: str) -> registry.Column:
    return registry.Column(key=key, label=label, fetch=_nothing, template=f"leads/_{key}.html", order=order, sort=sort)


OWN_COLUMNS = (
    _own_column("address", "Address", 10, "address"),
    _own_column("owner", "Owner", 20, "owner"),
    _own_column("city", "City", 30, "city"),
    _own_column("zip", "ZIP", 40, "zip"),
    _own_column("created", "Created", 90, "created"),
)


def lead_columns() -> list[registry.Column]:
    return sorted((*OWN_COLUMNS, *registry.columns.values()), key=lambda column: column.order)


def lead_panels() -> list[registry.Panel]:
    return sorted(registry.panels.values(), key=lambda panel: panel.order)


def bulk_actions() -> list[registry.BulkAction]:
    return sorted(registry.bulk_actions.values(), key=lambda action: action.order)


def known_sort(text: str) -> str:
    """`text` where it names an order, else the default."""
    name = text.removeprefix("-")
    return text if name in OWN_SORTS or name in registry.sorts else DEFAULT_SORT


def in_order(leads: LeadQuerySet, sort: str) -> LeadQuerySet:
    """Order by a known sort; the id breaks ties, the older lead first among the best."""
    name = known_sort(sort).removeprefix("-")
    fields = OWN_SORTS.get(name) or (registry.sorts[name], "-id")
    if known_sort(sort).startswith("-"):
        fields = tuple(field[1:] if field.startswith("-") else f"-{field}" for field in fields)
    return leads.order_by(*fields)


def _whole(text: str) -> int:
    """A page number as people type it; anything else is the first page."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()):
        return 1
    return int(digits[:12])


def lead_page(*, leads: LeadQuerySet, sort: str, page: str) -> LeadPage:
    """The page asked for, or the nearest there is. The number of queries does not depend on the rows."""
    count = leads.count()
    pages = max(1, -(-count // PAGE_SIZE))
    number = min(max(_whole(page), 1), pages)
    start = (number - 1) * PAGE_SIZE
    # Ids first: far pages are then skipped in the index, without reading the rows before them.
    ids = list(in_order(leads, sort).values_list("pk", flat=True)[start : start + PAGE_SIZE])
    return LeadPage(
        columns=lead_columns(),
        rows=_rows(ids),
        count=count,
        number=number,
        pages=pages,
        first=start + 1 if ids else 0,
        last=start + len(ids),
    )


def top_leads(*, count: int, leads: LeadQuerySet | None = None) -> list[Row]:
    """The best leads, or the best of these, as rows of the table."""
    chosen = Lead.objects.all() if leads is None else leads
    return _rows(list(in_order(chosen, DEFAULT_SORT).values_list("pk", flat=True)[:count]))


def _rows(ids: list[int]) -> list[Row]:
    columns = lead_columns()
    leads = Lead.objects.in_bulk(ids)
    values = {column.key: column.fetch(ids) if ids else {} for column in columns}
    return [
        Row(
            lead=leads[lead_id],
            cells=[Cell(column=column, value=values[column.key].get(lead_id)) for column in columns],
        )
        for lead_id in ids
        if lead_id in leads
    ]
