"""Columns find their fields by name, neighbours and content; what cannot serve is refused with the way out."""

import json
from pathlib import Path

import pytest

from imports.files import UnusableFile, inspect_file, sample_rows
from imports.files.names import meaning
from imports.mapping import (
    FIELDS,
    Mapping,
    MappingError,
    apply_overrides,
    looks_like_address,
    require_address,
    suggest_mapping,
)

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "open"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")


def names(columns, sample=()):
    """The suggested mapping by column name."""
    columns = columns.split("|") if isinstance(columns, str) else columns
    return {field: columns[at] for field, at in suggest_mapping(columns, sample).fields.items()}


# -- names


@pytest.mark.parametrize(
    "spelling",
    [
        "Property Address", "PROPERTY_ADDRESS", "propertyAddress", "property-address", "Prop Addr", "PROPADDR",
        "Situs Address", "situs_address", "SITUSADDR", "Site Addr.", "SITE_ADDRESS", "Property Street Address",
        "Address (Property)", "Property Location", "PHY_ADDR1", "Property Address 1", "Full Address", "fullAddress",
        "Incident Address", "BuildingAddress", "rem prcl locn", "Street Address", "Address", "Subject Property Address",
        "PropertyAddressFull", "Location Address", "Violation Address", "Situs",
    ],
)  # fmt: skip
def test_property_addresses_are_known_in_many_spellings(spelling):
    assert names([spelling, "Owner"]) == {"address": spelling, "owner_name": "Owner"}


@pytest.mark.parametrize(
    "spelling",
    [
        "Mailing Address", "mailing_address1", "Owner's Mailing Address", "Owner Address", "MAIL_ADDR_1", "MAILADDR",
        "Owner Mailing Street", "mailing_street", "OWN_ADDR1", "Taxpayer Address", "Billing Address",
        "Tax Bill Address",
        "Mail Address Line 1", "Address (Mailing)", "ContactOwnerMailAddressFull",
    ],
)  # fmt: skip
def test_mailing_addresses_are_known_in_many_spellings(spelling):
    assert names([spelling, "Situs Address"]) == {"address": "Situs Address", "mailing_address": spelling}


@pytest.mark.parametrize(
    ("spelling", "field"),
    [
        ("Parcel ID", "parcel_number"), ("APN", "parcel_number"), ("Parcel #", "parcel_number"),
        ("PIN", "parcel_number"), ("Tax Key", "parcel_number"), ("Taxkey", "parcel_number"),
        ("Account_Number", "parcel_number"), ("Acct #", "parcel_number"), ("blockLot", "parcel_number"),
        ("block_lot", "parcel_number"), ("Folio", "parcel_number"), ("rem pid", "parcel_number"),
        ("Block", "parcel_block"), ("Lot", "parcel_lot"), ("Qual", "parcel_qualifier"),
        ("Owner", "owner_name"), ("OWNER1", "owner_name"), ("OwnerName", "owner_name"), ("own name", "owner_name"),
        ("LLC/Owner", "owner_name"), ("OWNERNME1", "owner_name"), ("Taxpayer Name", "owner_name"),
        ("co own name", "co_owner"), ("Owner 2", "co_owner"), ("Owner Name 2", "co_owner"), ("Co-Owner", "co_owner"),
        ("First Name", "owner_first_name"), ("Owner 1 Last Name", "owner_last_name"),
        ("Property City", "city"), ("SITUS_CITY", "city"), ("Property State", "state"), ("Property Zip", "zip"),
        ("Property ZIP Code", "zip"), ("SITUS ZIP CODE", "zip"), ("Property City/State/Zip", "city_state_zip"),
        ("Mailing City, State Zip", "mailing_city_state_zip"), ("OWN_ZIPCD", "mailing_zip"),
        ("Mail State", "mailing_state"), ("owner_city", "mailing_city"), ("Mailing Address 2", "mailing_address_2"),
        ("Mailing Unit #", "mailing_unit"), ("Unit #", "unit"), ("Apt", "unit"), ("Property Unit", "unit"),
        ("County", "county"), ("Situs County", "county"),
        ("House Number", "house_number"), ("Street No.", "house_number"), ("SitusHouseNo", "house_number"),
        ("STREET_NUM", "house_number"), ("Street Name", "street_name"), ("Situs Street Name", "street_name"),
        ("Pre Dir", "street_pre_direction"), ("Street Direction", "street_pre_direction"),
        ("Street Suffix", "street_suffix"), ("STREET_TYPE", "street_suffix"),
        ("Post Direction", "street_post_direction"),
        ("noticeDate", "list_date"), ("Date Filed", "list_date"), ("Violation Recorded Date", "list_date"),
        ("List Date", "list_date"), ("CASE_OPEN_DATE", "list_date"), ("Filing Date", "list_date"),
        ("Tags", "tags"), ("Phone Number", "phone"), ("Phone 1", "phone"), ("E-mail", "email"),
        ("Email Address", "email"),
    ],
)  # fmt: skip
def test_other_columns_are_known_in_many_spellings(spelling, field):
    assert names([spelling]) == {field: spelling}


