// What the builds of the packages here share: bundling, types, and the sizes that a page pays for.
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, parse } from "node:path";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

const TYPESCRIPT = createRequire(import.meta.url).resolve("typescript/bin/tsc");
const LICENCE = "/*! Apache-2.0 */";

/**
 * Bundle each `{ entry, file, format, ... }` (more are esbuild's own options) into one minified file. With
 * `splitting`, what is imported only when needed goes into further files, named by their content.
 */
export async function bundle(folder, bundles) {
  for (const { entry, file, format, ...options } of bundles) {
    await esbuild.build({
      absWorkingDir: folder,
      entryPoints: [{ in: entry, out: parse(file).name }],
      outdir: "dist",
      bundle: true,
      minify: true,
      format,
      target: "es2020",
      charset: "utf8",
      legalComments: "none",
      banner: { js: LICENCE },
      logLevel: "warning",
      ...options,
    });
  }
}

/** Check all types, of a package that nobody imports. */
export function check(folder) {
  execFileSync(process.execPath, [TYPESCRIPT, "--project", folder, "--noEmit"], { stdio: "inherit" });
}

/** Check all types, and write the declarations of the package into `dist`. */
export function declare(folder) {
  const options = ["--project", folder, "--rootDir", join(folder, "src"), "--outDir", join(folder, "dist")];
  const arguments_ = [TYPESCRIPT, ...options, "--declaration", "--emitDeclarationOnly"];
  execFileSync(process.execPath, arguments_, { stdio: "inherit" });
  const dist = join(folder, "dist");
  for (const name of readdirSync(dist, { recursive: true }).filter((name) => name.endsWith(".d.ts"))) {
    const text = readFileSync(join(dist, name), "utf8");
    writeFileSync(join(dist, name), text.replace(/((?:from|import\()\s*"\.\.?\/[\w/-]+)\.ts"/g, '$1.js"'));
  }
}

export function clean(folder) {
  rmSync(join(folder, "dist"), { recursive: true, force: true });
}

/**
 * Print the size of each file (by default of each script), packed as `gzip -9` packs it; one above its bound
 * of `bounds`, or all above that for the whole, fails the build.
 */
export function weigh(folder, bounds = {}, names = scriptsOf(folder), whole = Infinity) {
  let sum = 0;
  for (const name of names) {
    const text = readFileSync(join(folder, "dist", name));
    const packed = gzipSync(text, { level: 9 }).length;
    console.log(
      `${name.padEnd(24)} ${String(text.length).padStart(8)} bytes, ${String(packed).padStart(7)} gzipped`,
    );
    const bound = bounds[name] ?? Infinity;
    if (packed > bound) throw new Error(`${name}: ${packed} bytes gzipped, and ${bound} are allowed`);
    sum += packed;
  }
  if (sum > whole) throw new Error(`${sum} bytes gzipped in all, and ${whole} are allowed`);
}

function scriptsOf(folder) {
  const names = readdirSync(join(folder, "dist")).filter((name) => name.endsWith(".js"));
  return names.sort();
}
