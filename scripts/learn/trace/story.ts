/**
 * What happened, line by line, as a story with lanes: who did what, and who heard of it.
 *
 *       0.008 s  master  report#1 is RUNNING on w1        a stage of a lesson
 *      108.7  w1 <- DISPATCH k1-33b4/b#1                  a simulated life
 *     t=847   shop asks for order 16                      a toy
 *     12  2026-03-01 14:05:09.120  JobStarted build#1 …   `titan replay RUN`
 *
 * Lines of other forms are no part of the story. Test: test/learn-trace.test.ts
 */

export interface Step {
  /** As the line has it: "0.008 s", "t=847". */
  readonly at: string;
  readonly kind: "step" | "fault" | "broken";
  readonly lane?: string;
  /** Where it goes to, when it is a message. */
  readonly to?: string;
  readonly text: string;
}

export interface Story {
  /** In the order in which they appear, with the master first. */
  readonly lanes: readonly string[];
  readonly steps: readonly Step[];
}

const MASTER = "master";
const TOY = /^\s*(t=\d+)\s+(.*)$/;
const LIVED = /^\s*(\d+\.\d)\s+(.*)$/;
const FAULT = /^(?:──|FAULT)\s*(.*)$/;

/** Who is told, by what the teller says. */
const MESSAGES: readonly (readonly [lane: RegExp, text: RegExp, to: string])[] = [
  [/^master$/, /\bRUNNING on (\S+)/, "$1"],
  [/^master$/, /^Job(?:Started|Dispatched)\b.* on (\w[\w-]*)/, "$1"],
  [/^master$/, /\bwaits? for an answer of (\S+)/, "$1"],
  [/^(?:w\d+|worker|slow|small|big)$/, /\bends\b|^registered\b/, MASTER],
  [/^(?:c\d+|client)$/, /^(?:submits|asks|approves|rejects|cancels|retries|wants|adds)\b/, MASTER],
  [/^shop$/, /^asks\b/, "bank"],
];

/** What a lane has heard, and from whom. */
const HEARD = /^(?:"|has the acknowledgement|is told)/;

export function storyOf(lines: readonly string[]): Story {
  // A life is shown behind its plan, whose lines say what will be asked for.
  const isLife = lines.some((line) => LIVED.test(line));
  const steps = lines.flatMap((line) => (isLife && TOY.test(line) ? [] : stepOf(line) ?? []));
  const names = new Set(steps.flatMap(({ lane, to }) => [lane, to])
    .filter((name) => name !== undefined));
  const lanes = [...names].sort((a, b) => Number(b === MASTER) - Number(a === MASTER));
  return { lanes, steps };
}

function stepOf(line: string): Step | undefined {
  const stage = /^\s*([\d.]+ m?s)\s+(.*)$/.exec(line);
  if (stage !== null) return told(stage[1]!, stage[2]!);
  const toy = TOY.exec(line);
  if (toy !== null) return told(toy[1]!, toy[2]!);
  // Behind the fact, in brackets, is what it has changed: too much for a lane.
  const replay = /^\s*\d+\s+\S+ (\d\d:\d\d:\d\d\.\d+)\s+(.*?)(?: {2}\[.*)?$/.exec(line);
  if (replay !== null) return message({ at: replay[1]!, lane: MASTER, text: replay[2]! });
  const life = LIVED.exec(line);
  return life === null ? undefined : lived(life[1]!, life[2]!);
}

/** "master  report#1 is RUNNING", "client: submits a pipeline", "── w1 is frozen". */
function told(at: string, text: string): Step {
  const fault = FAULT.exec(text);
  if (fault !== null) return { at, kind: "fault", text: fault[1]! };
  const [, lane = "", rest = ""] = /^(?:the )?(\S+?):?\s+(.*)$/.exec(text) ?? [];
  return /\bloses power\b|\bis killed\b/.test(rest) ? { at, kind: "fault", text }
    : message({ at, lane, text: rest });
}

function lived(at: string, text: string): Step {
  const fault = FAULT.exec(text);
  if (fault !== null) return { at, kind: "fault", text: fault[1]! };
  if (text === "everything is mended") return { at, kind: "fault", text };
  if (text.startsWith("BROKEN ")) return { at, kind: "broken", text: text.slice(7) };
  const wire = /^(\S+) (->|<-) (.*)$/.exec(text);
  if (wire !== null) {
    const [, worker = "", way, rest = ""] = wire;
    const ends = way === "->" ? { lane: worker, to: MASTER } : { lane: MASTER, to: worker };
    return { at, kind: "step", ...ends, text: rest };
  }
  const log = /^log (\d+ .*)$/.exec(text);
  if (log !== null) return { at, kind: "step", lane: MASTER, text: log[1]! };
  const [, name = "", rest = ""] = /^(\S+)\s+(.*)$/.exec(text) ?? [];
  return message({ at, lane: name === "m" ? MASTER : name, text: rest });
}

function message({ at, lane, text }: { at: string; lane: string; text: string }): Step {
  if (lane !== MASTER && HEARD.test(text)) {
    return { at, kind: "step", lane: MASTER, to: lane, text };
  }
  for (const [who, says, to] of MESSAGES) {
    const found = who.test(lane) ? says.exec(text) : null;
    if (found === null) continue;
    return { at, kind: "step", lane, to: to.replace("$1", found[1] ?? ""), text };
  }
  return { at, kind: "step", lane, text };
}
