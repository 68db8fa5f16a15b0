/**
 * `console` fences: commands with the output they really have.
 *
 *     $ npm run -s try 05/torn-tail
 *     kept 3 of 4 records in 1.8 ms
 *     ...
 *
 * Each command runs in `sh`, in a copy of the project; what differs from run to run (durations,
 * ports, process ids, run ids, temporary paths) is replaced on both sides before comparing. A line
 * `...` stands for any lines. In a fence of type `console exact` durations and rates are compared
 * as they are: for what runs in virtual time. Nothing may stay behind: no process, no file.
 */
import { stripVTControlCharacters } from "node:util";
import { isExact } from "./form.ts";
import type { Fence } from "./markdown.ts";
import type { Lesson } from "./project.ts";
import type { Problem } from "./report.ts";
import { killStrays, listLeftovers, runIn, type Sandbox } from "./sandbox.ts";

export interface Command {
  /** 1-based, in the lesson. */
  readonly line: number;
  readonly text: string;
  readonly expected: readonly string[];
}

/** A line that ends in `\` goes on in the next one, as in a shell. */
export function parseTranscript(fence: Fence): { commands: Command[]; strayOutput: boolean } {
  const commands: { line: number; text: string; expected: string[] }[] = [];
  let strayOutput = false;
  for (let i = 0; i < fence.lines.length; i++) {
    const line = fence.lines[i] ?? "";
    if (line.startsWith("$ ")) {
      const start = fence.line + 1 + i;
      let text = line.slice(2);
      while (text.endsWith("\\") && i + 1 < fence.lines.length) text += `\n${fence.lines[++i]}`;
      commands.push({ line: start, text, expected: [] });
    } else if (commands.length === 0) strayOutput ||= line.trim() !== "";
    else commands.at(-1)!.expected.push(line);
  }
  return { commands, strayOutput };
}

/** Only a command that hangs takes so long; on a machine with other work the slowest takes 25 s. */
const COMMAND_TIMEOUT_MS = 60_000;

export interface TranscriptResult {
  readonly problems: Problem[];
  /** The fence with its real output, when it differs. */
  readonly recorded: { readonly fence: Fence; readonly lines: string[] }[];
}

/** Runs a lesson's commands in order, in one sandbox: later ones may build on earlier ones. */
export async function checkTranscripts(
  lesson: Lesson,
  fences: readonly Fence[],
  sandbox: Sandbox,
): Promise<TranscriptResult> {
  const problems: Problem[] = [];
  const recorded: { fence: Fence; lines: string[] }[] = [];
  const say = (line: number, message: string, diff?: Pick<Problem, "expected" | "received">) =>
    void problems.push({ file: lesson.readme, line, rule: "console", message, ...diff });
  const before = new Set(listLeftovers(sandbox));
  for (const fence of fences) {
    const { commands, strayOutput } = parseTranscript(fence);
    if (commands.length === 0) say(fence.line, "no line starts with \"$ \"");
    if (strayOutput) say(fence.line, "output before the first \"$ \" line");
    const lines: string[] = [];
    let differs = false;
    for (const { line, text, expected } of commands) {
      // One pipe for both streams keeps their order.
      const shell = ["sh", "-c", `exec 2>&1\n${text}`];
      const outcome = await runIn(sandbox, shell, COMMAND_TIMEOUT_MS);
      if (outcome.timedOut) {
        say(line, `\`${text}\` did not finish within ${COMMAND_TIMEOUT_MS / 1000} s`);
      }
      if (outcome.survivors) say(line, `\`${text}\` left a process running`);
      const received = outputLines(outcome.output, sandbox);
      const exact = isExact(fence);
      const [wanted, found] = [normalise(expected, { exact }), normalise(received, { exact })];
      const matches = matchLines(wanted, found);
      if (!matches) {
        differs = true;
        const code = outcome.code ? ` (exit code ${outcome.code})` : "";
        const diff = { expected: wanted.join("\n"), received: found.join("\n") };
        say(line, `\`${text}\` prints something else${code}`, diff);
      }
      lines.push(...`$ ${text}`.split("\n"), ...(matches ? expected : received));
    }
    if (differs) recorded.push({ fence, lines });
  }
  for (const stray of killStrays(sandbox)) {
    say(fences[0]?.line ?? 1, `a process was left behind: ${stray}`);
  }
  const left = listLeftovers(sandbox).filter((path) => !before.has(path));
  if (left.length > 0) {
    say(fences[0]?.line ?? 1, `files were left behind: ${left.slice(0, 5).join(", ")}`);
  }
  return { problems, recorded };
}