@pytest.mark.parametrize(
    "name",
    [
        "Sale Date", "Sale_date", "saledate", "Yr. Built", "Year Built", "Date of Birth", "Birthday", "Deed Date",
        "Last Sale Recording Date", "Winning Bidder Address", "Winning Bidder Name", "Grantor", "Total Units",
        "units2", "Units", "Owner Occupied", "Out-of-State Owner", "Owner Type", "Document Number", "Incident ID",
        "Cert Buyer", "Lot Size", "lot_size", "Council District", "Legal 1", "Address (2)", "Tax Yr", "Status",
        "Decedent Name", "Plaintiff Address", "Lender Name", "Attorney Phone", "Balance Amount", "",
    ],
)  # fmt: skip
def test_look_alikes_are_left_alone(name):
    assert meaning(name) is None


def test_fields_have_labels_and_synonyms():
    assert len(FIELDS) == 31
    for name, what in FIELDS.items():
        assert what.label
        assert what.synonyms, name


def test_no_two_columns_feed_one_field_and_the_rest_is_extra():
    columns = ["Parcel ID", "APN", "Owner", "Owner Name", "Foo"]
    mapping = suggest_mapping(columns)
    assert mapping.fields == {"owner_name": 2, "parcel_number": 0}
    assert mapping.extra == (1, 3, 4)


# -- whose address


def test_plain_city_state_zip_belong_to_the_address_before_them():
    assert names("Property Location|LLC/Owner|Owner's Mailing Address|City/State/Zip")["mailing_city_state_zip"]
    assert names("Property Address|City|State|Zip|Owner|Mailing Address|Mailing City")["city"] == "City"
    both = names(["Owner", "Mail Address", "City", "ST", "Zip Code", "Situs Address"])
    assert (both["mailing_city"], both["mailing_state"], both["mailing_zip"]) == ("City", "ST", "Zip Code")
    assert names("Owner|Address|City|State|Zip").keys() == {"owner_name", "address", "city", "state", "zip"}


def test_a_plain_address_beside_a_named_property_is_the_mailing_address():
    found = names("Parcel Location|Owner|Address1|Address2|City|State|Zip")
    assert found["address"] == "Parcel Location"
    assert found["mailing_address"] == "Address1"
    assert found["mailing_address_2"] == "Address2"
    assert found["mailing_zip"] == "Zip"


def test_location_is_the_property_only_where_it_holds_other_addresses():
    columns = ["Location", "Owner", "Address", "City"]
    rolls = [[f"{i} ELM ST", "DOE", f"{i + 7} OAK AVE", "UNION"] for i in range(10)]
    assert names(columns, rolls)["address"] == "Location"
    assert names(columns, rolls)["mailing_address"] == "Address"
    assert names(columns, rolls)["mailing_city"] == "City"
    points = [["(39.29, -76.63)", "DOE", f"{i} OAK AVE", "UNION"] for i in range(10)]
    assert names(columns, points)["address"] == "Address"
    assert "mailing_address" not in names(columns, points)


