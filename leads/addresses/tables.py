"""Word tables for the address normaliser.

Sources: USPS Publication 28, appendix B (states), appendix C1 (street suffixes and the spellings seen for
them), appendix C2 (secondary unit designators) and appendix F (highways); plus spellings that county rolls
use and the publication does not list (AV, BL, LA, CR, PKY, TERR).
"""

from typing import Final


def words(text: str) -> frozenset[str]:
    """The words of `text` as a set."""
    return frozenset(text.split())


DIRECTIONS: Final[dict[str, str]] = {
    "N": "N",
    "S": "S",
    "E": "E",
    "W": "W",
    "NE": "NE",
    "NW": "NW",
    "SE": "SE",
    "SW": "SW",
    "NORTH": "N",
    "SOUTH": "S",
    "EAST": "E",
    "WEST": "W",
    "NORTHEAST": "NE",
    "NORTHWEST": "NW",
    "SOUTHEAST": "SE",
    "SOUTHWEST": "SW",
}

# Read as directions only behind a suffix ("3RD ST SO"); elsewhere they are words.
LATE_DIRECTIONS: Final[dict[str, str]] = {**DIRECTIONS, "NO": "N", "SO": "S"}

# Standard abbreviation: primary name, then the other spellings. Appendix C1 and county habits.
_SUFFIX_LINES: Final = """
ALY: ALLEY ALLEE ALLY AL
ANX: ANEX ANNEX ANNX
ARC: ARCADE
AVE: AVENUE AV AVEN AVENU AVN AVNUE AVEUNE AVENEU AVANUE
BYU: BAYOU BAYOO
BCH: BEACH
BND: BEND
BLF: BLUFF BLUF
BLFS: BLUFFS
BTM: BOTTOM BOT BOTTM
BLVD: BOULEVARD BOUL BOULV BL BLVRD BOULEVRD BOULAVARD BVD
BR: BRANCH BRNCH
BRG: BRIDGE BRDGE
BRK: BROOK
BRKS: BROOKS
BG: BURG
BGS: BURGS
BYP: BYPASS BYPA BYPAS BYPS
CP: CAMP CMP
CYN: CANYON CANYN CNYN
CPE: CAPE
CSWY: CAUSEWAY CAUSWA
CTR: CENTER CEN CENT CENTR CENTRE CNTER CNTR
CTRS: CENTERS
CIR: CIRCLE CIRC CIRCL CRCL CRCLE CR CIRLCE
CIRS: CIRCLES
CLF: CLIFF
CLFS: CLIFFS
CLB: CLUB
CMN: COMMON
CMNS: COMMONS
COR: CORNER
CORS: CORNERS
CRSE: COURSE
CT: COURT CRT COURTT
CTS: COURTS
CV: COVE
CVS: COVES
CRK: CREEK
CRES: CRESCENT CRSENT CRSNT CRESENT CRECENT
CRST: CREST
XING: CROSSING CRSSNG
XRD: CROSSROAD
XRDS: CROSSROADS
CURV: CURVE
DL: DALE
DM: DAM
DV: DIVIDE DIV DVD
DR: DRIVE DRIV DRV DIRVE
DRS: DRIVES
EST: ESTATE
ESTS: ESTATES
EXPY: EXPRESSWAY EXP EXPR EXPRESS EXPW
EXT: EXTENSION EXTN EXTNSN
EXTS: EXTENSIONS
FALL: FALL
FLS: FALLS
FRY: FERRY FRRY
FLD: FIELD
FLDS: FIELDS
FLT: FLAT
FLTS: FLATS
FRD: FORD
FRDS: FORDS
FRST: FOREST FORESTS
FRG: FORGE FORG
FRGS: FORGES
FRK: FORK
FRKS: FORKS
FT: FORT FRT
FWY: FREEWAY FREEWY FRWAY FRWY
GDN: GARDEN GARDN GRDEN GRDN
GDNS: GARDENS GRDNS
GTWY: GATEWAY GATEWY GATWAY GTWAY
GLN: GLEN
GLNS: GLENS
GRN: GREEN
GRNS: GREENS
GRV: GROVE GROV
GRVS: GROVES
HBR: HARBOR HARB HARBR HRBOR
HBRS: HARBORS
HVN: HAVEN
HTS: HEIGHTS HT
HWY: HIGHWAY HIGHWY HIWAY HIWY HWAY HYWAY HWYS HGWY
HL: HILL
HLS: HILLS
HOLW: HOLLOW HLLW HOLLOWS HOLWS
INLT: INLET
IS: ISLAND ISLND
ISS: ISLANDS ISLNDS
ISLE: ISLE ISLES
JCT: JUNCTION JCTION JCTN JUNCTN JUNCTON
JCTS: JUNCTIONS JCTNS
KY: KEY
KYS: KEYS
KNL: KNOLL KNOL
KNLS: KNOLLS
LK: LAKE
LKS: LAKES
LAND: LAND
LNDG: LANDING LNDNG
LN: LANE LA LANES
LGT: LIGHT
LGTS: LIGHTS
LF: LOAF
LCK: LOCK
LCKS: LOCKS
LDG: LODGE LDGE LODG
LOOP: LOOP LOOPS LP
MALL: MALL
MNR: MANOR
MNRS: MANORS
MDW: MEADOW
MDWS: MEADOWS MEDOWS
MEWS: MEWS
ML: MILL
MLS: MILLS
MSN: MISSION MISSN MSSN
MTWY: MOTORWAY
MT: MOUNT MNT
MTN: MOUNTAIN MNTAIN MNTN MOUNTIN MTIN
MTNS: MOUNTAINS MNTNS
NCK: NECK
ORCH: ORCHARD ORCHRD
OVAL: OVAL OVL
OVLK: OVERLOOK
OPAS: OVERPASS
PARK: PARK PRK PARKS
PKWY: PARKWAY PARKWY PKWAY PKY PKWYS PARKWAYS
PASS: PASS
PSGE: PASSAGE
PATH: PATH PATHS
PIKE: PIKE PIKES
PNE: PINE
PNES: PINES
PL: PLACE PLC
PLN: PLAIN
PLNS: PLAINS
PLZ: PLAZA PLZA
PT: POINT
PTS: POINTS
PRT: PORT
PRTS: PORTS
PR: PRAIRIE PRR
RADL: RADIAL RAD RADIEL
RAMP: RAMP
RNCH: RANCH RANCHES RNCHS
RPD: RAPID
RPDS: RAPIDS
RST: REST
RDG: RIDGE RDGE
RDGS: RIDGES
RIV: RIVER RVR RIVR
RD: ROAD
RDS: ROADS
RTE: ROUTE
ROW: ROW
RUE: RUE
RUN: RUN
SHL: SHOAL
SHLS: SHOALS
SHR: SHORE SHOAR
SHRS: SHORES SHOARS
SKWY: SKYWAY
SPG: SPRING SPNG SPRNG
SPGS: SPRINGS SPNGS SPRNGS
SPUR: SPUR SPURS
SQ: SQUARE SQR SQRE SQU
SQS: SQUARES SQRS
STA: STATION STATN STN
STRA: STRAVENUE STRAV STRAVEN STRAVN STRVN STRVNUE
STRM: STREAM STREME
ST: STREET STRT STR STREE STRET STEET STREEET
STS: STREETS
SMT: SUMMIT SUMIT SUMITT
TER: TERRACE TERR TERACE TERRANCE
TRWY: THROUGHWAY
TRCE: TRACE TRACES
TRAK: TRACK TRACKS TRK TRKS
TRFY: TRAFFICWAY
TRL: TRAIL TRAILS TRLS TL
TUNL: TUNNEL TUNEL TUNLS TUNNELS TUNNL
TPKE: TURNPIKE TRNPK TURNPK TPK
UPAS: UNDERPASS
UN: UNION
UNS: UNIONS
VLY: VALLEY VALLY VLLY
VLYS: VALLEYS
VIA: VIADUCT VDCT VIADCT
VW: VIEW
VWS: VIEWS
VLG: VILLAGE VILL VILLAG VILLG VILLIAGE
VLGS: VILLAGES
VL: VILLE
VIS: VISTA VIST VST VSTA
WALK: WALK WALKS
WALL: WALL
WAY: WAY WY WA
WAYS: WAYS
WL: WELL
WLS: WELLS
"""


