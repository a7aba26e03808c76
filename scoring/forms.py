"""What people type on the page of all scores."""

from typing import Any

from django import forms

from scoring.distribution import THRESHOLD
from tags.models import Tag


class DistributionForm(forms.Form):
    """Which leads, and from which score on they count as good. What cannot be right is left out."""

    tag = forms.ModelChoiceField(
        queryset=Tag.objects.active(),
        required=False,
        label="Leads with the tag",
        empty_label="All leads",
        error_messages={"invalid_choice": "There is no such tag."},
    )
    threshold = forms.IntegerField(
        required=False, label="Good from a score of", min_value=-(2**31), max_value=2**31 - 1, initial=THRESHOLD
    )

    def asked(self) -> tuple[Tag | None, int]:
        """The tag and the threshold asked for, or what holds without asking."""
        self.is_valid()
        found: dict[str, Any] = self.cleaned_data
        threshold = found.get("threshold")
        return found.get("tag"), THRESHOLD if threshold is None else threshold
