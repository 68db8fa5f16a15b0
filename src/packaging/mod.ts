/**
 * Lesson 24: packaging. What a bundle holds, and in which bytes.
 *
 *     graph.ts        which code a program can reach
 *     merge.ts        one file for a folder of modules; linker.ts where their names come from
 *     slice.ts        the part of a module that holds the names which somebody wants
 *     statements.ts   the statements of a module
 *     reindent.ts     fewer spaces before each line
 *     tar.ts          entries as an archive, and back
 *     sums.ts         SHA256SUMS
 *
 * All of it is arithmetic on text and bytes. `package_cloud.sh` (scripts/package) makes the bundles
 * with it, and `titan backup` (src/backup) writes its archives.
 *
 * Test: test/24-packaging.test.ts
 *
 * @example
 * ```ts
 * import { sha256, slice, tarball } from "#packaging";
 * const code = "export const a = 1;\nexport const b = 2;\n";
 * slice(code, new Set(["b"])).code; // => 'export const b = 2;\n'
 * const hello = { path: "hello.txt", content: Buffer.from("hello\n") };
 * sha256(tarball([hello])) === sha256(tarball([hello])); // => true
 * ```
 */
export { type Modules, reach } from "./graph.ts";
export { merge, type MergeOptions } from "./merge.ts";
export { reindent } from "./reindent.ts";
export { slice, type Slice } from "./slice.ts";
export { splitUp, statementsOf, type Import, type Names, type Statement } from "./statements.ts";
export { readSums, sha256, SUMS, sumsText } from "./sums.ts";
export {
  readTar, tarball, tarEnd, TarError, tarHeader, tarPadding, type TarEntry, type TarPiece,
} from "./tar.ts";
