"""Single durable posts over 64 connections, against a bare ASGI application on the same uvicorn settings.

Rounds alternate between the two servers, so that both see the same machine; the figure is the median of
the rounds' ratios.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.events import Generator, Shape
from bench.load import send, write_requests
from bench.report import Report
from bench.serving import Acumen, Process, bulk_body, post

CONNECTIONS = 64
ROUNDS = 7
PER_ROUND_MAX = 12_000


def run(report: Report, events: int) -> None:
    per_round = max(CONNECTIONS, min(PER_ROUND_MAX, events // ROUNDS))
    report.title(f"Single events, durable, {CONNECTIONS} connections ({ROUNDS} × {per_round:,} posts each)")
    lines = list(Generator().lines(Shape(), 0, per_round))
    with TemporaryDirectory() as name, Acumen() as ours, Process(["bench.bare"]) as bare:
        folder = Path(name)
        write_requests(folder / "first", [ours.post_request(bulk_body(lines[:100]), bulk=True)])
        write_requests(folder / "ours", (ours.post_request(line, bulk=False) for line in lines))
        write_requests(folder / "bare", (post("/", line, "key") for line in lines))
        sent = len(lines[:100])
        send(ours.port, 1, folder / "first")
        speeds: list[tuple[float, float]] = []
        costs: list[tuple[float, float]] = []
        # The first round warms both and is not counted.
        for turn in range(ROUNDS + 1):
            report.progress(f"posts, round {turn} of {ROUNDS}")
            before = ours.cpu_seconds(), bare.cpu_seconds()
            bare_seconds = send(bare.port, CONNECTIONS, folder / "bare")
            our_seconds = send(ours.port, CONNECTIONS, folder / "ours")
            sent += per_round
            if turn:
                speeds.append((per_round / our_seconds, per_round / bare_seconds))
                costs.append((ours.cpu_seconds() - before[0], bare.cpu_seconds() - before[1]))
        connection = ours.connect()
        report.equal("events after all posts", ours.ask("count", connection), sent)
        connection.close()
    _print(report, speeds, costs, per_round)


def _print(
    report: Report, speeds: list[tuple[float, float]], costs: list[tuple[float, float]], per_round: int
) -> None:
    ours, bare = (median(pair[side] for pair in speeds) for side in (0, 1))
    detail = f"{ours:,.0f} of {bare:,.0f} posts a second"
    report.figure("posts a second", median(a / b for a, b in speeds), detail, floor=0.7)
    our_cost, bare_cost = (sum(pair[side] for pair in costs) / len(costs) / per_round for side in (0, 1))
    detail = f"{our_cost * 1e6:.0f} against {bare_cost * 1e6:.0f} µs, all processes, flushing included"
    if bare_cost:
        report.figure("processor time of a post", our_cost / bare_cost, detail)
