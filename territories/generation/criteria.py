"""What a run looks for, as plain values: a profile's rules as they stood when the run was asked for."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from territories.generation import registry
from territories.geo.counties import zips_in_county
from territories.models import GenerationProfile


class UnknownCriterion(Exception):
    """A profile holds a value of a criterion that nobody registers any more."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The profile uses the criterion “{key}”, which this installation does not have. Save the profile again "
            "without it."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """The rules of one run. `zips` None: any; empty: none. `values`: of registered criteria, by key."""

    profile_id: int | None = None
    min_score: int
    required_tags: tuple[int, ...] = ()
    excluded_tags: tuple[int, ...] = ()
    zips: tuple[str, ...] | None = None
    max_reason_age_days: int | None = None
    not_referred_days: int = 0
    max_referrals: int = 1
    max_per_zip: int | None = None
    max_per_contractor: int | None = None
    includes_unheld: bool = False
    values: dict[str, Any] = field(default_factory=dict)

    def as_params(self) -> dict[str, Any]:
        """For the params of a job."""
        return dataclasses.asdict(self)

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> "Criteria":
        known = {one.name: params[one.name] for one in dataclasses.fields(cls) if one.name in params}
        for name in ("required_tags", "excluded_tags", "zips"):
            if known.get(name) is not None:
                known[name] = tuple(known[name])
        return cls(**known)


def criteria_of(profile: GenerationProfile) -> Criteria:
    """The rules of a profile as they stand. Raises UnknownCriterion."""
    for key in profile.criteria:
        if key not in registry.criteria:
            raise UnknownCriterion(key)
    return written_criteria(profile)


def written_criteria(profile: GenerationProfile) -> Criteria:
    """The same, unchecked: a run by it ends failed, and says why, where a criterion is not known any more."""
    return Criteria(
        profile_id=profile.pk,
        min_score=profile.min_score,
        required_tags=tuple(sorted(profile.required_tags.values_list("pk", flat=True))),
        excluded_tags=tuple(sorted(profile.excluded_tags.values_list("pk", flat=True))),
        zips=zips_of(profile),
        max_reason_age_days=profile.max_reason_age_days,
        not_referred_days=profile.not_referred_days,
        max_referrals=profile.max_referrals,
        max_per_zip=profile.max_per_zip,
        max_per_contractor=profile.max_per_contractor,
        includes_unheld=profile.includes_unheld,
        values=dict(profile.criteria),
    )


def zips_of(profile: GenerationProfile) -> tuple[str, ...] | None:
    """The ZIPs it names and those of its counties together; None: any."""
    if not profile.zips and not profile.counties:
        return None
    zips = set(profile.zips)
    for fips in profile.counties:
        zips.update(zips_in_county(fips))
    return tuple(sorted(zips))
