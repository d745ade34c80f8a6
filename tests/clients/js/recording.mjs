import { Acumen, job, outcome, tell } from "./client.mjs";

const client = new Acumen(job.client);
const report = {};
report.one = await outcome(
  client.record("made", { price: 7, keen: { timestamp: "2026-01-02T03:04:05.000Z" } }),
);
report.token = await outcome(client.record("made", { price: 8, keen: { uniqueness_token: "mine" } }));
report.again = await outcome(client.record("made", { price: 8, keen: { uniqueness_token: "mine" } }));
report.bad = await outcome(client.record("made", { $bad: 1 }));
report.many = await outcome(
  client.recordMany({ made: [{ n: 1 }, { "a.b": 2 }, { n: 3 }], "a/b c": [{ n: 4 }] }),
);
report.large = await outcome(
  client.recordMany({ large: Array.from({ length: 25_000 }, (_, n) => ({ n, text: "x".repeat(100) })) }),
);
report.wrongKey = await outcome(new Acumen({ ...job.client, writeKey: "wrong" }).record("made", {}));
report.noKey = await outcome(
  (async () => new Acumen({ url: job.client.url, projectId: "p" }).record("made", {}))(),
);
report.nobody = await outcome(
  new Acumen({ ...job.client, url: "http://127.0.0.1:1", retries: 0 }).record("made", {}),
);
const abort = new AbortController();
abort.abort(new Error("enough"));
report.aborted = await outcome(client.count("made", {}, { signal: abort.signal }));
tell(report);
