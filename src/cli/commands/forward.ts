/**
 * `titan forward`: a port of this machine whose connections end at a service.
 *
 * Test: test/14-services.forward.cli.test.ts
 */
import { hostPort } from "#base";
import type { Client, Forwarding } from "#sdk";
import { openClient } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { CliError, EXIT, UsageError } from "../exit.ts";
import { asked } from "../named-service.ts";

const MAX_PORT = 65_535;

export const forward: Command = {
  name: "forward",
  summary: "reach a service through the master, at a port of this machine",
  usage: "SERVICE [LOCAL_PORT]",
  args: [1, 2],
  flags: {},
  notes: [
    "SERVICE is a name, RUN, or RUN/JOB for one replica.",
    "Each connection to 127.0.0.1:LOCAL_PORT (by default any free port, which is printed) goes " +
      "to the READY replica with the fewest of them, through the master and over the connection " +
      "that its worker has made: the worker's machine needs no open port. Ctrl-C ends it.",
    "A connection waits up to 15 s for a replica, and is reset when none takes it. It ends with " +
      "its replica, with its worker's link, and with the master; the next one finds the next one.",
  ],
  examples: ["titan forward web", "titan forward web 8080", "titan forward shop-7k2m/db 5432"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const [service, local] = call.args;
    const port = local === undefined ? 0 : portOf(local);
    const client = await openClient(call);
    const stopped = new Promise<void>((resolve) => {
      context.onInterrupt((signal, times) => {
        // A person who finds the port closed looks here for the reason.
        context.note(`titan: ${signal}: the port closes`);
        if (times > 1) process.exit(EXIT.INTERRUPTED);
        resolve();
      });
    });
    const onNote = (line: string): void => context.note(`titan: ${line}`);
    const open = await asked(client, service!, (name) => opened(client, name, { port, onNote }));
    client.close(); // the port has a session of its own
    context.onExit(() => open.close());
    const where = hostPort(open);
    if (call.json) context.json({ type: "ready", service, host: open.host, port: open.port });
    else context.out(`${service} is at ${where} until Ctrl-C`);
    await stopped;
    await open.close();
    return EXIT.OK;
  },
};

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (port >= 1 && port <= MAX_PORT) return port;
  throw new UsageError(`Cannot use port "${text}": must be a whole number from 1 to ${MAX_PORT}`);
}

async function opened(
  client: Client, service: string, options: { port: number; onNote: (line: string) => void },
): Promise<Forwarding> {
  try {
    return await client.forward(service, options);
  } catch (error) {
    const why = PORT_ERRORS[(error as { code?: string }).code ?? ""];
    if (why === undefined) throw error;
    throw new CliError(EXIT.ERROR, `Cannot listen on 127.0.0.1:${options.port}: ${why}`, {
      advice: "without a port, a free one is taken", cause: error,
    });
  }
}

const PORT_ERRORS: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is in use",
  EACCES: "a port below 1024 needs rights that you do not have",
};
