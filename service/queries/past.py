"""Which version of the stored events a question is about: what ``as_of`` names, or the present one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from query.errors import InvalidQuery
from query.language.fields import text, wrong
from query.language.parameter_table import value_of
from query.language.parse import AS_OF
from service.auth.principal import Caller
from service.errors import Forbidden
from service.queries.sight import SourceReader
from storage.read.versions import TEXT_LENGTH_MAX, PastUnavailable, Version
from storage.source import Source


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question is about. Without a version it is about whatever is stored when it is read."""

    now_us: int
    version: Version | None = None


def asked(reader: SourceReader, caller: Caller, params: Mapping[str, Any], now_us: int) -> Asked:
    """What the question is about. Blocks. Raises InvalidQuery, Forbidden, and as ``Reader.source`` does."""
    if not isinstance(params, Mapping):
        return Asked(now_us)
    named = params.get(AS_OF)
    if named not in (None, ""):
        if caller.embed is not None:
            raise Forbidden(f"'{AS_OF}' is not for embed tokens.")
        version = named_version(reader, AS_OF, named, now_us)
        return Asked(version.instant_us, version)
    try:
        explain = value_of(params, "explain")
    except InvalidQuery:
        # Parsing the question says what is wrong with it.
        explain = False
    return Asked(now_us, reader.version(now_us) if explain else None)


def named_version(reader: SourceReader, name: str, value: Any, now_us: int) -> Version:
    """The version that the parameter ``name`` gives. Raises InvalidQuery."""
    if not isinstance(value, str):
        raise wrong(name, "the version that an 'explain' named, or an instant", value)
    named = text(name, value, TEXT_LENGTH_MAX)
    try:
        return reader.named_version(named, now_us)
    except PastUnavailable as error:
        raise unavailable(name, named, error) from None


def unavailable(name: str, value: str, error: PastUnavailable) -> InvalidQuery:
    return InvalidQuery(f"'{name}' cannot be answered: {error} You specified: {value[:100]}.")


def source_of(reader: SourceReader, project_id: str, version: Version | None) -> Callable[[str], Source]:
    """Sources of the version. They raise InvalidQuery where it cannot be read."""
    if version is None:
        return lambda name: reader.source(project_id, name)

    def source(name: str) -> Source:
        try:
            return reader.source_at(project_id, name, version)
        except PastUnavailable as error:
            raise unavailable(AS_OF, str(version), error) from None

    return source
