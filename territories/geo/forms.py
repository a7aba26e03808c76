"""What a person asks of the map."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from scoring.distribution import THRESHOLD
from territories.geo.counties import counties_in_state, county_by_fips, states
from territories.geo.map import ELSEWHERE, Asked, Shown
from territories.models import Contractor


class MapForm(forms.Form):
    """Which part of the country, and what of it. What cannot be right is left out, and said."""

    state = forms.ChoiceField(
        required=False, label="State", error_messages={"invalid_choice": "There is no such state."}
    )
    county = forms.CharField(required=False, label="County", max_length=9)
    show = forms.ChoiceField(required=False, label="ZIPs", choices=Shown.choices)
    contractor = forms.ModelChoiceField(
        queryset=Contractor.objects.none(),
        required=False,
        label="Held by",
        empty_label="Anybody",
        error_messages={"invalid_choice": "There is no such contractor."},
    )
    min_score = forms.IntegerField(
        required=False,
        label="Leads with a score from",
        min_value=-(2**31),
        max_value=2**31 - 1,
        initial=THRESHOLD,
    )

    def __init__(self, data: QueryDict) -> None:
        given = data.copy()
        given["state"] = given.get("state", "").strip().upper()  # an address may say ?state=nj
        super().__init__(given)
        choices = [(one.code, one.name) for one in states().values()]
        self.fields["state"].choices = [("", "The whole country"), *choices]  # type: ignore[attr-defined]
        self.fields["contractor"].queryset = Contractor.objects.real().order_by("company")  # type: ignore[attr-defined]

    def clean_county(self) -> str:
        fips: str = self.cleaned_data["county"].strip()
        state = self.cleaned_data.get("state")
        if not fips or not state:
            return ""
        if fips == ELSEWHERE:
            return fips
        county = county_by_fips(fips)
        if county is None:
            raise ValidationError(f"“{fips}” is no county; write its five digits, such as 34013.")
        # Whoever chooses another state has left the county.
        return fips if county.state == state else ""

    def counties(self) -> list[tuple[str, str]]:
        """The choices that the state leaves."""
        state = self.cleaned_data.get("state", "")
        return [(county.fips, county.name) for county in counties_in_state(state)] if state else []

    def asked(self) -> Asked:
        """What holds, or what does without asking."""
        self.is_valid()
        found: dict[str, Any] = self.cleaned_data
        min_score = found.get("min_score")
        return Asked(
            state=found.get("state", ""),
            county=found.get("county", ""),
            show=Shown(found.get("show") or Shown.ALL),
            contractor_id=found["contractor"].pk if found.get("contractor") else None,
            min_score=THRESHOLD if min_score is None else min_score,
        )
