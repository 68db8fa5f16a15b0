/**
 * `titan artifact`: files that a run hands on, or that live by a name (docs/artifacts.md).
 *
 * Test: test/cli.artifact.test.ts
 */
import { read } from "node:fs";
import { basename, join } from "node:path";
import { artifactJson } from "#rows";
import type { ArtifactInfo, ArtifactName, Client } from "#sdk";
import { openClient } from "../address.ts";
import { MAX_AGE_MS, type Call, type Command } from "../command.ts";
import { CliError, EXIT, fileReason, UsageError } from "../exit.ts";
import { withRun } from "../refs.ts";
import {
  bytesText, meantHint, oneLine, plural, shellWord, table, timeText,
} from "../text.ts";

interface Action {
  /** Its arguments, as help shows them. */
  readonly usage: string;
  readonly args: readonly [min: number, max: number];
  /** The flags that mean something for it. */
  readonly flags: readonly string[];
  run(call: Call, client: Client): Promise<number>;
}

const ACTIONS: Readonly<Record<string, Action>> = {
  put: { usage: "NAME FILE|-", args: [2, 2], flags: ["run", "keep"], run: put },
  get: { usage: "NAME [FILE|-]", args: [1, 2], flags: ["run", "keep"], run: get },
  list: { usage: "", args: [0, 0], flags: ["run", "keep"], run: list },
  rm: { usage: "NAME...", args: [1, Infinity], flags: ["run", "keep"], run: remove },
  gc: { usage: "", args: [0, 0], flags: ["older", "keep", "dry-run"], run: collect },
};

export const artifact: Command = {
  name: "artifact",
  summary: "put, get, list, rm, gc: files that runs hand on, or that live by a name",
  usage: "ACTION [NAME] [FILE|-]",
  args: [1, Infinity],
  flags: {
    run: { type: "string", value: "RUN", summary: "of this run (inside a job: its own)" },
    keep: { type: "boolean", summary: "by its name alone: it outlives every run" },
    older: { type: "string", value: "D", summary: "gc: only what is older (7d, 12h)" },
    "dry-run": { type: "boolean", summary: "gc: say what would go, and remove nothing" },
  },
  words: Object.keys(ACTIONS),
  notes: [
    "put stores a file, or stdin, under a NAME without a slash: in a run, with which it goes, " +
      "or with --keep by the name alone. The same name again: the later one stays. It prints the " +
      "SHA-256 and the name.",
    "get writes it to FILE (default: the NAME, here), or to stdout for -. What a job declares " +
      "as outputs is called JOB/PATH. Inside a job put, get, list and rm mean its own run; get " +
      "looks among the kept ones, too.",
    "gc removes the artifacts of runs that have ended, with --older those that ended so long " +
      "ago, with --keep also what was kept as long. Those of open runs stay. The master itself " +
      "removes what is older than --artifact-max-age, and the oldest beyond --artifact-max-bytes.",
  ],
  examples: [
    "titan artifact put model.bin out/model.bin --keep",
    "tar c data | titan artifact put data.tar - --run nightly-7k2m",
    "titan artifact get train/model.bin --run nightly-7k2m",
    "titan artifact list --json",
    "titan artifact gc --older 7d --dry-run",
  ],
  async run(call: Call): Promise<number> {
    const [word] = call.args as [string];
    const action = Object.hasOwn(ACTIONS, word) ? ACTIONS[word]! : undefined;
    if (action === undefined) {
      const hint = meantHint(word, Object.keys(ACTIONS)) || ": there are put, get, list, rm and gc";
      throw new UsageError(`Cannot run titan artifact ${shellWord(word)}${hint}`);
    }
    checkUsage(call, word, action);
    return action.run(call, await openClient(call));
  },
};

function checkUsage(call: Call, word: string, { usage, args: [min, max], flags }: Action): void {
  const given = call.args.length - 1;
  if (given < min || given > max) {
    const takes = usage === "" ? "no arguments" : usage;
    const found = given === 0 ? "nothing" : `"${call.args.slice(1).join(" ")}"`;
    throw new UsageError(`Cannot run titan artifact ${word}: it takes ${takes}, found ${found}`);
  }
  const strange = Object.keys(artifact.flags).find(
    (flag) => call.on(flag) && !flags.includes(flag),
  );
  if (strange === undefined) return;
  throw new UsageError(`Cannot run titan artifact ${word} --${strange}: it has no such flag`);
}

