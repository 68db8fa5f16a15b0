/**
 * Jobs as version 1 writes them: fields between pipes, read from the outside in, because the middle
 * may be anything.
 *
 *     SUBMIT_DAG   job ; job ; …
 *     job          id | [skill |] work | priority | delay ms | [parent,parent] [| AFFINITY]
 *     SUBMIT_JOB   [id |] work [| priority [| delay ms]]
 *
 *     work         RUN_PAYLOAD           | file | [args |] base64 [| tag]
 *                  DEPLOY_PAYLOAD        | file | base64 [| port] [| tag]
 *                  RUN_ARCHIVE           | zip/entry [| args] [| tag]
 *                  START_ARCHIVE_SERVICE | zip/entry [| args] [| port] [| tag]
 *
 * The original cuts at every semicolon, and so cuts a job in two whose arguments have one. Every
 * job ends in its brackets or in a word after them. So a semicolon anywhere else is part of a job.
 *
 * Invariants: a body is read as a whole or refused as a whole, in words; nothing is dropped.
 * Left out: the skills of the original's Java handlers (TEST, PDF …).
 * Test: test/dialect.jobs.test.ts
 */
import { TAG } from "#base";

/** A program: its bytes, or a place in an uploaded zip. */
export type OldSource =
  | { readonly type: "inline"; readonly file: string; readonly content: Buffer }
  | { readonly type: "zip"; readonly zip: string; readonly entry: string };

export interface OldJob {
  /** Without the `DAG-` that the original puts in front. */
  readonly id: string;
  readonly isService: boolean;
  readonly source: OldSource;
  readonly args: readonly string[];
  /** Of a service; 0: none. */
  readonly port: number;
  readonly requirement: string;
  readonly priority: number;
  readonly delayMs: number;
  readonly parents: readonly string[];
  readonly affinity: boolean;
}

/** Why a body of version 1 cannot be acted on. */
export class OldFormatError extends Error {
  override readonly name = "OldFormatError";
}

type Work = Pick<OldJob, "isService" | "source" | "args" | "port" | "requirement">;

const GENERAL = "GENERAL";
const PREFIX = "DAG-";
const COMMANDS = ["RUN_PAYLOAD", "DEPLOY_PAYLOAD", "RUN_ARCHIVE", "START_ARCHIVE_SERVICE"];
/** The original takes a longer word for a script in base64. */
const MAX_OLD_TAG_CHARS = 19;
/** As every id in Titan. */
const MAX_ID_BYTES = 128;
/** A job has nine; arguments with pipes in them have more. */
const MAX_FIELDS = 1000;
/** Of a job that is shown in an error: its script would fill the screen. */
const SHOWN_CHARS = 40;

/** The jobs of SUBMIT_DAG. @throws {OldFormatError} */
export function parseDag(body: string): OldJob[] {
  const texts = splitJobs(body);
  if (texts.length === 0) throw new OldFormatError("Cannot read the DAG: it has no jobs");
  return texts.map((text, at) => explained(`job ${at + 1} (${shown(text)})`, () => dagJob(text)));
}

/** The job of SUBMIT_JOB. `id` undefined: the master is to choose one. @throws {OldFormatError} */
export function parseJob(body: string): Omit<OldJob, "id"> & { id: string | undefined } {
  return explained(`the job (${shown(body)})`, () => {
    const fields = fieldsOf(body.trim());
    const delayMs = isNumber(fields.at(-1)) ? Number(fields.pop()) : 0;
    const priority = isNumber(fields.at(-1)) ? Number(fields.pop()) : 1;
    const id = COMMANDS.includes(fields[0]!.trim()) ? undefined : fields.shift()!.trim();
    if (id !== undefined) checkId(id);
    checkTimes(priority, delayMs);
    return { id, ...readWork(fields), priority, delayMs, parents: [], affinity: false };
  });
}

