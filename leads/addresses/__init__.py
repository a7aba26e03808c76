"""Addresses of properties and owners: normalised, split, and made into keys. No Django, no models."""

from leads.addresses.normalize import (
    NORMALISER_VERSION,
    Address,
    address_key,
    has_house_number,
    normalize_address,
    normalize_mailing,
)
from leads.addresses.parcels import (
    is_spoiled_parcel_number,
    is_summary,
    join_parcel_parts,
    normalize_parcel_number,
    parcel_number_forms,
)
from leads.addresses.places import normalize_city, normalize_state, normalize_zip, split_city_state_zip
from leads.addresses.units import normalize_unit, unit_key

__all__ = [
    "NORMALISER_VERSION",
    "Address",
    "address_key",
    "has_house_number",
    "is_spoiled_parcel_number",
    "is_summary",
    "join_parcel_parts",
    "normalize_address",
    "normalize_city",
    "normalize_mailing",
    "normalize_parcel_number",
    "normalize_state",
    "normalize_unit",
    "normalize_zip",
    "parcel_number_forms",
    "split_city_state_zip",
    "unit_key",
]
