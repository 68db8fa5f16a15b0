/**
 * Lesson 22: the ports on which simulated programs listen (lesson 14). They belong to the machine's
 * network, and are closed when their program ends.
 *
 * Test: test/22-simulation.services.test.ts
 */
import type { Listener } from "#host";
import type { SimProcess, SimWorld } from "#simhost";

export class ProgramPorts {
  readonly #world: () => SimWorld;
  readonly #open = new Map<string, Promise<Listener | undefined>>();

  constructor(world: () => SimWorld) {
    this.#world = world;
  }

  /** A port that is taken ends the program, as it would end a real one. */
  listen(program: SimProcess, port: number): void {
    const { network } = this.#world().host(program.host);
    const at = { host: "127.0.0.1", port };
    const listening = network.listen(at, (socket) => {
      socket.handle({ onData: () => undefined, onClose: () => undefined });
    }).catch(() => {
      program.exit(98);
      return undefined;
    });
    this.#open.set(nameOf(program), listening);
  }

  /** It ends, or it hangs: nobody gets a connection any more. */
  close(program: Pick<SimProcess, "host" | "pid">): void {
    const listening = this.#open.get(nameOf(program));
    this.#open.delete(nameOf(program));
    void listening?.then((listener) => listener?.close());
  }
}

function nameOf({ host, pid }: Pick<SimProcess, "host" | "pid">): string {
  return `${host}:${pid}`;
}
