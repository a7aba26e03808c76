"""Selections: the leads that match a filter, or that a person ticked; frozen for the job that works on them."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse

from jobs.models import Job
from jobs.runs import JobRefused
from leads import sql
from leads.filters import LeadFilterSet, lead_filterset
from leads.models import Lead, LeadQuerySet

MAX_IDS = 10_000
MAX_ID = 2**63 - 1
NAMED_IDS = 20
KEPT = dt.timedelta(days=30)
MOST_DRIFT = 1  # percent by which the leads of a filter may differ from the count that a person confirmed


class SelectionRefused(Exception):
    """These leads cannot be selected; `errors` says why, by parameter."""

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        super().__init__(" ".join(f"{name}: {' '.join(notes)}" for name, notes in errors.items()))
        self.errors = {name: list(notes) for name, notes in errors.items()}


class CountDrifted(JobRefused):
    """The selection holds another number of leads than a person confirmed."""

    def __init__(self, *, confirmed: int, found: int) -> None:
        super().__init__(
            f"{found:,} leads match now, and {confirmed:,} were confirmed. Nothing was changed; look at the leads and "
            "confirm again."
        )
        self.confirmed, self.found = confirmed, found


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Leads by the parameters of the leads page, or by id. Make one by `select_matching` or `select_ids`."""

    filter: Mapping[str, list[str]] | None = None
    lead_ids: Sequence[int] = ()

    @property
    def is_filter(self) -> bool:
        return self.filter is not None

    def leads(self, *, at: dt.datetime) -> LeadQuerySet:
        """The leads as they match at `at`. Raises SelectionRefused where a value has become impossible since."""
        if self.filter is None:
            return Lead.objects.filter(pk__in=self.lead_ids)
        return _matching(self.filter, at).qs  # type: ignore[no-any-return]

    def in_words(self, *, at: dt.datetime) -> list[tuple[str, str]]:
        """Each filter in force: label and value."""
        if not self.filter:
            return []
        filters = _matching(self.filter, at)
        return [filters.in_words(name, value) for name, values in self.filter.items() for value in values]

    @property
    def filter_query(self) -> str:
        return urlencode(self.filter or {}, doseq=True)

    @property
    def list_url(self) -> str:
        """The leads page with this filter."""
        return reverse("leads:list") + (f"?{self.filter_query}" if self.filter else "")


def _matching(parameters: Mapping[str, Sequence[str]], at: dt.datetime) -> LeadFilterSet:
    filterset = lead_filterset(at=at)
    known = filterset.base_filters
    errors: dict[str, list[str]] = {}
    query = QueryDict(mutable=True)
    for name, values in parameters.items():
        if name not in known:
            errors[name[:100]] = [f"Unknown filter; the filters are {', '.join(sorted(known))}."]
        else:
            query.setlist(name, list(values))
    filters = filterset(query, queryset=LeadQuerySet(Lead))
    errors |= {name: [str(note) for note in notes] for name, notes in filters.errors.items()}
    if errors:
        raise SelectionRefused(errors)
    return filters


def select_matching(parameters: Mapping[str, Sequence[str]], *, at: dt.datetime) -> Selection:
    """The leads that these parameters of the leads page choose; none chooses all.

    Raises SelectionRefused for a parameter nobody reads and for a value that the page would complain of.
    """
    given = {name: [value for value in values if value.strip()] for name, values in parameters.items()}
    given = {name: values for name, values in given.items() if values}
    _matching(given, at)
    return Selection(filter=given)


def select_ids(lead_ids: Sequence[int]) -> Selection:
    """These leads. Raises SelectionRefused when there are none or too many, and names ids that do not exist."""
    ids = sorted(set(lead_ids))
    if not ids:
        raise SelectionRefused({"lead_ids": ["No lead is selected."]})
    if len(ids) > MAX_IDS:
        raise SelectionRefused(
            {"lead_ids": [f"These are {len(ids):,} leads; name at most {MAX_IDS:,}, or select them by a filter."]}
        )
    possible = [lead_id for lead_id in ids if 0 < lead_id <= MAX_ID]
    known = set(Lead.objects.filter(pk__in=possible).values_list("pk", flat=True))
    if missing := [lead_id for lead_id in ids if lead_id not in known]:
        more = f" and {len(missing) - NAMED_IDS:,} more" if len(missing) > NAMED_IDS else ""
        named = ", ".join(str(lead_id)[:40] for lead_id in missing[:NAMED_IDS])
        raise SelectionRefused({"lead_ids": [f"There is no lead with the id{'s' * (len(missing) > 1)} {named}{more}."]})
    return Selection(lead_ids=tuple(ids))


def check_drift(*, confirmed: int, found: int) -> None:
    """Raises CountDrifted when the leads are more than a percent more or fewer than a person confirmed."""
    if abs(found - confirmed) * 100 > confirmed * MOST_DRIFT:
        raise CountDrifted(confirmed=confirmed, found=found)


def freeze_selection(*, job: Job, selection: Selection, confirmed: int) -> int:
    """Write down once which leads a job works on: SelectedLead rows, for all its chunks, resumes and its undo.

    Call it in the transaction that keeps that it was done. Raises CountDrifted, and SelectionRefused as `leads()` does.
    """
    found = sql.freeze(job_id=job.pk, leads=selection.leads(at=job.as_of))
    check_drift(confirmed=confirmed, found=found)
    return found


def clear_selections(*, at: dt.datetime) -> int:
    """Delete the selections of jobs that ended more than 30 days before `at`; how many rows that were."""
    return sql.clear_selections(ended_before=at - KEPT)
