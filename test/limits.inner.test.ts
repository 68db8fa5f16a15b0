/**
 * More named limits, each at the limit and one beyond: those that nothing small can reach. What
 * compares is asked, not what would fill it.
 */
import assert from "node:assert/strict";
import { syncBuiltinESMExports } from "node:module";
import fs, {
  mkdirSync, mkdtempSync, promises, readdirSync, rmSync, statSync, writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { gzipSync } from "node:zlib";
import { decide, State } from "#core";
import { Dag, MAX_EDGES, MAX_JOBS } from "#dag";
import { MAX_PROJECT_ENTRIES, packProject } from "#project";
import { listTree, nodeHost, nodeWorkFolders, type Socket, type SocketHandlers } from "#host";
import { openLog, verifyLog } from "#log";
import { definePipeline, limits, PipelineError } from "#pipeline";
import { SimWorld } from "#simhost";
import {
  MAX_GATEWAY_BYTES, MAX_GATEWAY_CALLS, openGateway, Engine, StoreClient,
} from "#store";
import { GateList, MAX_JOBS_PER_RUN } from "#wire";
import { Links } from "../src/dag/links.ts";
import { sameAsArchive } from "../src/project/archive.ts";
import type { CallAttempt } from "../src/exec/call-attempt.ts";
import { Builtins } from "../src/exec/call-builtins.ts";
import { scriptFile } from "../src/exec/process-job.ts";
import { journalProcesses, noteGone, noteGroup } from "../src/process/journal.ts";
import { ENVIRON_BYTES, readProc } from "../src/process/sweep.ts";
import { lock } from "../src/host/lock.ts";
import { SpareTrees } from "../src/host/spare-trees.ts";
import { MAX_KEPT, noteRecovery, readRecoveries } from "../src/log/recoveries.ts";
import { MAX_EDGES_PER_RUN } from "../src/master/core/limits.ts";
import { MAX_PENDING_CALLS } from "../src/store/client/options.ts";
import {
  HARD_OUTPUT_BYTES, HARD_PUSH_BYTES, StoreConnection, type Shared,
} from "../src/store/server/connection.ts";
import { pipeline, spec } from "./10-master.support.ts";
import { inWorld, Machine } from "./05-log.support.ts";
import "./leaks.support.ts";
import { eventually } from "./processes.support.ts";

const of = <T>(count: number, item: T): T[] => new Array<T>(count).fill(item);
/** In place of a list that nobody gets to read. */
const list = (length: number): never => ({ length }) as never;

test("a graph takes 2^28 edges and 2^24 - 1 jobs, and not one more", () => {
  const graph = (edges: number, ids: string[] = []): { dag: Dag; links: Links } => {
    const links = new Links(2, 1);
    const dag = new Dag(2, links, ids);
    for (const id of ["a", "b"]) dag.addJob(id, []);
    links.edges = edges;
    return { dag, links };
  };
  assert.deepEqual([MAX_EDGES, MAX_JOBS], [2 ** 28, 2 ** 24 - 1]);
  const tooLarge = { code: "TOO_LARGE" };
  const { dag, links } = graph(MAX_EDGES - 1);
  dag.addEdge(0, 1);
  assert.equal(links.edges, MAX_EDGES);
  const full = graph(MAX_EDGES);
  assert.throws(() => full.dag.addEdge(0, 1), tooLarge);
  assert.throws(() => full.dag.addJob("c", ["a"]), tooLarge);
  assert.throws(() => Dag.build([{ id: "a", parents: list(MAX_EDGES + 1) }]), tooLarge);
  const ids = { length: 0, push: () => (ids.length += 1) };
  const many = graph(0, ids as never);
  ids.length = MAX_JOBS - 1;
  many.dag.addJob("c", []);
  assert.throws(() => many.dag.addJob("d", []), tooLarge);
});

test("a submission has at most a million jobs and ten million dependencies", () => {
  const why = (jobs: unknown): string => {
    const submission = { type: "Submit", spec: { ...pipeline([]), jobs }, strict: false };
    try {
      decide<"Submit">(new State(), submission as never, { now: 1, random: () => 0 } as never);
    } catch (error) {
      return (error as Error).message;
    }
    return "";
  };
  const jobs = (length: number): unknown => ({ length, reduce: () => 0, *[Symbol.iterator]() {} });
  assert.match(why(jobs(MAX_JOBS_PER_RUN + 1)), /1000001 jobs exceed 1000000/);
  assert.doesNotMatch(why(jobs(MAX_JOBS_PER_RUN)), /exceed|^$/);
  const edges = (count: number): unknown => [{ ...spec("a"), dependsOn: list(count) }];
  assert.match(why(edges(MAX_EDGES_PER_RUN + 1)), /10000001 dependencies exceed 10000000/);
  assert.doesNotMatch(why(edges(MAX_EDGES_PER_RUN)), /exceed|^$/);
});

test("a pipeline of a million jobs is read, one of more is not", (t) => {
  const why = (count: number): string => {
    const made = t.mock.method(Array, "from", () => list(count));
    try {
      definePipeline({ name: "n", jobs: [] });
    } catch (error) {
      return error instanceof PipelineError ? error.problems[0]!.message : String(error);
    } finally {
      made.mock.restore();
    }
    return "";
  };
  assert.equal(why(limits.MAX_JOBS + 1), "more than 1000000 jobs");
  assert.match(why(limits.MAX_JOBS), /^TypeError: node\.items\.map/);
});

test("a page has 100,000 rows", () => {
  const gate = {
    id: "r/j", message: "", openedAt: 1, deadline: 1, votes: [], submitter: "",
  };
  const page = GateList.encode({ gates: of(100_000, gate) });
  assert.equal(GateList.decode(page).gates.length, 100_000);
  assert.throws(() => GateList.encode({ gates: of(100_001, gate) }), { code: "TOO_LARGE" });
});

test("an archive has 100,000 entries", async () => {
  assert.equal(MAX_PROJECT_ENTRIES, 100_000);
  const entries = Array.from({ length: MAX_PROJECT_ENTRIES + 1 }, (_, i) =>
    `\x01\x00\x06\x00\x00\x00\x00${String(i).padStart(6, "0")}`).join("");
  const compare = (count: number): Promise<unknown> => {
    // With a byte too many behind its end, which is noticed after all else.
    const text = `TITANPK1${entries.slice(0, 13 * count)}\0\0`;
    return sameAsArchive(nodeHost(), gzipSync(Buffer.from(text), { level: 1 }), "/nowhere");
  };
  await assert.rejects(compare(MAX_PROJECT_ENTRIES), { code: "CORRUPT" });
  await assert.rejects(compare(MAX_PROJECT_ENTRIES + 1), { code: "TOO_LARGE" });
});

test("a script of 64 KiB is an argument, a longer one a file", () => {
  const isFile = (script: string): boolean =>
    scriptFile({ type: "shell", script, shell: undefined }) !== undefined;
  assert.deepEqual([isFile("x".repeat(65_536)), isFile("x".repeat(65_537))], [false, true]);
  assert.deepEqual([isFile("é".repeat(32_768)), isFile(`${"é".repeat(32_768)}x`)], [false, true]);
});

test("calls of a turn share a message until their input exceeds 1 MiB", async (t) => {
  const sent = t.mock.method(Worker.prototype, "postMessage");
  const builtins = new Builtins(new SimWorld({ seed: 1 }).host("w"));
  const start = (bytes: number): void => {
    const attempt = { id: bytes, end: () => undefined } as unknown as CallAttempt;
    builtins.start(attempt, { name: "noop", input: Buffer.alloc(bytes, " ") });
  };
  start(1024 * 1024 - 1);
  start(1);
  assert.equal(sent.mock.callCount(), 0, "1 MiB");
  start(1);
  assert.equal(sent.mock.callCount(), 1);
  await builtins.close();
});

test("a log remembers 20 recoveries; the oldest cut goes first", inWorld(async () => {
  const host = new Machine();
  await host.storage.mkdir("/log");
  const note = async (kind: "cut" | "lost", what: string): Promise<string[]> => {
    await noteRecovery(host, "/log", [{ kind, what }]);
    return (await readRecoveries(host.storage, "/log")).map((each) => each.what);
  };
  await note("lost", "0");
  for (let i = 1; i < MAX_KEPT - 1; i++) await note("cut", String(i));
  const full = await note("cut", "19");
  assert.deepEqual([full.length, full[0], full[1]], [20, "0", "1"]);
  const more = await note("cut", "20");
  assert.deepEqual([more.length, more[0], more[1], more.at(-1)], [20, "0", "2", "20"]);
}));

test("512 MiB behind the last whole record are judged, a byte more is damage", inWorld(async () => {
  const host = new Machine();
  const log = await openLog({ host, dir: "/log" });
  await log.close();
  const { open } = host.storage;
  const judged = async (bytes: number): Promise<string> => {
    host.storage.open = async (path, options) => {
      const file = await open.call(host.storage, path, options);
      if (!path.endsWith(".seg")) return file;
      const { size } = file;
      // A record that no log has, and then nothing that anybody reads.
      const read = async (at: number, count: number): Promise<Buffer> =>
        (at < size ? file.read(at, count) : Buffer.from("00000005deadbeef0102030405", "hex"));
      return { ...file, size: size + bytes, read, close: () => file.close() } as never;
    };
    return (await verifyLog(host, "/log")).problems.map(({ what }) => what).join();
  };
  assert.doesNotMatch(await judged(512 * 1024 * 1024), /more than a crash can leave/);
  assert.match(await judged(512 * 1024 * 1024 + 1), /536870913 bytes follow, more than a crash/);
}));

test("a gateway to the store has 10,240 calls and 64 MiB under way", async () => {
  const world = new SimWorld({ seed: 1 });
  assert.equal(MAX_GATEWAY_BYTES, 64 * 1024 * 1024);
  const gateway = openGateway({ host: world.host("m"), url: "redis://nobody:1", patienceMs: 1000 });
  const text = async (answer: Promise<Buffer>): Promise<string> => String(await answer);
  // An argument that only has a length: where it is encoded, which is behind the limit, it fails.
  const large = (bytes: number): Promise<string> =>
    text(gateway.call([Buffer.from("ECHO"), { length: bytes - 4 } as never]));
  assert.match(await large(MAX_GATEWAY_BYTES), /^-ERR Cannot call ECHO/);
  assert.match(await large(MAX_GATEWAY_BYTES + 1), /^-LIMIT /);
  const calls = of(MAX_GATEWAY_CALLS, [Buffer.from("PING")]).map((args) => gateway.call(args));
  assert.match(await large(5), /^-LIMIT .* 10240 calls \(40960 bytes\) are pending/);
  gateway.close();
  assert.match(await text(calls.at(-1)!), /^-CLOSED /);
});

test("a client of the store has 50,000 calls under way", async () => {
  assert.equal(MAX_PENDING_CALLS, 50_000);
  const client = new StoreClient({ host: new SimWorld({ seed: 1 }).host("c"), url: "redis://x:1" });
  let pending = MAX_PENDING_CALLS;
  Object.defineProperty(client, "pending", { get: () => pending });
  await assert.rejects(client.call("PING"), { code: "LIMIT" });
  pending--;
  const taken = client.call("PING");
  client.close();
  await assert.rejects(taken, { code: "CLOSED" });
});

/** A client of a store, of which the socket has so many bytes to send when `owe` is called. */
function storeClient(hello = ""): (bytes: number) => "ended" | "open" {
  const host = new SimWorld({ seed: 1 }).host("s");
  const store = new Engine({ host });
  let handlers!: SocketHandlers;
  let state: "ended" | "open" = "open";
  const socket = {
    remote: "c:1", pendingBytes: 0, handle: (given: SocketHandlers) => void (handlers = given),
    write: () => true, writeLent: () => true, pause() {}, resume() {}, end() {}, reset() {},
    destroy: () => void (state = "ended"),
  } satisfies Socket;
  const shared: Shared = {
    host, address: "s:1", store, commits: false, caughtUp: undefined, flushLater() {}, gone() {},
    account() {},
  };
  const connection = new StoreConnection(socket, shared);
  handlers.onData(Buffer.from(hello));
  return (bytes) => {
    socket.pendingBytes = bytes;
    connection.flush();
    return state;
  };
}

test("a subscriber may be 32 MiB behind, and any other client 256 MiB", () => {
  const plain = storeClient();
  assert.deepEqual([plain(HARD_OUTPUT_BYTES), plain(HARD_OUTPUT_BYTES + 1)], ["open", "ended"]);
  const listens = storeClient("SUBSCRIBE c\r\n");
  assert.deepEqual([listens(HARD_PUSH_BYTES), listens(HARD_PUSH_BYTES + 1)], ["open", "ended"]);
  assert.deepEqual([HARD_OUTPUT_BYTES, HARD_PUSH_BYTES], [2 ** 28, 2 ** 25]);
});

test("a lock is contended 100 times", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "titan-rounds-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const taken = Object.assign(new Error("taken"), { code: "EEXIST" });
  let fails = 100;
  const link = t.mock.method(promises, "link", async () => {
    if (fails-- > 0) throw taken;
  });
  await assert.rejects(lock(join(folder, "lock")), /still contended after 100 rounds/);
  assert.equal(link.mock.callCount(), 100);
  fails = 99;
  await (await lock(join(folder, "lock"))).release();
});

