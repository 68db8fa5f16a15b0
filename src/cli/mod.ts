/**
 * The command line: `titan`. Lesson 00 shows it from outside; docs/cli.md lists what it promises.
 *
 *     main.ts      the program
 *     program.ts   first word → command → exit code
 *     command.ts   what a command declares; flags, help and suggestions follow from it
 *     commands/    one small file per command, or per group of like ones
 *     cluster.ts   a master here and workers beside it: `titan up`, `titan run` without a master, demos, tests
 *     cluster-store.ts, store-*.ts     its store: in a thread (store-thread.ts), elsewhere, or `titan store` itself
 *     submit.ts, follow.ts, watch.ts   a run from its file to its end
 *     tracker.ts, view.ts, progress.ts what is known of a run, as text, on a terminal
 *
 * Invariants: data on stdout, everything else on stderr; exit codes mean what the contract says; a master that was named
 * is never replaced by another.
 * Left out: services and the dashboard, which later chapters bring.
 * Test: test/cli.test.ts
 */
export { startEmbeddedCluster, type ClusterOptions, type EmbeddedCluster } from "./cluster.ts";
export { selfCommand } from "./self.ts";
export { Tracker, type JobRow, type News } from "./tracker.ts";
export { renderRun, type ViewOptions } from "./view.ts";
export { EXIT } from "./exit.ts";
