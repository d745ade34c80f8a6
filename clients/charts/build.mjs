import { bundle, clean, declare, weigh } from "../build_support.mjs";

const HERE = import.meta.dirname;

clean(HERE);
declare(HERE);
await bundle(HERE, [
  { entry: "src/all.ts", file: "draw.js", format: "iife", globalName: "AcumenDraw", target: "es2022" },
  {
    entry: "src/components/index.ts",
    file: "acumen-charts.js",
    format: "esm",
    target: "es2022",
    // what only some dashboards need, under a name that the server knows
    splitting: true,
    chunkNames: "acumen-[name]",
  },
]);
// the components with all that they need for most answers: 0.36 of keen-dataviz.min.js 3.15.5, which is 160,393 bytes gzipped
weigh(HERE, { "draw.js": 42000, "acumen-charts.js": 57741, "acumen-actors.js": 6500 });
