"""Moments of territories on pages: as days of the business, in whose time zone they were typed."""

import datetime as dt

from django import template
from django.utils.dateformat import format as format_date
from django.utils.html import format_html
from django.utils.safestring import SafeString

from territories.holdings.periods import business_zone, day_in_words

register = template.Library()


@register.filter
def business_day(at: dt.datetime | None) -> SafeString | str:
    """The day, with its hour where it is not the beginning of the day; exact on hover."""
    if at is None:
        return ""
    exact = format_date(at.astimezone(business_zone()), "l, F j, Y, g:i:s A T")
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact, day_in_words(at))
