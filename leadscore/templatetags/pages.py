"""Small marks that every page uses: icons, moments, shares."""

import datetime as dt

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def icon(name: str) -> SafeString:
    """An icon beside words; it says nothing by itself."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', static("vendor/tabler/icons.svg"), name
    )


def _local(moment: dt.datetime) -> dt.datetime:
    return timezone.localtime(moment)


@register.filter
def moment(at: dt.datetime | None) -> SafeString | str:
    """A moment, short; exact on hover. In the person's time zone."""
    if at is None:
        return ""
    local, now = _local(at), timezone.localtime()
    if local.date() == now.date():
        short = format_date(local, "g:i A")
    elif local.year == now.year:
        short = format_date(local, "M j")
    else:
        short = format_date(local, "M j, Y")
    return _time(at, short)


@register.filter
def day(at: dt.datetime | None) -> SafeString | str:
    """The day of a moment, with its year; exact on hover.

    A list's date counts from 00:00 UTC: that very moment, and any a whole number of days later, shows the day that
    the list says, also where it is still the evening before.
    """
    if at is None:
        return ""
    return _time(at, format_date(_day_of(at), "M j, Y"))


@register.filter
def day_text(at: dt.datetime) -> str:
    """What `day` shows, for mail."""
    return format_date(_day_of(at), "M j, Y")


def _day_of(at: dt.datetime) -> dt.datetime:
    utc = at.astimezone(dt.UTC)
    return utc if utc.time() == dt.time() else _local(at)


@register.filter
def exact(at: dt.datetime) -> str:
    """A moment to the second, in the person's time zone."""
    return format_date(_local(at), "l, F j, Y, g:i:s A T")


def _time(at: dt.datetime, short: str) -> SafeString:
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact(at), short)


@register.filter
def share_of(part: float, whole: float) -> str:
    """`part` as a percentage of `whole` for a style attribute: always with a point, never over 100."""
    return f"{min(100.0, 100 * part / whole) if whole else 0:.3f}%"


@register.filter
def duration(job: object) -> str:
    """How long a job took, or has taken so far."""
    started: dt.datetime | None = getattr(job, "started_at", None)
    if started is None:
        return ""
    ended = getattr(job, "finished_at", None) or timezone.now()
    seconds = max(0.0, (ended - started).total_seconds())
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