// #region splitJobs
/** The texts of the jobs: cut at a semicolon that follows the end of a job. */
function splitJobs(body: string): string[] {
  const jobs: string[] = [];
  let [begin, from] = [0, 0];
  while (from <= body.length) {
    const semicolon = body.indexOf(";", from);
    const end = semicolon < 0 ? body.length : semicolon;
    const piece = body.slice(from, end).trim();
    const isAlone = begin === from;
    from = end + 1;
    const isEnd = /(\]|\|AFFINITY|\|STICKY)$/.test(piece) || end === body.length;
    if (isEnd && body.slice(begin, end).trim() !== "") jobs.push(body.slice(begin, end).trim());
    if (isEnd || (isAlone && piece === "")) begin = from;
  }
  return jobs;
}
// #endregion

function dagJob(text: string): OldJob {
  const affinity = /\|(AFFINITY|STICKY)$/.test(text);
  const plain = affinity ? text.slice(0, text.lastIndexOf("|")).trimEnd() : text;
  const bracket = plain.lastIndexOf("[");
  if (bracket < 0 || !plain.endsWith("]")) throw wrong("it does not end in [parents]");
  const names = plain.slice(bracket + 1, -1).split(",").map((name) => name.trim());
  const parents = names.filter((name) => name !== "").map(bareId);
  const fields = fieldsOf(plain.slice(0, bracket).trimEnd().replace(/\|$/, ""));
  const [priority, delay] = fields.splice(Math.max(1, fields.length - 2));
  if (!isNumber(priority) || !isNumber(delay)) {
    throw wrong("it has no priority and delay, two whole numbers, before its parents");
  }
  const id = bareId(fields.shift()!.trim());
  checkId(id);
  const times = { priority: Number(priority), delayMs: Number(delay) };
  checkTimes(times.priority, times.delayMs);
  return { id, ...readWork(fields), ...times, parents: [...new Set(parents)], affinity };
}

function fieldsOf(text: string): string[] {
  const fields = text.split("|", MAX_FIELDS + 1);
  if (fields.length <= MAX_FIELDS) return fields;
  throw wrong(`it has more than ${MAX_FIELDS} fields`);
}

function checkId(id: string): void {
  if (id === "") throw wrong("it has an empty id");
  // The original would have cut here: what stands before it is no whole job.
  if (id.includes(";")) throw wrong(`its id "${shown(id)}" has a semicolon in it`);
  const bytes = Buffer.byteLength(id);
  if (bytes > MAX_ID_BYTES) throw wrong(`its id has ${bytes} bytes, more than ${MAX_ID_BYTES}`);
}

function checkTimes(priority: number, delayMs: number): void {
  if (!Number.isSafeInteger(priority)) throw wrong(`the priority ${priority} is too large`);
  if (Number.isSafeInteger(delayMs) && delayMs >= 0) return;
  throw wrong(`a delay of ${delayMs} ms is none`);
}

// ── work ─────────────────────────────────────────────────────────────────────────────────────────

function readWork(fields: string[]): Work {
  const trimmed = fields.map((field) => field.trim());
  const at = trimmed.slice(0, 2).findIndex((field) => COMMANDS.includes(field));
  if (at < 0) {
    const found = trimmed[0] ?? "nothing";
    throw wrong(`"${shown(found)}" is none of ${COMMANDS.join(", ")}`);
  }
  // A skill before the command counts only if there is no tag at the end.
  const skill = at === 1 ? trimmed[0]! : "";
  const rest = trimmed.slice(at + 1);
  if ((rest[0] ?? "") === "") throw wrong("it names no file");
  const work = READERS[trimmed[at]!]!(rest, skill !== "");
  const requirement = work.requirement || skill || GENERAL;
  if (!TAG.test(requirement)) throw wrong(`"${shown(requirement)}" is no capability of a worker`);
  return { ...work, requirement };
}

