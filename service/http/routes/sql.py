"""SQL: ``POST /3.0/projects/P/queries/sql``."""

from __future__ import annotations

from starlette.responses import Response

from query.untrusted.messages import Format
from service.auth.principal import Permission
from service.bodies.accepted import weights_of
from service.bodies.json_body import json_of
from service.http.authorization import needs_both
from service.http.models.sql import REQUEST, SqlResult
from service.http.openapi.operation import STRING, DocumentedAnswer, Example, Operation
from service.http.request import count_rate, gone_of, opened
from service.http.routes.queries import QUERIES
from service.http.routing import OfProject, RouteArea
from service.limits.rate_limiter import Rate
from service.queries.sql_request import MEDIA_TYPES, format_of

PATH = f"{QUERIES}/sql"
_EVENTS = {"purchases": [{"price": 7, "user": {"id": "bob"}}, {"price": 30, "user": {"id": "ann"}}]}
_BY_USER = 'SELECT "user.id" AS user_id, sum(price) AS spent FROM purchases WHERE price > ? GROUP BY ALL'
_CHEAP = "SELECT count(*) AS n FROM purchases WHERE price < $most"

area = RouteArea("SQL", "Ask in SQL.", [("POST", PATH.replace("/queries/sql", "/events"), _EVENTS)])


@area.serve(
    PATH,
    needs_both(Permission.QUERIES, Permission.SQL),
    Operation(
        method="post",
        path=PATH,
        summary="The rows of one SELECT",
        answers={
            200: DocumentedAnswer(
                "The rows.",
                SqlResult,
                content={
                    "text/csv": STRING,
                    MEDIA_TYPES[Format.ARROW]: {"type": "string", "format": "binary"},
                },
            )
        },
        body=REQUEST,
        errors=(504,),
        examples=(
            Example(body={"sql": _BY_USER, "parameters": [5]}),
            Example(
                body={
                    "sql": "SELECT count(*) AS n FROM purchases WHERE price < $most",
                    "parameters": {"most": 9},
                },
                summary="A parameter by its name",
            ),
            Example(body={"sql": "SELECT price FROM purchases", "limit": 1}, summary="The first rows"),
            Example(body={"sql": "SELECT price FROM purchases", "format": "csv"}, summary="CSV"),
            Example(body={"sql": "SELECT 1 AS one", "explain": True}, summary="With its plan"),
            Example(body={"sql": "DROP TABLE purchases"}, status=400),
            Example(body={"sql": "SELECT * FROM read_csv('x.csv')"}, status=400),
            Example(body={"sql": "SELECT price FROM purchases"}, key="read", status=403),
        ),
        name="ask_sql",
    ),
)
async def ask_sql(call: OfProject) -> Response:
    """The collections that the key sees are tables, with its filters applied, and each property is a column
    of its dotted name: `"user.id"`. One SELECT is run, in a process of its own, which can read nothing else.
    The master key may send SQL; access keys with `options.queries.sql`; others where the project's preference
    `sql` is true; embed tokens never."""
    parts, request, caller = call
    count_rate(parts.rates, request, caller, Rate.QUERIES)
    accepted = format_of(weights_of(",".join(request.headers.getlist("accept"))))
    async with opened(parts.bodies, request, parts.settings.query_bytes_max) as body:
        values_max = parts.bodies.limits.values_max
        answer = await parts.sql.ask(caller, lambda: json_of(body, values_max), accepted, gone_of(request))
    headers = {"vary": "Accept", "acumen-truncated": str(answer.truncated).lower()}
    return Response(answer.body, 200, headers, MEDIA_TYPES[answer.format])
