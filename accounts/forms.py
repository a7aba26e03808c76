"""What a person may set about the own pages and mail."""

import zoneinfo
from typing import Any

from django import forms
from django.conf import settings

from accounts.models import User


def time_zones() -> list[str]:
    """The names that people choose from: places, and UTC."""
    return sorted(name for name in zoneinfo.available_timezones() if name == "UTC" or _is_place(name))


def _is_place(name: str) -> bool:
    return "/" in name and not name.startswith(("Etc/", "SystemV/"))


class MeForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ["time_zone", "wants_digest"]
        labels = {"time_zone": "Time zone", "wants_digest": "Mail me what expires soon"}
        help_texts = {
            "time_zone": "Pages and mail show days and hours in it.",
            "wants_digest": "Once a day, when something does: counts by tag, and the best leads that lose a tag.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = time_zones()
        if (own := self.instance.time_zone) and own not in names:
            names.append(own)
        choices = [("", f"As everywhere here ({settings.TIME_ZONE})")]
        choices += [(name, name.replace("_", " ")) for name in names]
        self.fields["time_zone"].widget = forms.Select(choices=choices, attrs={"autocomplete": "off"})
        if not self.instance.has_perm("leads.view_lead"):
            del self.fields["wants_digest"]  # the mail tells of leads
