"""Pages of the rules: tags, groups, and the changes that were published."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_http_methods, require_safe

from accounts.pages import HtmxHttpRequest, needs, person_of, show, wants_part
from jobs.views import STOP_POLLING
from tags.decay import in_words
from tags.expirations import preview_expirations
from tags.forms import GroupForm, ReasonForm, TagForm, ThresholdForm
from tags.listing import NUMBERS, SORTS, read_wanted, tag_rows
from tags.models import RuleChange, Tag, TagGroup
from tags.operations import (
    NothingToPublish,
    RuleStale,
    StillApplying,
    latest_change_id,
    publish_edited_rule,
    roll_back,
    rules_as_of,
)
from tags.proposals import ROLLBACK, edits_of, encode, kept_values, page_of, rights_for, values_of
from tags.queries import (
    Carried,
    Difference,
    changed_since,
    count_by_tag,
    describe_changes,
    last_merge_of,
    merged_since,
    rule_changes,
    unapplied_changes,
    url_of,
    version_of,
)

ON_RULE_PAGE = 5
READ_OR_POST = ["GET", "HEAD", "POST"]


@require_safe
@needs("tags.view_tag")
def tag_list(request: HtmxHttpRequest) -> HttpResponse:
    """All tags, those to review first and archived ones at the end, and the groups."""
    groups = list(TagGroup.objects.prefetch_related("tags"))
    wanted = read_wanted(request.GET, groups)
    rows = tag_rows(wanted)
    archived = [row for row in rows if row.tag.is_archived]
    state = [(name, value) for name, value in (("q", wanted.q), ("group", wanted.group)) if value]
    context = {
        "rows": [row for row in rows if not row.tag.is_archived],
        "archived": archived,
        "headers": _headers(state, wanted.sort),
        "wanted": wanted,
        "groups": groups,
        "has_tags": bool(rows) or Tag.objects.exists(),
    }
    response = show(request, "tags/list.html", context, part="rows")
    if wants_part(request):
        address = _list_address([*state, *([("sort", wanted.sort)] if wanted.sort else [])])
        response["HX-Push-Url"] = "false" if request.htmx.current_url_abs_path == address else address
    return response


def _list_address(state: list[tuple[str, str]]) -> str:
    return f"{reverse('tags:list')}?{urlencode(state)}" if state else reverse("tags:list")


def _headers(state: list[tuple[str, str]], sort: str) -> dict[str, dict[str, str]]:
    """Columns that sort, by name, with the link and the direction in force; numbers from the top first."""
    headers = {}
    for name, label in SORTS.items():
        down = f"-{name}"
        direction = {name: "ascending", down: "descending"}.get(sort, "")
        following = (name if sort == down else down) if direction else (down if name in NUMBERS else name)
        link = _list_address([*state, ("sort", following)])
        headers[name] = {"label": label, "link": link, "direction": direction}
    return headers


@require_safe
@needs("leads.view_lead", "tags.view_tag", "tags.change_tag")
def archive(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """What archiving a tag does, or taking it out of the archive; publishing is the tag page's own."""
    tag = get_object_or_404(Tag.objects.select_related("merged_into"), pk=pk)
    if tag.merged_into is not None:
        return redirect(url_of(tag))
    reason = "taken out of the archive" if tag.is_archived else "archived"
    values = [pair for pair in values_of(tag) if pair[0] != "is_archived"]
    if not tag.is_archived:
        values.append(("is_archived", "on"))
    context = {
        "tag": tag,
        "carried": count_by_tag([tag]).get(tag.pk, Carried()),
        "preview": encode([*values, ("rule", "tag"), ("id", str(tag.pk)), ("reason", reason)]),
    }
    return show(request, "tags/archive.html", context)


