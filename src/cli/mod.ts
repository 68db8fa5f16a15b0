/**
 * The command line: `titan`. Lesson 00 shows it from outside; docs/cli.md lists what it promises.
 *
 *     main.ts · program.ts         the program `titan`, and all its commands
 *     worker-main.ts               the program of the worker's bundle
 *     node-version.ts · start.ts   the first line of a program, and its end
 *     dispatch.ts                  first word → command → exit code
 *     command.ts                   what a command declares; help.ts and complete.ts follow from it
 *     commands/                    one small file per command, or per group of like ones
 *     context.ts · exit.ts         terminal, environment and signals; exit codes and errors
 *     named-master.ts · address.ts    which master; a session with it
 *     refs.ts · named-service.ts   how people name runs and jobs, and services
 *     serve.ts · health.ts         `titan up` and `titan master`; what keeps them from starting;
 *         http-port.ts             their HTTP port
 *     store-url.ts · store-dump.ts    which store; the content of one, in the language of Redis
 *     kv-reply.ts                  a store's answer as text
 *     mcp-door.ts                  MCP on the HTTP door
 *     submit.ts · project-files.ts    from a file to a run
 *     follow.ts · watch.ts         a run to its end
 *     waits.ts · summary.ts        why jobs wait; how the run ended,
 *     agent-result.ts              and what an agent has come to
 *     tracker.ts · view.ts         the state of a run as far as it is known, and as lines of text
 *     progress.ts · drawing.ts     those lines on a terminal, redrawn in place
 *     not-begun.ts                 why a job has no output yet
 *     service-view.ts · agent-view.ts    services on a terminal; agent runs
 *     until-ready.ts               a look at services until they are READY
 *     eventlog.ts                  the event log as a person reads it
 *     text.ts · json.ts            words and tables; streams of `--json` (rows are in #rows)
 *
 * Invariants: data on stdout, everything else on stderr; exit codes mean what the contract says; a
 * master that was named is never replaced by another.
 * Left out: the dashboard, which a later chapter brings.
 * Test: test/cli.test.ts
 */
export { Tracker, type JobRow, type News } from "./tracker.ts";
export { renderRun, type ViewOptions } from "./view.ts";
export { EXIT } from "./exit.ts";
