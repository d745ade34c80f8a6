// Compiled, never run: what the compiler knows of answers.
import { Acumen, type Part, type StoredEvent } from "acumen-client";
import { embedToken } from "acumen-client/embed";

declare const client: Acumen;
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => undefined;

const plain = await client.count("purchases");
same<typeof plain.result, number>(true);
const daily = await client.count("purchases", { timeframe: "this_7_days", interval: "daily" });
same<typeof daily.result, Part<number>[]>(true);
const grouped = await client.sum("purchases", { target_property: "price", group_by: ["country", "plan"] });
const total: number | null = grouped.result[0]!.result;
const { country, plan } = grouped.result[0]!;
// @ts-expect-error: no such group
grouped.result[0]!.city;
const both = await client.average("purchases", {
  target_property: "price",
  group_by: { property_name: "price", buckets: { size: 10 } },
  interval: "daily",
  timeframe: "today",
});
both.result[0]!.value[0]!.price;
const unique = await client.selectUnique("purchases", { target_property: "plan" });
unique.result.length;
const multi = await client.multiAnalysis("purchases", {
  analyses: { orders: { analysis_type: "count" }, plans: { analysis_type: "select_unique", target_property: "plan" } },
});
same<typeof multi.result.orders, number>(true);
multi.result.plans.length;
// @ts-expect-error: no such label
multi.result.revenue;
const series = await client.series({
  series: { orders: { event_collection: "purchases", analysis_type: "count" } },
  formulas: { twice: "orders * 2" },
  interval: "daily",
  group_by: "country",
  compare: "previous_period",
});
same<(typeof series.result)[0]["value"][0]["orders"], number | null>(true);
same<(typeof series.result)[0]["compare"]["change"][0]["twice"], number | null>(true);
series.result[0]!.value[0]!.country;
series.compare.unmatched.length;
const alone = await client.series({ series: { orders: { event_collection: "purchases", analysis_type: "count" } } });
same<typeof alone.result.orders, number | null>(true);
same<typeof alone.compare, undefined>(true);
// @ts-expect-error: no series of values
await client.series({ series: { all: { event_collection: "purchases", analysis_type: "select_unique" } } });
// @ts-expect-error: needs a target_property
await client.sum("purchases", { timeframe: "today" });
for await (const event of client.tail("purchases", { signal: new AbortController().signal })) {
  same<typeof event, StoredEvent>(true);
  event.keen.timestamp.slice(0, 10);
}
const token: string = await embedToken("key", { savedQueries: ["revenue"], allow: ["tail"] });
// @ts-expect-error: no such permission
await embedToken("key", { allow: ["everything"] });
console.log(total, country, plan, token);

const rows = await client.sql<{ plan: string }>("SELECT plan FROM purchases WHERE price > ?", [5], { limit: 10 });
same<(typeof rows.result)[0], { plan: string }>(true);
rows.columns[0]!.name.slice(0, 1);
same<typeof rows.truncated, boolean>(true);
// @ts-expect-error: parameters are a list or an object
await client.sql("SELECT ?", 5);
