/**
 * `titan doctor`: what could be in the way on this machine, and what to do about it.
 *
 * Test: test/cli.doctor.test.ts
 */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  fdatasyncSync,
  mkdirSync,
  openSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
  existsSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { hostPort } from "#base";
import type { Address } from "#host";
import type { Client, PoolInfo } from "#sdk";
import { DEFAULT_MASTER, dial, namedMaster, tokenOf } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { EXIT, exitCodeOf, isRpcError } from "../exit.ts";
import { checkLock, checkStorePort, whyPortTaken, type Finding } from "../health.ts";
import { DEFAULT_STORE_PORT } from "../store-url.ts";
import { durationText, plural, timeText } from "../text.ts";

const NODE_NEEDED = [20, 15] as const;
/** A submission waits for one fsync. A busy master notices this delay, a person ten times it. */
const SLOW_FSYNC_MS = 20;
const FSYNCS = 10;
/** Times in tables come from the master's clock, ages from ours: beyond this they look wrong. */
const CLOCK_MS = 2000;

export const doctor: Command = {
  name: "doctor",
  summary: "check this machine: Node, ports, disk, programs, master, store",
  usage: "",
  args: [0, 0],
  flags: {
    state: {
      type: "string",
      value: "DIR",
      summary: "the state folder to check (default TITAN_HOME, else .titan)",
    },
  },
  notes: ["Each line is ok, warn or fail, with what to do. Exits 1 if anything fails."],
  examples: ["titan doctor", "titan doctor --master 10.0.0.5:9090"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const state = resolve(call.text("state") ?? context.home);
    const findings = [
      checkNode(),
      checkState(state),
      checkProgram("sh", "jobs with run: need it"),
      checkProgram("python3", "jobs with a .py file need it"),
      ...checkModes(state),
      ...(await checkLogs(call, state)),
      ...(await checkMaster(call, state)),
    ];
    if (call.json) context.json(findings);
    else {
      const color = { ok: "green", warn: "yellow", fail: "red" } as const;
      for (const { check, level, found, advice } of findings) {
        context.out(
          `${context.paint(color[level], level.padEnd(4))}  ${check.padEnd(8)}  ${found}`,
        );
        if (advice !== undefined) context.out(`${" ".repeat(16)}${advice}`);
      }
    }
    return findings.some(({ level }) => level === "fail") ? EXIT.ERROR : EXIT.OK;
  },
};

function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const enough = major > NODE_NEEDED[0] || (major === NODE_NEEDED[0] && minor >= NODE_NEEDED[1]);
  const found = `${process.version} on ${process.platform} ${process.arch}`;
  if (process.platform === "win32") {
    const advice = "jobs need POSIX process groups and signals: use WSL";
    return { check: "node", level: "fail", found, advice };
  }
  if (enough) return { check: "node", level: "ok", found };
  const advice = `Titan needs Node ${NODE_NEEDED.join(".")} or newer`;
  return { check: "node", level: "fail", found, advice };
}

/**
 * Writes to the place of the log in the way of the log: the speed of the disk decides how fast
 * submissions are answered.
 */
function checkState(dir: string): Finding {
  const check = "state";
  const made: string[] = [];
  try {
    for (const folder of missingFolders(dir)) {
      mkdirSync(folder); // one by one: Node's recursive mkdir never returns in a folder like /proc
      made.unshift(folder);
    }
    const file = join(dir, `.doctor-${process.pid}`);
    const times: number[] = [];
    const open = openSync(file, "w");
    try {
      for (let n = 0; n < FSYNCS; n++) {
        writeSync(open, Buffer.alloc(512, n));
        const start = performance.now();
        fdatasyncSync(open);
        times.push(performance.now() - start);
      }
    } finally {
      closeSync(open);
      rmSync(file, { force: true });
    }
    const median = times.sort((a, b) => a - b)[FSYNCS / 2]!;
    const found = `${dir} is writable; fsync takes ${median.toFixed(median < 10 ? 1 : 0)} ms`;
    if (median <= SLOW_FSYNC_MS) return { check, level: "ok", found };
    return {
      check,
      level: "warn",
      found,
      advice:
        "slow: every answer to a submission waits for one. " +
        "Use a local SSD, or --durability everysec if a second may be lost",
    };
  } catch (error) {
    return {
      check,
      level: "fail",
      found: (error as Error).message,
      advice: "choose another folder with --state or TITAN_HOME",
    };
  } finally {
    for (const folder of made) removeIfEmpty(folder); // a check leaves nothing behind
  }
}

