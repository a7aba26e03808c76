from django import template

register = template.Library()
FULL = 2_500  # a stack of strong reasons; the bar behind a score is full from here on


@register.filter
def score_share(score: int) -> str:
    """How far the bar behind a score reaches, as a width."""
    return f"{max(0, min(100, 100 * score / FULL)):.1f}%"