const READERS: Readonly<Record<string, (rest: string[], hasSkill: boolean) => Work>> = {
  RUN_PAYLOAD: ([file = "", ...rest], hasSkill) => {
    const requirement = hasTag(rest, hasSkill) ? rest.pop()! : "";
    const source = inline(file, rest.pop());
    return { isService: false, source, args: words(rest), port: 0, requirement };
  },
  DEPLOY_PAYLOAD: ([file = "", base64, ...rest]) => {
    const source = inline(file, base64);
    return { isService: true, source, args: [], ...portAndTag(rest) };
  },
  RUN_ARCHIVE: ([pointer = "", ...rest]) => {
    const requirement = rest.pop() ?? "";
    return { isService: false, source: inZip(pointer), args: words(rest), port: 0, requirement };
  },
  START_ARCHIVE_SERVICE: ([pointer = "", ...rest]) => {
    const tail = portAndTag(rest);
    return { isService: true, source: inZip(pointer), args: words(rest), ...tail };
  },
};

/**
 * Whether the last of these is a tag: of `args | base64 | tag`, `base64 | tag`, `args | base64` or
 * `base64`. Of two fields the longer one is the script, as any script is longer than a tag.
 */
function hasTag(rest: readonly string[], hasSkill: boolean): boolean {
  if (rest.length !== 2) return rest.length > 2;
  const [first, last] = rest as [string, string];
  const isWord = last.length <= MAX_OLD_TAG_CHARS && TAG.test(last);
  return !hasSkill && isWord && first.length >= last.length;
}

/** Takes the last fields away: `port | tag`, or only one of them. */
function portAndTag(rest: string[]): { port: number; requirement: string } {
  const requirement = isNumber(rest.at(-1)) ? "" : (rest.pop() ?? "");
  const text = rest.pop() || "0";
  const port = Number(text);
  if (isNumber(text) && port >= 0 && port <= 65_535) return { port, requirement };
  throw wrong(`"${shown(text)}" is no port`);
}

function inline(file: string, base64: string | undefined): OldSource {
  if (base64 === undefined) throw wrong(`it has no script for ${file}`);
  const content = decodeBase64(base64);
  if (content === undefined) throw wrong(`the script of ${file} is not base64`);
  const bare = file.slice(file.lastIndexOf("/") + 1);
  if (isPlainName(bare)) return { type: "inline", file: bare, content };
  throw wrong(`"${shown(file)}" is no name of a file`);
}

function inZip(pointer: string): OldSource {
  const [, zip, entry = ""] = /^([^/]*\.zip)(?:\/(.*))?$/.exec(pointer) ?? [];
  if (zip !== undefined && isPlainName(zip) && entry !== "") return { type: "zip", zip, entry };
  throw wrong(`"${shown(pointer)}" is no file in a zip, such as project.zip/main.py`);
}

/** Undefined: it is not base64. `Buffer.from` would leave out what it does not understand. */
export function decodeBase64(text: string): Buffer | undefined {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  return Buffer.from(text, "base64");
}

/** A name inside a folder, and nothing else. */
export function isPlainName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !/[/\\\p{Cc}]/u.test(name)
    && Buffer.byteLength(name) <= 255;
}

/** The original cuts arguments at single blanks, and knows no quotes. */
function words(fields: readonly string[]): string[] {
  const text = fields.join("|");
  return text === "" ? [] : text.split(" ");
}

/** The id of a job without what the original puts in front. */
export function bareId(id: string): string {
  return id.startsWith(PREFIX) ? id.slice(PREFIX.length) : id;
}

/** The id by which old clients ask for a job of a DAG. */
export function dagId(id: string): string {
  return `${PREFIX}${id}`;
}

function isNumber(text: string | undefined): text is string {
  return text !== undefined && /^\s*-?\d{1,19}\s*$/.test(text);
}

function wrong(found: string): OldFormatError {
  return new OldFormatError(found);
}

function shown(text: string): string {
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text;
}

/** Says which job it was. */
function explained<Result>(what: string, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof OldFormatError)) throw error;
    throw new OldFormatError(`Cannot read ${what}: ${error.message}`);
  }
}
