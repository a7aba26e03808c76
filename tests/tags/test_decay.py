"""How points fade: presets as rules.md defines them, words, and stretches that agree with the engine's rules."""

from decimal import ROUND_HALF_UP, Decimal

from hypothesis import given
from hypothesis import strategies as st

from tags.decay import (
    MAX_HALF_LIFE,
    Decay,
    draw_curve,
    half_life,
    in_words,
    linear,
    points_of,
    preset_of,
    stretches,
)
from tags.models import MAX_BASE, MAX_DAYS, MAX_STEPS, validate_decay_steps

all_days = st.integers(1, MAX_DAYS)
half_lives = st.integers(1, MAX_HALF_LIFE)


@st.composite
def steps(draw):
    days = sorted(draw(st.sets(all_days, max_size=MAX_STEPS)))
    return [[day, draw(st.integers(0, 100))] for day in days]


def percent_at(found, age):
    return [part for part in found if part.first <= age][-1].percent


def test_linear_takes_ten_steps_of_ten_percent():
    assert linear(100) == [[10 * i, 100 - 10 * i] for i in range(1, 11)]
    assert linear(365)[:3] == [[37, 90], [73, 80], [110, 70]]


def test_half_life_halves_every_second_step():
    assert half_life(60) == [[30, 71], [60, 50], [90, 35], [120, 25], [150, 18], [180, 13], [210, 9], [240, 6]]


def test_presets_too_short_for_all_their_steps_keep_the_last_of_a_day():
    assert linear(1) == [[1, 0]]
    assert half_life(1) == [[1, 50], [2, 25], [3, 13], [4, 6]]


@given(all_days)
def test_linear_is_accepted_reaches_nothing_on_its_last_day_and_is_recognised(days):
    found = linear(days)
    validate_decay_steps(found)
    assert found[-1] == [days, 0]
    assert preset_of(found).decay == Decay.LINEAR
    assert preset_of(found).days == days


@given(half_lives)
def test_half_life_is_accepted_and_is_recognised(days):
    found = half_life(days)
    validate_decay_steps(found)
    assert preset_of(found).decay == Decay.HALF_LIFE
    assert preset_of(found).days == days
    assert percent_at(stretches(base=1, steps=found), days) == 50


@given(steps())
def test_what_a_preset_says_gives_the_steps_back(given_steps):
    preset = preset_of(given_steps)
    again = {
        Decay.NONE: list,
        Decay.LINEAR: lambda: linear(preset.days),
        Decay.HALF_LIFE: lambda: half_life(preset.days),
        Decay.STEPS: lambda: given_steps,
    }[preset.decay]()
    assert again == given_steps
    assert in_words(given_steps)


@given(st.integers(-MAX_BASE, MAX_BASE), st.integers(0, 100))
def test_points_round_halves_away_from_zero(base, percent):
    exact = (Decimal(base) * percent / 100).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    assert points_of(base, percent) == int(exact)


@given(steps(), st.none() | all_days, st.integers(0, 100), st.integers(0, MAX_DAYS + 10))
def test_stretches_follow_the_rule_at_every_age(given_steps, expiration_days, expired_percent, age):
    found = stretches(base=100, steps=given_steps, expiration_days=expiration_days, expired_percent=expired_percent)
    wanted = 100
    for days, percent in given_steps:
        if days <= age:
            wanted = percent
    if expiration_days is not None and age >= expiration_days:
        wanted = min(wanted, expired_percent)
    assert percent_at(found, age) == wanted
    assert [part.end for part in found] == [*(part.first for part in found[1:]), None]


@given(steps(), st.none() | all_days, st.integers(0, 100))
def test_the_picture_stays_in_its_box(given_steps, expiration_days, expired_percent):
    curve = draw_curve(base=100, steps=given_steps, expiration_days=expiration_days, expired_percent=expired_percent)
    assert 2 <= len(curve.days) <= 7
    assert all(38 <= float(mark.at) <= 392 for mark in curve.days)
    assert all(0 <= float(mark.at) <= 190 for mark in curve.percents)


def test_words_for_people():
    assert in_words([]) == "keeps its points"
    assert in_words(linear(180)) == "evenly to 0 in 180 days"
    assert in_words(half_life(60)) == "halves every 60 days"
    assert in_words([[90, 80], [180, 50]]) == "80% from day 90, 50% from day 180"