SUFFIXES: Final[dict[str, str]] = {}
"""Every known spelling -> standard abbreviation."""
SUFFIX_NAMES: Final[dict[str, str]] = {}
"""Standard abbreviation -> primary name."""

for _row in _SUFFIX_LINES.strip().splitlines():
    _abbreviation, _, _spellings = _row.partition(":")
    SUFFIX_NAMES[_abbreviation] = _spellings.split()[0]
    SUFFIXES.update(dict.fromkeys((_abbreviation, *_spellings.split()), _abbreviation))

# Suffixes that end a street wherever they stand after a name. The others (PARK, HILL, LAKE, POINT ...) are
# as often part of a street's or a city's name, so they count only as the last word.
STRONG: Final[frozenset[str]] = words(
    """
    ALY AVE BLVD CIR CT CV CRES DR EXPY EXT FWY HWY LN LOOP MALL PKWY PIKE PL PLZ RD ROW RUN SQ ST TER TPKE TRL
    TRCE WAY XING
    """
)
STRONG_WORDS: Final[frozenset[str]] = frozenset(w for w, a in SUFFIXES.items() if a in STRONG)

# Abbreviations that are no words of their own: inside a name they are spelled out ("PARK HTS AVE" is PARK
# HEIGHTS AVE, Publication 28, 234). ST, DR, LA, MT, FT, PK, CT and other ambiguous ones are left alone.
EXPAND_INSIDE: Final[dict[str, str]] = {
    word: SUFFIX_NAMES[SUFFIXES[word]]
    for word in words(
        """
        AV AVE BLVD BND BRG BRK CRK CTR CYN GDN GDNS GLN GRV HBR HOLW HTS HVN KNL KNLS LNDG MDW MDWS MNR MTN
        MTNS ORCH OVLK PKWY PKY PLZ RDG RDGS RNCH SPG SPGS SQ STA TER TERR TRCE TRL VLG VLY VLYS VW VWS XING
        """
    )
}

