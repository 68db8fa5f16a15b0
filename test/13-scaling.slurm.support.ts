/**
 * A real Slurm of one node, below one folder: munged, slurmctld and slurmd, with a key, a socket
 * and ports of their own. It needs root, because slurmd starts jobs as those who submit them.
 *
 *     sbatch, scancel, squeue ──▶ slurmctld ──▶ slurmd ──▶ slurmstepd ──▶ job
 *              └─ who is it? ──▶ munged ◀─┘
 *
 * Invariant: `stop` leaves nothing behind; jobs are cancelled first, because their slurmstepd is
 * nobody's child.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { removeTreeSync } from "../scripts/lib/remove-tree.mjs";
import { eventually, ownPort } from "./processes.support.ts";

const PROGRAMS = ["munged", "slurmctld", "slurmd"] as const;
type Program = (typeof PROGRAMS)[number];

/** Debian has all three there, which is not in everybody's PATH. */
const pathOf = (program: Program): string => `/usr/sbin/${program}`;

/** Why there is no Slurm for tests here; false if there is one. */
export function noSlurm(): string | false {
  if (process.getuid?.() !== 0) return "only on accounts of root: slurmd starts jobs for others";
  // Under CI a missing program fails the test.
  const isThere = PROGRAMS.every((program) => existsSync(pathOf(program)));
  return !isThere && !process.env["CI"] && "only on machines with Slurm and MUNGE";
}

/** As squeue shows it: `slurm-1`, `RUNNING`. */
export interface SlurmJob {
  readonly id: string;
  readonly name: string;
  readonly state: string;
}

export interface Slurm {
  /** For whoever submits. */
  readonly env: { readonly SLURM_CONF: string };
  /** Jobs that wait, run or are on their way out. */
  queue(): SlurmJob[];
  /** All submissions so far, also of jobs that are gone. */
  submitted(): number;
  /** A job that does nothing, for a long time. */
  submit(name: string): void;
  /** Jobs wait while it holds. */
  hold(on: boolean): void;
  stop(): Promise<void>;
}

/**
 * Resolves once the node is idle: about a quarter of a second later. Its folder is not in TMPDIR,
 * because it has sockets, whose paths may have 107 bytes.
 */
export async function startSlurm(): Promise<Slurm> {
  const folder = mkdtempSync("/tmp/a Slurm ");
  const ports = { controlPort: await ownPort(), nodePort: await ownPort() };
  const at = (name: string): string => join(folder, name);
  for (const name of ["state", "spool", "munge"]) mkdirSync(at(name));
  writeFileSync(at("munge/key"), randomBytes(128), { mode: 0o600 });
  writeFileSync(at("cgroup.conf"), "CgroupPlugin=disabled\n");
  writeFileSync(at("slurm.conf"), configuration({ at, ...ports }));
  const env = { SLURM_CONF: at("slurm.conf") };
  const started: ChildProcess[] = [];
  const start = (program: Program, args: string[]): void => {
    const log = openSync(at(`${program}.out`), "a");
    const options = { env: { ...process.env, ...env }, cwd: folder };
    started.push(spawn(pathOf(program), args, { ...options, stdio: ["ignore", log, log] }));
    closeSync(log);
  };
  const kill = (): void => {
    for (const child of started) child.kill("SIGKILL");
    removeTreeSync(folder);
  };
  process.once("exit", kill);
  const ask = (program: string, ...args: string[]): string => {
    const options = { env: { ...process.env, ...env }, encoding: "utf8" } as const;
    return execFileSync(program, args, { ...options, stdio: ["ignore", "pipe", "ignore"] });
  };
  const munge = ["key-file=key", "socket=socket", "pid-file=pid", "log-file=log", "seed-file=seed"];
  const flags = munge.map((flag) => `--${flag.replace("=", `=${at("munge/")}`)}`);
  start("munged", ["--foreground", "--force", "--num-threads=2", ...flags]);
  await eventually("munged listens", () => existsSync(at("munge/socket")));
  start("slurmctld", ["-D", "-c"]);
  start("slurmd", ["-D"]);
  const slurm: Slurm = {
    env,
    queue: () => ask("squeue", "--noheader", "--format=%i %j %T").split("\n").flatMap((line) => {
      const [id, name, state] = line.split(" ");
      return state === undefined ? [] : [{ id: id!, name: name!, state }];
    }),
    submitted: () => {
      const log = readFileSync(at("slurmctld.log"), "utf8");
      return log.match(/submit_batch_job: JobId=/g)?.length ?? 0;
    },
    submit: (name) => {
      ask("sbatch", `--job-name=${name}`, "--output=/dev/null", "--wrap=exec sleep 600");
    },
    hold: (on) => {
      ask("scontrol", "update", "partitionname=all", `state=${on ? "DOWN" : "UP"}`);
    },
    async stop() {
      // A slurmstepd outlives slurmd, and the jobs outlive that.
      spawnSync("scancel", ["--me"], { env: { ...process.env, ...env } });
      await eventually("Slurm's queue is empty", () => slurm.queue().length === 0);
      for (const child of started.reverse()) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        child.kill("SIGTERM");
        await once(child, "exit");
      }
      process.off("exit", kill);
      removeTreeSync(folder);
    },
  };
  await eventually("Slurm's node is idle", () => {
    const asked = spawnSync("sinfo", ["--noheader", "--format=%t"], {
      env: { ...process.env, ...env }, encoding: "utf8",
    });
    return asked.stdout?.trim() === "idle";
  });
  return slurm;
}

interface Places {
  readonly at: (name: string) => string;
  readonly controlPort: number;
  readonly nodePort: number;
}

/**
 * Quotes, for a path with a blank. The node claims eight processors, so that workers do not wait
 * for one another; every second its jobs are looked at, which is the least that Slurm knows.
 */
function configuration({ at, controlPort, nodePort }: Places): string {
  const node = hostname().split(".")[0]!;
  return `
ClusterName=titan
SlurmctldHost=${node}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=${controlPort}
SlurmdPort=${nodePort}
AuthType=auth/munge
CredType=cred/munge
AuthInfo="socket=${at("munge/socket")}"
StateSaveLocation="${at("state")}"
SlurmdSpoolDir="${at("spool")}"
SlurmctldLogFile="${at("slurmctld.log")}"
SlurmdLogFile="${at("slurmd.log")}"
SlurmctldPidFile="${at("slurmctld.pid")}"
SlurmdPidFile="${at("slurmd.pid")}"
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
KillWait=5
NodeName=${node} NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
`;
}

