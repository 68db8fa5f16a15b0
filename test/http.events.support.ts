/** A master in this process with an HTTP door, and readers of its event stream. */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { nodeHost } from "#host";
import { HttpDoor } from "#http";
import { startMaster, type Master, type MasterStore } from "#master";
import { connect, type Client } from "#sdk";
import { ownPort, tempFolder } from "./cli.support.ts";

const host = nodeHost();

export interface Scene {
  readonly master: Master;
  readonly door: HttpDoor;
  readonly titan: Client;
  readonly port: number;
  /** Another master on the same folder and port; the door stays. */
  restart(): Promise<void>;
  end(): Promise<void>;
}

export async function scene(
  { token, store }: { token?: string; store?: MasterStore } = {},
): Promise<Scene> {
  const dir = tempFolder();
  const start = (port: number): Promise<Master> => startMaster({
    host, dir, listen: { host: "127.0.0.1", port }, version: "1.2.3",
    ...(token !== undefined && { token }), ...(store && { store }),
  });
  let master = await start(await ownPort());
  const listen = { host: "127.0.0.1", port: 0 };
  const door = new HttpDoor({ host, master, token, version: "1.2.3", listen });
  const { port } = await door.open();
  let titan = await connect({ master, token });
  // The door's own session stays open from here on.
  await (await fetch(`${door.url}/readyz`, {
    headers: { connection: "close", ...(token && { authorization: `Bearer ${token}` }) },
  })).text();
  return {
    get master() { return master; },
    get titan() { return titan; },
    door, port,
    async restart() {
      titan.close();
      await master.stop();
      master = await start(master.port);
      titan = await connect({ master, token });
    },
    async end() {
      titan.close();
      await door.close();
      await master.stop();
    },
  };
}

export interface Message {
  readonly id: number | undefined;
  readonly event: string;
  // eslint-free: what a message is, its test says.
  readonly data: any;
}

/** A browser's EventSource, without its coming again by itself. */
export class Stream {
  readonly messages: Message[] = [];
  comments = 0;
  status = 0;
  /** As a browser keeps it. */
  lastId: string | undefined;
  ended = false;
  headers: IncomingMessage["headers"] = {};
  readonly #request;
  #answer: IncomingMessage | undefined;
  #rest = "";
  #wake: () => void = () => undefined;

  constructor(
    port: number, query = "", headers: Record<string, string> = {}, path = "/api/v1/events",
  ) {
    this.#request = httpRequest({
      host: "127.0.0.1", port, path: `${path}${query}`, headers, agent: false,
    }, (answer) => {
      this.#answer = answer;
      this.status = answer.statusCode!;
      this.headers = answer.headers;
      answer.setEncoding("utf8");
      answer.on("data", (text: string) => this.#take(text));
      answer.on("close", () => this.#over()).on("error", () => undefined);
      this.#wake();
    });
    this.#request.on("error", () => this.#over());
    this.#request.end();
  }

  #over(): void {
    this.ended = true;
    this.#wake();
  }

  #take(text: string): void {
    const blocks = (this.#rest + text).split("\n\n");
    this.#rest = blocks.pop()!;
    for (const block of blocks) {
      const lines = block.split("\n");
      const valueOf = (key: string): string | undefined =>
        lines.find((line) => line.startsWith(`${key}: `))?.slice(key.length + 2);
      if (block.startsWith(":")) this.comments += 1;
      const event = valueOf("event");
      if (event === undefined) continue;
      const id = valueOf("id");
      this.lastId = id ?? this.lastId;
      const data: unknown = JSON.parse(valueOf("data")!);
      this.messages.push({ id: id === undefined ? undefined : Number(id), event, data });
    }
    this.#wake();
  }

  of(event: string): any[] {
    return this.messages.filter((each) => each.event === event).map(({ data }) => data);
  }

  async until(what: () => unknown, limitMs = 20_000): Promise<void> {
    const end = Date.now() + limitMs;
    while (!what()) {
      if (Date.now() > end) {
        const seen = JSON.stringify(this.messages).slice(0, 3000);
        throw new Error(`still not true: ${what}; seen: ${seen}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 200);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  pause(): void {
    this.#answer?.pause();
  }

  resume(): void {
    this.#answer?.resume();
  }

  close(): void {
    this.#request.destroy();
  }
}