def test_a_second_address_line_of_the_property_is_a_unit_only_if_it_looks_like_one():
    columns = ["Site Addr 1", "Site Addr 2"]
    assert names(columns, [["1 ELM ST", "APT 4"], ["2 ELM ST", "# 5"]])["unit"] == "Site Addr 2"
    assert "unit" not in names(columns, [["1 ELM ST", "HOUSTON"], ["2 ELM ST", "KATY"]])


def test_a_blank_column_loses_against_one_with_content():
    rows = [["1 ELM ST", "", "DOE LLC", ""]] * 5
    found = names("Property Address|Owner Name|Grantee Owner 1|Mailing Address", rows)
    assert found["owner_name"] == "Grantee Owner 1"
    assert found["mailing_address"] == "Mailing Address"


def test_content_that_contradicts_a_weak_name_wins():
    rows = [["(39.1, -76.2)", "ABC", "New"]] * 10
    assert names("Location|Zip|State", rows) == {"state": "State"}


def test_parts_of_a_street_line_are_used_where_there_is_no_whole():
    found = names("HOUSE NO|DIR|STREET|TYPE|UNIT|OWNER", [["12", "N", "MAIN", "ST", "4", "DOE"]] * 5)
    assert found["house_number"] == "HOUSE NO"
    assert found["street_name"] == "STREET"
    assert "address" not in found
    whole = names("Address|Street Number|Street Name|City", [["12 MAIN ST", "12", "MAIN ST", "UNION"]] * 5)
    assert whole == {"address": "Address", "city": "City"}


def test_an_address_without_numbers_beside_house_numbers_is_the_street():
    found = names("House No|Address|City", [["12", "MAIN ST", "UNION"]] * 5)
    assert found == {"house_number": "House No", "street_name": "Address", "city": "City"}


def test_a_street_column_with_numbers_in_it_is_the_address():
    assert names("Street|City", [["12 MAIN ST", "UNION"]] * 5) == {"address": "Street", "city": "City"}


@pytest.mark.parametrize(
    "text",
    [
        "1 MAIN ST", "1312 1/2 N MARKET", "12A ELM AVE", "1109-1121 WILLOW", "**ES BRUCE ST 110 FT N OF LAURENS ST",
        "EVANSVILLE AVE", "PO BOX 12", "9871 GERMANTOWN MIDDLETOWN PIKE", "DEEPWOOD DR", "0008 N EDEN", "#4 OAK",
    ],
)  # fmt: skip
def test_addresses_look_like_addresses(text):
    assert looks_like_address(text)


@pytest.mark.parametrize("text", ["", "12", "$1,200.00", "(39.29, -76.63)", "2017-01-02", "DOE JANE", "Condemned"])
def test_other_text_does_not(text):
    assert not looks_like_address(text)


