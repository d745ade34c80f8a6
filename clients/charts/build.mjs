import { bundle, clean, declare, weigh } from "../build_support.mjs";

const HERE = import.meta.dirname;

clean(HERE);
declare(HERE);
await bundle(HERE, [
  { entry: "src/draw.ts", file: "draw.js", format: "iife", globalName: "AcumenDraw" },
]);
weigh(HERE, { "draw.js": 35000 });
