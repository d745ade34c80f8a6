"""The events of the demo shop: the same ones for the same seed and day, newest day first.

A shop sells coffee and what goes with it. Visitors come, return, search, look, fill carts, sign up and buy;
more at noon and in the evening, more on Sundays, more every week, and far more in one week of sale.
"""

from __future__ import annotations

import json
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate
from random import Random
from typing import Any

DAYS = 90
"""Days that the events of a whole shop reach back."""
EVENTS_PER_SESSION = 4.34
"""Measured; says how many sessions make the events that were asked for."""
GROWTH = 1.7
"""How many times the sessions of the first day come on the last one."""
SALE_DAYS = range(33, 40)
"""Days ago in which the sale was on."""
SALE_CAMPAIGN, SALE_COUPON = "coffee-week", "COFFEE20"
COLLECTIONS = ("page_views", "searches", "signups", "carts", "checkouts", "purchases")

_DAY_MS = 86_400_000
_WEEKDAYS = (1.0, 0.96, 0.97, 1.0, 0.92, 1.1, 1.24)
_HOURS = (9, 5, 3, 2, 2, 4, 9, 18, 28, 34, 38, 44, 52, 46, 38, 36, 40, 48, 58, 68, 74, 66, 42, 20)
_NEW_SHARE = 0.46
_MEMBER_SHARE = 0.12

Json = dict[str, Any]


class WeightedChoice:
    """Draws names by their weights."""

    def __init__(self, weights: Mapping[Any, float]) -> None:
        self._names = list(weights)
        self._sums = list(accumulate(weights.values()))

    def draw(self, luck: Random) -> Any:
        return self._names[bisect(self._sums, luck.random() * self._sums[-1])]


@dataclass(frozen=True, slots=True)
class Product:
    """What is sold; ``text`` is its JSON in events, and ``cents`` its price."""

    path: str
    cents: int
    sku: str
    text: str


@dataclass(frozen=True, slots=True)
class Persona:
    """A visitor: the JSON of the visitor's device and place, whether a member, and how eager to buy."""

    id: str
    about: str
    member: bool
    eagerness: float


@dataclass(slots=True)
class SessionClock:
    """The moment within a session; ``at`` is in ms since midnight of the session's day."""

    at: float
    luck: Random

    def after(self, seconds: float) -> float:
        """Let about so many seconds pass."""
        self.at += seconds * 1000 * (0.3 + 1.4 * self.luck.random())
        return self.at


@dataclass(slots=True)
class ShopSession:
    """One visit; ``head`` is the JSON that all of its events have."""

    persona: Persona
    head: str
    clock: SessionClock
    sale: bool
    found: list[ShopEvent]
    carts: list[tuple[Product, int]] = field(default_factory=list)

    def add(self, collection: str, text: str) -> None:
        self.found.append((self.clock.at, collection, f"{self.head}{text}"))


ShopEvent = tuple[float, str, str]
"""Milliseconds since midnight of the day, the collection, and the event's JSON without brace and time."""

