import { Acumen, job, outcome, tell } from "./client.mjs";

const client = new Acumen(job.client);
const read = async (parameters, options) => {
  let count = 0;
  let sum = 0;
  const ids = new Set();
  for await (const event of client.extract("numbers", parameters, options)) {
    count++;
    sum += event.n;
    ids.add(event.keen.id);
  }
  return { count, sum, different: ids.size };
};
const progress = [];
const report = {
  all: await outcome(read({}, { onProgress: (seen) => progress.push(seen) })),
  some: await outcome(read({ filters: [{ property_name: "n", operator: "lt", property_value: 10 }] })),
  bad: await outcome(read({ timeframe: "sometimes" })),
};
report.progress = progress.length;
const abort = new AbortController();
let seen = 0;
report.aborted = await outcome(
  (async () => {
    for await (const _ of client.extract("numbers", {}, { signal: abort.signal })) if (++seen === 3) break;
  })(),
);
report.seen = seen;
tell(report);
