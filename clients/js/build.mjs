import { bundle, clean, declare, weigh } from "../build_support.mjs";

const HERE = import.meta.dirname;

clean(HERE);
declare(HERE);
await bundle(HERE, [
  { entry: "src/index.ts", file: "index.js", format: "esm" },
  { entry: "src/embed.ts", file: "embed.js", format: "esm" },
  { entry: "src/tracker.ts", file: "tracker.js", format: "iife" },
  { entry: "src/auto.ts", file: "auto.js", format: "iife" },
]);
weigh(HERE, { "tracker.js": 4000, "auto.js": 8000 });
