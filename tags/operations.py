"""Writes: publish rules, put tags on leads, find or make tags by name."""

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Least
from django.db.models.signals import ModelSignal

from accounts.models import User
from jobs.models import Job
from jobs.operations import start_job
from jobs.ranges import retrying_collisions
from leads import registry
from leads.models import Lead
from tags.models import LeadTag, RuleChange, Tag, TagAlias, TagGroup, calculate_tag_expiration, fold_name
from tags.queries import APPLY_RULE_CHANGE as APPLY_RULE_CHANGE
from tags.queries import FIELDS, Difference, changed_since, differences, history_as_of, job_applying, version_of
from tags.sql.expirations import hold_expiration_days, with_other_clocks


class RuleStale(Exception):
    """Somebody published the rule meanwhile; `differences` says what is other than the person saw."""

    def __init__(self, differences: list[Difference]) -> None:
        super().__init__("somebody published this meanwhile")
        self.differences = differences


class StillApplying(RuleStale):
    """A retroactive change of a tag's days is not applied yet, so that other days for later assignments must wait.

    The walk over the assignments reads today's days: they may change meanwhile only for all assignments alike.
    """

    def __init__(self, tag: Tag, change: RuleChange) -> None:
        super().__init__([])
        self.tag, self.change = tag, change

    def __str__(self) -> str:
        return (
            f"Version {self.change.pk} of {self.tag.name} is still being applied to its assignments. "
            "Publish other days once that is done, or publish them with retroactive effect."
        )


class NothingToPublish(Exception):
    """The values are today's."""


def publish_rule_change(
    *,
    save: Sequence[Tag | TagGroup],
    by: User | None,
    at: dt.datetime,
    reason: str = "",
    retroactive: Collection[int] = (),
) -> RuleChange:
    """Save changed rules together, with their history, and have every lead they touch rescored.

    Leads are not marked: a job walks those that carry the tags; the sweep resumes it if it is lost. `retroactive`:
    ids of tags among these whose assignments get their expiration anew, each from its own start.

    Raises StillApplying when a tag would get other days for later assignments while a retroactive change of it is
    being applied.
    """
    with transaction.atomic():
        refuse_while_applying(tags=[rule for rule in save if isinstance(rule, Tag) and rule.pk not in retroactive])
        change = RuleChange.objects.create(at=at, by=by, reason=reason[:200])
        tag_ids: set[int] = set()
        for rule in save:
            if isinstance(rule, Tag):
                rule.clean()
                _keep_former_name(rule)
            rule._history_user = by  # type: ignore[union-attr]
            rule._rule_change = change  # type: ignore[union-attr]
            rule._change_reason = reason[:100]  # type: ignore[union-attr]
            rule.save()
            if isinstance(rule, Tag):
                tag_ids.add(rule.pk)
            else:
                tag_ids.update(rule.tags.values_list("pk", flat=True))
        change.tag_ids = sorted(tag_ids)
        change.retroactive_tag_ids = sorted(tag_ids & set(retroactive))
        change.save(update_fields=["tag_ids", "retroactive_tag_ids"])
        transaction.on_commit(lambda: start_rule_change_job(change=change))
    return change


def refuse_while_applying(*, tags: Iterable[Tag]) -> None:
    """Raise StillApplying when one of these tags has other days than today, and a retroactive change is unapplied."""
    wanted = {tag.pk: tag for tag in tags if tag.pk}
    days = dict(Tag.objects.filter(pk__in=wanted).values_list("pk", "expiration_days"))
    moving = [pk for pk, today in days.items() if wanted[pk].expiration_days != today]
    if not moving:
        return
    unapplied = RuleChange.objects.filter(applied_at=None, retroactive_tag_ids__overlap=moving)
    for change in unapplied.order_by("-pk")[:1]:
        raise StillApplying(wanted[min(set(moving) & set(change.retroactive_tag_ids))], change)


