"""What scoring adds to the lead pages: the score column, range filter, sort, and the panels of a score."""

from collections.abc import Mapping, Sequence

import django_filters
from django import forms

from leads import registry
from leads.models import Lead


def scores_of(lead_ids: Sequence[int]) -> Mapping[int, int]:
    return dict(Lead.objects.filter(pk__in=lead_ids).values_list("pk", "score"))


class ScoreFilter(django_filters.Filter):
    """A whole score; one beyond all that the column holds is refused in words."""

    field_class = forms.IntegerField

    def __init__(self, *, lookup_expr: str, label: str) -> None:
        super().__init__(
            field_name="score", lookup_expr=lookup_expr, label=label, min_value=-(2**31), max_value=2**31 - 1
        )


def at_least() -> django_filters.Filter:
    return ScoreFilter(lookup_expr="gte", label="Score from")


def at_most() -> django_filters.Filter:
    return ScoreFilter(lookup_expr="lte", label="Score to")


def register() -> None:
    registry.add_column(
        registry.Column(
            key="score",
            label="Score",
            fetch=scores_of,
            template="scoring/_score.html",
            order=60,
            sort="score",
            is_number=True,
        )
    )
    registry.add_filter("score_min", at_least)
    registry.add_filter("score_max", at_most)
    registry.add_sort("score", "score")
    registry.add_api_field("score", scores_of)
    registry.add_panel(registry.Panel(key="score", title="Why this score", url_name="scoring:lead-panel", order=10))
    registry.add_panel(
        registry.Panel(key="forecast", title="What comes next", url_name="scoring:lead-forecast", order=12)
    )
    registry.add_panel(
        registry.Panel(key="history", title="How it got here", url_name="scoring:lead-history", order=25)
    )
