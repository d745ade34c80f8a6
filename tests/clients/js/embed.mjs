import { narrowedToken, sealedToken } from "../../../clients/js/dist/embed.js";
import { accessKeyId, embedToken, job, narrowEmbedToken, outcome, tell } from "./client.mjs";

const unhex = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
const made = [];
for (const { access_key, parts } of job.tokens) {
  const [first, ...narrower] = parts;
  let token = await sealedToken(access_key, first.conditions, unhex(first.nonce));
  for (const { conditions, nonce } of narrower) token = await narrowedToken(token, conditions, unhex(nonce));
  made.push({ token, key_id: await accessKeyId(access_key) });
}
const report = { made };
report.own = await embedToken("key", { savedQueries: ["revenue"], expiresIn: 60 });
report.own2 = await embedToken("key", { savedQueries: ["revenue"], expiresIn: 60 });
report.hour = await embedToken("key", {});
report.narrowed = await narrowEmbedToken(report.own, { queries: 3 });
report.misspelt = await outcome(embedToken("key", { saved_queries: [] }));
report.refused = [];
for (const conditions of job.wrong ?? []) report.refused.push(await outcome(embedToken("key", conditions)));
report.undefined = {};
for (const name of ["filters", "savedQueries", "dashboards", "datasets", "origins", "queries"])
  report.undefined[name] = await outcome(embedToken("key", { [name]: undefined }));
report.tooOften = await outcome(
  (async () => {
    let token = report.own;
    for (let n = 0; n < 9; n++) token = await narrowEmbedToken(token, { queries: n + 1 });
  })(),
);
report.noToken = await outcome(narrowEmbedToken("nothing", {}));
tell(report);
