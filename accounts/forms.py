"""What a person may set about the own pages and mail; and how forms of any room read amounts of money."""

import re
import zoneinfo
from typing import Any

from django import forms
from django.conf import settings

from accounts.models import User

# As pages print money, or plainly; no exponent, which a form that reads any number takes.
AMOUNT = re.compile(r"(?P<sign>-?)\s*\$?\s*(?P<number>(?:[0-9]{1,3}(?:[,\s][0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)")


class MoneyField(forms.DecimalField):
    """Dollars and cents: 18500, 18,500.00 and $18,500.00 are the same amount."""

    widget = forms.TextInput(attrs={"inputmode": "decimal"})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(decimal_places=2, **kwargs)

    def to_python(self, value: Any) -> Any:
        text = str(value).strip() if value is not None else ""
        if not text:
            return None
        read = AMOUNT.fullmatch(text)
        if read is None:
            raise forms.ValidationError("Write an amount such as 18500.00.", code="invalid")
        return super().to_python(read["sign"] + re.sub(r"[,\s]", "", read["number"]))


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
