"""Regions of the world, states of the USA and time zones: short lists that no package brings.

Sources: https://unstats.un.org/unsd/methodology/m49/, https://pe.usps.com/text/pub28/28apb.htm,
https://www.iana.org/time-zones
"""

from collections.abc import Mapping
from zoneinfo import available_timezones

from fhir_server.terminology.code_system import Concept, Header
from fhir_server.terminology.systems.listed import Listed

STATES = "https://www.usps.com/"
ZONES = "https://www.iana.org/time-zones"

_M49 = """\
001 World
002 Africa <001
015 Northern Africa <002
202 Sub-Saharan Africa <002
014 Eastern Africa <202
017 Middle Africa <202
018 Southern Africa <202
011 Western Africa <202
019 Americas <001
003 North America <019
419 Latin America and the Caribbean <019
029 Caribbean <419
013 Central America <419
005 South America <419
021 Northern America <019
010 Antarctica <001
142 Asia <001
143 Central Asia <142
030 Eastern Asia <142
035 South-eastern Asia <142
034 Southern Asia <142
145 Western Asia <142
150 Europe <001
151 Eastern Europe <150
154 Northern Europe <150
830 Channel Islands <154
039 Southern Europe <150
155 Western Europe <150
009 Oceania <001
053 Australia and New Zealand <009
054 Melanesia <009
057 Micronesia <009
061 Polynesia <009
"""

_USPS = """\
AL Alabama|AK Alaska|AS American Samoa|AZ Arizona|AR Arkansas|CA California|CO Colorado|CT Connecticut|DE Delaware
DC District of Columbia|FM Federated States of Micronesia|FL Florida|GA Georgia|GU Guam|HI Hawaii|ID Idaho|IL Illinois
IN Indiana|IA Iowa|KS Kansas|KY Kentucky|LA Louisiana|ME Maine|MH Marshall Islands|MD Maryland|MA Massachusetts
MI Michigan|MN Minnesota|MS Mississippi|MO Missouri|MT Montana|NE Nebraska|NV Nevada|NH New Hampshire|NJ New Jersey
NM New Mexico|NY New York|NC North Carolina|ND North Dakota|MP Northern Mariana Islands|OH Ohio|OK Oklahoma|OR Oregon
PW Palau|PA Pennsylvania|PR Puerto Rico|RI Rhode Island|SC South Carolina|SD South Dakota|TN Tennessee|TX Texas|UT Utah
VT Vermont|VI Virgin Islands|VA Virginia|WA Washington|WV West Virginia|WI Wisconsin|WY Wyoming
AE Armed Forces Europe, the Middle East, and Canada|AP Armed Forces Pacific|AA Armed Forces Americas
"""


def _areas() -> tuple[Mapping[str, str], Mapping[str, str]]:
    names, within = {}, {}
    for line in _M49.splitlines():
        code, _, rest = line.partition(" ")
        names[code], _, above = rest.partition(" <")
        if above:
            within[code] = above
    return names, within


AREAS, AREAS_WITHIN = _areas()


def states() -> Listed:
    """Return the states, territories and military addresses of the USA."""
    header = Header(STATES, name="USPS", title="State codes of the USA (USPS)")
    listed = (item.partition(" ") for item in _USPS.replace("\n", "|").strip("|").split("|"))
    return Listed(header, (Concept(code, name) for code, _, name in listed))


def installed() -> bool:
    """Tell whether this machine knows any time zones."""
    return bool(available_timezones())


def zones() -> Listed:
    """Return the time zones that this machine knows."""
    header = Header(
        ZONES, name="IANATimeZones", title="Time zones (IANA)", value_set="http://hl7.org/fhir/ValueSet/timezones"
    )
    names = sorted(available_timezones() - {"localtime", "posixrules", "Factory"})
    return Listed(header, (Concept(name, name) for name in names))
