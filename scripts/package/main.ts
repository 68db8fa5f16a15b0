/**
 * `./package_cloud.sh [--out DIR]`: both bundles, their sizes, and how to deploy them.
 *
 * Test: test/24-packaging.bundles.test.ts
 */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { sha256 } from "#packaging";
import { shellWord } from "../../src/cli/text.ts";
import { makeBundles } from "./bundles.ts";

/** The folder of the person who called package_cloud.sh, or npm. */
const here = process.env["INIT_CWD"] ?? process.cwd();

function usage(message: string): never {
  console.error(`Cannot package: ${message}\nusage: ./package_cloud.sh [--out DIR]`);
  process.exit(2);
}

function outFolder(): string {
  try {
    const { values } = parseArgs({ options: { out: { type: "string", default: "." } } });
    if (values.out === "") usage("--out needs a folder, found an empty text");
    return resolve(here, values.out);
  } catch (error) {
    return usage((error as Error).message);
  }
}

const out = outFolder();
try {
  mkdirSync(out, { recursive: true });
  const bundles = await makeBundles();
  for (const { name, bytes, modules } of bundles) {
    const path = join(out, name);
    writeFileSync(`${path}.part`, bytes);
    renameSync(`${path}.part`, path);
    const size = `${(bytes.length / 1000).toFixed(1)} KB`.padStart(9);
    console.log(`${name}  ${size}  ${modules} modules  sha256 ${sha256(bytes).slice(0, 16)}…`);
  }
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
const near = relative(here, out);
const at = near === "" ? "" : `${near.startsWith("..") ? out : near}/`;
const archive = (role: string): string => shellWord(`${at}titan-${role}-bundle.tar.gz`);
/** The braces keep tar in the foreground: what runs in the background has no stdin. */
const there = (role: string, script: string): string =>
  `tar xz && cd titan-${role} && { TITAN_TOKEN=SECRET nohup ./${script} >${role}.log 2>&1 & }`;
console.log(`
Deploy (MASTER and WORKER are machines with Node, SECRET is a word of your own):
  ssh MASTER '${there("master", "start_master.sh --host 0.0.0.0")}' <${archive("master")}
  ssh WORKER '${there("worker", "start_worker.sh MASTER:9090")}' <${archive("worker")}
  TITAN_TOKEN=SECRET titan run --master MASTER:9090 FILE
More: docs/deployment.md`);
