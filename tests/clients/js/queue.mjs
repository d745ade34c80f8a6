// Track events into the queue, and end as the job says; what was dropped and what went wrong is told.
import { Acumen, job, tell } from "./client.mjs";

const drops = [];
const troubles = [];
const sender = {
  flushSeconds: 0.01,
  exitSeconds: 60,
  ...job.sender,
  onDrop: ({ reason, collection, event }) => drops.push({ reason, collection, n: event?.n ?? null }),
  onTrouble: ({ status, code }) => troubles.push([status, code]),
};
const client = new Acumen({ ...job.client, sender });
client.set({ source: { app: "queue", of: "test" } });
client.set(() => ({ source: { counted: true } }));
for (const event of job.events) client.track("queued", event);
if (job.cycle) {
  const cycle = {};
  cycle.cycle = cycle;
  client.track("queued", cycle);
  client.set(() => {
    throw new Error("a source that fails");
  });
  client.track("queued", { n: "never" });
}
for (const name of job.nameless ? [undefined, null, "", 5, {}, ["queued"], Symbol("x")] : [])
  client.track(name, { n: "nameless" });
if (job.end === "close") await client.close(job.seconds);
if (job.end === "flush")
  while (!(await client.flush())) await new Promise((resolve) => setTimeout(resolve, 20));
process.on("exit", () => tell({ drops, troubles }));