test("an environment is read up to 128 KiB", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "titan-environ-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const read = (bytes: number): number => {
    writeFileSync(join(folder, "environ"), "x".repeat(bytes));
    return readProc(join(folder, "environ")).length;
  };
  assert.equal(ENVIRON_BYTES, 131_072);
  assert.deepEqual([read(131_072), read(131_073)], [131_072, 131_072]);
});

const skip = process.platform !== "linux" && "only on Linux: it takes /proc";
test("a journal of groups is written anew behind 64 KiB", { skip }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), "titan-compact-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const write = fs.writeSync;
  const tear = (): void => {
    fs.writeSync = () => {
      throw new Error("the disk is full");
    };
    syncBuiltinESMExports();
    noteGroup(1);
    fs.writeSync = write;
    syncBuiltinESMExports();
  };
  const filled = (path: string, isTorn: boolean): [added: number, size: number] => {
    journalProcesses(path);
    // The first process has the shortest name, so that its lines fit to the byte.
    noteGroup(1);
    const added = statSync(path).size;
    const removed = "- 1\n".length;
    // Behind half a line the next one begins with a line end: a byte more.
    if (isTorn) tear();
    let [adds, removes] = [0, 0];
    for (; (65_536 - removes * removed) % added !== 0; removes++);
    adds = (65_536 - removes * removed) / added;
    assert.ok(removes < adds);
    for (let i = 1; i < adds; i++) {
      if (i <= removes) noteGone(1);
      noteGroup(1);
    }
    return [added, statSync(path).size];
  };
  const path = join(folder, "live");
  const [added, size] = filled(path, false);
  assert.equal(size, 65_536);
  noteGroup(1);
  assert.equal(statSync(path).size, added);
  noteGone(1);
  rmSync(path);
  const torn = filled(path, true);
  noteGone(1);
  assert.deepEqual(torn, [added, added], "65,537 bytes");
});