/** The run that is meant, if one is: by the flag, or because this is a job of it. */
function runOf(call: Call): { run: string; own: boolean } | undefined {
  const named = call.text("run");
  if (named !== undefined && call.on("keep")) {
    throw new UsageError("Cannot use --run and --keep: an artifact is of a run, or kept by name");
  }
  if (named !== undefined) return { run: named, own: false };
  const own = call.context.setting("TITAN_RUN");
  return own === undefined || call.on("keep") ? undefined : { run: own, own: true };
}

async function put(call: Call, client: Client): Promise<number> {
  const { context } = call;
  const [, name, file] = call.args as [string, string, string];
  const meant = runOf(call);
  const keep = call.on("keep");
  if (meant === undefined && !keep) {
    throw new UsageError(
      `Cannot put artifact ${name}: it has no run`,
      "--run RUN puts it into a run, --keep keeps it by its name",
    );
  }
  const source = file === "-" ? stdinBytes() : { file: await readable(call, file) };
  const by = context.person;
  const from = meant?.own === false ? {} : ownAttempt(call);
  const send = (run?: string) => client.putArtifact(name, source, { by, keep, ...from, run });
  const { info, replaced } = meant === undefined ? await send(from.run)
    : await withRun(client, meant.run, send);
  if (call.json) {
    context.json({ ...artifactJson(info), replaced: replaced ? artifactJson(replaced) : null });
    return EXIT.OK;
  }
  context.out(`${info.sha256}  ${oneLine(info.name)}`);
  context.note(`titan: put ${describe(info)}${replaced ? `, in place of ${older(replaced)}` : ""}`);
  return EXIT.OK;
}

/** In one piece of memory: what `process.stdin` allocates for a gigabyte is collected late. */
async function* stdinBytes(): AsyncGenerator<Buffer> {
  const memory = Buffer.allocUnsafeSlow(STDIN_BYTES);
  for (;;) {
    const count = await readStdin(memory);
    if (count === 0) return;
    yield memory.subarray(0, count);
  }
}

const STDIN = 0;
const STDIN_BYTES = 256 * 1024;
/** A pipe that somebody has made not to block is asked again. */
const ASK_AGAIN_MS = 10;

function readStdin(memory: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    read(STDIN, memory, 0, memory.length, null, (error, count) => {
      if (error === null) return resolve(count);
      if (error.code !== "EAGAIN") return reject(error);
      setTimeout(() => readStdin(memory).then(resolve, reject), ASK_AGAIN_MS);
    });
  });
}

/** As the job that this is: the master refuses an attempt that is over. */
function ownAttempt({ context }: Call): { run?: string; job?: string; attempt?: number } {
  const [run, job] = [context.setting("TITAN_RUN"), context.setting("TITAN_JOB")];
  const attempt = Number(context.setting("TITAN_ATTEMPT"));
  return run === undefined || job === undefined || !(attempt > 0) ? {} : { run, job, attempt };
}

async function readable({ context: { host } }: Call, file: string): Promise<string> {
  const found = await host.storage.stat(file);
  if (found?.kind === "file") return file;
  const why = found === undefined ? "there is no such file"
    : "it is no file; tar c FOLDER | titan artifact put NAME - puts a folder";
  throw new CliError(EXIT.ERROR, `Cannot put ${file}: ${why}`);
}

/** `model.bin (1.1 GB) of nightly-7k2m` */
function describe({ name, size, run }: ArtifactInfo): string {
  return `${oneLine(name)} (${bytesText(size)})${run === "" ? ", kept by its name" : ` of ${run}`}`;
}

function older({ at, size, sha256 }: ArtifactInfo): string {
  return `the one of ${timeText(at)} (${bytesText(size)}, ${sha256.slice(0, 12)}…)`;
}

async function get(call: Call, client: Client): Promise<number> {
  const { context } = call;
  const [, name, given] = call.args as [string, string, string | undefined];
  const { info, bytes } = await inRun(call, client, (from) =>
    client.getArtifact(name, { ...from, lent: true }));
  if (given === "-") {
    for await (const piece of bytes) await context.pour("stdout", piece);
    return EXIT.OK;
  }
  const file = given ?? basename(name);
  const { storage } = context.host;
  if (given === undefined && (await storage.stat(file)) !== undefined) {
    const advice = `titan artifact get ${name} FILE writes it to another one, or over it`;
    throw new CliError(EXIT.ERROR, `Cannot get artifact ${name}: ${file} exists`, { advice });
  }
  if ((await storage.stat(file))?.kind === "directory") {
    const advice = `titan artifact get ${shellWord(name)} ${shellWord(join(file, basename(name)))}`;
    throw new CliError(EXIT.ERROR, `Cannot get artifact ${name}: ${file} is a folder`, { advice });
  }
  await writeAside(call, file, bytes);
  if (call.json) context.json({ ...artifactJson(info), file });
  else context.note(`titan: got ${describe(info)} as ${file}`);
  return EXIT.OK;
}

