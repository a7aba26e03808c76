"""What people type about who holds which ZIP. Dates are days of the business; a period ends as its last date begins."""

import datetime as dt
from typing import Any

from django import forms
from django.conf import settings
from django.db.models import QuerySet

from territories.holdings.periods import beginning_of
from territories.holdings.places import CountyRefused, zips_of_county
from territories.holdings.zips import MOST, ReadZips, ZipsRefused, read_zip_file, read_zips
from territories.models import Contractor

ZONE = settings.TIME_ZONE.replace("_", " ")


def holders() -> QuerySet[Contractor]:
    """Contractors that may hold a ZIP."""
    return Contractor.objects.real().exclude(status=Contractor.Status.ENDED).order_by("company")


def of_this_age(date: dt.date) -> None:
    """Refuses days whose beginning no calendar of another time zone may have."""
    if not 1900 <= date.year <= 9000:
        raise forms.ValidationError("Choose a day from 1900 to 9000.")


def date_field(label: str, help_text: str) -> forms.DateField:
    return forms.DateField(
        label=label,
        required=False,
        help_text=help_text,
        widget=forms.DateInput(attrs={"type": "date"}),
        validators=[of_this_age],
    )


class AssignForm(forms.Form):
    """A contractor, a period, and ZIPs from any of three sources, which add up."""

    contractor = forms.ModelChoiceField(holders(), label="Contractor", empty_label="Choose…")
    from_date = date_field("From", f"Begins at 00:00 in {ZONE}; blank: now.")
    to_date = date_field("Until", "Ends as this day begins; blank: no end.")
    zips = forms.CharField(
        label="ZIPs",
        required=False,
        max_length=MOST * 12,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="With blanks, commas or lines between them.",
    )
    county = forms.CharField(
        label="All ZIPs of a county", required=False, max_length=100, help_text="Such as Essex, NJ; approximate."
    )
    file = forms.FileField(
        label="CSV file with a ZIP column",
        required=False,
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv,text/plain"}),
    )
    note = forms.CharField(label="Note", required=False, max_length=500, help_text="Why; kept in the ZIP's history.")

    county_name = ""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        found: set[str] = set()
        read = read_zips(cleaned.get("zips") or "")
        self._take("zips", read, found)
        if county := (cleaned.get("county") or "").strip():
            try:
                self.county_name, zips = zips_of_county(county)
                found.update(zips)
            except CountyRefused as refusal:
                self.add_error("county", str(refusal))
        if file := cleaned.get("file"):
            try:
                self._take("file", read_zip_file(file.read(MOST * 200)), found)
            except ZipsRefused as refusal:
                self.add_error("file", str(refusal))
        from_date, to_date = cleaned.get("from_date"), cleaned.get("to_date")
        if from_date and to_date and to_date <= from_date:
            self.add_error("to_date", "The end must come after the beginning.")
        if not self.errors and not found:
            self.add_error("zips", "Name at least one ZIP, a county, or a file.")
        if len(found) > MOST:
            self.add_error("zips", f"{len(found):,} ZIPs are too many at once; the most is {MOST:,}.")
        cleaned["all_zips"] = sorted(found)
        return cleaned

    def _take(self, name: str, read: ReadZips, found: set[str]) -> None:
        found.update(read.zips)
        if read.odd:
            odd = ", ".join(read.odd[:8])
            more = f" and {len(read.odd) - 8:,} more" if len(read.odd) > 8 else ""
            self.add_error(name, f"{odd}{more} is no ZIP; write five digits.")

    def period(self, at: dt.datetime) -> tuple[dt.datetime, dt.datetime | None]:
        """[from, to) of a valid form; without a date it begins at `at`."""
        from_date, to_date = self.cleaned_data["from_date"], self.cleaned_data["to_date"]
        return (beginning_of(from_date) if from_date else at), (beginning_of(to_date) if to_date else None)


class ActForm(forms.Form):
    """A day, and why."""

    date = date_field("On", f"As this day begins in {ZONE}; blank: now.")
    note = forms.CharField(label="Note", required=False, max_length=500)

    def moment(self) -> dt.datetime | None:
        """When, of a valid form; None: now."""
        date = self.cleaned_data["date"]
        return beginning_of(date) if date else None


class EndForm(ActForm):
    """When a territory ends: said in so many words, because an end cannot be taken back once it has come."""

    NOW, DAY, NEVER = "now", "day", "never"
    when = forms.ChoiceField(
        label="When",
        choices=[(NOW, "Now"), (DAY, "On a day"), (NEVER, "No end")],
        error_messages={"required": "Choose when it is to end."},
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        when, date = cleaned.get("when"), cleaned.get("date")
        if when == self.DAY and not date and "date" not in self.errors:
            self.add_error("date", "Name the day.")
        if when in (self.NOW, self.NEVER) and date:
            self.add_error("when", "You named a day as well. Choose “On a day”, or empty the day.")
        return cleaned


class TransferForm(ActForm):
    contractor = forms.ModelChoiceField(holders(), label="To", empty_label="Choose…")
    field_order = ["contractor", "date", "note"]


class JoinForm(forms.Form):
    contractor = forms.ModelChoiceField(holders(), label="Contractor", empty_label="Choose…")


class ProofForm(forms.Form):
    """A ZIP and the days of a period, the last one included."""

    zip = forms.RegexField(r"^[0-9]{5}\Z", label="ZIP", max_length=5, error_messages={"invalid": "Write five digits."})
    since = date_field("From", "The first day.")
    until = date_field("Through", "The last day.")

    def __init__(self, data: Any = None, **kwargs: Any) -> None:
        if data is not None:
            data = {"zip": data.get("zip", ""), "since": data.get("from", ""), "until": data.get("to", "")}
        super().__init__(data, **kwargs)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until < since:
            self.add_error("until", "The last day must not come before the first.")
        return cleaned

    def period(self, today: dt.date) -> tuple[dt.datetime, dt.datetime]:
        """[from, to) of a valid form; a year until today where no day is given."""
        since = self.cleaned_data["since"]
        until = self.cleaned_data["until"] or max(today, since or today)
        since = since or min(until, today) - dt.timedelta(days=365)
        return beginning_of(since), beginning_of(until + dt.timedelta(days=1))