# In front of a street's name they are words of their own, and sources of one county write both: "MT VERNON PL" is
# MOUNT VERNON PL. PT is not among them, for it may be PORT.
EXPAND_FIRST: Final[dict[str, str]] = {
    "MT": "MOUNT",
    "MNT": "MOUNT",
    "FT": "FORT",
    "VLY": "VALLEY",
    "LK": "LAKE",
    "PK": "PARK",
}

# The word before a final suffix, when itself a suffix, is spelled out: "BANK ST EXT" is BANK STREET EXT.
EXPAND_BEFORE_SUFFIX: Final[dict[str, str]] = {
    word: SUFFIX_NAMES[abbreviation]
    for word, abbreviation in SUFFIXES.items()
    if abbreviation in STRONG and word not in ("LA", "CR", "AL", "EXT")
}

_ONES: Final = ("FIRST", "SECOND", "THIRD", "FOURTH", "FIFTH", "SIXTH", "SEVENTH", "EIGHTH", "NINTH")
_TEENS: Final = (
    *("TENTH", "ELEVENTH", "TWELFTH", "THIRTEENTH", "FOURTEENTH"),
    *("FIFTEENTH", "SIXTEENTH", "SEVENTEENTH", "EIGHTEENTH", "NINETEENTH"),
)
_TENS: Final = {
    "TWENTY": 20,
    "THIRTY": 30,
    "FORTY": 40,
    "FIFTY": 50,
    "SIXTY": 60,
    "SEVENTY": 70,
    "EIGHTY": 80,
    "NINETY": 90,
}
TENS: Final[dict[str, int]] = _TENS
ORDINAL_ONES: Final[dict[str, int]] = {word: i for i, word in enumerate(_ONES, 1)}


def ordinal(number: int) -> str:
    """1 -> 1ST, 12 -> 12TH."""
    if number % 100 in (11, 12, 13):
        return f"{number}TH"
    return f"{number}{ {1: 'ST', 2: 'ND', 3: 'RD'}.get(number % 10, 'TH') }"


_ORDINAL_VALUES: Final[dict[str, int]] = {
    **ORDINAL_ONES,
    **{word: i for i, word in enumerate(_TEENS, 10)},
    **{word[:-1] + "IETH": value for word, value in _TENS.items()},
    **{tens + ones: value + i for tens, value in _TENS.items() for i, ones in enumerate(_ONES, 1)},
}
ORDINALS: Final[dict[str, str]] = {word: ordinal(value) for word, value in _ORDINAL_VALUES.items()} | {
    "EIGHT": "8TH",  # the usual slip for EIGHTH
    "NINETH": "9TH",
    "TWELVTH": "12TH",
}
"""FIRST -> 1ST; TWENTYFIRST -> 21ST."""

