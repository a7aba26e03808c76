"""Chips: a tag in its colour, readable on light and dark pages."""

from functools import lru_cache

from django import template

register = template.Library()
CONTRAST = 5.0  # WCAG 2.2 AA asks 4.5; a little more for small type
LIGHT_PAPER, DARK_PAPER = (255, 255, 255), (32, 34, 38)
type_Rgb = tuple[int, int, int]


def _rgb(color: str) -> type_Rgb:
    try:
        return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
    except ValueError:
        return 102, 115, 130


def _mix(a: type_Rgb, b: type_Rgb, share: float) -> type_Rgb:
    """`share` of a, the rest of b."""
    red, green, blue = (round(x * share + y * (1 - share)) for x, y in zip(a, b, strict=True))
    return red, green, blue


def _luminance(color: type_Rgb) -> float:
    def linear(part: int) -> float:
        value = part / 255
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = map(linear, color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: type_Rgb, b: type_Rgb) -> float:
    """The WCAG contrast ratio, 1 to 21."""
    lighter, darker = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _readable(color: type_Rgb, paper: type_Rgb, ink: type_Rgb) -> type_Rgb:
    """The colour, moved towards the ink until it can be read on the paper."""
    for step in range(21):
        text = _mix(ink, color, step / 20)
        if contrast(text, paper) >= CONTRAST:
            return text
    return ink


def _hex(color: type_Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


@register.filter
@lru_cache(maxsize=1024)
def chip_style(color: str) -> str:
    """Ground, text and dot of a chip for both themes, as custom properties."""
    own = _rgb(color)
    light, dark = _mix(own, LIGHT_PAPER, 0.12), _mix(own, DARK_PAPER, 0.30)
    text_light = _readable(own, light, (0, 0, 0))
    text_dark = _readable(own, dark, (255, 255, 255))
    return (
        f"--dot:{_hex(own)};--bg-l:{_hex(light)};--fg-l:{_hex(text_light)};--bg-d:{_hex(dark)};--fg-d:{_hex(text_dark)}"
    )
