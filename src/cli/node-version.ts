/**
 * Ends the process in words on a Node that is too old. It imports nothing: the programs import it
 * before they load anything that an older Node lacks.
 *
 * Test: test/cli.test.ts
 */

/** package.json, "engines". */
const OLDEST_NODE = { major: 20, minor: 15 };

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const { major: oldest, minor: atLeast } = OLDEST_NODE;
if (major < oldest || (major === oldest && minor < atLeast)) {
  const needed = `Titan needs Node ${oldest}.${atLeast} or newer`;
  process.stderr.write(`titan: Cannot start: ${needed}, this is ${process.version}\n`);
  process.exit(1);
}
