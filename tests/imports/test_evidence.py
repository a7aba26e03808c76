"""The lead page tells of each tag which lists asserted it, and what each assertion did to its clock."""

import datetime as dt
import re

import pytest

from imports.queries import Effect, tag_evidence_of
from leads.models import Lead
from tags.models import LeadTag
from tags.operations import remove_tag
from tests.conftest import NOW
from tests.factories import import_rows, make_lead, make_tag

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
DAY = dt.timedelta(days=1)
HEAD = "Property Address,City,State,Zip,Tags,List Date\n"


def row(date: str = "", tags: str = "Haunted") -> str:
    return f"12 Main St,Hoboken,NJ,07030,{tags},{date}\n"


def bring(rows: str, at: dt.datetime = NOW, **options) -> None:
    import_rows(HEAD + rows, at=at, **options)


def told(name: str = "Haunted") -> list[tuple[str, int, str, Effect]]:
    """File, line, date and effect of each assertion of a tag, newest first."""
    for one in tag_evidence_of(lead=Lead.objects.get()):
        if one.tag.name == name:
            return [(a.batch.name, a.line, a.asserted_at.date().isoformat(), a.effect) for a in one.assertions]
    return []


def test_the_first_assertion_starts_the_clock_and_a_second_one_is_evidence_under_keep():
    make_tag(name="Haunted", expiration_days=365)
    bring(row("2026-05-01"), name="may.csv")
    bring(row("2026-06-01"), name="june.csv")
    assert told() == [
        ("june.csv", 2, "2026-06-01", Effect.KEPT),
        ("may.csv", 2, "2026-05-01", Effect.STARTED),
    ]
    assert LeadTag.objects.get().assigned_at.date() == dt.date(2026, 5, 1)


def test_restart_is_told_and_an_older_date_is_evidence_only():
    make_tag(name="Haunted", expiration_days=365, reassertion="restart")
    bring(row("2026-05-01"), name="may.csv")
    bring(row("2026-06-01"), name="june.csv")
    bring(row("2026-04-01"), name="april.csv")
    assert [(name, effect) for name, _, _, effect in told()] == [
        ("april.csv", Effect.KEPT),
        ("june.csv", Effect.RESTARTED),
        ("may.csv", Effect.STARTED),
    ]


def test_after_expiry_and_after_removal_a_new_clock_starts():
    tag = make_tag(name="Haunted", expiration_days=30)
    bring(row("2026-01-01"))
    bring(row("2026-03-01"))
    assert [effect for *_, effect in told()] == [Effect.REVIVED, Effect.STARTED]
    remove_tag(lead_id=Lead.objects.get().pk, tag=tag, at=dt.datetime(2026, 3, 10, tzinfo=dt.UTC))
    bring(row("2026-03-20"))
    assert [effect for *_, effect in told()] == [Effect.RETURNED, Effect.REVIVED, Effect.STARTED]


@pytest.mark.parametrize(("on_duplicate", "line"), [("fill", 3), ("overwrite", 5), ("skip", 3)])
def test_of_several_rows_of_one_file_the_one_that_gave_the_date_is_told(on_duplicate, line):
    """Line 2 has no date and line 6 none: a date of a row's own comes before the moment of the import."""
    make_tag(name="Haunted", expiration_days=365)
    bring(row() + row("2026-05-01") + row("2026-03-01") + row("2026-04-01") + row(), on_duplicate=on_duplicate)
    found = told()
    assert [one[1] for one in found if one[3] == Effect.STARTED] == [line]
    assert len(found) == 5
    [started] = [one for one in found if one[3] == Effect.STARTED]
    assert LeadTag.objects.get().assigned_at.date().isoformat() == started[2]


def test_a_tag_that_a_later_row_of_the_file_brings_started_there_on_a_lead_that_was_known():
    make_tag(name="Haunted")
    make_tag(name="Flooded")
    bring(row("2026-05-01"), name="may.csv")
    bring(row("2026-06-01") + row("2026-06-02", tags="Flooded"), name="june.csv")
    assert told("Flooded") == [("june.csv", 3, "2026-06-02", Effect.STARTED)]
    assert told("Haunted")[0] == ("june.csv", 2, "2026-06-01", Effect.KEPT)


def test_without_any_date_the_moment_of_the_import_counts():
    make_tag(name="Haunted")
    bring(row() + row())
    assert told() == [
        ("list.csv", 2, "2026-06-15", Effect.STARTED),
        ("list.csv", 3, "2026-06-15", Effect.KEPT),
    ]


def test_the_panel_shows_list_line_date_and_effect_with_a_link_for_who_may_see_imports(viewer_client, analyst_client):
    make_tag(name="Haunted", expiration_days=365, reassertion="restart")
    bring(row("2026-05-01"), name="may.csv", source="Hudson clerk")
    bring(row("2026-06-01"), name="june.csv", source="Hudson clerk")
    lead = Lead.objects.get()
    pages = [c.get(f"/imports/lead/{lead.pk}/", headers=HTMX).content.decode() for c in (analyst_client, viewer_client)]
    for page, linked in zip(pages, (True, False), strict=True):
        text = " ".join(re.sub(r"<[^>]+>", " ", page.split("By tag")[1].split("</section>")[0]).split())
        assert "Haunted Jun 1, 2026 restarted the clock Hudson clerk, june.csv , line 2 May 1, 2026 started" in (
            text if linked else text.replace("june.csv, line", "june.csv , line")
        )
        assert (">june.csv</a>" in page) is linked


def test_a_lead_that_no_list_tagged_shows_no_such_part(viewer_client):
    lead = make_lead()
    page = viewer_client.get(f"/imports/lead/{lead.pk}/", headers=HTMX).content.decode()
    assert "By tag" not in page
    assert "No list has named this property." in page


def test_the_number_of_queries_does_not_grow_with_the_lists(analyst_client, django_assert_max_num_queries):
    make_tag(name="Haunted")
    for day in range(1, 6):
        bring(row(f"2026-05-0{day}", tags=f"Haunted;New {day}"), name=f"{day}.csv")
    address = f"/imports/lead/{Lead.objects.get().pk}/"
    with django_assert_max_num_queries(9):
        analyst_client.get(address, headers=HTMX)
