"""Prepare a project for the shop: two access keys, three saved queries, and orders of the last 30 days.

Reads ACUMEN_URL, ACUMEN_PROJECT, ACUMEN_MASTER_KEY, and SHOP_URL, where the shop will be (without it,
http://127.0.0.1:8080). Writes shop.json, which both backends read. Run again, it makes nothing twice.
"""

from __future__ import annotations

import json
import os
import random
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

from acumen_client import Acumen, Query

SETTINGS = Path(__file__).with_name("shop.json")
GOODS = {"Assam": 9, "Darjeeling": 14, "Earl Grey": 8, "Sencha": 12}
CUSTOMERS = ("ann", "bob", "cid")
DAYS = 30


def main() -> None:
    shop = os.environ.get("SHOP_URL", "http://127.0.0.1:8080")
    with Acumen.from_environment() as client:
        stored = client.record_many("purchases", orders(datetime.now(UTC)))
        save_queries(client)
        settings = {
            "acumen": os.environ["ACUMEN_URL"],
            "project": os.environ["ACUMEN_PROJECT"],
            "shop": shop,
            # For pages, where everybody can read it: it can record, and is not the project's own write key.
            "page_key": access_key(client, "Shop: pages", ["writes"], {}),
            # For the backend alone. `queries` is there because viewers may change the timeframe.
            "embed_key": access_key(
                client,
                "Shop: embedding",
                ["saved_queries", "cached_queries", "queries"],
                {"embed": {"origins": [shop]}},
            ),
            "cookie_secret": secrets.token_hex(32),
        }
    SETTINGS.touch(mode=0o600)
    SETTINGS.write_text(json.dumps(settings, indent=2))
    new = stored.stored - stored.duplicates
    print(f"{new} orders recorded, {stored.duplicates} were there; the keys are in {SETTINGS.name}.")


def orders(now: datetime) -> Iterator[dict[str, Any]]:
    """The same orders whenever it is asked on one day; their tokens see to it that they are stored once."""
    today = datetime.combine(now.date(), time(), UTC)
    for back in range(DAYS):
        day = today - timedelta(days=back)
        luck = random.Random(f"{day:%Y-%m-%d}")
        for number in range(luck.randrange(2, 7)):
            good = luck.choice(list(GOODS))
            at = min(day + timedelta(minutes=luck.randrange(1440)), now)
            yield {
                "product": good,
                "price": GOODS[good],
                "customer": {"id": luck.choice(CUSTOMERS)},
                "keen": {"timestamp": at.isoformat(), "uniqueness_token": f"shop-{day:%Y-%m-%d}-{number}"},
            }


def save_queries(client: Acumen) -> None:
    """They say nothing of customers: the filter is in the token."""
    revenue = Query.sum("purchases", "price").during("this_30_days")
    bought = Query.count("purchases").during("this_30_days")
    charts = {
        "spending": (revenue.daily(), "Your spending by day", {"type": "bar", "format": "EUR"}),
        "goods": (bought.by("product"), "What you bought", {"type": "pie"}),
        "total": (revenue, "Spent in 30 days", {"type": "metric", "format": "EUR"}),
    }
    for name, (query, title, look) in charts.items():
        client.saved_queries.put(name, query, display_name=title, metadata={"visualization": look})


def access_key(client: Acumen, name: str, permitted: list[str], options: dict[str, Any]) -> str:
    """The key of this name: made, or brought to what it should be."""
    for found in client.access_keys.list(name):
        return client.access_keys.update(found.key, permitted=permitted, options=options, is_active=True).key
    return client.access_keys.create(name, permitted, options=options).key


if __name__ == "__main__":
    main()