def _keep_former_name(tag: Tag) -> None:
    """Lists that still use the name that a tag is about to lose find it; a name that it takes back is free again."""
    former = Tag.objects.filter(pk=tag.pk).exclude(name_key=tag.name_key).values_list("name_key", flat=True).first()
    if former:
        TagAlias.objects.get_or_create(name_key=former, defaults={"tag": tag})
        TagAlias.objects.filter(tag=tag, name_key=tag.name_key).delete()


def publish_edited_rule(
    *,
    rule: Tag | TagGroup,
    version: int,
    by: User | None,
    at: dt.datetime,
    reason: str = "",
    is_retroactive: bool = False,
) -> RuleChange:
    """Publish a rule that a person edited from `version` of it (see `version_of`); a new rule has version 0.

    With `is_retroactive` all assignments of the tag get their expiration anew, also where only they differ from it.
    Raises RuleStale when somebody published the rule since, NothingToPublish when nothing differs, ValidationError
    when its name was taken at the same moment, StillApplying as `publish_rule_change` does.
    """
    retroactive: list[int] = []
    with transaction.atomic():
        if rule.pk:
            today = type(rule).objects.select_for_update(no_key=True).get(pk=rule.pk)
            if version_of(rule) != version:
                raise RuleStale(changed_since(today, version))
            others: set[int] = set()
            if is_retroactive and isinstance(rule, Tag):
                retroactive = [rule.pk]
                others = with_other_clocks(tags=[(rule.pk, rule.expiration_days)])
            if not differences(today, rule, type(rule)) and not others:
                raise NothingToPublish
        try:
            with transaction.atomic():
                return publish_rule_change(save=[rule], by=by, at=at, reason=reason, retroactive=retroactive)
        except IntegrityError as error:
            raise ValidationError(
                "Somebody gave this name to another one just now; choose a different name."
            ) from error


def rules_as_of(change: RuleChange) -> list[Tag | TagGroup]:
    """The rules, unsaved, with their values as of a change, where those differ from today's; groups come first.

    Rules that were made after it are left alone, and so are tags that were merged then or are merged now: their leads
    have moved, which values cannot bring back.
    """
    then = history_as_of(change)
    found: list[Tag | TagGroup] = []
    for model, rows in ((TagGroup, then.groups), (Tag, then.tags)):
        for rule in model.objects.in_bulk(rows).values():
            row, is_other = rows[rule.pk], False
            if getattr(row, "merged_into_id", None) or getattr(rule, "merged_into_id", None):
                continue
            for name in FIELDS[model]:
                is_other = is_other or getattr(rule, name) != getattr(row, name)
                setattr(rule, name, getattr(row, name))
            if is_other:
                found.append(rule)
    return found


def roll_back(*, to: RuleChange, seen: int, by: User | None, at: dt.datetime, reason: str = "") -> RuleChange:
    """Publish the values of all rules as of a change as a new one. `seen`: the latest change the person knew of.

    Raises RuleStale when there is a later change than `seen`, NothingToPublish when nothing differs, and
    ValidationError when a name of then has been given to another rule.
    """
    with transaction.atomic():
        for model in (TagGroup, Tag):
            list(model.objects.select_for_update(no_key=True).order_by("pk").values_list("pk"))
        if latest_change_id() != seen:
            raise RuleStale([])
        rules = rules_as_of(to)
        if not rules:
            raise NothingToPublish
        for rule in rules:
            if isinstance(rule, TagGroup):
                rule.validate_constraints()
        return publish_rule_change(save=rules, by=by, at=at, reason=reason or f"roll back to version {to.pk}")


def latest_change_id() -> int:
    """The number of the latest published change; 0 before the first."""
    return RuleChange.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def start_rule_change_job(*, change: RuleChange) -> Job:
    """Queue the walk that applies a published change, a merge's own where it is one.

    Its moment is read here, after the commit: a lead scored later than it was scored by the new rules.
    """
    from django.utils import timezone

    kind, title = job_applying(change)
    return start_job(
        kind=kind,
        key=str(change.pk),
        title=title,
        at=timezone.now(),
        params={"rule_change_id": change.pk},
        by=change.by,
    )


