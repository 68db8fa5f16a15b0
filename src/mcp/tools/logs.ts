/**
 * Lesson 20: what a job printed, in pieces that a model can read.
 *
 * Test: test/20-mcp.tools.test.ts
 */
import { plural } from "#base";
import { boolean, integer, text } from "#rows";
import { isTerminal } from "#wire";
import { linePattern } from "../line-pattern.ts";
import { findJob } from "../names.ts";
import { readPage } from "../output-text.ts";
import { logUri } from "../uris.ts";
import { fields, READS, textOf, whole, words, type Tool } from "./tool.ts";

const TAIL = 200;
const MAX_TAIL = 10_000;
const NOTHING = "(no logs available)";

export const jobLogs: Tool = {
  name: "get_job_logs", title: "Output of a job", ...READS,
  description: "Returns what a job printed, stdout and stderr: the last lines, or those from a " +
    "cursor on, or those that match. At most 20,000 characters; truncated says that there is more.",
  input: fields({
    job_id: words("RUN/JOB, or a job id alone: of the newest run that has it."),
    "tail?": whole("The last lines, at most so many.",
      { minimum: 1, maximum: MAX_TAIL, default: TAIL }),
    "grep?": words("Only lines that match this regular expression (JavaScript's)."),
    "cursor?": whole("Instead of the last lines: from this one on. next_cursor of the answer " +
      "before goes on where that ended.", { minimum: 0 }),
    "attempt?": whole("Of an earlier attempt.", { minimum: 1 }),
  }),
  output: fields({
    job_id: text, logs: text, run: text, job: text, attempt: integer, status: text,
    truncated: boolean, next_cursor: integer, lines: integer,
  }),
  async run(args, { titan, host, caller }) {
    const grep = textOf(args, "grep");
    const typed = textOf(args, "job_id")!;
    const { run, job } = await findJob(titan, typed);
    const attempt = (args["attempt"] as number | undefined) ?? job.attempt;
    const from = args["cursor"] as number | undefined;
    const wish = {
      tail: (args["tail"] as number | undefined) ?? TAIL, from,
      pick: grep === undefined ? undefined : linePattern(grep, host),
    };
    const isOver = isTerminal(job.status) || job.status === "WAITING" || attempt < job.attempt;
    // A job that has not begun has printed nothing; the master would call it unknown.
    const chunks = job.attempt === 0 ? none()
      : titan.logs(run.id, job.id, { attempt, signal: caller.signal });
    const { lines, truncated, next } = await readPage(chunks, wish, isOver);
    const logs = lines.length === 0 ? NOTHING : lines.join("\n");
    const name = `${run.id}/${job.id}`;
    const where = from === undefined ? "earlier lines were left out: use grep, cursor 0 or tail"
      : `go on with cursor ${next}`;
    const more = truncated ? `; ${where}` : isOver ? "" : `; new lines: cursor ${next}`;
    const many = plural(lines.length, "line");
    return {
      text: `${name} is ${job.status}, attempt ${attempt}, ${many}${more}\n${logs}`,
      data: {
        job_id: typed, logs, run: run.id, job: job.id, attempt, status: job.status, truncated,
        next_cursor: next, lines: lines.length,
      },
      isLong: true,
      links: truncated
        ? [{ type: "resource_link", uri: logUri(run.id, job.id), name: `${name} log`,
          mimeType: "text/plain" }] : [],
    };
  },
};

async function* none(): AsyncGenerator<never> {}