# Appendix C2: designators that want an identifier after them.
UNIT_WORDS: Final[dict[str, str]] = {
    "APT": "APT",
    "APARTMENT": "APT",
    "APARTMENTS": "APT",
    "APTS": "APT",
    "APRT": "APT",
    "UNIT": "UNIT",
    "UNITS": "UNIT",
    "UNT": "UNIT",
    "CONDO": "UNIT",
    "STE": "STE",
    "SUITE": "STE",
    "SUITES": "STE",
    "SUTE": "STE",
    "BLDG": "BLDG",
    "BUILDING": "BLDG",
    "BLD": "BLDG",
    "BLG": "BLDG",
    "RM": "RM",
    "ROOM": "RM",
    "DEPT": "DEPT",
    "DEPARTMENT": "DEPT",
    "HNGR": "HNGR",
    "HANGAR": "HNGR",
    "HANGER": "HNGR",
    "FL": "FL",
    "FLR": "FL",
    "FLOOR": "FL",
    "LOT": "LOT",
    "LT": "LOT",
    "TRLR": "TRLR",
    "TRAILER": "TRLR",
    "SPC": "SPC",
    "SPACE": "SPC",
    "SLIP": "SLIP",
    "PIER": "PIER",
    "KEY": "KEY",
    "STOP": "STOP",
    "PMB": "PMB",
    "#": "#",
}
# These take any word as identifier ("APT REAR", "SUITE ONE"); the rest want a digit or a single letter, for
# they are ordinary words too.
UNIT_ANY_IDENTIFIER: Final[frozenset[str]] = frozenset({"APT", "UNIT", "STE", "#"})
# Ordinary street words: a unit only right after a suffix, a direction or another unit.
UNIT_AFTER_SUFFIX_ONLY: Final[frozenset[str]] = frozenset({"SLIP", "PIER", "KEY", "STOP", "SPC"})
# Appendix C2: designators that stand alone.
UNIT_ALONE: Final[dict[str, str]] = {
    "BSMT": "BSMT",
    "BASEMENT": "BSMT",
    "BSMNT": "BSMT",
    "REAR": "REAR",
    "LBBY": "LBBY",
    "LOBBY": "LBBY",
    "PH": "PH",
    "PENTHOUSE": "PH",
    "FRNT": "FRNT",
    "FRONT": "FRNT",
    "LOWR": "LOWR",
    "LOWER": "LOWR",
    "DOWNSTAIRS": "LOWR",
    "DOWN": "LOWR",
    "UPPR": "UPPR",
    "UPPER": "UPPR",
    "UPSTAIRS": "UPPR",
    "UP": "UPPR",
    "OFC": "OFC",
    "OFFICE": "OFC",
    "SIDE": "SIDE",
    "COTTAGE": "COTTAGE",
    "GARAGE": "GARAGE",
    "LEFT": "LEFT",
    "RIGHT": "RIGHT",
}
# After a plain name ("12 CARTER REAR") only these are surely no part of it.
UNIT_ALONE_AFTER_NAME: Final[frozenset[str]] = frozenset({"BSMT", "REAR", "LBBY", "PENTHOUSE", "BASEMENT", "BSMNT"})
# Designators that say nothing beyond their identifier: APT 4, UNIT 4, STE 4 and # 4 are one door.
UNIT_INTERCHANGEABLE: Final[frozenset[str]] = frozenset({"APT", "UNIT", "STE", "#"})

# A number after one of these belongs to the street's name, not to a door ("AVENUE 64", "CALLE 5").
NAME_TAKES_NUMBER: Final[frozenset[str]] = words(
    """
    AVE AVENUE ROAD RD STREET ST CALLE CAMINO PASEO VIA LOOP SPUR HIGHWAY HWY ROUTE RTE RT LANE DRIVE MILE
    INTERSTATE SECTION TRACT PARCEL PHASE BLOCK BLK BOX FM RM SR CR US SH TR EXIT DISTRICT AREA TWP NO NUMBER
    """
)

