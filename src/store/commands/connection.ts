/**
 * Lesson 15: commands about the connection and the server, not about data.
 * Test: test/15-store.commands.test.ts
 */
import { encodedBytes } from "../log/text.ts";
import { command, container, type Command, type Subcommands } from "./command.ts";
import { COMPATIBLE_VERSION, serverInfo } from "./info.ts";
import { checkPattern, matches } from "./glob.ts";
import { checkDatabase } from "./keys.ts";
import { parseInteger } from "./numbers.ts";
import { oneLine, QUOTED_CHARS, Refusal, SYNTAX_ERROR, wrongArity } from "../refusal.ts";
import type { Session } from "../session.ts";
import type { Store } from "../store.ts";

const WRONG_PASSWORD = new Refusal("WRONGPASS invalid username-password pair or user is disabled.");

function ping(_store: Store, session: Session, argv: string[]): void {
  const { out } = session;
  if (argv.length > 2) throw wrongArity("ping");
  if (session.subscriptions !== 0 && session.protocol === 2) {
    out.array(2);
    out.bulk("pong");
    out.bulk(argv[1] ?? "");
  } else if (argv.length === 1) out.simple("PONG");
  else out.bulk(argv[1]!);
}

function echo(_store: Store, { out }: Session, argv: string[]): void {
  out.bulk(argv[1]!);
}

function select(_store: Store, { out }: Session, argv: string[]): void {
  checkDatabase(argv[1]!);
  out.ok();
}

function quit(_store: Store, session: Session): void {
  session.closing = true;
  session.out.ok();
}

/** Makes the connection as it was when it was new. */
function reset(store: Store, session: Session): void {
  session.queue = undefined;
  store.unwatch(session);
  store.subscriptions.leave(session);
  session.name = "";
  session.authenticated = !store.config.hasPassword;
  session.out.protocol = 2;
  session.out.simple("RESET");
}

function auth(store: Store, session: Session, argv: string[]): void {
  if (argv.length > 3) throw SYNTAX_ERROR;
  if (argv.length === 2 && !store.config.hasPassword) {
    throw new Refusal(
      "ERR AUTH <password> called without any password configured for the default user. Are you " +
        "sure your configuration is correct?",
    );
  }
  logIn(store, session, argv.length === 2 ? ["default", argv[1]!] : [argv[1]!, argv[2]!]);
  session.out.ok();
}

function logIn(store: Store, session: Session, [user, password]: [string, string]): void {
  const isRight = !store.config.hasPassword || store.config.isPassword(password);
  if (user !== "default" || !isRight) throw WRONG_PASSWORD;
  session.authenticated = true;
}

function hello(store: Store, session: Session, argv: string[]): void {
  let protocol = session.protocol;
  let user: [string, string] | undefined;
  let name: string | undefined;
  if (argv.length > 1) {
    const version = parseInteger(argv[1]!);
    if (version === undefined) {
      throw new Refusal("ERR Protocol version is not an integer or out of range");
    }
    if (version !== 2 && version !== 3) throw new Refusal("NOPROTO unsupported protocol version");
    protocol = version;
  }
  for (let i = 2; i < argv.length; i++) {
    const left = argv.length - 1 - i;
    const word = argv[i]!.toUpperCase();
    if (word === "AUTH" && left >= 2) user = [argv[++i]!, argv[++i]!];
    else if (word === "SETNAME" && left >= 1) name = checkName(argv[++i]!);
    else {
      throw new Refusal(
        oneLine(`ERR Syntax error in HELLO option '${argv[i]!.slice(0, QUOTED_CHARS)}'`),
      );
    }
  }
  if (user !== undefined) logIn(store, session, user);
  if (!session.authenticated) {
    throw new Refusal(
      "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO " +
        "<proto> AUTH <user> <pass> option can be used to authenticate the client and select the " +
        "RESP protocol version at the same time",
    );
  }
  if (name !== undefined) session.name = name;
  session.out.protocol = protocol;
  describe(store, session);
}

