"""Definitions of alerts: read from requests, and shown in answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from query.errors import InvalidQuery
from query.language.fields import flag, is_deeper, missing, structured, text, whole, within, wrong
from query.language.normal_form import without_filters
from query.language.parameters import check_keys
from query.language.suggestions import did_you_mean
from query.language.timeframe import parse_timezone
from service.alerts.buckets import INTERVALS, Intervals
from service.alerts.conditions import read_condition
from service.api_paths import url_of
from service.errors import Forbidden, InvalidParameter
from service.exports.request import check_address, is_mailed_to
from service.saved_queries.definition import NAME_NEEDS, is_name, moment_text
from service.settings import Settings
from storage.catalog.derived.records import AlertState, StoredAlert

Json = dict[str, Any]
Judge = Callable[[str, Mapping[str, Any]], object]
"""Parses the parameters of an analysis. Raises InvalidQuery."""

ANALYSES = (
    "count",
    "count_unique",
    "sum",
    "average",
    "median",
    "percentile",
    "minimum",
    "maximum",
    "standard_deviation",
)
"""Those whose answer is one number."""
DEFINED = (
    "query",
    "saved_query",
    "interval",
    "timezone",
    "condition",
    "wait",
    "no_data",
    "notify",
    "remind_hours",
    "access_key",
    "display_name",
    "is_active",
)
FIELDS = (
    *DEFINED,
    "name",
    "state",
    "state_since",
    "silenced_until",
    "next_evaluation_date",
    "evaluated_through",
    "created_date",
    "last_modified_date",
    "url",
)
"""Fields of an alert. Those that only the server writes are ignored, so that a GET's body can be PUT."""
OF_TIME = ("timeframe", "interval", "timezone", "group_by", "order_by", "limit", "zero_fill")
"""Parameters of a question that an alert has of its own, or that would give more than one number."""
SHARE = 0.99
SHARES = (0.5, 1.0)
WAIT_SECONDS_MAX = 7 * 86_400
NOTIFY_MAX = 10
REMIND_HOURS_MAX = 24 * 31
DEPTH_MAX = 200
DEFINITION_BYTES_MAX = 100_000
DISPLAY_NAME_MAX = 256