/** Paths of the sandbox read as they would in a checkout. */
function outputLines(output: string, sandbox: Sandbox): string[] {
  const text = stripVTControlCharacters(output)
    .replace(/\r\n?/g, "\n")
    .replaceAll(sandbox.temp, "/tmp")
    .replaceAll(sandbox.root, ".");
  const lines = text.split("\n").map((line) => line.trimEnd());
  while (lines.length > 0 && lines.at(-1) === "") lines.pop();
  return lines;
}

const UNITS =
  "ns|µs|μs|us|ms|s|sec|secs|seconds?|minutes?|min|h|kB|KB|KiB|MB|MiB|GB|GiB|kbit|Mbit|Gbit";

/**
 * Texts that may differ between two runs, each with the word that stands for it. Order matters: the
 * longest shapes first.
 */
const VARIABLE: readonly (readonly [RegExp, string])[] = [
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, "<uuid>"],
  [/\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?)?/g, "<date>"],
  [/\b\d\d:\d\d:\d\d(?:\.\d+)?\b/g, "<time>"],
  [/(?:\/private)?(?:\/var\/folders|\/tmp)\/[^\s"',:;)\]}]*/g, "<temp>"],
  [/\b0x[0-9a-f]{6,}\b/gi, "<address>"],
  [/\b(127\.0\.0\.1|localhost|0\.0\.0\.0|\[::1?\])(:)\d+/g, "$1$2<port>"],
  [/\b(port|pid|process)([ =:#]+)\d+/gi, "$1$2<number>"],
  // A rate: 12,345 frames/s, 1.2 GB/s, 31k/s
  [
    /[ \t]*[~≈]?\b\d[\d,_]*(?:\.\d+)?[kM]?(?:\s?[A-Za-zµμ]+)?(?:\/s\b|\/sec\b|\s?per second\b)/g,
    " <measure>",
  ],
  [
    new RegExp(`[ \\t]*[~≈]?(?<![\\w.-])-?\\d[\\d,_]*(?:\\.\\d+)?\\s?(?:${UNITS})(?![\\w])`, "g"),
    " <measure>",
  ],
  // A run id: the pipeline's name and a short id that has a digit in it
  [/\b([a-z][a-z0-9_]*(?:-[a-z][a-z0-9_]*)*)-(?=[a-z0-9]*\d)[a-z0-9]{5,12}\b/g, "$1-<id>"],
];

const MEASURE = " <measure>";

/**
 * Replaces what changes from run to run and trims both ends of every line. Trailing blank lines go.
 * @param options `exact` leaves durations and rates as they are
 */
export function normalise(lines: readonly string[], options: { exact?: boolean } = {}): string[] {
  const patterns = VARIABLE.filter(([, word]) => !options.exact || word !== MEASURE);
  const out = lines.map((line) => {
    let text = line.trimEnd();
    for (const [pattern, word] of patterns) text = text.replace(pattern, word);
    // Columns shift with the width of the numbers in them.
    return text === line.trimEnd() ? text : text.replace(/(?<=\S)[ \t]{2,}/g, " ");
  });
  while (out.length > 0 && out.at(-1) === "") out.pop();
  return out;
}

/** Lines against a pattern in which `...` matches any number of lines. */
export function matchLines(pattern: readonly string[], lines: readonly string[]): boolean {
  // The classic wildcard walk: remember the last `...` and, on a mismatch, let it take one line
  // more.
  let [p, i, star, from] = [0, 0, -1, 0];
  while (i < lines.length) {
    if (pattern[p]?.trim() === "...") [star, from, p] = [p, i, p + 1];
    else if (p < pattern.length && pattern[p] === lines[i]) [p, i] = [p + 1, i + 1];
    else if (star >= 0) [p, i] = [star + 1, ++from];
    else return false;
  }
  while (pattern[p]?.trim() === "...") p++;
  return p === pattern.length;
}
