"""What upper rooms add to the lead pages: columns, filters, sorts, panels, and what follows a change.

Rooms register from their AppConfig, so that `leads` never imports them.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import django_filters
from django.db import transaction

from accounts.models import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the leads table. `fetch(lead_ids) -> {id: value}` costs one query a page."""

    key: str
    label: str
    fetch: Callable[[Sequence[int]], Mapping[int, Any]]
    template: str
    order: int
    sort: str = ""
    is_number: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A part of the lead page that htmx loads from `url_name` with the lead's id."""

    key: str
    title: str
    url_name: str
    order: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """A note above the leads table. `fetch(person, at)` costs one query; what it finds shows by `template` as `value`,
    None shows nothing.
    """

    key: str
    fetch: Callable[[User, dt.datetime], Any]
    template: str


columns: dict[str, Column] = {}
banners: dict[str, Banner] = {}
panels: dict[str, Panel] = {}
filters: dict[str, Callable[[], django_filters.Filter]] = {}
sorts: dict[str, str] = {}
api_fields: dict[str, Callable[[Sequence[int]], Mapping[int, Any]]] = {}
_drains: list[Callable[[Sequence[int], dt.datetime], None]] = []


def add_column(column: Column) -> None:
    columns[column.key] = column


def add_panel(panel: Panel) -> None:
    panels[panel.key] = panel


def add_banner(banner: Banner) -> None:
    banners[banner.key] = banner


def add_filter(name: str, make: Callable[[], django_filters.Filter]) -> None:
    """Add a query parameter `name` to the leads page and the leads API alike."""
    filters[name] = make


def add_sort(name: str, order_by: str) -> None:
    """Offer `sort=name` (and `-name`); `order_by` is a field of Lead."""
    sorts[name] = order_by


def add_api_field(name: str, fetch: Callable[[Sequence[int]], Mapping[int, Any]]) -> None:
    """Add a field to each lead of the API."""
    api_fields[name] = fetch


def on_due(drain: Callable[[Sequence[int], dt.datetime], None]) -> None:
    """Call `drain(lead_ids, at)` after the commit of a write that made leads due."""
    _drains.append(drain)


def announce_due(lead_ids: Sequence[int], at: dt.datetime) -> None:
    """Have the due leads drained right after the running transaction commits."""

    def drain_all() -> None:
        for drain in _drains:
            drain(lead_ids, at)

    transaction.on_commit(drain_all)