/**
 * A folder that an older version made, or somebody else, may be open to others, although the files
 * that are new in it are closed.
 */
function checkModes(state: string): Finding[] {
  // The check of the folder has told already about a folder that cannot be looked at.
  const mode = existsSync(state) ? statSync(state).mode : 0;
  if ((mode & 0o077) === 0) return [];
  const octal = (mode & 0o777).toString(8).padStart(4, "0");
  const found = `${state} is open to other users of this machine (mode ${octal}), and the log ` +
    "holds the environments of jobs";
  return [{ check: "access", level: "warn", found, advice: `chmod -R go= '${state}'` }];
}

/** Cuts and losses of earlier starts: they do not show in the content that the logs have now. */
async function checkLogs(call: Call, state: string): Promise<Finding[]> {
  const { readRecoveries } = await import("#log");
  const findings: Finding[] = [];
  for (const part of ["log", "store"]) {
    const dir = join(state, part);
    const past = await readRecoveries(call.context.host.storage, dir).catch(() => []);
    const worst = past.findLast(({ kind }) => kind !== "cut") ?? past.at(-1);
    if (worst === undefined) continue;
    const { at, kind, what } = worst;
    const found = `on ${timeText(at)} a start of ${dir} ${kind === "cut" ? "cut" : kind} ${what}`;
    const advice = `titan eventlog verify ${dir} lists ` +
      `${past.length === 1 ? "it" : `all ${past.length}`}`;
    findings.push(
      kind === "cut"
        ? { check: "log", level: "ok", found }
        : { check: "log", level: "warn", found, advice },
    );
  }
  return findings;
}

/** Never recursive: a master may have begun to use the folder meanwhile. */
function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // It is in use now.
  }
}

/** Folders on the way that are not there yet, the topmost first. */
function missingFolders(dir: string): string[] {
  const missing: string[] = [];
  for (let at = dir; !existsSync(at); at = dirname(at)) missing.unshift(at);
  return missing;
}

function checkProgram(name: string, why: string): Finding {
  const { error, stdout } = spawnSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" });
  const path = stdout?.trim() ?? "";
  if (error === undefined && path !== "") return { check: name, level: "ok", found: path };
  return {
    check: name,
    level: name === "sh" ? "fail" : "warn",
    found: "not found in PATH",
    advice: why,
  };
}

async function checkMaster(call: Call, state: string): Promise<Finding[]> {
  const named = namedMaster(call);
  const address = named ?? DEFAULT_MASTER;
  try {
    const client = await dial(call, address);
    return await checkLiving(client, { address, state });
  } catch (error) {
    const lock = given(await checkLock(state, undefined));
    const isAway = exitCodeOf(error) === EXIT.UNREACHABLE;
    // A full master, or a program that does not answer as a master does, is not a free port.
    const isFull = /at its limit of/.test((error as Error).message);
    if (named !== undefined || !isAway || isFull) {
      const found = (error as Error).message;
      return [
        ...lock,
        { check: "master", level: "fail", found, advice: masterAdvice(call, error) },
      ];
    }
    return [
      ...lock,
      await checkPort(address.port),
      ...given(await checkStorePort(DEFAULT_STORE_PORT)),
    ];
  }
}

function given(finding: Finding | undefined): Finding[] {
  return finding === undefined ? [] : [finding];
}