@dataclass(frozen=True, slots=True)
class Alert:
    """A definition as it is stored."""

    definition: Mapping[str, Any]

    @classmethod
    def stored(cls, alert: StoredAlert) -> Alert:
        return cls(json.loads(alert.definition))

    @property
    def is_active(self) -> bool:
        return bool(self.definition["is_active"])

    @property
    def saved_query(self) -> str | None:
        return self.definition.get("saved_query")

    @property
    def access_key(self) -> str | None:
        return self.definition.get("access_key")

    @property
    def interval(self) -> str:
        return str(self.definition["interval"])

    @property
    def condition(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.definition["condition"]
        return found

    @property
    def wait_seconds(self) -> int:
        return int(self.definition["wait"]["seconds"])

    @property
    def share(self) -> float:
        return float(self.definition["wait"]["share"])

    @property
    def emails(self) -> tuple[str, ...]:
        return told_by("email", self.definition)

    @property
    def webhooks(self) -> tuple[str, ...]:
        return told_by("webhook", self.definition)

    @property
    def remind_us(self) -> int | None:
        hours = self.definition.get("remind_hours")
        return None if hours is None else int(hours * 3_600_000_000)

    @property
    def ignores_no_data(self) -> bool:
        return str(self.definition["no_data"]) == "ok"

    def clock(self, week_start: Any) -> Intervals:
        return Intervals(self.interval, parse_timezone(self.definition.get("timezone")), week_start)


@dataclass(frozen=True, slots=True)
class Known:
    """What a definition may name. Functions block."""

    judge: Judge
    saved_query: Callable[[str], Mapping[str, Any] | None]
    """The parameters of the saved query of a name."""
    has_key: Callable[[str], bool]
    """Whether an access key has this public id."""
    webhooks: frozenset[str]
    check_recipient: Callable[[str], None]
    """Raises Forbidden."""


def read(name: str, body: Any, known: Known) -> str:
    """The definition in the body of a PUT, as it is stored. Raises InvalidQuery, Forbidden."""
    if not is_name(name):
        raise wrong("the name in the path", NAME_NEEDS, name)
    check_keys(body, FIELDS, "an alert")
    for field in ("query", "condition"):
        if is_deeper(body.get(field), DEPTH_MAX):
            raise InvalidQuery(f"'{field}' is nested more than {DEPTH_MAX} levels deep.")
    interval = body.get("interval")
    if interval is None:
        raise missing("interval")
    if not isinstance(interval, str) or interval not in INTERVALS:
        raise wrong(
            "interval", f"one of {', '.join(INTERVALS)}", interval, hint=did_you_mean(interval, INTERVALS)
        )
    parse_timezone(body.get("timezone"))
    if body.get("condition") is None:
        raise missing("condition")
    definition: Json = {
        **_question(body, known),
        "interval": interval,
        "timezone": body.get("timezone") or "UTC",
        "condition": read_condition(structured("condition", body["condition"])),
        "wait": _wait(body.get("wait"), interval),
        "no_data": _word(body, "no_data", ("notify", "ok")),
        "notify": read_notify(body.get("notify"), known),
        "remind_hours": _remind(body.get("remind_hours")),
        "access_key": read_access_key(body.get("access_key"), known),
        "is_active": flag(body, "is_active", True),
    }
    if body.get("display_name") is not None:
        definition["display_name"] = text("display_name", body["display_name"], DISPLAY_NAME_MAX)
    return _as_json(definition)


def read_notify(value: Any, known: Known) -> list[Json]:
    """Whom to tell. Raises InvalidQuery, Forbidden."""
    needs = 'a list of {"email": …} and {"webhook": …}'
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > NOTIFY_MAX:
        raise wrong("notify", f"{needs}, {NOTIFY_MAX} at most", value)
    found: list[Json] = []
    for number, one in enumerate(value):
        where = f"notify[{number}]"
        if not isinstance(one, Mapping) or len(one) != 1 or not {"email", "webhook"} & set(one):
            raise wrong(where, '{"email": …} or {"webhook": …}', one)
        if "email" in one:
            check_address(one["email"])
            known.check_recipient(one["email"])
        elif not isinstance(one["webhook"], str) or one["webhook"] not in known.webhooks:
            raise wrong(f"{where}.webhook", "the name of a webhook", one["webhook"])
        if dict(one) not in found:
            found.append(dict(one))
    return found


def told_by(means: str, definition: Mapping[str, Any]) -> tuple[str, ...]:
    """Whom a definition tells by ``email`` or by ``webhook``."""
    return tuple(one[means] for one in definition["notify"] if means in one)


def recipient_check(settings: Settings) -> Callable[[str], None]:
    """What raises Forbidden for a recipient whom this server does not mail."""

    def check(email: str) -> None:
        if not settings.smtp_host:
            raise Forbidden("This server sends no mail: its operator would have to set ACUMEN_SMTP_HOST.")
        if not is_mailed_to(email, settings.mail_domains):
            raise Forbidden(
                "This server mails only to domains that its operator allows (ACUMEN_MAIL_DOMAINS); that of "
                "'email' is not among them."
            )

    return check


def question_of(params: Mapping[str, Any]) -> Json:
    """The parameters of a saved query without those that an alert has of its own. Raises InvalidParameter."""
    analysis = params.get("analysis_type")
    if analysis not in ANALYSES:
        raise InvalidParameter(
            f"An alert needs a question with one number as its answer ({', '.join(ANALYSES)}); the "
            f"saved query is a {analysis}."
        )
    if params.get("group_by"):
        raise InvalidParameter(
            "An alert needs a question without groups, and the saved query has a 'group_by'."
        )
    return {name: value for name, value in params.items() if name not in OF_TIME and value is not None}


def described(
    alert: StoredAlert,
    now_us: int,
    *,
    narrowed: bool = False,
    tells_whom: bool = True,
    hides_state: bool = False,
) -> Json:
    """The alert as the API shows it.

    ``narrowed`` is for a key that sees part of the events: values in filters are not shown to it.
    ``tells_whom``: whether the caller may know who is told. ``hides_state``: the state is of events that
    it may not see.
    """
    definition = json.loads(alert.definition)
    shown = {name: definition.get(name) for name in DEFINED if name not in ("query", "saved_query")}
    for name in ("query", "saved_query"):
        if name in definition:
            shown[name] = definition[name]
    if narrowed:
        shown["display_name"] = None
        if "query" in shown:
            shown["query"] = without_filters(shown["query"])
    if not tells_whom:
        del shown["notify"]
    return {
        "name": alert.name,
        **shown,
        "state": None if hides_state else state_of(alert, now_us),
        "state_since": None if hides_state or alert.since_us is None else moment_text(alert.since_us),
        "silenced_until": moment_text(alert.silenced_us) if is_silenced(alert, now_us) else None,
        "evaluated_through": None if alert.since_us is None else moment_text(alert.through_us),
        "next_evaluation_date": moment_text(alert.due_us) if definition["is_active"] else None,
        "created_date": moment_text(alert.created_us),
        "last_modified_date": moment_text(alert.modified_us),
        "url": url_of(alert.project_id, "alerts", alert.name),
    }


def state_of(alert: StoredAlert, now_us: int) -> str:
    """The state that is shown: one that is not well is silenced for as long as its silence lasts."""
    silenced = is_silenced(alert, now_us) and alert.state is not AlertState.OK
    return "silenced" if silenced else alert.state.value


def is_silenced(alert: StoredAlert, now_us: int) -> bool:
    return alert.silenced_us > now_us


def _question(body: Mapping[str, Any], known: Known) -> Json:
    query, saved = structured("query", body.get("query")), body.get("saved_query")
    if (query is None) == (saved is None):
        raise InvalidParameter("An alert has either 'query', a question, or 'saved_query', the name of one.")
    if saved is not None:
        params = known.saved_query(saved) if isinstance(saved, str) else None
        if params is None:
            raise wrong("saved_query", "the name of a saved query", saved)
        question_of(params)
        return {"saved_query": saved}
    if not isinstance(query, Mapping):
        raise wrong("query", "an object of parameters", query)
    analysis = query.get("analysis_type")
    if analysis is None:
        raise missing("query.analysis_type")
    if analysis not in ANALYSES:
        raise wrong("query.analysis_type", f"one of {', '.join(ANALYSES)}", analysis)
    for name in OF_TIME:
        if query.get(name) is not None:
            raise InvalidParameter(
                f"'query.{name}' is not for alerts: their question is about one 'interval' of the alert."
            )
    with within("query"):
        known.judge(analysis, {**query, "timeframe": "previous_1_hours"})
    return {"query": {name: value for name, value in query.items() if value is not None}}


def _wait(value: Any, interval: str) -> Json:
    given = structured("wait", value)
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise wrong("wait", 'an object such as {"share": 0.99, "seconds": 3600}', value)
    check_keys(given, ("share", "seconds"), "'wait'")
    share = given.get("share")
    share = SHARE if share is None else share
    if isinstance(share, bool) or not isinstance(share, int | float) or not SHARES[0] <= share <= SHARES[1]:
        raise wrong("wait.share", f"a number from {SHARES[0]} to {SHARES[1]}", share)
    seconds = given.get("seconds")
    usual = 600 if interval.endswith("minutes") else 3_600
    seconds = usual if seconds is None else whole("wait.seconds", seconds, 0)
    if seconds > WAIT_SECONDS_MAX:
        raise wrong("wait.seconds", f"{WAIT_SECONDS_MAX} at most", seconds)
    return {"share": share, "seconds": seconds}


def _word(body: Mapping[str, Any], name: str, words: tuple[str, ...]) -> str:
    value = body.get(name)
    if value is None:
        return words[0]
    if value not in words:
        raise wrong(name, " or ".join(f"'{one}'" for one in words), value)
    return str(value)


def _remind(value: Any) -> int | None:
    if value is None:
        return None
    hours = whole("remind_hours", value, 1)
    if hours > REMIND_HOURS_MAX:
        raise wrong("remind_hours", f"{REMIND_HOURS_MAX} at most", value)
    return hours


def read_access_key(value: Any, known: Known) -> str | None:
    """The public id of a key of the project. Raises InvalidQuery."""
    if value is None:
        return None
    if not isinstance(value, str) or not known.has_key(value):
        raise wrong("access_key", "the public id of an access key of the project", value)
    return value


def _as_json(definition: Json) -> str:
    try:
        found = json.dumps(definition, separators=(",", ":"), allow_nan=False)
    except ValueError:
        raise InvalidQuery("The alert holds a number that is too large.") from None
    if len(found) > DEFINITION_BYTES_MAX:
        raise InvalidQuery(
            f"The alert has {len(found):,} bytes as JSON, more than {DEFINITION_BYTES_MAX:,}.",
            "QueryLimitError",
        )
    return found