test("16 trees of projects are kept for the next jobs", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "titan-spares-"));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, "project"));
  writeFileSync(join(folder, "project", "a"), "a");
  const tree = listTree(join(folder, "project"));
  const trees = new SpareTrees(join(folder, "spare"));
  const places = Array.from({ length: 17 }, (_, i) => join(folder, `job-${i}`));
  for (const place of places) await trees.take(tree, place, new AbortController().signal);
  const kept = (): number => readdirSync(join(folder, "spare")).length;
  for (const place of places.slice(0, 16)) trees.keep(place);
  assert.equal(kept(), 16);
  trees.keep(places[16]!);
  await eventually("the oldest goes", () => kept() === 16);
  await trees.close();
  assert.equal(kept(), 16);
});

test("64 empty folders are kept for the next jobs", (t) => {
  const root = mkdtempSync(join(tmpdir(), "titan-folders-"));
  t.after(() => rmSync(root, { recursive: true }));
  const folders = nodeWorkFolders(root);
  const places = Array.from({ length: 65 }, (_, i) => join(root, String(i)));
  for (const place of places) void folders.make(place);
  const kept = places.map((place) => {
    assert.ok(folders.removeLight(place));
    return readdirSync(join(root, ".spare")).length;
  });
  assert.deepEqual(kept.slice(62), [63, 64, 64]);
});

