"""``keen:ip_to_geo``: where an address is, by a database in MaxMind's format, or by its registry.

With ``ACUMEN_GEOIP_DATABASE`` the answer is what that file knows, and the file may be replaced while the
server runs. Without it a table of the five registries tells the country that an address was assigned to.
"""

from __future__ import annotations

import ipaddress
import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import iptocc
import maxminddb

from service.ingest.enrich.countries import CONTINENTS, COUNTRIES

_log = logging.getLogger("acumen.enrich")

LOOK_SECONDS = 1.0
"""How often the file is looked at, where anybody asks."""
REMEMBERED = 8_192
ADDRESS_LENGTH_MAX = 64

Place = dict[str, Any]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def read_address(text: str) -> Address | None:
    """An IPv4 or IPv6 address, an IPv4 one in IPv6's clothes as itself; None for what is none."""
    if len(text) > ADDRESS_LENGTH_MAX:
        return None
    try:
        address = ipaddress.ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


class Places:
    """Finds places. One for a process; ``prepare`` may be called in any thread."""

    def __init__(self, database: Path | None = None) -> None:
        self._path = database
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._state: tuple[int, ...] | None = None
        self._find: Callable[[str], Place | None] | None = None if database else remembering(by_registry)

    @property
    def ready(self) -> bool:
        """Whether the loaded database is the file's content, as of the last check."""
        if self._path is None:
            return True
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return True
        if self._find is not None and _state_of(self._path) == self._state:
            self._looked_at = time.monotonic()
            return True
        return False

    def prepare(self) -> None:
        """Read the file, where it is not the one that was read. Where it cannot be, the log says so."""
        with self._lock:
            if self._path is None or self.ready:
                return
            state = _state_of(self._path)
            self._looked_at = time.monotonic()
            if state == self._state:
                return
            self._state = state
            try:
                # Held in memory, not mapped: a file written over in place would end the process.
                reader = maxminddb.open_database(str(self._path), maxminddb.MODE_MEMORY)
                self._find = remembering(by_database(reader))
            except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
                left = "nothing is known of addresses" if self._find is None else "the one before it stays"
                _log.error("the GeoIP database %s cannot be read (%s): %s", self._path, error, left)
            else:
                _log.info("the GeoIP database %s is read", self._path)

    def find(self, address: Address) -> Place | None:
        """Where a public address is, as far as it is known. Not to be changed."""
        if not address.is_global:
            return None
        if self._find is None:
            self.prepare()
        return None if self._find is None else self._find(str(address))


def remembering(find: Callable[[str], Place | None]) -> Callable[[str], Place | None]:
    return lru_cache(REMEMBERED)(find)


def _state_of(path: Path) -> tuple[int, ...]:
    """What changes when a file is replaced or written to; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def by_registry(address: str) -> Place | None:
    """The country that a registry assigned the address to."""
    code = iptocc.country_code(address)
    return country(code) if isinstance(code, str) else None


def country(code: str) -> Place | None:
    known = COUNTRIES.get(code.upper())
    return None if known is None else {"country": known[0], "continent": known[1]}


def by_database(reader: maxminddb.Reader) -> Callable[[str], Place | None]:
    """Finds addresses in a database; a damaged record is as if it were not there."""

    def find(address: str) -> Place | None:
        try:
            record = reader.get(address)
        except (ValueError, maxminddb.InvalidDatabaseError, RecursionError, LookupError):
            return None
        return place_of(record) if isinstance(record, dict) else None

    return find


def place_of(record: Mapping[str, Any]) -> Place | None:
    """A record's place: as MaxMind, DB-IP and IP2Location nest it, or flat, as others write it."""
    nation = _object(record.get("country")) or _object(record.get("registered_country"))
    code = _text(nation.get("iso_code")) or _text(record.get("country_code"))
    if not code and len(flat := _text(record.get("country"))) == 2:
        code = flat
    known = country(code) or {}
    subdivisions = record.get("subdivisions")
    province = subdivisions[0] if isinstance(subdivisions, list) and subdivisions else None
    continent = _object(record.get("continent"))
    found: Place = {
        "city": _name(record.get("city")),
        "province": _name(province) or _text(record.get("region")) or _text(record.get("state1")),
        "country": _name(nation) or _text(record.get("country_name")) or known.get("country", code),
        "continent": _name(continent)
        or CONTINENTS.get(_text(continent.get("code")) or _text(record.get("continent")), "")
        or known.get("continent", ""),
        "postal_code": _text(_object(record.get("postal")).get("code")) or _text(record.get("postal_code")),
        "coordinates": _coordinates(record),
    }
    return {name: value for name, value in found.items() if value} or None


def _coordinates(record: Mapping[str, Any]) -> list[float] | None:
    """[longitude, latitude], where both are there and on the globe."""
    place = _object(record.get("location")) or record
    try:
        longitude = float(place.get("longitude", place.get("lng")))
        latitude = float(place.get("latitude", place.get("lat")))
    except (TypeError, ValueError):
        return None
    return [longitude, latitude] if abs(longitude) <= 180 and abs(latitude) <= 90 else None


def _name(value: Any) -> str:
    """The English name of a thing that has names, or the text that it is."""
    return _text(_object(_object(value).get("names")).get("en")) or _text(value)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
