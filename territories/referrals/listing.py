"""The referrals of the pages and the staff API: one set of filters, the board, and the list page by page."""

import datetime as dt
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import django_filters
from django import forms
from django.conf import settings
from django.db.models import Count, QuerySet

from leads.filters import ChoiceFilter, LeadFilterForm, ZipsField
from territories.models import Contractor, GenerationProfile, Referral, ReferralReturn
from territories.models.referrals import ReferralQuerySet

PAGE = 50
CARDS = 8  # newest referrals of a state on the board
Status = Referral.Status
OPEN_STATES = (Status.GENERATED, Status.ASSIGNED, Status.DELIVERED, Status.CONVERTED)
ENDED_STATES = (Status.RETURNED, Status.EXPIRED, Status.CANCELLED)
# What each state means, for people.
STATES: dict[str, tuple[str, str]] = {
    Status.GENERATED: ("Generated", "Waits until somebody takes its ZIP."),
    Status.ASSIGNED: ("Assigned", "Has its contractor, who has not got the lead yet."),
    Status.DELIVERED: ("Delivered", "The contractor has the lead."),
    Status.CONVERTED: ("Converted", "It became business."),
    Status.RETURNED: ("Returned", "Given back by the contractor, not charged."),
    Status.EXPIRED: ("Expired", "Its time was up before it was delivered."),
    Status.CANCELLED: ("Cancelled", "Taken back."),
}
SORTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "newest": ("Newest first", ("-id",)),
    "oldest": ("Oldest first", ("id",)),
    "score": ("Best score first", ("-score", "id")),
    "urgency": ("Most urgent first", ("-urgency", "-score", "id")),
}
DEFAULT_SORT = "newest"


class ZipsFilter(django_filters.Filter):
    field_class = ZipsField

    def filter(self, qs: ReferralQuerySet, value: list[str] | None) -> ReferralQuerySet:
        return qs.filter(zip__in=value) if value else qs


class DayFilter(django_filters.Filter):
    """A day of the business's time zone: from its first moment, or until its last."""

    field_class = forms.DateField

    def __init__(self, *, is_end: bool = False, **kwargs: Any) -> None:
        super().__init__(widget=forms.DateInput(attrs={"type": "date"}), **kwargs)
        self.is_end = is_end
        self.extra["error_messages"] = {"invalid": "Write the day as YYYY-MM-DD, such as 2026-06-15."}

    def filter(self, qs: ReferralQuerySet, value: dt.date | None) -> ReferralQuerySet:
        if value is None:
            return qs
        if self.is_end:
            return qs.filter(generated_at__lt=start_of_day(value, days=1))
        return qs.filter(generated_at__gte=start_of_day(value))


def start_of_day(day: dt.date, *, days: int = 0) -> dt.datetime:
    """The first moment of a day of the business, or of one so many days later."""
    zone = zoneinfo.ZoneInfo(settings.TIME_ZONE)
    try:
        return dt.datetime.combine(day + dt.timedelta(days=days), dt.time(), tzinfo=zone)
    except OverflowError:  # the last day that a calendar has
        return dt.datetime.max.replace(tzinfo=dt.UTC)


class WholeFilter(django_filters.Filter):
    """A whole number that its column can hold."""

    field_class = forms.IntegerField

    def __init__(self, *, bits: int = 32, least: int | None = None, **kwargs: Any) -> None:
        most = 2 ** (bits - 1)
        super().__init__(min_value=-most if least is None else least, max_value=most - 1, **kwargs)


