/**
 * A process of its own for 03-host.lock.test.ts: takes the lock, says so, and waits to be killed.
 */
import { createServer } from "node:net";
import { nodeHost } from "#host";

const [path = ""] = process.argv.slice(2);
await nodeHost().storage.lock(path);
// A listener that accepts next to nothing once this process is stopped.
const server = createServer(() => {});
server.listen({ host: "127.0.0.1", port: 0, backlog: 1 }, () =>
  process.send?.({ port: (server.address() as { port: number }).port }),
);