STATES: Final[dict[str, str]] = {
    "ALABAMA": "AL",
    "ALASKA": "AK",
    "AMERICAN SAMOA": "AS",
    "ARIZONA": "AZ",
    "ARKANSAS": "AR",
    "CALIFORNIA": "CA",
    "COLORADO": "CO",
    "CONNECTICUT": "CT",
    "DELAWARE": "DE",
    "DISTRICT OF COLUMBIA": "DC",
    "FEDERATED STATES OF MICRONESIA": "FM",
    "FLORIDA": "FL",
    "GEORGIA": "GA",
    "GUAM": "GU",
    "HAWAII": "HI",
    "IDAHO": "ID",
    "ILLINOIS": "IL",
    "INDIANA": "IN",
    "IOWA": "IA",
    "KANSAS": "KS",
    "KENTUCKY": "KY",
    "LOUISIANA": "LA",
    "MAINE": "ME",
    "MARSHALL ISLANDS": "MH",
    "MARYLAND": "MD",
    "MASSACHUSETTS": "MA",
    "MICHIGAN": "MI",
    "MINNESOTA": "MN",
    "MISSISSIPPI": "MS",
    "MISSOURI": "MO",
    "MONTANA": "MT",
    "NEBRASKA": "NE",
    "NEVADA": "NV",
    "NEW HAMPSHIRE": "NH",
    "NEW JERSEY": "NJ",
    "NEW MEXICO": "NM",
    "NEW YORK": "NY",
    "NORTH CAROLINA": "NC",
    "NORTH DAKOTA": "ND",
    "NORTHERN MARIANA ISLANDS": "MP",
    "OHIO": "OH",
    "OKLAHOMA": "OK",
    "OREGON": "OR",
    "PALAU": "PW",
    "PENNSYLVANIA": "PA",
    "PUERTO RICO": "PR",
    "RHODE ISLAND": "RI",
    "SOUTH CAROLINA": "SC",
    "SOUTH DAKOTA": "SD",
    "TENNESSEE": "TN",
    "TEXAS": "TX",
    "UTAH": "UT",
    "VERMONT": "VT",
    "VIRGIN ISLANDS": "VI",
    "VIRGINIA": "VA",
    "WASHINGTON": "WA",
    "WEST VIRGINIA": "WV",
    "WISCONSIN": "WI",
    "WYOMING": "WY",
}
STATE_CODES: Final[frozenset[str]] = frozenset(STATES.values()) | {"AA", "AE", "AP"}
STATE_OLD_SPELLINGS: Final[dict[str, str]] = {
    "ALA": "AL",
    "ARIZ": "AZ",
    "ARK": "AR",
    "CALIF": "CA",
    "COLO": "CO",
    "CONN": "CT",
    "DEL": "DE",
    "FLA": "FL",
    "ILL": "IL",
    "IND": "IN",
    "KANS": "KS",
    "MASS": "MA",
    "MICH": "MI",
    "MINN": "MN",
    "MISS": "MS",
    "MONT": "MT",
    "NEB": "NE",
    "NEBR": "NE",
    "NEV": "NV",
    "N CAR": "NC",
    "N DAK": "ND",
    "N MEX": "NM",
    "OKLA": "OK",
    "ORE": "OR",
    "OREG": "OR",
    "PENN": "PA",
    "PENNA": "PA",
    "S CAR": "SC",
    "S DAK": "SD",
    "TENN": "TN",
    "TEX": "TX",
    "VIRG": "VA",
    "WASH": "WA",
    "WISC": "WI",
    "WIS": "WI",
    "W VA": "WV",
    "WYO": "WY",
}
# State codes that are suffixes, directions or everyday words in a street: believed only with a ZIP behind
# them or a comma before them.
AMBIGUOUS_STATES: Final[frozenset[str]] = words("AL CT LA NE FL PR IN OR ME HI OK DE CO MT ID WA KY")

# Among them, those that are suffixes or directions even before a ZIP ("FOREST CT 21200"), with the first two
# digits of their own ZIPs.
STATE_ZIP_PREFIXES: Final[dict[str, tuple[str, ...]]] = {
    "AL": ("35", "36"),
    "CT": ("06",),
    "LA": ("70", "71"),
    "NE": ("68", "69"),
    "WA": ("98", "99"),
}

