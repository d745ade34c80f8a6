"""Calls as values: what is sent and how the answer is read, apart from whether one blocks or awaits.

A method of the client is a function that builds a ``Call`` (or a ``Flow`` of several), written once.
``blocking`` and ``awaited`` make methods of it, with the same parameters, for either kind of transport.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar

from acumen_client._transport import Answer, AsyncTransport, Target, Transport
from acumen_client.errors import AcumenError

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request; ``options`` are those of ``Transport.request``."""

    method: str
    path: Callable[[Target], str]
    read: Callable[[Answer], T]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pause:
    """What a flow waits for before it goes on."""

    seconds: float


Flow: TypeAlias = Generator[Call[Any] | Pause, Any, T]
"""Several calls, each of which gets the answer of the one before."""


MASTER: Mapping[str, Any] = {"key": "master"}
READ: Mapping[str, Any] = {"key": "read"}
"""The options of calls with one of the client's keys."""


def nothing(_: Answer) -> None:
    """Reads an answer that has no content."""
    return


def in_project(*segments: str) -> Callable[[Target], str]:
    """The path of something in the client's project."""
    return lambda target: target.project_path(*segments)


def run(transport: Transport, call: Call[T]) -> T:
    return call.read(transport.request(call.method, call.path(transport.target), **call.options))


async def run_async(transport: AsyncTransport, call: Call[T]) -> T:
    return call.read(await transport.request(call.method, call.path(transport.target), **call.options))


def run_flow(transport: Transport, flow: Flow[T]) -> T:
    """The flow's value; failures of its calls are raised within it first."""
    go_on: Callable[[], Call[Any] | Pause] = functools.partial(flow.send, None)
    try:
        while True:
            step = go_on()
            try:
                answer = run(transport, step) if isinstance(step, Call) else _sleep(step.seconds)
            except AcumenError as error:
                go_on = functools.partial(flow.throw, error)
            else:
                go_on = functools.partial(flow.send, answer)
    except StopIteration as ended:
        value: T = ended.value
        return value


def _sleep(seconds: float) -> Any:
    time.sleep(seconds)


async def run_flow_async(transport: AsyncTransport, flow: Flow[T]) -> T:
    """The same for coroutines."""
    go_on: Callable[[], Call[Any] | Pause] = functools.partial(flow.send, None)
    try:
        while True:
            step = go_on()
            try:
                if isinstance(step, Call):
                    answer = await run_async(transport, step)
                else:
                    answer = await asyncio.sleep(step.seconds, None)
            except AcumenError as error:
                go_on = functools.partial(flow.throw, error)
            else:
                go_on = functools.partial(flow.send, answer)
    except StopIteration as ended:
        value: T = ended.value
        return value


class Blocking(Generic[P, T]):
    """A method that asks the server and blocks until the answer is there."""

    def __init__(self, start: Callable[[Transport, Any], T], build: Callable[P, Any]) -> None:
        self._start = start
        self._build = build
        self.__doc__ = build.__doc__
        self.__wrapped__ = build

    def __get__(self, part: Any, owner: type | None = None) -> Callable[P, T]:
        @functools.wraps(self._build)
        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return self._start(part.transport, self._build(*args, **kwargs))

        return method


class Awaited(Generic[P, T]):
    """A method that asks the server and is awaited."""

    def __init__(self, start: Callable[[AsyncTransport, Any], Awaitable[T]], build: Callable[P, Any]) -> None:
        self._start = start
        self._build = build
        self.__doc__ = build.__doc__
        self.__wrapped__ = build

    def __get__(self, part: Any, owner: type | None = None) -> Callable[P, Coroutine[Any, Any, T]]:
        @functools.wraps(self._build)
        async def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self._start(part.transport, self._build(*args, **kwargs))

        return method


def blocking(build: Callable[P, Call[T]]) -> Blocking[P, T]:
    return Blocking(run, build)


def awaited(build: Callable[P, Call[T]]) -> Awaited[P, T]:
    return Awaited(run_async, build)


def blocking_flow(build: Callable[P, Flow[T]]) -> Blocking[P, T]:
    return Blocking(run_flow, build)


def awaited_flow(build: Callable[P, Flow[T]]) -> Awaited[P, T]:
    return Awaited(run_flow_async, build)


class Part:
    """A part of the client that asks through its transport."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport


class AsyncPart:
    """A part of the asynchronous client."""

    def __init__(self, transport: AsyncTransport) -> None:
        self.transport = transport
