/** What the scripts of this chapter call: a provider of models and a travel agency, which both want money. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

const PRICES: Readonly<Record<string, number>> = { plan: 0.02, book: 420, describe: 0.05, mail: 0 };

/** Counts calls. A call with a key that it has seen is answered again, and costs nothing. */
export class World {
  readonly #server: Server;
  readonly #seen = new Map<string, number>();
  readonly #keys = new Set<string>();
  readonly #killAt: number;
  /** Callers so far: an attempt is a process of its own. */
  readonly #pids = new Set<number>();
  #calls = 0;
  #cents = 0;
  #told = 0;

  /**
   * `killAt`: the number of the call whose caller is killed before there is an answer.
   * `attempts`: says so when another process calls.
   */
  constructor(options: { killAt: number; attempts?: boolean }) {
    this.#killAt = options.killAt;
    this.#server = createServer(({ url = "", headers }, response) => {
      const { size } = this.#pids.add(Number(headers["x-pid"]));
      if (options.attempts === true && size > this.#told) console.log(`attempt ${this.#told = size}`);
      const what = url.slice(1);
      if (this.#take(what, String(headers["idempotency-key"] ?? ""))) {
        return void response.end(JSON.stringify(`${what}: done`));
      }
      process.kill(Number(headers["x-pid"]), "SIGKILL");
    });
  }

  async open(): Promise<string> {
    await new Promise<void>((resolve) => void this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #take(what: string, key: string): boolean {
    const isKnown = this.#keys.has(key);
    if (key !== "") this.#keys.add(key);
    const cost = isKnown ? 0 : PRICES[what] ?? 0;
    this.#cents += Math.round(cost * 100);
    const times = (this.#seen.get(what) ?? 0) + 1;
    this.#seen.set(what, times);
    const again = isKnown ? "  again, with the same key" : times > 1 ? "  AGAIN" : "";
    const isKilled = ++this.#calls === this.#killAt;
    const price = `$${cost.toFixed(2)}`.padStart(7);
    console.log(`  ${what.padEnd(8)} ${price}${again}${isKilled ? "  ✗ kill -9" : ""}`);
    return !isKilled;
  }

  close(): void {
    const flights = this.#seen.get("book") ?? 0;
    const booked = flights === 1 ? "one flight" : `${flights} flights`;
    console.log(`${this.#calls} calls, $${(this.#cents / 100).toFixed(2)}, and ${booked}`);
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