async function checkLiving(
  client: Client,
  at: { address: Address; state: string },
): Promise<Finding[]> {
  const text = hostPort(at.address);
  const before = Date.now();
  const info = await client.info();
  const roundTripMs = Date.now() - before;
  const parts = [
    `${text} answers in ${roundTripMs} ms: Titan ${info.version}`,
    `process ${info.pid}`,
    `up for ${durationText(before - info.startedAt)}`,
    plural(info.workers, "worker"),
    `state in ${info.state}`,
  ];
  const findings: Finding[] = [{ check: "master", level: "ok", found: parts.join(", ") }];
  if (info.full !== "") findings.push(diskFull(info.full));
  if (info.lettersDropped > 0) {
    const found = `${plural(info.lettersDropped, "dead job")} of forgotten runs had to make way ` +
      "for newer ones, and titan dead no longer lists them";
    findings.push({ check: "dead", level: "warn", found, advice: "titan dead has the newest" });
  }
  findings.push(...(await checkWorkers(client, { workers: info.workers, master: text })));
  if (info.now !== 0) findings.push(checkClock(info.now - (before + roundTripMs / 2)));
  return [
    ...findings,
    ...given(await checkLock(at.state, info.state)),
    ...(await checkStore(client)),
  ];
}

/** Nobody is there, and nobody would come; or pools fail, so that nobody comes. */
async function checkWorkers(
  client: Client, { workers, master }: { workers: number; master: string },
): Promise<Finding[]> {
  const pools = await poolsOf(client);
  const failing: Finding[] = pools.filter(({ failures }) => failures > 0).map((pool) => ({
    check: "pools",
    level: "warn",
    found: `pool ${pool.name}: ${plural(pool.failures, "start")} in a row failed, the latest ` +
      `with: ${pool.lastFailure}`,
    advice: "titan pools shows when the next one is tried",
  }));
  if (workers > 0 || pools.some(({ max }) => max > 0)) return failing;
  const found = "none has joined: nothing will run";
  return [{ check: "workers", level: "warn", found, advice: `titan worker --master ${master}` }];
}

/** None, if the master is of a version that knows of none. */
async function poolsOf(client: Client): Promise<readonly PoolInfo[]> {
  try {
    return (await client.pools()).pools;
  } catch (error) {
    if (isRpcError(error, "UNSUPPORTED")) return [];
    throw error;
  }
}

function diskFull(message: string): Finding {
  return {
    check: "disk",
    level: "fail",
    found: `the master's disk is full (${message}): it answers reads and refuses changes`,
    advice: "make room: it goes on by itself within seconds, and nothing acknowledged is lost",
  };
}

/** A master that refuses is there: other addresses would not help. */
function masterAdvice(call: Call, error: unknown): string {
  if (exitCodeOf(error) !== EXIT.UNAUTHORIZED) return "check the address, and that the master runs";
  const flag = call.on("token") ? "--token" : "TITAN_TOKEN";
  const given =
    tokenOf(call) === undefined ? "none is given here" : `the one in ${flag} is another`;
  return `the master wants the token that it was started with (TITAN_TOKEN there), and ${given}`;
}

/** Asks through the master. A cluster without a store needs no check. */
async function checkStore(client: Client): Promise<Finding[]> {
  const check = "store";
  const sentAt = performance.now();
  try {
    await client.kv("PING");
    return [
      {
        check,
        level: "ok",
        found: `answers the master in ${Math.round(performance.now() - sentAt)} ms`,
      },
    ];
  } catch (error) {
    if (isRpcError(error, "NOT_FOUND")) return [];
    return [
      {
        check,
        level: "fail",
        found: (error as Error).message,
        advice:
          "jobs that use the store fail: " +
          "is it where the master's --store says, and its password right?",
      },
    ];
  }
}

function checkClock(differenceMs: number): Finding {
  const apart = Math.round(Math.abs(differenceMs));
  const found = `this clock and the master's differ by ${apart} ms`;
  if (Math.abs(differenceMs) <= CLOCK_MS) return { check: "clock", level: "ok", found };
  const advice = "ages and times in tables will look wrong; leases do not mind. Run an NTP client";
  return { check: "clock", level: "warn", found, advice };
}

/** No master there: could there be one? */
async function checkPort(port: number): Promise<Finding> {
  const check = "port";
  const taken = await whyPortTaken(port);
  if (taken === undefined) {
    return {
      check,
      level: "ok",
      found: `${port} is free; no master runs on this machine (titan up starts one)`,
    };
  }
  const found = `${port} is in use by a program that is no Titan master (${taken})`;
  return {
    check,
    level: "warn",
    found,
    advice: "titan up --port PORT takes another one; TITAN_MASTER then names it",
  };
}