# Cities written with a shortened direction ("W HARTFORD"): after a street, the letter is theirs.
DIRECTIONAL_CITIES: Final[frozenset[str]] = frozenset(
    name.replace("|", " ")
    for name in words(
        """
        ALBANY ALLIS ANDOVER ARLINGTON ATTLEBORO AUGUSTA AURORA BABYLON BALDWIN BARRINGTON BELLMORE BEND BERGEN
        BERLIN BETHESDA BOSTON BRANCH BRIDGEWATER BROOKFIELD BRUNSWICK BURLINGTON CALDWELL CANTON CARROLLTON
        CHARLESTON CHELMSFORD CHESTER CHICAGO CLEVELAND COLUMBIA COVINA DARTMOUTH DUNDEE DES|MOINES EL|MONTE
        ELIZABETH ELMIRA FARGO FORT|MYERS FORT|WORTH GATE GREENBUSH GREENWICH HADLEY HAMPTON HARTFORD HAVEN
        HAVERSTRAW HAZEL|CREST HEMPSTEAD HILLS HOLLAND HOLLYWOOD ISLIP JORDAN KINGSTOWN LAFAYETTE LANSDOWNE
        LANSING LAKE LAS|VEGAS LEBANON LINN LITTLE|ROCK LIVERPOOL LONG|BRANCH LOS|ANGELES LYME MEADOW MEMPHIS
        MIAMI MIAMI|BEACH MIFFLIN MILFORD MILWAUKEE MONROE MYRTLE|BEACH NEW|YORK NEWTON NORRITON NORTHPORT
        NYACK OGDEN OLMSTED OZONE|PARK ORANGE PALM|BEACH PALO|ALTO PASADENA PATERSON PEORIA PITTSBURG PITTSTON
        PLAINFIELD PLATTE POINT PORT PORTLAND PROVIDENCE READING RICHLAND|HILLS RICHMOND|HILL RIVER ROCHESTER
        ROCKAWAY ROYALTON RUTHERFORD SACRAMENTO SAINT|LOUIS SALEM SAN|FRANCISCO SAN|GABRIEL SALT|LAKE|CITY
        SETAUKET SEWICKLEY SIOUX|CITY SPRINGFIELD ST|LOUIS ST|PAUL STROUDSBURG SYRACUSE TISBURY TONAWANDA TROY
        UNION VALLEY|CITY VALLEY|STREAM VANCOUVER WALES WALPOLE WARWICK WEYMOUTH WILDWOOD WILKESBORO WINDSOR
        YARMOUTH YORK
        """
    )
)

# Cities of saints. After a street name without suffix, ST is theirs ("12 ACME INDUSTRIAL PARK ST LOUIS").
SAINT_CITIES: Final[frozenset[str]] = words(
    """
    ALBANS AUGUSTINE CHARLES CLAIR CLOUD CROIX FRANCIS GEORGE HELENA HELENS JAMES JOHN JOHNS JOHNSBURY JOSEPH
    LOUIS MARYS MICHAEL MICHAELS PAUL PETE PETER PETERS ROSE SIMONS STEPHENS THOMAS
    """
)

# States whose ZIPs begin with 0, the digit that spreadsheets lose.
ZERO_ZIP_STATES: Final[frozenset[str]] = words("CT MA ME NH NJ PR RI VI VT")

# Last word of a foreign mailing address, where no state is known. Names that are rather towns here (LEBANON,
# PERU, JORDAN, CUBA) are left out.
COUNTRIES: Final[frozenset[str]] = words(
    """
    ARGENTINA AUSTRALIA AUSTRIA BAHAMAS BARBADOS BELGIUM BERMUDA BRASIL BRAZIL CANADA CHILE CHINA COLOMBIA
    DENMARK ECUADOR EGYPT ENGLAND FINLAND FRANCE GERMANY GUATEMALA HONDURAS ICELAND INDIA IRELAND ISRAEL ITALY
    JAMAICA JAPAN KENYA KOREA MALAYSIA MEXICO NETHERLANDS NIGERIA NORWAY PAKISTAN PANAMA PHILIPPINES PORTUGAL
    QATAR RICA RUSSIA SCOTLAND SINGAPORE SPAIN SWEDEN SWITZERLAND TAIWAN THAILAND TRINIDAD TURKEY UAE UK
    UKRAINE URUGUAY VENEZUELA VIETNAM
    """
)

# A cell that says nothing.
PLACEHOLDERS: Final[frozenset[str]] = frozenset(
    {
        "",
        "0",
        "00",
        "000",
        "0000",
        "00000",
        "UNKNOWN",
        "UNKNOWN ADDRESS",
        "ADDRESS UNKNOWN",
        "UNKN",
        "UNK",
        "N/A",
        "NA",
        "N A",
        "NONE",
        "NULL",
        "NIL",
        "TBD",
        "NO ADDRESS",
        "NOT AVAILABLE",
        "NOT APPLICABLE",
        "NO DATA",
        "UNASSIGNED",
        "UNAVAILABLE",
        "UNASSIGNED LOCATION",
        "TIMESHARE",
        "-",
        "--",
        ".",
        "X",
        "XX",
        "XXX",
        "NAN",
    }
)
CITY_PLACEHOLDERS: Final[frozenset[str]] = PLACEHOLDERS | {"UNINCORPORATED", "UNINCORPORATED COUNTY", "UNINC"}
