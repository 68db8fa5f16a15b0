/**
 * Lesson 16: how people are told that a gate is open: a program is run, or an address is called.
 *
 *     command   runs beside the master, as its user: the message on stdin, facts in TITAN_GATE_…
 *     webhook   POST of the same message as JSON; a 2xx is "delivered"
 *
 * A master that shares its machine and its user with workers gives nothing away by running what a
 * pipeline says, because its workers do. Any other master runs no program unless its owner says so
 * (`--notify`). An address may be one of the inner network; so nothing of the answer is kept but
 * its status, and the owner may name the hosts that are called.
 *
 * Invariants: a try ends within SEND_TIMEOUT_MS; a program sees of the environment only what any
 * program needs, and the variables that begin with TITAN_NOTIFY_; no address is in a reason.
 * Test: test/16-gates.notify.test.ts
 */
import { webhookShown, webhookVariable } from "#base";
import { nodePost, type Post } from "#host";
import type { GateMessage, Messenger } from "#master";
import { runCommand, type RunningCommand } from "#process";
import { rulesOf, type Notify } from "#wire";

/** A program that dials, logs in and sends needs some seconds. */
export const SEND_TIMEOUT_MS = 30_000;

/** What this master does for gates. */
export interface NotifyPolicy {
  readonly commands: boolean;
  /** True: any host. */
  readonly webhooks: boolean | readonly string[];
}

export const NOTIFY_ALL: NotifyPolicy = { commands: true, webhooks: true };

export interface MessengerOptions {
  readonly policy: NotifyPolicy;
  /** Paths of programs mean files there. */
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly post?: Post;
  readonly timeoutMs?: number;
}

export class GateMessenger implements Messenger {
  readonly #options: MessengerOptions;
  readonly #running = new Set<RunningCommand>();

  constructor(options: MessengerOptions) {
    this.#options = options;
  }

  // #region refusal
  refusal(notify: Notify): string | undefined {
    const { commands, webhooks } = this.#options.policy;
    const ask = "(see --notify of titan master)";
    if (notify.type === "command") {
      return commands ? undefined : `tells people by a program, and this master runs none ${ask}`;
    }
    if (webhooks === true) return undefined;
    if (webhooks === false) return `tells people at an address, and this master calls none ${ask}`;
    const url = this.#address(notify.url);
    if (url === undefined || webhooks.includes(new URL(url).hostname)) return undefined;
    const only = `and this master calls only ${webhooks.join(", ")} ${ask}`;
    return `tells people at ${webhookShown(notify.url)}, ${only}`;
  }
  // #endregion

  /** Undefined: it is in a variable that is not set, or holds something else. */
  #address(text: string): string | undefined {
    const variable = webhookVariable(text);
    const url = variable === undefined ? text : this.#options.env[variable] ?? "";
    return /^https?:/.test(url) && URL.canParse(url) ? url : undefined;
  }

  async send(notify: Notify, message: GateMessage): Promise<string | undefined> {
    const body = JSON.stringify(messageJson(message));
    return notify.type === "command"
      ? this.#run(notify.argv, message, body) : this.#post(notify.url, message, body);
  }

  /** Ends what still runs: the process that holds this one ends. */
  kill(): void {
    for (const command of this.#running) command.kill("its master ended");
  }

  // #region command
  async #run(
    argv: readonly string[], message: GateMessage, input: string,
  ): Promise<string | undefined> {
    const { cwd, env: around, timeoutMs = SEND_TIMEOUT_MS } = this.#options;
    const env = { ...cleanEnv(around), ...factsOf(message) };
    const command = runCommand({ argv, cwd, env, timeoutMs, input, ownsAll: true });
    this.#running.add(command);
    const { failure } = await command.ended;
    this.#running.delete(command);
    return failure === undefined ? undefined : `${argv[0]}: ${failure}`;
  }
  // #endregion

  // #region webhook
  async #post(text: string, message: GateMessage, body: string): Promise<string | undefined> {
    const { post = nodePost(), timeoutMs = SEND_TIMEOUT_MS } = this.#options;
    const url = this.#address(text);
    if (url === undefined) return `${text} is not set to an address, where the master runs`;
    // A variable stays a variable in what people read: its value is a secret.
    const shown = webhookShown(text);
    const headers = { "content-type": "application/json", "titan-message": messageId(message) };
    try {
      const status = await post(url, { body, headers, timeoutMs });
      return status >= 200 && status < 300 ? undefined : `${shown} answered ${status}`;
    } catch (error) {
      const { code, message: why } = error as Error & { code?: string };
      return `${shown}: ${code ?? why}`;
    }
  }
  // #endregion
}

/** The same for every try, so that a receiver can tell a second copy from a second gate. */
function messageId({ gate: { id, openedAt } }: GateMessage): string {
  return encodeURIComponent(`${id}@${openedAt}`);
}

function messageJson(message: GateMessage): object {
  const { gate, run, job, tries } = message;
  const { id, message: question, openedAt, deadline, submitter } = gate;
  const { form, approvers, required, onTimeout } = rulesOf(gate);
  const answer = `titan approve ${id} or titan reject ${id}`;
  return {
    event: "gate.opened", id: messageId(message), try: tries + 1, text: `${question} (${answer})`,
    gate: id, run, job, message: question, openedAt, deadline, submitter, form, approvers, required,
    onTimeout,
  };
}

/** Of a text that stands in an environment: it has no NUL, and an end. */
const FACT_CHARS = 4096;

function factsOf({ gate, run, job, tries }: GateMessage): Record<string, string> {
  const fact = (text: string): string => text.replaceAll("\0", "").slice(0, FACT_CHARS);
  return {
    TITAN_GATE: gate.id,
    TITAN_GATE_RUN: run,
    TITAN_GATE_JOB: job,
    TITAN_GATE_MESSAGE: fact(gate.message),
    TITAN_GATE_APPROVERS: fact(rulesOf(gate).approvers.join(",")),
    TITAN_GATE_OPENED: new Date(gate.openedAt).toISOString(),
    TITAN_GATE_CLOSES: new Date(gate.deadline).toISOString(),
    TITAN_GATE_TRY: String(tries + 1),
  };
}

const USUAL = /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_[A-Z]+|TZ|TMPDIR|TITAN_NOTIFY_[A-Z0-9_]+)$/;

function cleanEnv(env: NodeJS.ProcessEnv): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (USUAL.test(name) && value !== undefined) kept[name] = value;
  }
  return kept;
}
