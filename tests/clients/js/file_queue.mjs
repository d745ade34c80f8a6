// Track into a queue that is kept in a file; killed, or sent until nothing is left.
import { Acumen, job, openFileStore, outcome, tell } from "./client.mjs";

const opening = await outcome(openFileStore(job.file));
if (opening.error) {
  tell(opening);
} else {
  const drops = [];
  const store = Promise.resolve(opening.answer);
  const sender = { flushSeconds: 0.01, exitSeconds: 0.3, store, onDrop: (drop) => drops.push(drop.reason) };
  const client = new Acumen({ ...job.client, sender });
  for (const event of job.events) client.track("queued", event);
  let waiting;
  if (job.end === "kill") {
    while ((waiting = (await opening.answer.read(1e6)).length) < job.expect) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    tell({ waiting });
    process.kill(process.pid, "SIGKILL");
  }
  while (!(await client.flush()) && job.end === "flush") await new Promise((resolve) => setTimeout(resolve, 20));
  waiting = (await opening.answer.read(1e6)).length;
  if (job.again) job.again = await outcome(openFileStore(job.file));
  await client.close();
  await opening.answer.close();
  tell({ waiting, drops });
}
