import { Acumen, job, tell } from "./client.mjs";

const client = new Acumen(job.client);
const abort = new AbortController();
const events = [];
const gaps = [];
const states = [];
const tail = client.tail("purchases", {
  signal: abort.signal,
  filters: job.filters,
  onGap: (count) => gaps.push(count),
  onState: (state) => states.push(state),
});
let error;
try {
  for await (const event of tail) {
    events.push(event);
    if (events.length === job.count) abort.abort();
  }
} catch (thrown) {
  error = { name: thrown.name, code: thrown.code };
}
tell({ events, gaps, states, cursor: tail.cursor, error });
