/**
 * Lesson 19: the port. All behind it is loaded once somebody asks, or a little after the start:
 * a cluster that nobody looks at starts as fast as one without a port.
 *
 * Invariant: a peer that is slow with its head or its body is cut.
 * Left out: TLS, HTTP/2.
 * Test: test/http.test.ts
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { dialable, hostPort } from "#base";
import type { Address, Timer } from "#host";
import type { Client } from "#sdk";
import { namesOf, type Rules } from "./guard.ts";
import { MAX_STREAMS, PATIENCE, type HttpOptions } from "./options.ts";
import type { Serving } from "./serving.ts";
import { Sessions } from "./sessions.ts";

const MAX_HEAD_BYTES = 16 * 1024;
/** Between two looks for peers that are too slow. */
const LOOK_MS = 1000;
/** Event streams; and browsers open six connections for each page beside its stream. */
export const MAX_CONNECTIONS = MAX_STREAMS + 1024;
/** The first jobs of a cluster are on their way by then. */
const LOAD_AFTER_MS = 2000;

const UNLOADED = "Cannot answer: a part of Titan could not be loaded. If this goes on, start it " +
  "again.\n";

/** All that is behind the port. */
type Loader = () => Promise<{ Serving: typeof Serving }>;
const loadServing: Loader = () => import("./serving.ts");

export class HttpDoor {
  readonly #options: HttpOptions;
  readonly #loader: Loader;
  readonly #server: Server;
  #sessions: Sessions | undefined;
  #rules: Rules | undefined;
  #address: Address | undefined;
  #serving: Promise<Serving> | undefined;
  #loading: Timer | undefined;

  constructor(options: HttpOptions, loader = loadServing) {
    this.#options = options;
    this.#loader = loader;
    const { headMs, requestMs } = options.patience ?? PATIENCE;
    const limits = {
      maxHeaderSize: MAX_HEAD_BYTES, headersTimeout: headMs, requestTimeout: requestMs,
      connectionsCheckingInterval: Math.min(LOOK_MS, headMs), noDelay: true,
    };
    this.#server = createServer(limits, (request, response) => {
      this.#load().then((serving) => serving.serve(request, response), () => {
        response.writeHead(503, { "content-type": "text/plain", connection: "close" });
        response.end(UNLOADED);
      });
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** @throws the system's error when the port cannot be had */
  async open(): Promise<Address> {
    const { listen, token, names, host } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host: listen.host, port: listen.port }, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
    const { port } = this.#server.address() as AddressInfo;
    const sessions = new Sessions(host, port);
    this.#sessions = sessions;
    const known = namesOf(port, [hostPort({ host: listen.host, port }), ...(names ?? [])]);
    this.#rules = { names: known, token, cookie: sessions.cookie, isSession: sessions.has };
    this.#address = { host: listen.host, port };
    this.#loading = host.timers.after(LOAD_AFTER_MS, () => {
      this.#load().catch(() => undefined); // the first who asks is told
    });
    return this.#address;
  }

  /** Where programs find it. */
  get url(): string {
    const { host, port } = this.#address!;
    const at = hostPort({ host: dialable(host), port });
    return `http://${at}`;
  }

  /** Where a person's browser goes. With a token the address has a code that works once. */
  newLink(): string {
    const code = this.#options.token === undefined ? "" : `login/${this.#sessions!.newCode()}`;
    return `${this.url}/${code}`;
  }

  /** The door's own session with the master, for what is mounted on it. */
  async session(): Promise<Client> {
    return (await this.#load()).session();
  }

  async close(): Promise<void> {
    this.#loading?.cancel();
    const serving = await this.#serving?.catch(() => undefined);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
    await serving?.close();
  }

  /**
   * A part that has failed is tried again: there may have been no file descriptor left. Node 20
   * itself goes on failing where it could not read a module; it has to be started again.
   */
  #load(): Promise<Serving> {
    return (this.#serving ??= this.#loader()
      .then(({ Serving }) => new Serving(this.#options, this.#rules!, this.#sessions!))
      .catch((error: unknown) => {
        this.#serving = undefined;
        throw error;
      }));
  }
}
