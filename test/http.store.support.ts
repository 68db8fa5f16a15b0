/** A store in this process's memory, as a master asks its own. */
import { nodeHost } from "#host";
import type { MasterStore } from "#master";
import { Engine, RespWriter } from "#store";

export function memoryStore(): MasterStore & { close(): void } {
  const engine = new Engine({ host: nodeHost() });
  const out = new RespWriter();
  out.protocol = 3;
  const session = engine.session({ out });
  return {
    url: "redis://127.0.0.1:1",
    close: () => engine.close(),
    call: async (args) => {
      engine.execute(session, args.map((arg) => arg.toString("latin1")));
      return out.take();
    },
  };
}