test("spare trees have 200,000 entries in all; with one more the oldest goes", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "titan-spares-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const project = join(folder, "project");
  mkdirSync(project);
  const kept = async (count: number): Promise<string[]> => {
    const home = join(folder, String(count));
    mkdirSync(home);
    const trees = new SpareTrees(join(home, "spare"));
    let isCounting = false;
    const large = { folder: project, get entries() { return isCounting ? list(count) : []; } };
    const other = { folder: project, get entries() { return isCounting ? list(100_000) : []; } };
    const places = ["a", "b", "c"].map((name) => join(home, name));
    for (const [at, tree] of [large, other, listTree(project)].entries()) {
      await trees.take(tree, places[at]!, new AbortController().signal);
    }
    for (const [at, place] of places.entries()) {
      isCounting = at === 2;
      trees.keep(place);
    }
    isCounting = false;
    await trees.close();
    return readdirSync(join(home, "spare"));
  };
  assert.deepEqual(await kept(100_000), ["tree-0", "tree-1", "tree-2"]);
  assert.deepEqual(await kept(100_001), ["tree-1", "tree-2"]);
});

test("a reply for a gateway to the store has 64 MiB and 1 KiB", async () => {
  const answer = async (bytes: number): Promise<string> => {
    const world = new SimWorld({ seed: 1 });
    const gateway = openGateway({ host: world.host("m"), url: "redis://s:1", patienceMs: 1000 });
    const listener = world.host("s").network.listen({ host: "s", port: 1 }, (socket) => {
      socket.handle({
        onData: (data) => {
          const isHello = String(data).includes("HELLO");
          // A value's place counts 96 bytes, and so does its line. Only the beginning comes.
          socket.write(Buffer.from(isHello ? "%0\r\n" : `$${bytes - 96 - 9}\r\n`));
          if (!isHello) socket.end();
        },
        onClose: () => undefined,
      } as SocketHandlers);
    });
    await world.settle(listener);
    const text = String(await world.settle(gateway.call([Buffer.from("GET"), Buffer.from("k")])));
    gateway.close();
    return text;
  };
  assert.match(await answer(67_109_888), /^-LOST .* the store closed the connection/);
  assert.match(await answer(67_109_889), /^-LOST .* Cannot read reply: it exceeds 67109888 bytes/);
});

test("a project has 100,000 entries, and is not packed with one more", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "titan-pack-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "a"), "");
  let asked = 0;
  const names = function* () {
    for (; asked <= MAX_PROJECT_ENTRIES; asked++) yield "a";
  };
  const storage = { stat: async () => undefined, list: async () => names() };
  const packed = packProject({ storage } as never, folder);
  await assert.rejects(packed, /more than 100000 files and folders/);
  assert.equal(asked, MAX_PROJECT_ENTRIES, "it is the last one that is too much");
});
