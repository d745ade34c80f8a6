import { createHash } from "node:crypto";
import { copyFileSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundle, check, clean, weigh } from "../build_support.mjs";

const HERE = import.meta.dirname;

clean(HERE);
check(HERE);
await bundle(HERE, [
  {
    entry: "src/main.tsx",
    file: "app.js",
    format: "esm",
    jsx: "automatic",
    jsxImportSource: "preact",
    external: ["/clients/*"],
    // Each page comes when it is first opened.
    splitting: true,
    // Names of parts depend on paths: where node_modules is a link, its own path counts.
    preserveSymlinks: true,
    chunkNames: "[name]-[hash]",
  },
  { entry: "src/styles/index.css", file: "app.css", banner: {} },
]);
copyFileSync(join(HERE, "src/icon.svg"), join(HERE, "dist/icon.svg"));
const shell = readFileSync(join(HERE, "src/index.html"), "utf8");
writeFileSync(join(HERE, "dist/index.html"), shell.replace(/\/pages\/([\w.]+)/g, versioned));

/** The address of a file, with the first digits of its SHA-256: browsers keep it for good. */
function versioned(address, name) {
  const digest = createHash("sha256").update(readFileSync(join(HERE, "dist", name))).digest("hex");
  return `${address}?v=${digest.slice(0, 16)}`;
}

// All pages; the charts come with the first that shows one.
const FILES = readdirSync(join(HERE, "dist")).filter((name) => /\.(js|css|html)$/.test(name));
weigh(HERE, {}, FILES.sort(), 160_000);
