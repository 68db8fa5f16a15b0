/**
 * `titan backup` and `titan restore`: a state folder as one file, and back.
 *
 * Test: test/24-packaging.backup.test.ts
 */
import type { Call, Command } from "../command.ts";
import { EXIT } from "../exit.ts";
import { bytesText, plural } from "../text.ts";

const STATE = {
  type: "string",
  value: "DIR",
  summary: "the master's state folder (default TITAN_HOME, else .titan)",
} as const;

export const backup: Command = {
  name: "backup",
  summary: "copy a state folder into one file, beside a running master",
  usage: "FILE",
  args: [1, 1],
  flags: { state: STATE },
  notes: [
    "The copy has every run that was acknowledged before it began: the log, projects, output, " +
      "artifacts, and the store of titan up. A store elsewhere, with --store, has its own backups.",
    "It runs on the master's machine and reads the folder: the master is not asked, and need not " +
      "run. FILE is a tar.gz that must not exist; it appears when it is whole. Keep it as secret " +
      "as the folder: environments of jobs are in it.",
  ],
  examples: [
    "titan backup /backup/titan-$(date +%F).tar.gz",
    "titan backup copy.tar.gz --state /var/lib/titan",
  ],
  run: runBackup,
};

export const restore: Command = {
  name: "restore",
  summary: "make a state folder from a backup",
  usage: "FILE",
  args: [1, 1],
  flags: { state: { ...STATE, summary: `${STATE.summary}; must be empty or missing` } },
  notes: [
    "Everything is checked before it gets its name in the folder: each file against its sum, and " +
      "the state that the log gives against the one that was copied.",
    "Jobs that ran when the copy was made start again, unless their worker comes back with them.",
  ],
  examples: ["titan restore copy.tar.gz --state /var/lib/titan"],
  run: runRestore,
};

async function runBackup(call: Call): Promise<number> {
  const { context, json } = call;
  const { makeBackup } = await import("#backup");
  const stateDir = call.text("state") ?? context.home;
  const options = { host: context.host, stateDir, file: call.args[0]!, stopped: whenStopped(call) };
  const { file, bytes, info, hasStore, missing } = await makeBackup(options);
  for (const hash of missing) {
    const found = `${stateDir} lacks the content ${hash}, of a project or an artifact`;
    context.note(`titan: warning: ${found}`);
  }
  if (json) context.json({ type: "backup", file, bytes, ...info, store: hasStore, missing });
  else {
    const store = hasStore ? ", and its store" : "";
    const runs = `${plural(info.runs, "run")} up to event ${info.lastEvent}${store}`;
    context.out(`${file}: ${bytesText(bytes)}, ${runs}`);
  }
  return EXIT.OK;
}

async function runRestore(call: Call): Promise<number> {
  const { context, json } = call;
  const { restoreBackup } = await import("#backup");
  const stateDir = call.text("state") ?? context.home;
  const options = { host: context.host, stateDir, file: call.args[0]!, stopped: whenStopped(call) };
  const { info, files } = await restoreBackup(options);
  if (json) context.json({ type: "restore", state: stateDir, files, ...info });
  else {
    const runs = `${plural(info.runs, "run")} up to event ${info.lastEvent}, as of ${info.at}`;
    context.out(`${stateDir}: ${plural(files, "file")}, ${runs}`);
  }
  return EXIT.OK;
}

/** Ctrl-C ends it between two pieces, and nothing is left behind. */
function whenStopped({ context }: Call): () => boolean {
  let stopped = false;
  context.onInterrupt(() => { stopped = true; });
  return () => stopped;
}