def note_rule_change_in_history(sender: ModelSignal, **kwargs: Any) -> None:
    """Write into a history row which change published it."""
    change = getattr(kwargs["instance"], "_rule_change", None)
    if change is not None:
        kwargs["history_instance"].rule_change = change


def mark_due(*, lead_ids: Iterable[int], at: dt.datetime, cause: Lead.Cause) -> None:
    """Make leads due and have them drained right after the commit. Call it in the transaction that changed them."""
    ids = sorted(lead_ids)
    Lead.objects.filter(pk__in=ids).update(
        rescore_at=Least(Coalesce("rescore_at", at), at),
        rescore_cause=Least(Coalesce("rescore_cause", int(cause)), int(cause)),
        score_revision=F("score_revision") + 1,
    )
    registry.announce_due(ids, at)


def assign_tag(*, lead_id: int, tag: Tag, at: dt.datetime) -> LeadTag:
    """Put a tag on a lead by hand: after expiry or removal a new clock, else the tag's policy decides."""

    def assign() -> LeadTag:
        Lead.objects.select_for_update().get(pk=lead_id)
        days = hold_expiration_days(tag_id=tag.pk)
        expiration_at = calculate_tag_expiration(assigned_at=at, expiration_days=days)
        lead_tag, is_new = LeadTag.objects.get_or_create(
            lead_id=lead_id, tag=tag, defaults={"assigned_at": at, "expiration_at": expiration_at}
        )
        if not is_new:
            ended = lead_tag.removed_at is not None or (
                lead_tag.expiration_at is not None and lead_tag.expiration_at <= at
            )
            if not ended and tag.reassertion == Tag.Reassertion.KEEP:
                return lead_tag
            lead_tag.assigned_at, lead_tag.expiration_at = at, expiration_at
            lead_tag.is_expired, lead_tag.removed_at = False, None
            lead_tag.save()
        mark_due(lead_ids=[lead_id], at=at, cause=Lead.Cause.TAG_CHANGE)
        return lead_tag

    return retrying_collisions(assign)


def remove_tag(*, lead_id: int, tag: Tag, at: dt.datetime) -> bool:
    """Take a tag off a lead; the row stays. False when it was not on it."""

    def remove() -> bool:
        list(Lead.objects.select_for_update().filter(pk=lead_id).values_list("pk"))  # lead first, as everybody
        removed = LeadTag.objects.kept().filter(lead_id=lead_id, tag=tag).update(removed_at=at)
        if removed:
            mark_due(lead_ids=[lead_id], at=at, cause=Lead.Cause.TAG_CHANGE)
        return bool(removed)

    return retrying_collisions(remove)


def find_tag_ids(names: Iterable[str]) -> dict[str, int]:
    """Tag id of each name that is known, by folded name; former names and those of merged tags count."""
    keys = {fold_name(name) for name in names}
    named = Tag.objects.filter(name_key__in=keys).values_list("name_key", "pk", "merged_into_id")
    aliases = dict(TagAlias.objects.filter(name_key__in=keys).values_list("name_key", "tag_id"))
    # The alias of a merged tag's name follows later merges; without it the tag that it was merged into will do.
    merged = {key: into for key, _, into in named if into is not None}
    return merged | aliases | {key: pk for key, pk, into in named if into is None}


def discard_unused_tags(*, tag_ids: Sequence[int]) -> None:
    """Take back tags that an import made and that no lead carries, because the import was refused after all."""
    Tag.objects.filter(pk__in=tag_ids, needs_review=True, lead_tags=None).delete()


def create_unreviewed_tag(*, name: str, by: User | None) -> Tag:
    """Make a tag of score 0 that waits for a person to give it points; an existing one is returned as it is."""
    tag = Tag(name=" ".join(name.split())[:80], needs_review=True)
    tag._history_user = by  # type: ignore[attr-defined]
    tag._change_reason = "made by an import"  # type: ignore[attr-defined]
    with transaction.atomic():
        existing = find_tag_ids([name]).get(fold_name(name))
        if existing:
            return Tag.objects.get(pk=existing)
        tag.save()
    return tag
