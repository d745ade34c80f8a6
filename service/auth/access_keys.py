"""Access keys: their JSON definitions, and the permissions and options decoded from them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language.fields import wrong
from query.language.filters import CheckRegex, parse_filters
from query.language.nodes import Filter
from query.language.parameters import check_filters, check_keys
from query.language.suggestions import did_you_mean
from query.limits import Limits
from service.answerable import check_answerable
from service.auth.origins import NO_ORIGIN, NULL_ORIGIN, ORIGINS_MAX, read_origins
from service.errors import InvalidParameter
from service.limits.quotas import NAMES, read_quotas
from storage.catalog.errors import WrongSecret
from storage.catalog.keyring import Keyring, public_id
from storage.catalog.tenants.access_keys import seal_context
from storage.catalog.tenants.records import AccessKey
from storage.events.validation import Context, EventLimits, InvalidEvent, examine

PERMITTED = ("writes", "queries", "saved_queries", "cached_queries", "datasets", "schema", "query_definition")
FIELDS = ("name", "is_active", "permitted", "options", "key", "project_id", "public_id")
"""Fields of an access key's JSON body; the last three are set by the server only."""
QUOTAS = "quotas"
"""An optional section of ``options``, shown only for keys that were given one."""
EMBED = "embed"
"""Likewise: the origins of pages that may embed charts by tokens of the key."""
SECTIONS = ("saved_queries", "writes", "datasets", "cached_queries", "queries")
OPERATIONS = ("read", "list", "retrieve")
NAME_LENGTH_MAX = 256
OPTIONS_NAMES_MAX = 10_000
"""Limit of names in one list of an option."""
OPTIONS_BYTES_MAX = 262_144

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Names:
    """The saved queries or datasets that a key may read; ``allowed`` None means all but the blocked ones."""

    allowed: frozenset[str] | None = None
    blocked: frozenset[str] = frozenset()

    def admit(self, name: str) -> bool:
        return name not in self.blocked and (self.allowed is None or name in self.allowed)


