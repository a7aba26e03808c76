"""What people type about tags and groups. A form holds a copy of the rule; publishing is for the operations."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.http import QueryDict

from tags.decay import MAX_HALF_LIFE, Curve, Decay, draw_curve, half_life, linear, preset_of
from tags.expirations import ExpirationChange
from tags.models import MAX_DAYS, MAX_STEPS, Tag, TagGroup
from tags.queries import version_of

THRESHOLD = 1_000
MAX_SCORE = 2**31 - 1
MAX_REASON = 100  # what a history row holds


class ThresholdForm(forms.Form):
    """The score whose crossing a preview counts."""

    threshold = forms.IntegerField(
        label="Count leads that cross",
        initial=THRESHOLD,
        required=False,
        min_value=-MAX_SCORE,
        max_value=MAX_SCORE,
        help_text="The preview says how many leads pass this score, and how many fall below it.",
    )

    def clean_threshold(self) -> int:
        typed = self.cleaned_data["threshold"]
        return THRESHOLD if typed is None else typed


class ReasonForm(forms.Form):
    """Why a change is published."""

    reason = forms.CharField(label="Reason", required=False, max_length=MAX_REASON)


class RuleForm(ThresholdForm, ReasonForm, forms.ModelForm):
    """A rule as a person would have it. `version` is the one that the person saw when beginning to type."""

    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, data: QueryDict | None = None, *, rule: Tag | TagGroup) -> None:
        super().__init__(data, instance=copy.copy(rule), initial={"version": version_of(rule)})
        for name, field in self.fields.items():
            field.widget.attrs |= {"aria-describedby": f"help-{name} wrong-{name}", "autocomplete": "off"}

    @property
    def seen_version(self) -> int:
        """The version that the person saw; the latest where the form is fresh."""
        typed: int | None = self.cleaned_data.get("version") if self.is_bound and self.is_valid() else None
        return self.initial["version"] if typed is None else typed


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """Two boxes of the form: from which day on, how many percent are left."""

    number: int
    days: str
    percent: str
    problem: str


RETROACTIVE = "Apply changes retroactively to existing assignments"


class TagForm(RuleForm):
    is_retroactive = forms.BooleanField(
        label=RETROACTIVE,
        required=False,
        help_text="Each gets its end anew from its own start. Off: only later assignments get these days.",
    )
    decay = forms.ChoiceField(label="How its points fade", choices=Decay.choices, widget=forms.RadioSelect)
    linear_days = forms.IntegerField(
        label="Nothing is left after",
        required=False,
        min_value=1,
        max_value=MAX_DAYS,
        help_text="Days. Ten equal steps, each taking 10% of the points.",
    )
    half_life_days = forms.IntegerField(
        label="Half is left after",
        required=False,
        min_value=1,
        max_value=MAX_HALF_LIFE,
        help_text="Days. Two steps for each halving, eight steps in all; 6% stay.",
    )

    class Meta:
        model = Tag
        fields = [
            "name",
            "description",
            "color",
            "base_score",
            "expiration_days",
            "expired_percent",
            "notice_days",
            "reassertion",
            "group",
            "is_archived",
        ]
        labels = {
            "color": "Colour",
            "base_score": "Points",
            "expiration_days": "Expires after",
            "expired_percent": "Left after expiry",
            "notice_days": "Notice before expiry",
            "reassertion": "When a later list names it again",
            "is_archived": "Archived",
        }
        help_texts = {
            "expiration_days": "Days; blank: never. Holds for later assignments.",
            "expired_percent": "Percent of the points, at most; 0: nothing.",
            "group": "A group's cap keeps tags that say much the same from counting twice.",
        }
        widgets = {"color": forms.TextInput(attrs={"type": "color"})}

    def __init__(self, data: QueryDict | None = None, *, rule: Tag) -> None:
        super().__init__(data, rule=rule)
        preset = preset_of(rule.decay_steps)
        self.initial.update(
            {
                "decay": preset.decay.value,
                "linear_days": preset.days if preset.decay == Decay.LINEAR else None,
                "half_life_days": preset.days if preset.decay == Decay.HALF_LIFE else None,
            }
        )
        self.fields[
            "notice_days"
        ].help_text = (
            f"Days; from then on it counts as expiring soon. Blank: {settings.EXPIRY_NOTICE_DAYS:,}, as everywhere."
        )
        self.fields["group"].empty_label = "No group"  # type: ignore[attr-defined]
        if not rule.pk:
            del self.fields["is_retroactive"]  # there is no assignment yet
        self._step_problems: dict[int, str] = {}

    def _typed(self, part: str, number: int) -> str:
        return str(self.data.get(f"{part}-{number}", "")).strip()

    def step_rows(self) -> list[StepRow]:
        """A row for each step that a tag may have, filled as typed, else with today's steps."""
        steps: Sequence[Sequence[int]] = () if self.is_bound else self.instance.decay_steps
        rows = []
        for number in range(1, MAX_STEPS + 1):
            days, percent = self._typed("days", number), self._typed("percent", number)
            if number <= len(steps):
                days, percent = map(str, steps[number - 1])
            problem = self._step_problems.get(number, "")
            rows.append(StepRow(number=number, days=days, percent=percent, problem=problem))
        return rows

    def _typed_steps(self) -> list[list[int]]:
        """The steps that were typed; rows left blank do not count."""
        steps: list[list[int]] = []
        for number in range(1, MAX_STEPS + 1):
            typed = self._typed("days", number), self._typed("percent", number)
            if not any(typed):
                continue
            last = steps[-1][0] if steps else 0
            problem = _problem_of_step(*typed, last)
            if problem:
                self._step_problems[number] = problem
                self.add_error("decay", f"Step {number}: {problem}")
            else:
                steps.append([int(typed[0]), int(typed[1])])
        if not steps and not self._step_problems:
            self.add_error("decay", "Write at least one step: from which day on, how many percent are left.")
        return steps

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        decay = cleaned.get("decay")
        steps: list[list[int]] = []
        if decay == Decay.STEPS:
            steps = self._typed_steps()
        for way, name, preset in (
            (Decay.LINEAR, "linear_days", linear),
            (Decay.HALF_LIFE, "half_life_days", half_life),
        ):
            if decay != way or name in self.errors:
                continue
            if cleaned.get(name) is None:
                self.add_error(name, "Write how many days that takes.")
            else:
                steps = preset(cleaned[name])
        self.instance.decay_steps = steps
        self.instance.needs_review = False  # whoever publishes it has looked at it
        return cleaned

    def expirations(self) -> list[ExpirationChange]:
        """What is typed (the form is bound) about the days of a tag that exists; nothing where they are not sound."""
        if not self.instance.pk or "expiration_days" in self.errors:
            return []
        days, is_retroactive = self.cleaned_data["expiration_days"], self.cleaned_data.get("is_retroactive", False)
        return [ExpirationChange(self.instance.pk, days, is_retroactive)]

    def curve(self) -> Curve | None:
        """The picture of what is typed; None where that is not sound yet."""
        tag = self.instance
        if self.is_bound:
            self.is_valid()
            parts = ("base_score", "expiration_days", "expired_percent", "decay", "linear_days", "half_life_days")
            if any(part in self.errors for part in parts):
                return None
        return draw_curve(
            base=tag.base_score,
            steps=tag.decay_steps,
            expiration_days=tag.expiration_days,
            expired_percent=tag.expired_percent,
        )


def _problem_of_step(days: str, percent: str, last: int) -> str:
    """What is wrong with a typed step, in words; "" when nothing is. `last`: the day of the step before."""
    for text, what in ((days, "days"), (percent, "percent")):
        if not text:
            return f"the {what} are missing." if what == "days" else "the percent is missing."
        if not (text.isascii() and text.isdigit()):
            return f"“{text[:20]}” is not a whole number of {what}."
    if len(days) > 9 or not 1 <= int(days) <= MAX_DAYS:
        return f"{days[:12]} days is outside 1 to {MAX_DAYS:,}."
    if len(percent) > 9 or not 0 <= int(percent) <= 100:
        return f"{percent[:12]} percent is outside 0 to 100."
    if int(days) <= last:
        return f"day {int(days):,} does not come after day {last:,} of the step before."
    return ""


class GroupForm(RuleForm):
    class Meta:
        model = TagGroup
        fields = ["name", "cap"]
        help_texts = {"cap": "The most points that its tags give a lead together; blank: no cap."}

    def clean_name(self) -> str:
        name = " ".join(self.cleaned_data["name"].split())
        if TagGroup.objects.filter(name__iexact=name).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("Another group has this name.")
        return name