def test_lists_of_vendors_are_understood():
    found = names(
        "Address|Unit #|City|State|Zip|County|APN|Owner Occupied|Owner 1 First Name|Owner 1 Last Name|"
        "Owner 2 First Name|Owner 2 Last Name|Mailing Care of Name|Mailing Address|Mailing Unit #|Mailing City|"
        "Mailing State|Mailing Zip|Mailing County|Property Type|Bedrooms|Last Sale Recording Date|Email|Phone 1"
    )
    assert found == {
        "address": "Address", "unit": "Unit #", "city": "City", "state": "State", "zip": "Zip", "county": "County",
        "owner_first_name": "Owner 1 First Name", "owner_last_name": "Owner 1 Last Name",
        "mailing_address": "Mailing Address", "mailing_unit": "Mailing Unit #", "mailing_city": "Mailing City",
        "mailing_state": "Mailing State", "mailing_zip": "Mailing Zip", "parcel_number": "APN",
        "phone": "Phone 1", "email": "Email",
    }  # fmt: skip
    found = names(
        "PARCEL_ID|OWN_NAME|OWN_ADDR1|OWN_ADDR2|OWN_CITY|OWN_STATE|OWN_ZIPCD|PHY_ADDR1|PHY_ADDR2|PHY_CITY|PHY_ZIPCD"
    )
    assert found == {
        "address": "PHY_ADDR1", "unit": "PHY_ADDR2", "city": "PHY_CITY", "zip": "PHY_ZIPCD",
        "owner_name": "OWN_NAME", "mailing_address": "OWN_ADDR1", "mailing_address_2": "OWN_ADDR2",
        "mailing_city": "OWN_CITY", "mailing_state": "OWN_STATE", "mailing_zip": "OWN_ZIPCD",
        "parcel_number": "PARCEL_ID",
    }  # fmt: skip
    found = names(
        "location|mailing_street|mailing_city_state|mailing_zip|owner_1|owner_2|parcel_number|zip_code|unit|"
        "house_number|street_direction|street_name|street_designation|sale_date|sale_price",
        [["12 N MAIN ST", "9 ELM AVE", "UNION NJ", "07087", "DOE", "ROE", "881", "19104", "", "12", "N", "MAIN", "ST",
          "2010-01-01", "1"]] * 5,
    )  # fmt: skip
    assert found == {
        "address": "location", "zip": "zip_code", "unit": "unit", "owner_name": "owner_1", "co_owner": "owner_2",
        "mailing_address": "mailing_street", "mailing_city_state_zip": "mailing_city_state",
        "mailing_zip": "mailing_zip", "parcel_number": "parcel_number",
    }  # fmt: skip


# -- overriding

COLUMNS = ("Parcel ID", "Site", "Owner Name", "2023", "Unit Text", "site")


def override(columns=COLUMNS, **overrides):
    return apply_overrides(suggest_mapping(columns), overrides, columns).fields


def test_a_column_can_be_named_freely_or_by_number():
    assert override(address="2")["address"] == 1
    assert override(address="OWNER_NAME") == {"address": 2, "parcel_number": 0}
    assert override(tags="2023")["tags"] == 3  # a name goes before a number
    assert override(address="Site")["address"] == 1
    assert override(("9", "3", "x"), address="3")["address"] == 1
    assert override(("9", "3", "x"), address="#3")["address"] == 2


def test_an_empty_column_unmaps_the_field():
    assert override(owner_name="") == {"parcel_number": 0}


def test_fields_are_known_by_their_label_too():
    columns = ["a", "b"]
    mapping = apply_overrides(suggest_mapping(columns), {"Property address": "b"}, columns)
    assert mapping.fields == {"address": 1}
    assert mapping.extra == (0,)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"adress_line": "1"}, "Fields: address, house_number"),
        ({"address": "9"}, "There is no column 9: the file has 6 columns"),
        ({"address": "0"}, "There is no column 0"),
        ({"address": "Owner Nmae"}, "Did you mean 'Owner Name'?"),
        ({"address": "SITE"}, "More than one column is called 'SITE': give its number, one of 2, 6"),
        ({"address": "x"}, "Columns: Parcel ID, Site, Owner Name"),
    ],
)
def test_an_unknown_field_or_column_is_refused_with_the_choices(overrides, said):
    with pytest.raises(MappingError) as caught:
        override(**overrides)
    assert said in str(caught.value)


def test_naming_the_house_number_makes_the_address_the_street():
    columns = ["Nr", "Address"]
    mapping = apply_overrides(suggest_mapping(columns), {"house_number": "Nr"}, columns)
    assert mapping.fields == {"house_number": 0, "street_name": 1}


