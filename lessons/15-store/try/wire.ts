/** What passes over the wire: a plain socket, a store behind it, and every byte shown. */
import { connect } from "node:net";
import { nodeHost } from "#host";
import { openStore, startStore } from "#store";

const host = nodeHost();
const opened = await openStore({ host });
const server = await startStore({ host, store: opened.store, listen: { host: "127.0.0.1", port: 0 } });

const ESCAPES: Readonly<Record<string, string>> = { "\r": "\\r", "\n": "\\n" };

/** Sends these bytes, as one write, and shows them and what comes back. */
function show(title: string, bytes: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(server.port, "127.0.0.1");
    let answer = "";
    console.log(`${title}\n  → ${visible(bytes)}`);
    socket.setEncoding("latin1").on("data", (chunk) => (answer += String(chunk)));
    socket.on("close", () => {
      console.log(`  ← ${visible(answer)}`);
      resolve();
    });
    // We close our side; the store answers what it has heard, then it closes too.
    socket.end(Buffer.from(bytes, "latin1"));
  });
}

const visible = (bytes: string): string => bytes.replace(/[^\x20-\x7e]/g, (char) => ESCAPES[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);

await show("a program's command", "*3\r\n$3\r\nSET\r\n$5\r\nvisit\r\n$2\r\n41\r\n");
await show("a person's command", "INCR visit\r\n");
await show("two commands at once; any bytes are a value", "*3\r\n$3\r\nSET\r\n$3\r\nraw\r\n$4\r\n\r\n\0\xff\r\n*2\r\n$3\r\nGET\r\n$3\r\nraw\r\n");
await show("a list; a nil", "RPUSH line a b\r\nLRANGE line 0 -1\r\nGET nobody\r\n");
await show("two refusals", "INCR line\r\nGTE visit\r\n");
await show("a hash, which is fields with their values; a list that is not there", "HSET job state done by w7\r\nHGETALL job\r\nLRANGE nobody 0 -1\r\n");
await show("a stranger's promise", "*2\r\n$4\r\nECHO\r\n$99999999999\r\n");
await server.close();
await opened.close();
