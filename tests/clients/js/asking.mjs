import { Acumen, job, outcome, tell } from "./client.mjs";

const client = new Acumen(job.client);
const report = {};
for (const [name, method, ...values] of job.calls) report[name] = await outcome(client[method](...values));
tell(report);
