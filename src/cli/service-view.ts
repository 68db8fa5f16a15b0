/**
 * Services on a terminal: their colours and their addresses.
 *
 * Test: test/14-services.cli.test.ts
 */
import { hostPort } from "#base";
import type { ServiceWord } from "#rows";
import type { ServiceInfo } from "#wire";
import type { Color } from "./context.ts";

const COLORS: Readonly<Record<ServiceWord, Color>> = {
  READY: "green", STARTING: "cyan", PENDING: "dim", RESTARTING: "yellow", UNHEALTHY: "yellow",
  STOPPED: "dim", FAILED: "red",
};

export function phaseColor(word: ServiceWord): Color {
  return COLORS[word];
}

/** `127.0.0.1:20001`; empty while nobody knows it. */
export function addressOf(service: ServiceInfo | undefined): string {
  if (service === undefined || service.port === 0) return "";
  return hostPort({ host: service.host, port: service.port });
}
