"""Criteria that other rooms add to lead generation: a field of the profile's form, and a condition on the lead.

Rooms register from their AppConfig, as with `leads.registry`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from psycopg import sql


class Binder:
    """Binds values to a statement under names that no other criterion uses: `bind("NJ")` stands for the value in it."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def __call__(self, value: Any) -> sql.Composable:
        name = f"criterion_{len(self.values)}"
        self.values[name] = value
        return sql.Placeholder(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """`make_field()` reads what a person types; its cleaned value, which JSON can hold, is kept in the profile.

    An empty value (None, "", False, []) means that the criterion does not matter. `condition(value, bind)` is an
    expression over `lead`, a row of leads: `sql.SQL("lead.state = {}").format(bind(value))`. `in_words(value)`
    completes "Leads ...".
    """

    key: str
    make_field: Callable[[], forms.Field]
    condition: Callable[[Any, Binder], sql.Composable]
    in_words: Callable[[Any], str]


criteria: dict[str, Criterion] = {}


def add_criterion(criterion: Criterion) -> None:
    """Offer a criterion in every profile."""
    criteria[criterion.key] = criterion


def conditions(values: Mapping[str, Any], bind: Binder) -> sql.Composable:
    """All conditions of these values, joined by AND. An unknown key is a KeyError."""
    parts = [
        sql.SQL("coalesce({}, false)").format(criteria[key].condition(value, bind))
        for key, value in sorted(values.items())
    ]
    return sql.SQL(" AND ").join(parts) if parts else sql.SQL("true")


def in_words(values: Mapping[str, Any]) -> list[str]:
    return [criteria[key].in_words(value) for key, value in sorted(values.items()) if key in criteria]
