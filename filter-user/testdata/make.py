"""Makes city.mmdb and asn.mmdb, which the tests of `geo` read: pip install mmdb-writer netaddr; python make.py"""

from mmdb_writer import MMDBWriter, MmdbF64
from netaddr import IPSet

city = MMDBWriter(6, "Test-City", ipv4_compatible=True)
city.insert_network(
    IPSet(["192.0.2.0/24"]),
    {
        "city": {"names": {"en": "Oxford"}},
        "continent": {"code": "EU"},
        "country": {"iso_code": "GB"},
        "location": {
            "latitude": MmdbF64(51.7522),
            "longitude": MmdbF64(-1.2559),
            "time_zone": "Europe/London",
        },
        "postal": {"code": "OX1"},
        "subdivisions": [
            {"iso_code": "ENG", "names": {"en": "England"}},
            {"iso_code": "OXF", "names": {"en": "Oxfordshire"}},
        ],
    },
)
city.insert_network(
    IPSet(["2001:db8::/32"]),
    {"continent": {"code": "EU"}, "country": {"iso_code": "FR", "is_in_european_union": True}},
)
city.to_db_file("city.mmdb")

asn = MMDBWriter(6, "Test-ASN", ipv4_compatible=True, int_type="u32")
asn.insert_network(
    IPSet(["192.0.2.0/24"]),
    {"autonomous_system_number": 64500, "autonomous_system_organization": "Documentation"},
)
asn.to_db_file("asn.mmdb")
