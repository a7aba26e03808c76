"""What people type on the pages of referrals and returns."""

import datetime as dt
from typing import Any

from django import forms

from accounts.forms import MoneyField
from territories.models import ReferralReturn

MAX_NOTE = 500


class ReasonForm(forms.Form):
    """Why a referral is taken back, or its lead given free."""

    note = forms.CharField(
        label="Reason",
        max_length=MAX_NOTE,
        error_messages={"required": "Say why; the timeline of the referral keeps it."},
    )


class NoteForm(forms.Form):
    """A note that may be left out."""

    note = forms.CharField(label="Note", max_length=MAX_NOTE, required=False)


class RefuseForm(forms.Form):
    note = forms.CharField(
        label="Note",
        max_length=MAX_NOTE,
        error_messages={"required": "Tell the contractor why the return is refused."},
    )


class ConvertForm(NoteForm):
    value = MoneyField(label="Value in dollars", required=False, min_value=0, max_digits=12)


class CorrectForm(ReasonForm):
    value = MoneyField(label="Value in dollars", min_value=0, max_digits=12)


class ReturnForm(NoteForm):
    reason = forms.ChoiceField(label="Reason", choices=ReferralReturn.Reason.choices)
    anyway = forms.BooleanField(required=False)


class PeriodForm(forms.Form):
    """The days of a report; without any, the last 30."""

    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, data: Any, *, today: dt.date) -> None:
        # The address says `from` and `to`, as people do.
        super().__init__({"since": data.get("from", ""), "until": data.get("to", "")})
        self.today = today

    def clean(self) -> dict[str, Any]:
        found = dict(self.cleaned_data)
        if not self.errors:
            found["until"] = found["until"] or max(self.today, found["since"] or self.today)
            found["since"] = found["since"] or max(found["until"], dt.date.min + WEEKS) - WEEKS
            if found["since"] > found["until"]:
                self.add_error("until", f"{found['until']} is before {found['since']}; the period ends where it began.")
        return found


WEEKS = dt.timedelta(days=29)