@dataclass(frozen=True, slots=True)
class DatasetScope:
    """What a key may do with datasets. ``index_by``: dataset → index property → allowed values."""

    operations: frozenset[str] = frozenset(OPERATIONS)
    names: Names = Names()
    index_by: Mapping[str, Mapping[str, tuple[Any, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Options:
    """Restrictions on the permissions of a key."""

    autofill: Json | None = None
    query_filters: tuple[Filter, ...] = ()
    saved_filters: tuple[Filter, ...] = ()
    saved: Names = Names()
    cached: Names = Names()
    datasets: DatasetScope = DatasetScope()
    extraction: bool = True
    """Whether raw events may be extracted."""
    sql: bool = False
    """Whether SQL may be sent."""
    quotas: Mapping[str, int] = field(default_factory=dict)
    embed_origins: frozenset[str] | None = None
    """Origins for embed tokens that name none; None: such tokens may be used by any page."""


NO_OPTIONS = Options()


@dataclass(frozen=True, slots=True)
class CheckedAccessKey:
    """A checked access key as a client sent it, with every section of its options."""

    name: str
    is_active: bool | None
    """None where the client did not send it."""
    permitted: tuple[str, ...]
    options: Json


def read_definition(body: Any, check_regex: CheckRegex) -> CheckedAccessKey:
    """Check an access key's JSON body. Raises InvalidParameter, which names the field."""
    if not isinstance(body, dict):
        raise InvalidParameter("The body must be a JSON object: name, is_active, permitted, options.")
    # Silently ignored, a misspelt 'options' would restrict nothing.
    check_keys(body, FIELDS, "an access key")
    name = body.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > NAME_LENGTH_MAX or not _encodable(name):
        raise _wrong("name", f"a string of 1 to {NAME_LENGTH_MAX} characters", name)
    is_active = body.get("is_active")
    if "is_active" in body and not isinstance(is_active, bool):
        raise _wrong("is_active", "true or false", is_active)
    permitted = _words("permitted", body.get("permitted"), PERMITTED)
    sent_options = body.get("options")
    if not isinstance(sent_options, dict | None):
        raise _wrong("options", "an object", sent_options)
    options = {section: (sent_options or {}).get(section) for section in SECTIONS}
    known_sections = (*SECTIONS, QUOTAS, EMBED)
    unknown = sorted(str(name) for name in (sent_options or {}) if name not in known_sections)
    if unknown:
        # Silently ignored, a misspelt restriction would restrict nothing.
        raise _unknown("options", unknown[0], known_sections)
    for section in (QUOTAS, EMBED):
        if sent_options and sent_options.get(section) is not None:
            options[section] = sent_options[section]
    read = read_options(options, check_regex)
    _check_autofill(read.autofill)
    if read.sql and not (read.extraction and "queries" in permitted):
        raise InvalidParameter(
            "'options.queries.sql' is true, and SQL shows events themselves: 'permitted' must name "
            "'queries', and 'options.queries.extraction' must not be false."
        )
    for section in ("queries", "saved_queries"):
        limits = _section(options, section)
        if "filters" in limits and limits["filters"] is None:
            # Perhaps a variable that was not set: the key would see every event.
            raise InvalidParameter(
                f"'options.{section}.filters' is null. Leave it out to make a key that sees all events."
            )
        check_filters(limits.get("filters"), f"options.{section}.filters")
    return CheckedAccessKey(name, is_active, tuple(dict.fromkeys(permitted)), options)


def _check_autofill(autofill: Json | None) -> None:
    """Raises InvalidParameter where no valid event can contain it: all events of the key would be refused."""
    if not autofill:
        return
    try:
        examine(json.dumps(autofill).encode(), EventLimits(), Context())
    except InvalidEvent as error:
        raise InvalidParameter(
            f"'options.writes.autofill' cannot be part of an event. {error.description}"
        ) from None


def read_options(options: Json, check_regex: CheckRegex) -> Options:
    """Decode the options of an access key. Raises InvalidParameter, which names the option."""
    sections = {name: _section(options, name) for name in SECTIONS}
    autofill = sections["writes"].get("autofill")
    if not isinstance(autofill, dict | None):
        raise _wrong("options.writes.autofill", "an object", autofill)
    _only(sections["writes"], "writes", "autofill")
    _only(sections["queries"], "queries", "filters", "extraction", "sql")
    extraction = _switch(sections["queries"], "queries", "extraction")
    sql = _switch(sections["queries"], "queries", "sql")
    _only(sections["saved_queries"], "saved_queries", "allowed", "blocked", "filters")
    _only(sections["cached_queries"], "cached_queries", "allowed", "blocked")
    return Options(
        autofill=autofill,
        query_filters=_filters(sections["queries"], "queries", check_regex),
        saved_filters=_filters(sections["saved_queries"], "saved_queries", check_regex),
        saved=_names(sections["saved_queries"], "saved_queries"),
        cached=_names(sections["cached_queries"], "cached_queries"),
        datasets=_datasets(sections["datasets"]),
        extraction=extraction is not False,
        sql=sql is True,
        quotas=read_quotas(options.get(QUOTAS), f"options.{QUOTAS}", NAMES),
        embed_origins=_embed_origins(_section(options, EMBED)),
    )


def new_access_key(
    keyring: Keyring, project_id: str, definition: CheckedAccessKey, now_us: int
) -> tuple[str, AccessKey]:
    """Make a key: returns the key itself (64 upper-case hexadecimal digits) and its catalog record."""
    key = secrets.token_hex(32).upper()
    digest = keyring.digest(project_id, key)
    sealed = keyring.seal(key, seal_context(project_id, digest))
    fields = (definition.name, definition.is_active is not False, definition.permitted, definition.options)
    return key, AccessKey(project_id, digest, sealed, *fields, now_us, public_id(key))


def checked(body: Any, check_regex: CheckRegex) -> CheckedAccessKey:
    """Check an access key that is to be stored, so that all of it can be returned again.

    Raises InvalidParameter.
    """
    definition = read_definition(body, check_regex)
    check_answerable(definition.options, "options")
    if len(json.dumps(definition.options)) > OPTIONS_BYTES_MAX:
        raise InvalidParameter(f"'options' may have at most {OPTIONS_BYTES_MAX} bytes.")
    return definition


def shown(keyring: Keyring, key: AccessKey) -> dict[str, Any]:
    """The access key as the API returns it; ``key`` is null if it was sealed with another server secret."""
    try:
        text = keyring.unseal(key.sealed, seal_context(key.project_id, key.digest))
    except WrongSecret:
        text = None
    return {
        "key": text,
        "name": key.name,
        "is_active": key.is_active,
        "permitted": list(key.permitted),
        "options": dict(key.options),
        "project_id": key.project_id,
        "public_id": key.public_id,
    }


def stored_options(options: Json) -> Options:
    """The options of a stored key. Its regular expressions were checked when it was stored."""
    return read_options(options, lambda _: None)


def _wrong(name: str, needs: str, value: object, hint: str = "") -> InvalidParameter:
    return InvalidParameter(wrong(name, needs, value, hint=hint).message)


def _unknown(where: str, name: str, known: Sequence[str]) -> InvalidParameter:
    hint = did_you_mean(name, known)
    return InvalidParameter(f"'{where}.{name[:100]}' is unknown: there are {', '.join(known)}.{hint}")


def _words(name: str, value: Any, known: tuple[str, ...]) -> list[str]:
    """The value if it is a list of known words. Raises InvalidParameter, which names the nearest one."""
    words = value if isinstance(value, list) else [value]
    unknown = [word for word in words if not isinstance(word, str) or word not in known]
    if unknown or not isinstance(value, list):
        hint = did_you_mean(unknown[0], known) if unknown else ""
        raise _wrong(name, f"a list of any of {', '.join(known)}", value, hint)
    return value


def _section(options: Json, name: str) -> Json:
    section = options.get(name)
    if not isinstance(section, dict | None):
        raise _wrong(f"options.{name}", "an object", section)
    return section or {}


def _only(section: Json, name: str, *known: str) -> None:
    for key in section:
        if key not in known:
            raise _unknown(f"options.{name}", str(key), known)


def _switch(section: Json, name: str, key: str) -> bool | None:
    value = section.get(key)
    if not isinstance(value, bool | None):
        raise _wrong(f"options.{name}.{key}", "true or false", value)
    return value


def _filters(section: Json, name: str, check_regex: CheckRegex) -> tuple[Filter, ...]:
    where = f"options.{name}.filters"
    value = section.get("filters")
    if not isinstance(value, list | None):
        raise _wrong(where, "a list of filters", value)
    try:
        return parse_filters(value, Limits(), check_regex, where)
    except (InvalidQuery, QueryLimitExceeded) as error:
        raise InvalidParameter(str(error)) from None


def _embed_origins(section: Json) -> frozenset[str] | None:
    _only(section, EMBED, "origins")
    value = section.get("origins")
    if value is None:
        return None
    origins = read_origins(value)
    if origins is None:
        needs = f"a list of up to {ORIGINS_MAX} origins, as https://shop.example, or '{NULL_ORIGIN}'"
        raise _wrong(f"options.{EMBED}.origins", f"{needs} or '{NO_ORIGIN}'", value)
    return origins


def _names(section: Json, name: str) -> Names:
    allowed = _name_list(section, name, "allowed")
    return Names(allowed, _name_list(section, name, "blocked") or frozenset())


def _name_list(section: Json, name: str, key: str) -> frozenset[str] | None:
    value = section.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > OPTIONS_NAMES_MAX or not all(map(_is_text, value)):
        raise _wrong(f"options.{name}.{key}", f"a list of up to {OPTIONS_NAMES_MAX} names", value)
    return frozenset(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and _encodable(value)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _datasets(section: Json) -> DatasetScope:
    _only(section, "datasets", "operations", "allowed", "blocked")
    operations = section.get("operations")
    if operations is None:
        operations = list(OPERATIONS)
    operations = _words("options.datasets.operations", operations, OPERATIONS)
    blocked = _name_list(section, "datasets", "blocked") or frozenset()
    allowed = section.get("allowed")
    if isinstance(allowed, list):
        allowed = dict.fromkeys(_name_list(section, "datasets", "allowed") or ())
    if not isinstance(allowed, dict | None):
        raise _wrong("options.datasets.allowed", "an object of dataset names, or a list", allowed)
    narrowed = {name: scope for name, scope in (allowed or {}).items() if scope is not None and scope != {}}
    index_by = {name: _index_by(name, scope) for name, scope in narrowed.items()}
    names = Names(None if allowed is None else frozenset(allowed), blocked)
    return DatasetScope(frozenset(operations), names, index_by)


def _index_by(name: str, scope: Any) -> Mapping[str, tuple[Any, ...]]:
    where = f"options.datasets.allowed.{name[:100]}"
    if not isinstance(scope, dict) or not isinstance(scope.get("index_by"), dict) or len(scope) > 1:
        raise _wrong(where, "null, or an object with 'index_by' or nothing", scope)
    values_by_path: dict[str, tuple[Any, ...]] = {}
    for path, values in scope["index_by"].items():
        value_list = values if isinstance(values, list) else [values]
        if any(isinstance(value, dict | list) for value in value_list):
            raise _wrong(f"{where}.index_by.{path[:100]}", "a list of plain values", values)
        values_by_path[path] = tuple(value_list)
    return values_by_path
