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


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkAction:
    """Something to do with the leads that a person selects in the table.

    `template` stands in the bar of the selection, inside its form (method get) with what `context()` gives as `given`;
    its buttons name their own `formaction`. That page gets `lead` (ids) or `all`, and `filter`, a query string.
    """

    key: str
    right: str
    template: str
    context: Callable[[], Any]
    order: int


columns: dict[str, Column] = {}
banners: dict[str, Banner] = {}
panels: dict[str, Panel] = {}
filters: dict[str, Callable[[], django_filters.Filter]] = {}
sorts: dict[str, str] = {}
api_fields: dict[str, Callable[[Sequence[int]], Mapping[int, Any]]] = {}
bulk_actions: dict[str, BulkAction] = {}
type_Drain = Callable[[Sequence[int], dt.datetime, int | None], None]
_drains: list[type_Drain] = []
type_Suppressed = Callable[[Sequence[int], str, User | None, dt.datetime], None]
_suppressed: list[type_Suppressed] = []


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


def add_bulk_action(action: BulkAction) -> None:
    bulk_actions[action.key] = action


def on_due(drain: type_Drain) -> None:
    """Call `drain(lead_ids, at, job_id)` after the commit of a write that made leads due."""
    _drains.append(drain)


def on_suppressed(follow: type_Suppressed) -> None:
    """Call `follow(lead_ids, reason, by, at)` in the transaction that suppresses leads."""
    _suppressed.append(follow)


def announce_suppressed(lead_ids: Sequence[int], reason: str, by: User | None, at: dt.datetime) -> None:
    """Have the upper rooms take back what they offer of these leads, in the running transaction."""
    for follow in _suppressed:
        follow(lead_ids, reason, by, at)


def announce_due(lead_ids: Sequence[int], at: dt.datetime, *, job_id: int | None = None) -> None:
    """Have the due leads drained right after the running transaction commits.

    `job_id`: the job that made them due; it can wait for them, however many they are.
    """

    def drain_all() -> None:
        for drain in _drains:
            drain(lead_ids, at, job_id)

    transaction.on_commit(drain_all)