class ReferralFilterSet(django_filters.FilterSet):
    contractor = django_filters.ModelMultipleChoiceFilter(
        queryset=Contractor.objects.real().order_by("company"), label="Contractor (any of)"
    )
    zip = ZipsFilter(label="ZIP", max_length=2_000)
    score_min = WholeFilter(field_name="score", lookup_expr="gte", label="Score from")
    score_max = WholeFilter(field_name="score", lookup_expr="lte", label="Score to")
    since = DayFilter(field_name="generated_at", label="Made from")
    until = DayFilter(field_name="generated_at", label="Made until", is_end=True)
    profile = django_filters.ModelMultipleChoiceFilter(
        queryset=GenerationProfile.objects.order_by("name"), label="Profile (any of)"
    )
    # Comes by a link from the run's own page, and shows as a filter that is in force.
    job = WholeFilter(field_name="job_id", lookup_expr="exact", label="Run", bits=64, least=1, widget=forms.HiddenInput)
    status = ChoiceFilter(label="State", choices=[(value, STATES[value][0]) for value in STATES])

    class Meta:
        model = Referral
        fields: list[str] = []
        form = LeadFilterForm

    def in_words(self, name: str, value: str) -> tuple[str, str]:
        """Label and value of one parameter that holds, as a person calls them."""
        field = self.form.fields[name]
        label, found = str(field.label).partition(" (")[0], self.form.cleaned_data.get(name)
        if isinstance(field, forms.ModelMultipleChoiceField):
            return label, {str(one.pk): str(one) for one in found or ()}.get(value, value)
        return label, STATES[value][0] if name == "status" and value in STATES else value


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardColumn:
    """A state on the board: how many referrals it has, and the newest of them."""

    status: str
    label: str
    words: str
    count: int
    cards: list[Referral]

    @property
    def more(self) -> int:
        return self.count - len(self.cards)


def with_names(referrals: QuerySet[Referral]) -> QuerySet[Referral]:
    """With what a row of a page shows of its neighbours; the receipt stays in the database."""
    return referrals.select_related("lead", "contractor", "profile").defer("receipt")


def board(referrals: QuerySet[Referral]) -> list[BoardColumn]:
    """The referrals by state, in two reads. Index: referral_by_status."""
    counts = dict(referrals.order_by().values_list("status").annotate(Count("pk")))
    slices = [referrals.filter(status=status).order_by("-pk").values_list("pk")[:CARDS] for status in counts]
    ids = [row[0] for row in slices[0].union(*slices[1:], all=True)] if slices else []
    cards: dict[str, list[Referral]] = {}
    for referral in with_names(Referral.objects.filter(pk__in=ids)).order_by("-pk"):
        cards.setdefault(referral.status, []).append(referral)
    return [
        BoardColumn(status=status, label=label, words=words, count=counts.get(status, 0), cards=cards.get(status, []))
        for status, (label, words) in STATES.items()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralPage:
    """One page of the list; `number` is in range whatever was asked for. `first` and `last` count from 1."""

    rows: list[Referral]
    count: int
    number: int
    pages: int
    first: int
    last: int


def referral_page(*, referrals: QuerySet[Referral], sort: str, page: str) -> ReferralPage:
    """The page asked for, or the nearest there is."""
    count = referrals.count()
    pages = max(1, -(-count // PAGE))
    number = min(max(int(page) if page.isascii() and page.isdigit() and len(page) < 12 else 1, 1), pages)
    start = (number - 1) * PAGE
    order = SORTS[sort if sort in SORTS else DEFAULT_SORT][1]
    rows = list(with_names(referrals).order_by(*order)[start : start + PAGE])
    return ReferralPage(
        rows=rows,
        count=count,
        number=number,
        pages=pages,
        first=start + 1 if rows else 0,
        last=start + len(rows),
    )


def count_pending_returns() -> int:
    """Returns that wait for a person. Index: referralreturn_pending."""
    pending = ReferralReturn.objects.filter(status=ReferralReturn.Status.PENDING, referral__is_sandbox=False)
    return pending.count()


def latest_referrals(lead_ids: Sequence[int]) -> dict[int, Referral]:
    """The newest referral of each lead that has any, with its contractor; one query. Index: referral_by_lead.

    A live one is always the newest: none can be made beside it.
    """
    newest = Referral.objects.real().filter(lead__in=lead_ids).order_by("lead_id", "-pk").distinct("lead_id")
    return {
        referral.lead_id: referral
        for referral in newest.select_related("contractor").defer("receipt")
        if referral.lead_id is not None
    }