def test_naming_the_address_drops_the_parts():
    columns = ["House Number", "Street Name", "Where"]
    mapping = apply_overrides(suggest_mapping(columns), {"address": "Where"}, columns)
    assert mapping.fields == {"address": 2}
    assert mapping.extra == (0, 1)


def test_a_mapping_survives_json():
    mapping = suggest_mapping(COLUMNS)
    data = json.loads(json.dumps(mapping.to_dict()))
    assert data["fields"]["parcel_number"] == {"column": "Parcel ID", "index": 0}
    assert Mapping.from_dict(data) == mapping


@pytest.mark.parametrize(
    ("columns", "fields"),
    [
        ("Situs Number|Situs Street|Situs Suffix", {"house_number": 0, "street_name": 1, "street_suffix": 2}),
        ("House No|Street Name|Sfx", {"house_number": 0, "street_name": 1, "street_suffix": 2}),
        ("Situs Street|APN (Formatted)", {"address": 0, "parcel_number": 1}),
        ("Address|Taxpayer Name(s)|Zip Cd", {"address": 0, "owner_name": 1, "zip": 2}),
    ],
)
def test_headers_of_assessors_files(columns, fields):
    columns = columns.split("|")
    cells = {"Situs Number": "12", "House No": "12", "Zip Cd": "07030", "Situs Suffix": "ST", "Sfx": "ST"}
    streets = ["ELM ST", "42ND ST", "3RD AVE"] if "Situs Number" in columns else ["12 ELM ST"]
    sample = [[cells.get(name, street) for name in columns] for street in streets]
    assert suggest_mapping(columns, sample).fields == fields


def test_a_lead_type_is_tags_when_it_repeats_a_few_names():
    columns = ["Address", "Lead Type"]
    types = ["Condemned Property", "Notice of Foreclosure"]
    assert suggest_mapping(columns, [["1 ELM ST", types[n % 2]] for n in range(20)]).fields["tags"] == 1
    for odd in ([f"Lead {n}" for n in range(20)], ["a" * n for n in range(1, 20)], ["x" * 60] * 20):
        assert "tags" not in suggest_mapping(columns, [["1 ELM ST", text] for text in odd]).fields


# -- refusing


def refuse(columns, sample=(), **options):
    columns = columns.split("|")
    with pytest.raises(UnusableFile) as caught:
        require_address(suggest_mapping(columns, sample), columns, sample, **options)
    assert caught.value.columns == tuple(columns)
    message = caught.value.with_remedy("--map ")
    assert message.startswith(f"{caught.value} ")
    assert "map" not in str(caught.value)  # a page has no options
    assert caught.value.with_remedy("map=") == message.replace("--map ", "map=")
    return message


def test_without_a_property_address_the_columns_are_listed_with_the_way_out():
    message = refuse("Name|Amount")
    assert "No column with a property address was found. Columns found: Name, Amount." in message
    assert "--map address=COLUMN" in message


def test_a_mailing_address_is_no_property_address():
    for column in ("Owner Address", "Billing Address"):
        assert f'"{column}" is where the owner gets mail' in refuse(f"Owner Name|{column}|City")


def test_a_street_name_alone_is_enough():
    columns = ["Street Name", "Parcel ID"]
    require_address(suggest_mapping(columns), columns, [])


SALES = "Taxkey|Address|Year_Built|Stories|Bdrms|Sale_date|Sale_price"


def test_a_history_of_sales_is_refused_unless_the_address_is_named():
    rows = [["1", "2 ELM ST", "1900", "2", "3", "2020-01", "1"]] * 10
    message = refuse(SALES, rows)
    assert "history of sales" in message
    assert "--map address=2" in message
    columns = SALES.split("|")
    mapping = apply_overrides(suggest_mapping(columns, rows), {"address": "2"}, columns)
    require_address(mapping, columns, rows, explicit=frozenset({"address"}))