/** The file has its name once it is whole, and checked. */
async function writeAside(
  { context: { host } }: Call, file: string, bytes: AsyncIterable<Buffer>,
): Promise<void> {
  const aside = `${file}.part-${Buffer.from(host.random.bytes(6)).toString("hex")}`;
  const out = await host.storage.open(aside, { create: true, exclusive: true })
    .catch((error: unknown) => {
      throw new CliError(EXIT.ERROR, `Cannot write ${file}: ${fileReason(error)}`);
    });
  try {
    for await (const piece of bytes) await out.append([piece]);
    await out.close();
    await host.storage.rename(aside, file);
  } catch (error) {
    await out.close();
    await host.storage.remove(aside);
    throw error;
  }
}

/** Asks about the run that is meant; inside a job without a flag, about kept ones, too. */
function inRun<T>(
  call: Call, client: Client, ask: (from: ArtifactName) => Promise<T>,
): Promise<T> {
  const meant = runOf(call);
  if (meant === undefined) return ask({});
  return withRun(client, meant.run, (run) => ask({ run, orKept: meant.own }));
}

async function list(call: Call, client: Client): Promise<number> {
  const { context } = call;
  const meant = runOf(call);
  const found = meant === undefined ? await client.artifacts({ kept: call.on("keep") })
    : await withRun(client, meant.run, (run) => client.artifacts({ run }));
  if (call.json) context.json(found.map(artifactJson));
  else if (found.length === 0) context.note("titan: there are no artifacts");
  else context.out(table(HEADS, found.map(rowOf), context.columns));
  return EXIT.OK;
}

const HEADS = ["NAME", "RUN", "SIZE", "SHA-256", "AT", "FROM"];

function rowOf(info: ArtifactInfo): string[] {
  const { name, run, size, sha256, at } = info;
  const where = run === "" ? "(kept)" : run;
  return [
    oneLine(name), where, bytesText(size), sha256.slice(0, 12), timeText(at), oneLine(maker(info)),
  ];
}

/** `nightly-7k2m/train#2`, or the person. */
function maker({ byRun, byJob, byAttempt, by }: ArtifactInfo): string {
  if (byJob === "") return by;
  return `${byRun}/${byJob}${byAttempt === 0 ? "" : `#${byAttempt}`}`;
}

async function remove(call: Call, client: Client): Promise<number> {
  const { context } = call;
  const by = context.person;
  const gone: ArtifactInfo[] = [];
  for (const name of call.args.slice(1)) {
    const { artifacts } = await inRun(call, client, (from) =>
      client.removeArtifact(name, { ...from, orKept: false, by }));
    gone.push(...artifacts);
  }
  if (call.json) context.json(gone.map(artifactJson));
  else for (const info of gone) context.note(`titan: removed ${describe(info)}`);
  return EXIT.OK;
}

async function collect(call: Call, client: Client): Promise<number> {
  const { context } = call;
  const which = {
    olderMs: (await call.durationMs("older", MAX_AGE_MS)) ?? 0, kept: call.on("keep"),
    dryRun: call.on("dry-run"), by: context.person,
  };
  const gone: ArtifactInfo[] = [];
  let freed = 0;
  for (;;) {
    const { artifacts, more, freedBytes, usedBytes, maxBytes } =
      await client.collectArtifacts(which);
    gone.push(...artifacts);
    freed += freedBytes;
    if (more && !which.dryRun) continue;
    if (call.json) {
      const removed = gone.map(artifactJson);
      context.json({ dryRun: which.dryRun, removed, more, freedBytes: freed, usedBytes, maxBytes });
      return EXIT.OK;
    }
    if (gone.length > 0) context.out(table(HEADS, gone.map(rowOf), context.columns));
    const done = which.dryRun ? "would remove" : "removed";
    const what = `${plural(gone.length, "artifact")}${more ? " and more" : ""}`;
    const left = `artifacts hold ${bytesText(usedBytes)} of ${bytesText(maxBytes)}`;
    context.note(`titan: ${done} ${what}, ${bytesText(freed)}; ${left}`);
    return EXIT.OK;
  }
}
