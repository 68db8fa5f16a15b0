/**
 * The HTTP port of `titan up` and `titan master`: which one, and whether there is one.
 *
 * Test: test/http.port.test.ts
 */
import { hostPort } from "#base";
import type { EmbeddedCluster } from "#cluster";
import type { HttpDoor } from "#http";
import type { Call } from "./command.ts";
import { CliError, EXIT, UsageError } from "./exit.ts";
import { lazyMcp } from "./mcp-door.ts";
import { DEFAULT_MASTER } from "./named-master.ts";

/** Beside the default port of a master. */
const DEFAULT_HTTP_PORT = 9080;

/** As much of a call as is asked here. */
type Asked = Pick<Call, "text" | "texts" | "count"> & {
  readonly command: Pick<Call["command"], "name">;
  readonly context: Pick<Call["context"], "note" | "onExit">;
};

/** A port that was not named may be taken: then there is none. */
interface HttpWish {
  readonly port: number;
  readonly isNamed: boolean;
}

/**
 * Undefined: there is to be none. A master at another port than the default one is not the only
 * one here, so that it takes no port that it was not given.
 */
export function httpOf(call: Asked, masterPort: number): HttpWish | undefined {
  const isOff = call.text("http") === "off";
  const port = isOff ? undefined : call.count("http", { min: 0, max: 65_535 });
  if (port !== undefined) return { port, isNamed: true };
  if (!isOff && masterPort === DEFAULT_MASTER.port) {
    return { port: DEFAULT_HTTP_PORT, isNamed: false };
  }
  if (call.texts("http-host").length === 0) return undefined;
  throw new UsageError("Cannot use --http-host without --http PORT");
}

export async function openHttp(
  call: Asked, { master, token }: Pick<EmbeddedCluster, "master" | "token">,
  { port, isNamed }: HttpWish,
): Promise<HttpDoor | undefined> {
  const [{ HttpDoor }, { nodeHost, VERSION }] =
    await Promise.all([import("#http"), import("#host")]);
  const listen = { host: DEFAULT_MASTER.host, port };
  const names = call.texts("http-host");
  // The workers of `titan up` are on this machine: its callers may name files here.
  const folder = call.command.name === "up" ? process.cwd() : undefined;
  const mcp = { host: nodeHost(), version: VERSION, master: hostPort(master), folder };
  const door: HttpDoor = new HttpDoor({
    host: nodeHost(), master, token, version: VERSION, listen, names,
    mounts: { "/mcp": lazyMcp(() => door, mcp) },
  });
  call.context.onExit(() => door.close());
  try {
    await door.open();
  } catch (error) {
    const why = `Cannot serve HTTP at port ${port}: ${(error as Error).message}`;
    if (isNamed) throw new CliError(EXIT.ERROR, why, { cause: error });
    call.context.note(`titan: ${why}; --http PORT serves it at another one`);
    return undefined;
  }
  return door;
}