def test_an_assessors_roll_with_sales_and_owners_is_no_history_of_sales():
    columns = f"{SALES}|Owner Name".split("|")
    rows = [["1", "2 ELM ST", "1900", "2", "3", "2020-01", "1", "DOE"]] * 10
    require_address(suggest_mapping(columns, rows), columns, rows)


def test_an_address_column_without_addresses_is_refused_unless_named():
    rows = [["HONEYWICK SILAS", "DOE"]] * 3 + [["Copyright", ""], ["Page", ""], ["Total", "x"]]
    columns = ["Property Address", "Owner"]
    mapping = apply_overrides(suggest_mapping(columns), {}, columns)
    with pytest.raises(UnusableFile, match="does not hold property addresses"):
        require_address(mapping, columns, rows)
    require_address(mapping, columns, rows, explicit=frozenset({"address"}))


# -- the shared lists: property and mailing column as their description says

LISTS = {
    "a-hoboken-nj/raw_data.csv": {
        "address": "Property Location", "mailing_address": "Owner's Mailing Address",
        "mailing_city_state_zip": "City/State/Zip", "owner_name": "LLC/Owner", "parcel_block": "Block",
        "parcel_lot": "Lot", "parcel_qualifier": "Qual",
    },
    "a-lebanon-nh/parcels_city_roll.csv": {
        "address": "situs_address", "mailing_address": "mailing_address1", "mailing_city": "mailing_city",
        "mailing_state": "mailing_state", "mailing_zip": "mailing_zip", "owner_name": "owner_name",
        "parcel_number": "parcel_id",
    },
    "a-lebanon-nh/parcels.csv": {
        "address": "situs_address", "mailing_address": "mailing_address1", "mailing_city": "mailing_city",
        "mailing_state": "mailing_state", "mailing_zip": "mailing_zip", "owner_name": "owner_name",
        "parcel_number": "parcel_id",
    },
    "a-lebanon-nh/nhdra_first1000.csv": {
        "address": "rem prcl locn", "owner_name": "own name", "co_owner": "co own name",
        "mailing_address": "address1", "mailing_address_2": "address2", "mailing_city": "city",
        "mailing_state": "state", "mailing_zip": "zip", "parcel_number": "rem pid",
    },
    "ab-orange-fl/delinquent_taxes.csv": {
        "address": "Property Address", "mailing_address": "Owner Address", "owner_name": "Owner Name",
        "parcel_number": "Account Number",
    },
    "ab-orange-fl/foreclosures.csv": {
        "address": "address", "mailing_address": "mailing_address", "owner_name": "owner_name",
        "parcel_number": "parcel_id", "list_date": "scraped_at",
    },
    "ab-orange-fl/code_violations.csv": {
        "address": "Incident Address", "mailing_address": "mailing_address", "owner_name": "owner_name",
        "parcel_number": "Parcel ID", "list_date": "Violation Recorded Date",
    },
    "b-baltimore-md-vacant-2015/Vacant_Buildings.csv": {
        "address": "fullAddress", "parcel_number": "blockLot", "list_date": "noticeDate",
    },
    "b-baltimore-md-vacant-2016/Vacant_Buildings.csv": {
        "address": "BuildingAddress", "parcel_block": "Block", "parcel_lot": "Lot", "list_date": "NoticeDate",
    },
    "b-cuyahoga-oh/ghl_export.csv": {
        "address": "Property Address", "city": "Property City", "state": "Property State", "zip": "Property Zip",
        "owner_first_name": "First Name", "owner_last_name": "Last Name", "mailing_address": "Mailing Address",
        "mailing_city": "Mailing City", "mailing_state": "Mailing State", "mailing_zip": "Mailing Zip",
        "parcel_number": "Parcel Number", "list_date": "Date Filed", "tags": "Lead Type",
    },
    "b-lancaster-pa/Lancaster_Tax_Sale_82417_clean.csv": {
        "address": "Site_Address", "owner_name": "Name", "parcel_number": "Account_Number",
    },
    "b-sedgwick-ks/Sedgwick_County_2024_Delinquent_Real_Estate_Raw.csv": {
        "address": "Property Address", "owner_name": "Owner", "parcel_number": "Parcel ID",
    },
    "bd-baltimore-md-taxsale/2019-Tax-sale.csv": {
        "address": "Address", "owner_name": "Owner_Name", "parcel_number": "block_lot",
    },
    "bd-baltimore-md-taxsale/2024-Tax-sale.csv": {
        "address": "Address", "owner_name": "Owner_Name", "parcel_number": "block_lot",
    },
    "bd-baltimore-md-taxsale-results/bidbaltimore_certificate_sale_results_2019.csv": {
        "address": "Property Address", "parcel_number": "Account Number",
    },
    "bd-baltimore-md-taxsale-results/bidbaltimore_assignment_sale_report_2020-07-23.csv": {
        "address": "Property Address", "zip": "Property ZIP Code", "owner_name": "Grantee Owner 1",
        "co_owner": "Grantee Owner 2", "mailing_address": "Owner Address", "parcel_block": "Block",
        "parcel_lot": "Lot",
    },
}  # fmt: skip