_COUNTRIES: dict[tuple[str, Sequence[str]], float] = {
    ("Germany", ("Berlin", "Hamburg", "Munich", "Cologne")): 24,
    ("Poland", ("Warsaw", "Kraków", "Wrocław")): 15,
    ("France", ("Paris", "Lyon", "Nantes")): 13,
    ("Netherlands", ("Amsterdam", "Utrecht")): 9,
    ("Austria", ("Vienna", "Graz")): 8,
    ("Italy", ("Milan", "Turin")): 8,
    ("Spain", ("Madrid", "Valencia")): 7,
    ("Czechia", ("Prague", "Brno")): 6,
    ("United Kingdom", ("London", "Leeds")): 6,
    ("Sweden", ("Malmö",)): 3,
    ("Portugal", ("Porto",)): 1,
}
_DEVICES: dict[tuple[str, str, str], float] = {
    ("mobile", "Android", "Chrome"): 31,
    ("mobile", "iOS", "Safari"): 24,
    ("desktop", "Windows", "Chrome"): 17,
    ("desktop", "Windows", "Edge"): 7,
    ("desktop", "macOS", "Safari"): 6,
    ("desktop", "macOS", "Chrome"): 5,
    ("desktop", "Linux", "Firefox"): 4,
    ("tablet", "iPadOS", "Safari"): 5,
    ("tablet", "Android", "Chrome"): 1,
}
_REFERRERS: dict[tuple[str, str, str | None] | None, float] = {
    None: 25,
    ("google", "organic", None): 29,
    ("google", "paid", "brand"): 9,
    ("instagram", "social", None): 10,
    ("newsletter", "email", "weekly"): 9,
    ("brewing.example", "referral", None): 6,
    ("bing", "organic", None): 5,
    ("facebook", "social", None): 4,
    ("price-finder.example", "referral", None): 3,
}
_SALE_REFERRERS: dict[tuple[str, str, str | None] | None, float] = {
    **_REFERRERS,
    ("newsletter", "email", SALE_CAMPAIGN): 35,
    ("google", "paid", SALE_CAMPAIGN): 22,
    ("instagram", "social", SALE_CAMPAIGN): 20,
}
_PRODUCTS = {
    "Beans": {
        "House blend": 1290,
        "Ethiopia Guji": 1690,
        "Brazil Santos": 1190,
        "Decaf": 1390,
        "Kenya": 1790,
    },
    "Filter": {"Dripper": 2490, "Paper filters": 590, "Glass server": 3450, "Kettle": 6990},
    "Espresso": {"Moka pot": 3990, "Tamper": 2990, "Portafilter": 8900, "Espresso machine": 49900},
    "Grinders": {"Hand grinder": 7990, "Electric grinder": 18900},
    "Cups": {"Espresso cups": 2490, "Mug": 1490, "Travel mug": 2790, "Tasting set": 3290},
}
_TERMS = {
    "beans": 20,
    "grinder": 16,
    "espresso machine": 12,
    "ethiopia": 9,
    "filters": 9,
    "mug": 8,
    "moka": 7,
    "decaf": 6,
    "gift": 5,
    "kettle": 4,
    "matcha": 3,
    "milk frother": 2,
}
_NOTHING_FOUND = ("matcha", "milk frother", "gift")
_PAGES = {"home": 40, "category": 34, "blog": 16, "about": 6, "help": 4}