function describe(store: Store, { out, id, protocol }: Session): void {
  out.map(7);
  const texts = { server: "redis", version: COMPATIBLE_VERSION };
  for (const [key, value] of Object.entries(texts)) {
    out.bulk(key);
    out.bulk(value);
  }
  out.bulk("proto");
  out.int(protocol);
  out.bulk("id");
  out.int(id);
  out.bulk("mode");
  out.bulk("standalone");
  out.bulk("role");
  out.bulk(store.role === "replica" ? "replica" : "master");
  out.bulk("modules");
  out.array(0);
}

/** The longest name: CLIENT LIST repeats every client's. */
const MAX_NAME_BYTES = 256;

function checkName(name: string): string {
  if (name.length > MAX_NAME_BYTES) {
    throw new Refusal(`ERR Client names are at most ${MAX_NAME_BYTES} bytes long.`);
  }
  if (!/^[!-~]*$/.test(name)) {
    throw new Refusal("ERR Client names cannot contain spaces, newlines or special characters.");
  }
  return name;
}

const client: Subcommands = {
  id: { arity: 2, run: (_store, { out, id }) => out.int(id) },
  getname: {
    arity: 2,
    run: (_store, { out, name }) => {
      if (name === "") out.nil();
      else out.bulk(name);
    },
  },
  setname: {
    arity: 3,
    run: (_store, session, argv) => {
      session.name = checkName(argv[2]!);
      session.out.ok();
    },
  },
  setinfo: { arity: 4, run: setInfo },
  list: { arity: 2, run: list },
  info: {
    arity: 2,
    run: (store, session, argv) => session.out.verbatim(describeClient(store, session, argv)),
  },
  // Accepted for libraries that say it: the client that costs most goes all the same.
  "no-evict": { arity: 3, run: onOrOff },
  "no-touch": { arity: 3, run: onOrOff },
};

function list(store: Store, session: Session, argv: string[]): void {
  const lines = [...store.sessions.values()].map((each) =>
    describeClient(store, each, each === session ? argv : undefined));
  session.out.verbatim(lines.join(""));
}

function onOrOff(_store: Store, { out }: Session, argv: string[]): void {
  if (!/^(on|off)$/i.test(argv[2]!)) throw SYNTAX_ERROR;
  out.ok();
}

function setInfo(_store: Store, { library, out }: Session, argv: string[]): void {
  const [word, value] = [argv[2]!.toLowerCase(), argv[3]!];
  if (word !== "lib-name" && word !== "lib-ver") {
    throw new Refusal(oneLine(`ERR Unrecognized option '${argv[2]!.slice(0, QUOTED_CHARS)}'`));
  }
  if (value.length > MAX_NAME_BYTES) {
    throw new Refusal(`ERR ${argv[2]!} is at most ${MAX_NAME_BYTES} bytes long.`);
  }
  if (!/^[!-~]*$/.test(value)) {
    throw new Refusal(`ERR ${argv[2]!} cannot contain spaces, newlines or special characters.`);
  }
  library[word === "lib-name" ? "name" : "version"] = value;
  out.ok();
}

/**
 * Fields about the socket, which the engine does not know, and about buffers that only Redis has.
 * Libraries make numbers of these without asking whether they are there.
 */
const UNKNOWN_HERE = {
  "qbuf-free": 0, "argv-mem": 0, "multi-mem": 0, rbs: 0, rbp: 0, obl: 0, oll: 0, omem: 0,
  "tot-mem": 0, events: "r",
};
/** Node does not tell the number of a descriptor. */
const UNKNOWN_DESCRIPTOR = -1;

/**
 * `asking`: the command by which this client asks about itself, which is all that it has sent
 * without an answer.
 */