REFUSED = {
    "a-lebanon-nh/column_mapping_reference.csv": "No column with a property address",
    "c-addrust/golden.csv": "test addresses",
    "c-addrust/test_addresses.txt": "No row with column names",
    "c-addrust/usps-street-suffix.csv": "No column with a property address",
    "c-parse-address/pairs.json": "No column with a property address",
    "c-scourgify/pairs.json": "No column with a property address",
    "c-usaddress-training/unparseable.csv": "No row with column names",
    "d-milwaukee-wi-sales/2002-property-sales-data.csv": "history of sales",
    "d-milwaukee-wi-sales/2009-property-sales-data.csv": "history of sales",
    "d-milwaukee-wi-sales/2018-property-sales-data.csv": "history of sales",
    "d-milwaukee-wi-sales/2020-property-sales-data.csv": "history of sales",
    "d-milwaukee-wi-sales/2022-property-sales-data.csv": "history of sales",
    "f-hud-zip-county-2023q1/ZIP_COUNTY_032023.csv": "No column with a property address",
    "f-scpike-zip-county/geo-data.csv": "No column with a property address",
    "f-zipcodes-pypi/zipcodes_3.0.0.csv": "No column with a property address",
    "g-bank-marketing/bank-additional.csv": "No column with a property address",
    "g-xeducation-leads/Leads.csv": "No column with a property address",
}


@needs_data
@pytest.mark.parametrize("name", LISTS)
def test_the_shared_lists_are_mapped_as_described(name):
    layout = inspect_file(DATA / name, max_bytes=100_000_000)
    sample = sample_rows(DATA / name, layout)
    mapping = suggest_mapping(layout.columns, sample)
    require_address(mapping, layout.columns, sample)
    assert {field: layout.columns[at] for field, at in mapping.fields.items()} == LISTS[name]


@needs_data
@pytest.mark.parametrize("name", REFUSED)
def test_the_shared_tables_that_are_no_lead_lists_are_refused(name):
    def use() -> None:
        layout = inspect_file(DATA / name, max_bytes=100_000_000)
        sample = sample_rows(DATA / name, layout)
        require_address(suggest_mapping(layout.columns, sample), layout.columns, sample)

    with pytest.raises(UnusableFile, match=REFUSED[name]):
        use()


@needs_data
def test_a_list_without_header_is_mapped_by_number():
    path = DATA / "b-dayton-oh" / "reapitems.csv"
    layout = inspect_file(path, max_bytes=100_000_000, mapped_by_number=True)
    sample = sample_rows(path, layout)
    mapping = apply_overrides(
        suggest_mapping(layout.columns, sample), {"address": "2", "parcel_number": "1"}, layout.columns
    )
    require_address(mapping, layout.columns, sample, explicit=frozenset({"address"}))
    assert mapping.fields == {"address": 1, "parcel_number": 0}
