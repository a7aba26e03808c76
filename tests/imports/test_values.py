"""Single cells: what a date, a tag, a phone is, and what only pretends to be."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imports.values import (
    clean_email,
    clean_phone,
    clean_text,
    is_placeholder,
    is_spreadsheet_damage,
    parse_list_date,
    split_tags,
)

DAY = date(2024, 1, 5)


@pytest.mark.parametrize(
    "text",
    [
        "1/5/2024", "01/05/2024", "1/5/24", "1-5-2024", "01.05.2024", "2024-01-05", "2024/1/5", "20240105",
        "Jan 5, 2024", "January 5 2024", "Jan. 5th, 2024", "Friday, January 5, 2024", "5 Jan 2024", "05-JAN-24",
        "5-Jan-2024", "2024-01-05T10:11:12Z", "2024-01-05 00:00:00", "2024-01-05T10:11:12.123456+00:00",
        "1/5/2024 12:00:00 AM", " 1/5/2024 ", "45296", "45296.0", "20240105.0",
    ],
)  # fmt: skip
def test_dates_are_read_in_many_forms(text):
    assert parse_list_date(text) == DAY


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "0000-00-00", "01/01/21507", "01/01/110804", "1797-01-01", "1/1/1901", "1900-01-01 00:00:00",
        "2101-01-01",
        "13/45/2024", "2/30/2024", "2024-13-01", "2024", "12", "07030", "70123", "12345678901", "999999", "N/A",
        "Sale", "May", "5/2024", "2024-01", "99999999", "Foo 5, 2024", "1/5/2024x", "2024-01-051",
    ],
)  # fmt: skip
def test_what_is_no_believable_date_is_none(text):
    assert parse_list_date(text) is None


def test_two_digit_years_lie_between_1970_and_2069():
    assert parse_list_date("1/5/69") == date(2069, 1, 5)
    assert parse_list_date("1/5/70") == date(1970, 1, 5)


@given(st.dates(date(1970, 1, 1), date(2100, 12, 31)))
def test_every_believable_day_is_read_back(day):
    for form in ("%m/%d/%Y", "%Y-%m-%d", "%Y%m%d", "%b %d, %Y", "%d %B %Y", "%Y-%m-%dT%H:%M:%S"):
        assert parse_list_date(day.strftime(form)) == day


@given(st.text(max_size=40))
def test_no_text_breaks_a_cleaner(text):
    day = parse_list_date(text)
    assert day is None or 1970 <= day.year <= 2100
    cleaned = clean_text(text)
    assert clean_text(cleaned) == cleaned
    assert cleaned == cleaned.strip()
    assert "\0" not in cleaned
    is_placeholder(text)
    is_spreadsheet_damage(text)
    clean_phone(text)
    clean_email(text)
    for tag in split_tags(text):
        assert tag == clean_text(tag) != ""


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain text", "plain text"),
        ("  two   spaces ", "two spaces"),
        ("no\u00a0break\u2009thin", "no break thin"),
        ("a\tb\r\nc", "a b c"),
        ("nul\0 bell\x07!", "nul bell !"),
        ("zero\u200bwidth \ufeffbom soft\u00adhyphen", "zerowidth bom softhyphen"),
        ("José Muñoz \u2019s \U0001f600", "José Muñoz \u2019s \U0001f600"),
        ("\ud800x", "x"),
        ("", ""),
    ],
)
def test_text_is_cleaned(text, cleaned):
    assert clean_text(text) == cleaned


@pytest.mark.parametrize(
    "text", ["", " ", "-", "--", "N/A", "n/a", "NULL", "None", "UNKNOWN", "-- None --", "#N/A", ".", "*", "(null)", "?"]
)
def test_placeholders_say_nothing(text):
    assert is_placeholder(text)


@pytest.mark.parametrize("text", ["0", "No", "Nancy", "NA LLC", "None Such Rd", "X", "SELECT PROPERTIES LLC"])
def test_real_values_are_no_placeholders(text):
    assert not is_placeholder(text)


@pytest.mark.parametrize("text", ["1.23E+10", "1.23457E+11", "5E+09", "2e10", "#####", "########"])
def test_damage_by_a_spreadsheet_is_seen(text):
    assert is_spreadsheet_damage(text)


@pytest.mark.parametrize(
    "text", ["", "123", "12E", "E21 19003", "1.5", "12-34E-5", "5140E-50", "123E45 MAIN", "#", "##"]
)
def test_ids_with_an_e_are_not_damage(text):
    assert not is_spreadsheet_damage(text)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("Vacant; Probate", ["Vacant", "Probate"]),
        ("Vacant|Probate|vacant", ["Vacant", "Probate"]),
        ("Vacant, Tax  Delinquent ,,", ["Vacant", "Tax Delinquent"]),
        ('["Vacant","Code Violation"]', ["Vacant", "Code Violation"]),
        ("[odd; thing]", ["[odd", "thing]"]),
        ("Pre-foreclosure", ["Pre-foreclosure"]),
        ("N/A; -", []),
        ("  ", []),
    ],
)
def test_tags_are_split(text, tags):
    assert split_tags(text) == tags


@pytest.mark.parametrize(
    ("text", "phone"),
    [
        ("555-010-1234", "(555) 010-1234"),
        ("+1 (555) 010 1234", "(555) 010-1234"),
        ("5550101234.0", "(555) 010-1234"),
        ("15550101234", "(555) 010-1234"),
        ("555.010.1234 ext. 12", "(555) 010-1234 x12"),
        ("010-1234", "010-1234"),
        ("call after 5", "call after 5"),
        ("N/A", ""),
        ("", ""),
    ],
)
def test_phones_are_formatted_where_they_are_clear(text, phone):
    assert clean_phone(text) == phone


@pytest.mark.parametrize(
    ("text", "email"),
    [
        (" Jane@Example.COM ", "jane@example.com"),
        ("mailto:jane@example.com", "jane@example.com"),
        ("Jane Doe <jane@example.com>", "jane@example.com"),
        ("a@example.com; b@example.com", "a@example.com; b@example.com"),
        ("no email", "no email"),
        ("none", ""),
    ],
)
def test_emails_are_cleaned_where_they_are_clear(text, email):
    assert clean_email(text) == email