@require_http_methods(READ_OR_POST)
@needs("tags.view_tag")
def tag_detail(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """A tag: its rule, the form for who may change it, and its versions. POST publishes."""
    return _rule_page(request, get_object_or_404(Tag.objects.select_related("group", "merged_into"), pk=pk))


@require_http_methods(READ_OR_POST)
@needs("tags.view_tag", "tags.add_tag")
def tag_new(request: HtmxHttpRequest) -> HttpResponse:
    return _rule_page(request, Tag())


@require_http_methods(READ_OR_POST)
@needs("tags.view_tag")
def group_detail(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """A group with its cap and tags. POST publishes."""
    return _rule_page(request, get_object_or_404(TagGroup, pk=pk))


@require_http_methods(READ_OR_POST)
@needs("tags.view_tag", "tags.add_taggroup")
def group_new(request: HtmxHttpRequest) -> HttpResponse:
    return _rule_page(request, TagGroup())


def _form_for(rule: Tag | TagGroup, data: Any = None) -> TagForm | GroupForm:
    return TagForm(data, rule=rule) if isinstance(rule, Tag) else GroupForm(data, rule=rule)


def _rule_page(request: HtmxHttpRequest, rule: Tag | TagGroup) -> HttpResponse:
    may_edit = person_of(request).has_perm(rights_for(rule))
    if request.method == "GET" and isinstance(rule, Tag) and rule.merged_into is not None:
        may_edit = False
    if request.method == "POST":
        if not may_edit:
            raise PermissionDenied
        return _publish(request, rule)
    if wants_part(request) and request.htmx.target == "rule-applying":
        return _applying(request, rule)
    is_typed = may_edit and "name" in request.GET
    form = _form_for(rule, request.GET if is_typed else None)
    if not is_typed:
        return _show_rule(request, rule, form, may_edit=may_edit)
    is_sound = form.is_valid()
    preview = ""
    if is_sound and "preview" in request.GET:
        kind = "tag" if isinstance(rule, Tag) else "group"
        values = [(name, value) for name, value in kept_values(request.GET) if name != "version"]
        # The differences are shown beside it: who publishes from here on has seen today's version.
        values += [("version", str(version_of(rule))), ("rule", kind), ("id", str(rule.pk or ""))]
        preview = encode(values)
    stale = changed_since(rule, form.seen_version) if form.seen_version != version_of(rule) else None
    return _show_rule(
        request, rule, form, may_edit=may_edit, preview=preview, stale=stale, status=200 if is_sound else 422
    )


def _show_rule(
    request: HtmxHttpRequest,
    rule: Tag | TagGroup,
    form: TagForm | GroupForm,
    *,
    may_edit: bool,
    preview: str = "",
    stale: list[Difference] | None = None,
    status: int = 200,
) -> HttpResponse:
    is_tag = isinstance(rule, Tag)
    may_see_changes = bool(rule.pk) and person_of(request).has_perm("tags.view_rulechange")
    changes = rule_changes(rule=rule)[: ON_RULE_PAGE + 1] if may_see_changes else []
    versions = describe_changes(changes, rule=rule)
    context = {
        "rule": rule,
        "is_tag": is_tag,
        "form": form,
        "may_edit": may_edit,
        "page_url": page_of(rule),
        "preview": preview,
        "stale": stale,
        "version": version_of(rule),
        "last_change": rule_changes(rule=rule).first() if stale is not None else None,
        "curve": form.curve() if isinstance(form, TagForm) else None,
        "decay": in_words(rule.decay_steps) if isinstance(rule, Tag) else "",
        "carried": count_by_tag([rule]).get(rule.pk, Carried()) if isinstance(rule, Tag) and rule.pk else Carried(),
        "last_merge": last_merge_of(rule) if isinstance(rule, Tag) and rule.pk else None,
        "members": rule.tags.order_by("is_archived", "name") if isinstance(rule, TagGroup) and rule.pk else (),
        "applying": unapplied_changes(rule) if rule.pk else (),
        "may_see_changes": may_see_changes,
        "versions": versions[:ON_RULE_PAGE],
        "has_more_versions": len(versions) > ON_RULE_PAGE,
    }
    response = show(request, "tags/rule.html", context, part="rule", status=status)
    if preview and wants_part(request):
        response["HX-Reswap"] = "innerHTML show:#preview:top"
    return response


def _publish(request: HtmxHttpRequest, rule: Tag | TagGroup) -> HttpResponse:
    form = _form_for(rule, request.POST)
    if not form.is_valid():
        return _show_rule(request, rule, form, may_edit=True, status=422)
    try:
        change = publish_edited_rule(
            rule=form.instance,
            version=form.seen_version,
            by=person_of(request),
            at=timezone.now(),
            reason=form.cleaned_data["reason"],
            is_retroactive=form.cleaned_data.get("is_retroactive", False),
        )
    except StillApplying as refusal:
        form.add_error(None, str(refusal))
        return _show_rule(request, rule, form, may_edit=True, status=409)
    except RuleStale as refusal:
        return _show_rule(request, rule, form, may_edit=True, stale=refusal.differences, status=409)
    except NothingToPublish:
        form.add_error(None, "Nothing differs from what holds today, so there is nothing to publish.")
        return _show_rule(request, rule, form, may_edit=True, status=422)
    except ValidationError as refusal:
        form.add_error(None, refusal.messages)
        return _show_rule(request, rule, form, may_edit=True, status=422)
    say_published(request, change, f"Published: {form.instance.name} is as you wrote it, from version {change.pk} on.")
    return redirect(url_of(form.instance))


def say_published(request: HtmxHttpRequest, change: RuleChange, text: str) -> None:
    """The notice after publishing, with the way back."""
    notice = text
    if person_of(request).has_perms(["tags.change_tag", "tags.change_taggroup", "tags.view_rulechange"]):
        notice = format_html('{} <a href="{}">Undo</a>', text, reverse("tags:undo", args=[change.pk]))
    messages.success(request, notice)


def _applying(request: HtmxHttpRequest, rule: Tag | TagGroup) -> HttpResponse:
    """Only the note that a published change is being applied; it asks by itself until that is over."""
    applying = unapplied_changes(rule)
    context = {"applying": applying, "was_applying": True}
    return show(request, "tags/rule.html", context, part="applying", status=200 if applying else STOP_POLLING)


@require_safe
@needs("tags.view_tag")
def curve(request: HtmxHttpRequest) -> HttpResponse:
    """The picture of a decay as it is being typed; a preview on the page is out of date from then on."""
    if not wants_part(request):
        return redirect("tags:list")
    form = TagForm(request.GET, rule=Tag())
    drawn = form.curve()
    context = {"curve": drawn, "form": form, "is_outdated": "previewed" in request.GET}
    return show(request, "tags/_curve.html", context)


@require_safe
@needs("tags.view_tag", "tags.change_tag")
def expiration_effect(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """How many assignments would end elsewhere by the days that are being typed, and which way they would pass."""
    tag = get_object_or_404(Tag, pk=pk)
    if not wants_part(request):
        return redirect(f"{url_of(tag)}?{request.GET.urlencode()}")
    form = TagForm(request.GET, rule=tag)
    changes = form.expirations()
    effects = preview_expirations(changes=[replace(one, is_retroactive=True) for one in changes], at=timezone.now())
    values = [*kept_values(request.GET), ("rule", "tag"), ("id", str(tag.pk))]
    context = {
        "effect": effects[0] if effects else None,
        "is_retroactive": any(change.is_retroactive for change in changes),
        "proposal": encode(values),
    }
    return show(request, "tags/_expiration_effect.html", context)


def number_of(text: str) -> int:
    """A number from an address; 0 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0


@require_http_methods(READ_OR_POST)
@needs("tags.view_tag", "tags.view_rulechange")
def change_detail(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """One published change, and the way back to the rules as they were then. POST publishes that."""
    change = get_object_or_404(RuleChange.objects.select_related("by"), pk=pk)
    may_roll_back = person_of(request).has_perms(["tags.change_tag", "tags.change_taggroup"])
    if request.method == "POST":
        if not may_roll_back:
            raise PermissionDenied
        return _roll_back(request, change)
    return _show_change(request, change, may_roll_back=may_roll_back)


def _show_change(
    request: HtmxHttpRequest, change: RuleChange, *, may_roll_back: bool, problem: str = "", status: int = 200
) -> HttpResponse:
    is_previewed = request.method != "POST" and "preview" in request.GET
    form = ThresholdForm(request.GET if is_previewed else None)
    preview = ""
    if may_roll_back and is_previewed:
        if form.is_valid():
            values = [("rule", ROLLBACK), ("id", str(change.pk)), ("seen", str(latest_change_id()))]
            preview = encode([*values, ("threshold", str(form.cleaned_data["threshold"]))])
        else:
            status = 422
    context = {
        "merged_since": merged_since(change),
        "version": describe_changes([change])[0],
        "change": change,
        "edits": edits_of(rules_as_of(change)),
        "may_roll_back": may_roll_back,
        "form": form,
        "preview": preview,
        "problem": problem,
    }
    return show(request, "tags/change.html", context, status=status)


def _roll_back(request: HtmxHttpRequest, change: RuleChange) -> HttpResponse:
    form = ReasonForm(request.POST)
    if not form.is_valid():
        problem = f"Reason: {' '.join(map(str, form.errors['reason']))}"
        return _show_change(request, change, may_roll_back=True, problem=problem, status=422)
    try:
        published = roll_back(
            to=change,
            seen=number_of(request.POST.get("seen", "")),
            by=person_of(request),
            at=timezone.now(),
            reason=form.cleaned_data["reason"],
        )
    except StillApplying as refusal:
        return _show_change(request, change, may_roll_back=True, problem=str(refusal), status=409)
    except RuleStale:
        problem = (
            "Somebody published another change meanwhile, so nothing was rolled back. "
            "What rolling back changes now is below; preview its effect again."
        )
        return _show_change(request, change, may_roll_back=True, problem=problem, status=409)
    except NothingToPublish:
        problem = "All rules are as they were then already; there is nothing to roll back."
        return _show_change(request, change, may_roll_back=True, problem=problem, status=422)
    except ValidationError as refusal:
        problem = f"This cannot be rolled back as a whole: {' '.join(refusal.messages)}"
        return _show_change(request, change, may_roll_back=True, problem=problem, status=422)
    say_published(
        request, published, f"Rolled back: the rules of version {change.pk} hold again, as version {published.pk}."
    )
    return redirect("tags:change", published.pk)