def _products() -> dict[Product, float]:
    """The products and how popular each is."""
    found: dict[Product, float] = {}
    for category, names in _PRODUCTS.items():
        for name, cents in names.items():
            slug, sku = name.lower().replace(" ", "-"), f"{category[:2].upper()}-{len(found) + 101}"
            about = {"sku": sku, "name": name, "category": category, "price": cents / 100}
            product = Product(f"/products/{slug}", cents, sku, _dumped(about))
            found[product] = 30_000 / (cents + 1_500) / (1 + len(found) / 12)
    return found


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class DemoShop:
    """The shop of one seed up to a moment, in ms since 1970, with ``events`` events in about DAYS days."""

    def __init__(self, seed: int, events: int, now_ms: int) -> None:
        self._seed = seed
        self._now_ms = now_ms
        self._today_ms = now_ms - now_ms % _DAY_MS
        self._events = events
        weights = [self._weight(ago) for ago in range(1, DAYS + 1)]
        self._sessions_per_weight = events / EVENTS_PER_SESSION / sum(weights)
        self._countries = WeightedChoice(_COUNTRIES)
        self._devices = WeightedChoice(_DEVICES)
        self._hours = WeightedChoice(dict(enumerate(_HOURS)))
        self._terms = WeightedChoice(_TERMS)
        self._pages = WeightedChoice(_PAGES)
        self._referrers = WeightedChoice(_texts(_REFERRERS))
        self._sale_referrers = WeightedChoice(_texts(_SALE_REFERRERS))
        self._products = WeightedChoice(_products())
        self._personas = self._made_personas()

    def days(self) -> Iterator[list[tuple[str, bytes]]]:
        """Collection and JSON of each event, day by day from the last one back, until there are enough."""
        left, ago = self._events, 0
        while left > 0:
            events = sorted(self._day(ago), key=lambda event: event[0])
            start_ms = self._today_ms - ago * _DAY_MS
            events = [event for event in events if start_ms + event[0] <= self._now_ms][-left:]
            left -= len(events)
            stamps = _Stamps(start_ms)
            yield [
                (collection, f'{{"keen":{{"timestamp":"{stamps.of(at)}"}},{text}}}'.encode())
                for at, collection, text in events
            ]
            ago += 1

    def _weight(self, ago: int) -> float:
        weekday = (self._today_ms // _DAY_MS - ago + 3) % 7
        weight: float = _WEEKDAYS[weekday] * GROWTH ** (1 - ago / DAYS)
        if ago in SALE_DAYS:
            weight *= (1.5, 2.0, 2.6, 2.4, 2.2, 1.9, 1.4)[ago - SALE_DAYS.start]
        return weight

    def _sessions(self, ago: int) -> float:
        return self._sessions_per_weight * self._weight(ago)

    def _made_personas(self) -> list[Persona]:
        """All visitors; those of a day are new in it, and come back later."""
        luck = Random(f"{self._seed}/people")
        count = int(sum(self._sessions(ago) for ago in range(DAYS + 1)) * _NEW_SHARE * 1.4) + 40
        return [self._persona(luck, number) for number in range(count)]

    def _persona(self, luck: Random, number: int) -> Persona:
        country, cities = self._countries.draw(luck)
        place = {"country": country}
        if luck.random() < 0.83:
            place["city"] = cities[int(luck.random() ** 1.7 * len(cities))]
        kind, system, browser = self._devices.draw(luck)
        about = f'"geo":{_dumped(place)},"device":{_dumped({"type": kind, "os": system, "browser": browser})}'
        member = luck.random() < _MEMBER_SHARE
        eager = (1.9 if member else 0.8) * (1.15 if kind == "desktop" else 0.9) * (0.5 + luck.random())
        return Persona(f"u{number + 1}", about, member, eager)

    def _day(self, ago: int) -> list[ShopEvent]:
        luck, found = Random(f"{self._seed}/{ago}"), list[ShopEvent]()
        before = sum(self._sessions(day) for day in range(ago + 1, DAYS + 6)) * _NEW_SHARE
        first_new = int(before + len(self._personas) * 0.2)
        today = int(self._sessions(ago) + luck.random())
        new = int(today * _NEW_SHARE + luck.random())
        for number in range(today):
            if number < new:
                persona = self._personas[min(first_new + number, len(self._personas) - 1)]
            else:
                # Those who came lately come again sooner.
                back = int(luck.random() ** 2.2 * first_new)
                persona = self._personas[max(0, first_new - 1 - back)]
            self._visit(luck, persona, ago, returning=number >= new, found=found)
        return found

    def _visit(
        self, luck: Random, persona: Persona, ago: int, *, returning: bool, found: list[ShopEvent]
    ) -> None:
        """Add the events of one session."""
        sale = ago in SALE_DAYS
        user = f'"user":{{"id":"{persona.id}","returning":{"true" if returning else "false"}'
        user += ',"plan":"member"}' if returning and persona.member else "}"
        referrer = (self._sale_referrers if sale else self._referrers).draw(luck)
        head = f'{user},"session":{{"id":"{luck.getrandbits(48):012x}"}},{persona.about}{referrer}'
        start = (self._hours.draw(luck) + luck.random()) * 3_600_000
        session = ShopSession(persona, head, SessionClock(start, luck), sale, found)
        self._browse(luck, session)
        if not returning and persona.member:
            self._sign_up(luck, session)
        if session.carts:
            self._buy(luck, session)

    def _browse(self, luck: Random, session: ShopSession) -> None:
        clock, views = session.clock, 1 + int(luck.expovariate(0.31))
        for number in range(min(views, 20)):
            if number:
                clock.after(35)
            if luck.random() < 0.07:
                term = self._terms.draw(luck)
                hits = 0 if term in _NOTHING_FOUND else 1 + int(luck.random() * 8)
                session.add("searches", f',"search":{{"term":"{term}","results":{hits}}}')
                clock.after(8)
            if luck.random() < 0.44:
                product = self._products.draw(luck)
                page = f',"page":{{"path":"{product.path}","type":"product"}},"product":{product.text}'
                session.add("page_views", page + _load_time(luck, 420))
                if luck.random() < 0.085 * session.persona.eagerness * (1.3 if session.sale else 1.0):
                    self._put_into_cart(luck, session, product)
            else:
                kind = "home" if number == 0 and luck.random() < 0.6 else self._pages.draw(luck)
                path = "/" if kind == "home" else f"/{kind}/{1 + int(luck.random() * 5)}"
                page = f',"page":{{"path":"{path}","type":"{kind}"}}'
                session.add("page_views", page + _load_time(luck, 260 if kind != "category" else 610))

    def _put_into_cart(self, luck: Random, session: ShopSession, product: Product) -> None:
        session.clock.after(20)
        quantity = 1 if product.cents > 5_000 else 1 + int(luck.random() ** 3 * 4)
        session.carts.append((product, quantity))
        value = _money(product.cents * quantity)
        session.add("carts", f',"product":{product.text},"quantity":{quantity},"value":{value}')

    def _sign_up(self, luck: Random, session: ShopSession) -> None:
        session.clock.after(40)
        chance = luck.random()
        method = "email" if chance < 0.58 else "google" if chance < 0.88 else "apple"
        letter = "true" if luck.random() < 0.63 else "false"
        text = f',"signup":{{"method":"{method}","newsletter":{letter}'
        if luck.random() < 0.35:
            text += f',"year_of_birth":{1950 + int(luck.triangular(0, 56, 38))}'
        session.add("signups", text + "}")

    def _buy(self, luck: Random, session: ShopSession) -> None:
        """The way from a cart to an order; many do not go to its end."""
        clock, eager = session.clock, min(session.persona.eagerness, 1.6)
        if luck.random() > 0.36 + 0.16 * eager:
            return
        clock.after(45)
        items = [
            {"sku": one.sku, "quantity": count, "price": one.cents / 100} for one, count in session.carts
        ]
        cents = sum(one.cents * count for one, count in session.carts)
        count = sum(count for _, count in session.carts)
        session.add("checkouts", f',"cart":{{"items":{count},"value":{_money(cents)}}}')
        if luck.random() > 0.58 + 0.13 * eager:
            return
        clock.after(100)
        chance, off, coupon = luck.random(), 0, ""
        if luck.random() < (0.7 if session.sale else 0.06):
            off = round(cents * (0.2 if session.sale else 0.1))
            coupon = SALE_COUPON if session.sale else "WELCOME10"
        shipping = 0 if cents - off >= 5_000 else 490
        payment = "card" if chance < 0.47 else "paypal" if chance < 0.79 else "invoice"
        order = f'"id":"o{luck.getrandbits(40):010x}","items":{_dumped(items)},"count":{count}'
        order += f',"total":{_money(cents - off + shipping)},"currency":"EUR"'
        if coupon:
            order += f',"coupon":"{coupon}","discount":{_money(off)}'
        way = f'"shipping":{{"price":{_money(shipping)},"express":{"true" if chance < 0.1 else "false"}}}'
        session.add("purchases", f',"order":{{{order}}},"payment":{{"method":"{payment}"}},{way}')


class _Stamps:
    """Writes moments of one day, and of the next where a session goes on after midnight."""

    def __init__(self, start_ms: int) -> None:
        self._dates = [_date_of(start_ms + day * _DAY_MS) for day in range(2)]

    def of(self, at_ms: float) -> str:
        day, ms = divmod(int(at_ms), _DAY_MS)
        seconds, ms = divmod(ms, 1000)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{self._dates[day]}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z"


def _date_of(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()


def _texts(referrers: Mapping[tuple[str, str, str | None] | None, float]) -> dict[str, float]:
    """The referrers as JSON that ends an event's head; those who typed the address have none."""
    found: dict[str, float] = {}
    for referrer, weight in referrers.items():
        text = ""
        if referrer is not None:
            source, medium, campaign = referrer
            about = {"source": source, "medium": medium} | ({"campaign": campaign} if campaign else {})
            text = f',"referrer":{_dumped(about)}'
        found[text] = found.get(text, 0) + weight
    return found


def _load_time(luck: Random, usual_ms: int) -> str:
    """How long a page took to load, of most views."""
    if luck.random() > 0.92:
        return ""
    return f',"load_ms":{int(usual_ms * (0.5 + luck.expovariate(1.6)))}'


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
