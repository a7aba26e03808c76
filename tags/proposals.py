"""Rules as a person would have them, read from an address: what a preview shows and what publishing then posts."""

from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.http import Http404, QueryDict
from django.urls import reverse

from tags.decay import Decay
from tags.expiration_forms import ExpirationsForm
from tags.expirations import ExpirationChange, tags_of
from tags.forms import GroupForm, RuleForm, TagForm, ThresholdForm
from tags.models import RuleChange, Tag, TagGroup
from tags.operations import StillApplying, refuse_while_applying, rules_as_of
from tags.queries import Edit, differences, url_of, version_of
from tags.undo import UndoRefused, rules_before

FORMS: dict[str, tuple[type[Tag] | type[TagGroup], type[TagForm] | type[GroupForm]]] = {
    "tag": (Tag, TagForm),
    "group": (TagGroup, GroupForm),
}
ROLLBACK, UNDO, EXPIRATIONS = "rollback", "undo", "expirations"
# What only steers pages; publishing does not post it again.
STEERING = ("preview", "previewed", "rule", "id", "csrfmiddlewaretoken", "reason")


class ProposalRefused(Exception):
    """The values cannot be taken; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """`values`: what publishing posts to `publish_url`; `rights`: what a person needs for either."""

    rules: list[Tag | TagGroup]
    edits: list[Edit]
    expirations: list[ExpirationChange]
    threshold: int
    rights: list[str]
    reason: str
    values: list[tuple[str, str]]
    publish_url: str
    back_url: str


def kept_values(data: QueryDict) -> list[tuple[str, str]]:
    """The values of a form, without what only steers the page and without steps left blank."""
    return [
        (name, str(value))
        for name, values in data.lists()
        for value in values
        if name not in STEERING and (value or not name.startswith(("days-", "percent-")))
    ]


def rights_for(rule: Tag | TagGroup) -> str:
    """The right to publish a rule."""
    return f"tags.{'change' if rule.pk else 'add'}_{rule._meta.model_name}"


def page_of(rule: Tag | TagGroup) -> str:
    """The page on which a rule is edited or made."""
    if rule.pk:
        return url_of(rule)
    return reverse("tags:new" if isinstance(rule, Tag) else "tags:new-group")


def edits_of(rules: list[Tag | TagGroup]) -> list[Edit]:
    """What publishing these rules would change, field by field."""
    edits = []
    for rule in rules:
        model = type(rule)
        today = model.objects.filter(pk=rule.pk).first()
        found = differences(today or model(), rule, model)
        if found:
            edit = Edit(
                kind="tag" if isinstance(rule, Tag) else "group",
                name=today.name if today else rule.name,
                color=getattr(rule, "color", ""),
                url=url_of(rule) if rule.pk else "",
                is_new=today is None,
                differences=found,
            )
            edits.append(edit)
    return edits


def read_proposal(data: QueryDict) -> Proposal:
    """The proposal of an address: `rule` is tag, group, rollback, undo or expirations, `id` the rule's or the change's.

    Raises Http404 where there is no such rule, ProposalRefused where the values cannot be taken.
    """
    kind, wanted = data.get("rule", ""), data.get("id", "")
    if wanted and not (wanted.isascii() and wanted.isdigit() and len(wanted) < 18):
        raise Http404
    pk = int(wanted) if wanted else None
    if kind in (ROLLBACK, UNDO):
        return _read_return(data, kind, pk)
    if kind == EXPIRATIONS:
        return _read_expirations(data)
    if kind not in FORMS:
        raise Http404
    model, form_class = FORMS[kind]
    rule = model.objects.filter(pk=pk).first() if pk else model()
    if rule is None:
        raise Http404
    form: RuleForm = form_class(data, rule=rule)  # type: ignore[arg-type]
    if not form.is_valid():
        raise ProposalRefused(" ".join(str(text) for texts in form.errors.values() for text in texts))
    expirations = form.expirations() if isinstance(form, TagForm) else []
    if not any(change.is_retroactive for change in expirations):
        _refuse_while_applying([form.instance])
    values = kept_values(data)
    return Proposal(
        rules=[form.instance],
        edits=edits_of([form.instance]),
        expirations=expirations,
        threshold=form.cleaned_data["threshold"],
        rights=[rights_for(rule)],
        reason=form.cleaned_data["reason"],
        values=values,
        publish_url=page_of(rule),
        back_url=f"{page_of(rule)}?{encode(values)}",
    )


def _read_return(data: QueryDict, kind: str, pk: int | None) -> Proposal:
    """Back to all rules as of a change, or to those in it as they were before."""
    change = RuleChange.objects.filter(pk=pk or 0).first()
    if change is None:
        raise Http404
    form = ThresholdForm(data)
    if not form.is_valid():
        raise ProposalRefused(" ".join(map(str, form.errors["threshold"])))
    try:
        rules = rules_as_of(change) if kind == ROLLBACK else rules_before(change)
    except UndoRefused as refusal:
        raise ProposalRefused(str(refusal)) from refusal
    for rule in rules:
        try:
            rule.clean()
        except ValidationError as error:
            raise ProposalRefused(f"{rule}: {' '.join(error.messages)}") from error
    # Undoing a retroactive change is retroactive too.
    again = set(change.retroactive_tag_ids) if kind == UNDO else set()
    anew = [rule for rule in rules if isinstance(rule, Tag) and rule.pk in again]
    _refuse_while_applying([rule for rule in rules if rule not in anew])
    page = reverse("tags:change" if kind == ROLLBACK else "tags:undo", args=[change.pk])
    usual = f"roll back to version {change.pk}" if kind == ROLLBACK else f"undo version {change.pk}"
    return Proposal(
        rules=rules,
        edits=edits_of(rules),
        expirations=[ExpirationChange(tag.pk, tag.expiration_days, True) for tag in anew],
        threshold=form.cleaned_data["threshold"],
        rights=["tags.change_tag", "tags.change_taggroup"],
        reason=data.get("reason", "") or usual,
        values=kept_values(data),
        publish_url=page,
        back_url=f"{page}?{encode(kept_values(data))}",
    )


def _read_expirations(data: QueryDict) -> Proposal:
    form = ExpirationsForm(data)
    if not form.is_valid():
        wrong = [f"{row.tag.name}: {row.problem}" for row in form.chosen if row.problem]
        wrong += [str(text) for texts in form.head.errors.values() for text in texts]
        raise ProposalRefused(" ".join([*form.problems, *wrong]))
    changes = form.changes()
    tags = tags_of(changes)
    for change in changes:
        tags[change.tag_id].expiration_days = change.days
    _refuse_while_applying([tags[change.tag_id] for change in changes if not change.is_retroactive])
    rules: list[Tag | TagGroup] = [tags[change.tag_id] for change in changes]
    page = reverse("tags:expirations")
    return Proposal(
        rules=rules,
        edits=edits_of(rules),
        expirations=changes,
        threshold=form.head.cleaned_data["threshold"],
        rights=["tags.change_tag"],
        reason=form.head.cleaned_data["reason"],
        values=form.values(),
        publish_url=page,
        back_url=f"{page}?{encode(form.values())}",
    )


def _refuse_while_applying(rules: list[Tag | TagGroup]) -> None:
    try:
        refuse_while_applying(tags=[rule for rule in rules if isinstance(rule, Tag)])
    except StillApplying as refusal:
        raise ProposalRefused(str(refusal)) from refusal


def values_of(tag: Tag) -> list[tuple[str, str]]:
    """What the form of a saved tag sends when nothing is touched."""
    values: list[tuple[str, object]] = [
        ("name", tag.name),
        ("description", tag.description),
        ("color", tag.color),
        ("base_score", tag.base_score),
        ("expiration_days", tag.expiration_days or ""),
        ("expired_percent", tag.expired_percent),
        ("reassertion", tag.reassertion),
        ("group", tag.group_id or ""),
        ("decay", Decay.STEPS.value if tag.decay_steps else Decay.NONE.value),
        ("version", version_of(tag)),
    ]
    for number, (days, percent) in enumerate(tag.decay_steps, 1):
        values += [(f"days-{number}", days), (f"percent-{number}", percent)]
    if tag.is_archived:
        values.append(("is_archived", "on"))
    return [(name, str(value)) for name, value in values]


def encode(values: list[tuple[str, str]]) -> str:
    """The values as the query of an address."""
    query = QueryDict(mutable=True)
    for name, value in values:
        query.appendlist(name, value)
    return query.urlencode()