function describeClient(store: Store, session: Session, asking?: readonly string[]): string {
  const fields = {
    id: session.id, addr: session.address, laddr: session.localAddress, fd: UNKNOWN_DESCRIPTOR,
    name: session.name,
    age: Math.max(0, Math.floor((store.host.clock.wall() - session.since) / 1000)),
    idle: 0,
    flags: flagOf(session),
    db: 0,
    sub: session.channels.size,
    psub: session.patterns.size,
    ssub: 0,
    multi: session.queue?.length ?? -1,
    watch: session.watched.size,
    qbuf: asking === undefined ? 0 : encodedBytes(asking),
    ...UNKNOWN_HERE,
    cmd: session.lastCommand || "NULL",
    user: "default",
    redir: -1,
    resp: session.protocol,
    "lib-name": session.library.name,
    "lib-ver": session.library.version,
  };
  return `${Object.entries(fields).map(([key, value]) => `${key}=${value}`).join(" ")}\n`;
}

/** Redis's letter: replica, blocked, subscriber, in a transaction, or normal. */
function flagOf({ takeOver, blocked, subscriptions, queue }: Session): string {
  if (takeOver) return "S";
  if (blocked) return "b";
  if (subscriptions > 0) return "P";
  return queue ? "x" : "N";
}

const config: Subcommands = {
  get: { arity: -3, run: configGet },
  set: { arity: 4, run: configSet },
  resetstat: {
    arity: 2,
    run: ({ stats }, { out }) => {
      Object.assign(stats, { commands: 0, connections: 0, expired: 0 });
      out.ok();
    },
  },
};

function configGet(store: Store, { out }: Session, argv: string[]): void {
  const patterns = argv.slice(2).map((pattern) => checkPattern(pattern).toLowerCase());
  const found = [...store.config.settings].filter(([name]) =>
    patterns.some((pattern) => matches(pattern, name)),
  );
  out.map(found.length);
  for (const [name, setting] of found) {
    out.bulk(name);
    out.bulk(setting.get());
  }
}

/** One setting a command: of several, one could be refused when others have changed already. */
function configSet(store: Store, { out }: Session, [, , name, value]: string[]): void {
  const setting = store.config.settings.get(name!.toLowerCase());
  if (setting === undefined) {
    const quoted = name!.slice(0, QUOTED_CHARS);
    const text = `ERR Unknown option or number of arguments for CONFIG SET - '${quoted}'`;
    throw new Refusal(oneLine(text));
  }
  if (setting.set === undefined) throw configFailed(name!, "can't set immutable config");
  const wrong = setting.set(value!);
  if (wrong !== undefined) throw configFailed(name!.toLowerCase(), wrong);
  out.ok();
}

function configFailed(name: string, why: string): Refusal {
  const quoted = name.slice(0, QUOTED_CHARS);
  const text = `ERR CONFIG SET failed (possibly related to argument '${quoted}') - ${why}`;
  return new Refusal(oneLine(text));
}

function info(store: Store, { out }: Session, argv: string[]): void {
  out.verbatim(serverInfo(store, argv.slice(1)));
}

function time(store: Store, { out }: Session): void {
  const now = store.host.clock.wall();
  out.array(2);
  out.bulk(String(Math.floor(now / 1000)));
  out.bulk(String((now % 1000) * 1000));
}

const open = "noscript loading stale fast no-auth";

export const CONNECTION: readonly Command[] = [
  command("ping", -1, { flags: "fast", run: ping }),
  command("echo", 2, { flags: "loading stale fast", run: echo }),
  command("select", 2, { flags: "loading stale fast", run: select }),
  command("auth", -2, { flags: open, run: auth }),
  command("hello", -1, { flags: open, run: hello }),
  command("quit", -1, { flags: open, run: quit }),
  command("reset", 1, { flags: open, run: reset }),
  container("client", { flags: "noscript loading stale", subcommands: client }),
  container("config", { flags: "admin noscript loading stale", subcommands: config }),
  command("info", -1, { flags: "loading stale", run: info }),
  command("time", 1, { flags: "loading stale fast", run: time }),
];
