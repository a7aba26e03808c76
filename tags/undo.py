"""Undo of one published change: the rules in it as they were before it, published as a new change."""

import datetime as dt

from django.db import transaction

from accounts.models import User
from tags.models import RuleChange, Tag, TagGroup, TagMerge
from tags.operations import NothingToPublish, RuleStale, latest_change_id, publish_rule_change
from tags.queries import FIELDS, differences, history_of, version_of


class UndoRefused(Exception):
    """A change cannot be undone alone; the text says why and what can be done instead."""


def rules_before(change: RuleChange) -> list[Tag | TagGroup]:
    """The rules of a change, unsaved, with their values from before it; groups come first.

    A tag that it made comes back archived, for its assignments are kept. Raises UndoRefused when one of the rules was
    published again since, and where values cannot undo it.
    """
    if TagMerge.objects.filter(change=change).exists():
        raise UndoRefused("This change merged two tags; the page of the merge can undo it.")
    if TagMerge.objects.filter(undo_change=change).exists():
        raise UndoRefused("This change undid a merge of tags; merge them again instead.")
    found: list[Tag | TagGroup] = []
    for model in (TagGroup, Tag):
        for row in history_of(model).filter(rule_change=change).order_by("name"):
            rule = model.objects.filter(pk=row.id).first()
            if rule is None or version_of(rule) != row.history_id:
                raise UndoRefused(
                    f"{row.name} was published again since, so that this change alone cannot be undone. "
                    "Roll back to a version, or edit it."
                )
            former = history_of(model).filter(id=row.id, history_id__lt=row.history_id).order_by("-history_id").first()
            if former is not None:
                for name in FIELDS[model]:
                    setattr(rule, name, getattr(former, name))
            elif isinstance(rule, Tag):
                rule.is_archived = True
            else:
                raise UndoRefused(
                    f"{row.name} is a new group. It does nothing while no tag is in it: empty it instead."
                )
            if differences(model.objects.get(pk=rule.pk), rule, model):
                found.append(rule)
    return found


def undo_change(*, change: RuleChange, seen: int, by: User | None, at: dt.datetime, reason: str = "") -> RuleChange:
    """Publish what held before a change. `seen`: the latest change that the person knew of.

    What it did retroactively is done again with the former days. Raises UndoRefused, RuleStale when there is a later
    change than `seen`, NothingToPublish when nothing differs, ValidationError when a former name was given away.
    """
    with transaction.atomic():
        for model in (TagGroup, Tag):
            list(model.objects.select_for_update(no_key=True).order_by("pk").values_list("pk"))
        if latest_change_id() != seen:
            raise RuleStale([])
        rules = rules_before(change)
        if not rules:
            raise NothingToPublish
        for rule in rules:
            if isinstance(rule, TagGroup):
                rule.validate_constraints()
        return publish_rule_change(
            save=rules,
            by=by,
            at=at,
            reason=reason or f"undo version {change.pk}",
            retroactive=change.retroactive_tag_ids,
        )
