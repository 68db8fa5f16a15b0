/**
 * The bundles as their users get them: unpacked into empty folders, run with nothing but Node.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync,
} from "node:fs";
import { userInfo } from "node:os";
import { join, posix } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { readSums, statementsOf, splitUp } from "#packaging";
import { ROOT } from "../scripts/bootstrap.mjs";
import { makeBundles } from "../scripts/package/bundles.ts";
import {
  eventually, isAlive, ownPort, start, tempFolder, titan, type Started,
} from "./cli.support.ts";
import { noSshd, sshFolder, startSshd } from "./sshd.support.ts";

/**
 * Bytes. A bundle that is over its limit has reached for code that it does not need, or the limit
 * has to be thought about (docs/decisions/011).
 */
const MAX_BYTES = { master: 800_000, worker: 140_000 } as const;
type Role = keyof typeof MAX_BYTES;
const ROLES = ["master", "worker"] as const;

const [elsewhere, home] = [tempFolder(), tempFolder()];
const built = join(elsewhere, "new", "two bundles");
const said = packageCloud();
const folders = { master: join(home, "titan-master"), worker: join(home, "titan-worker") };
for (const role of ROLES) execFileSync("tar", ["xzf", bundle(built, role)], { cwd: home });

/** As a person does it, from a folder of theirs, at the other end of the world. */
function packageCloud(): string {
  const env = { ...process.env, TZ: "Pacific/Kiritimati" };
  const args = [join(ROOT, "package_cloud.sh"), "--out", "new/two bundles"];
  const told = execFileSync("bash", args, { cwd: elsewhere, env, encoding: "utf8" });
  assert.match(told, / <'new\/two bundles\/titan-master-bundle\.tar\.gz'$/m);
  return told;
}

function bundle(folder: string, role: Role): string {
  return join(folder, `titan-${role}-bundle.tar.gz`);
}

function filesOf(role: Role): string[] {
  return readdirSync(folders[role], { recursive: true }).map(String)
    .filter((file) => statSync(join(folders[role], file)).isFile()).sort();
}

/** The dashboard's program, which browsers load. */
const isOfPage = (file: string): boolean => file.startsWith("dist/dashboard/assets/");

const read = (role: Role, file: string): string => readFileSync(join(folders[role], file), "utf8");

function bin(role: Role, args: readonly string[], env: Record<string, string> = {}): Started {
  const main = join(folders[role], "bin", "titan");
  return start(args, {
    cwd: home,
    env: { ...env, TITAN_HOME: join(home, role) },
    main,
    runtime: ["sh"],
  });
}

test("both bundles are made, small, and told with the commands that deploy them", () => {
  for (const role of ROLES) {
    const { size } = statSync(bundle(built, role));
    assert.ok(size < MAX_BYTES[role], `${role}: ${size} bytes exceed ${MAX_BYTES[role]}`);
    const line = new RegExp(`^titan-${role}-bundle.tar.gz +${(size / 1000).toFixed(1)} KB`, "m");
    assert.match(said, line);
  }
  assert.match(said, /ssh MASTER .*start_master\.sh --host 0\.0\.0\.0/);
  assert.match(said, /ssh WORKER .*start_worker\.sh MASTER:9090/);
  assert.match(said, /titan run --master MASTER:9090 FILE/);
});

test("the commands that deploy unpack a bundle and start its script, as they are printed", {
  skip: process.platform !== "linux" && "only on Linux",
}, async () => {
  const there = tempFolder();
  const path = join(there, "path");
  mkdirSync(path);
  // A shell at the other end of a connection, which has no terminal.
  writeFileSync(join(path, "ssh"), '#!/bin/sh\nexec sh -c "$2"\n', { mode: 0o755 });
  const env = { ...process.env, PATH: `${path}:${process.env["PATH"]}` };
  for (const role of ROLES) {
    const [line = ""] = new RegExp(`^ +ssh ${role.toUpperCase()} .*$`, "m").exec(said) ?? [];
    // The program only says how it is used: nothing of it stays.
    const command = line.replace(` >${role}.log`, ` --help >${role}.log`)
      .replace("tar xz", `cd '${there}' && tar xz`);
    assert.match(command, /cd .* --help >/);
    assert.equal(spawnSync("sh", ["-c", command], { cwd: elsewhere, env }).status, 0);
    const log = join(there, `titan-${role}`, `${role}.log`);
    await eventually(`${role} has started`, () =>
      existsSync(log) && readFileSync(log, "utf8").includes(`usage: titan ${role}`));
  }
});

test("the same commit gives the same bytes, in another process and another time zone", async () => {
  const again = await makeBundles();
  assert.equal(again.length, ROLES.length);
  for (const { name, bytes } of again) {
    assert.ok(readFileSync(join(built, name)).equals(bytes), name);
  }
});

test("SHA256SUMS names every file of a bundle with its sum", () => {
  for (const role of ROLES) {
    const sums = readSums(read(role, "SHA256SUMS"))!;
    assert.deepEqual([...sums.keys(), "SHA256SUMS"].sort(), filesOf(role));
    for (const [file, sum] of sums) {
      const bytes = readFileSync(join(folders[role], file));
      assert.equal(createHash("sha256").update(bytes).digest("hex"), sum, file);
    }
    if (process.platform !== "linux") continue;
    execFileSync("sha256sum", ["--check", "--quiet", "SHA256SUMS"], { cwd: folders[role] });
  }
});

test("a bundle has its scripts, units, variables and texts, and nothing of the workshop", () => {
  for (const role of ROLES) {
    const top = readdirSync(folders[role]);
    const scripts =
      role === "master" ? ["start_master.sh", "start_worker.sh"] : ["start_worker.sh"];
    const others = ["LICENSE", "README.md", "SHA256SUMS", "VERSION"];
    const folder = ["bin", "dist", "package.json", "src", ...scripts, "systemd", "titan.env"];
    assert.deepEqual(top, [...others, ...folder]);
    assert.ok(existsSync(join(folders[role], "systemd", `titan-${role}.service`)));
    for (const file of ["bin/titan", ...scripts]) {
      assert.equal(statSync(join(folders[role], file)).mode & 0o777, 0o755, file);
      assert.equal(spawnSync("sh", ["-n", join(folders[role], file)]).status, 0, file);
    }
    assert.doesNotMatch(read(role, "bin/titan") + read(role, "README.md"), /@[A-Z]+@/);
    assert.match(read(role, "VERSION"), /^\d+\.\d+\.\d+\ncommit \w+/);
    assert.deepEqual(filesOf(role).filter((file) => /simulation|simhost|\.ts$/.test(file)), []);
    assert.deepEqual(filesOf(role).filter((file) => file.startsWith("src/")),
      ["titan.py", "titan_job.py", "titan_wire.py"].map((name) => `src/sdk/python/${name}`));
  }
});

/** Those that a worker sets for its jobs: nobody else does. */
const OF_JOBS = new Set(["RUN", "JOB", "ATTEMPT", "INPUTS", "OUTPUT", "WORKDIR", "SHARED"]
  .map((name) => `TITAN_${name}`));

test("titan.env names every variable that the programs read", () => {
  const named = new Set(read("master", "titan.env").match(/^#TITAN_\w+/gm)?.map((n) => n.slice(1)));
  const code = filesOf("master").filter((file) => /^dist\/(cli|sdk)\//.test(file))
    .map((file) => read("master", file)).join("\n");
  const asked = [...code.matchAll(/(?:setting\(|env\[)"(TITAN_\w+)"/g)].map(([, name]) => name!);
  assert.ok(asked.length > 5, String(asked));
  assert.deepEqual(asked.filter((name) => !named.has(name) && !OF_JOBS.has(name)), []);
});

/** A module that is missing would be found by the first user who needs it. */
test("every import in a bundle leads to a file of the bundle that has the name, and no file is " +
  "there that nothing reaches", () => {
  for (const role of ROLES) {
    const manifest = JSON.parse(read(role, "package.json")) as {
      imports: Record<string, string>; exports: Record<string, string>;
    };
    // Browsers have a way of their own to the modules of the page.
    const modules = filesOf(role).filter((file) => file.startsWith("dist/") && !isOfPage(file));
    const reached = new Set<string>();
    const names = new Set<string>();
    for (const file of modules) {
      for (const { specifier, names: wanted } of
        statementsOf(read(role, file)).flatMap(({ imports }) => imports)) {
        if (specifier.startsWith("node:")) continue;
        if (specifier.startsWith("#")) names.add(specifier);
        const target = specifier.startsWith(".")
          ? posix.join(posix.dirname(file), specifier)
          : posix.normalize(manifest.imports[specifier] ?? `no ${specifier}`);
        assert.ok(modules.includes(target), `${role}: ${file} imports ${specifier}`);
        reached.add(target);
        const has = statementsOf(read(role, target));
        if (wanted === "all" || has.some(({ passedOn }) => passedOn === "all")) continue;
        const exported = new Set(has.flatMap((one) => one.exported));
        for (const name of wanted) assert.ok(exported.has(name), `${file}: ${name} of ${target}`);
      }
    }
    const entry = role === "master" ? "dist/cli/main.js" : "dist/cli/worker-main.js";
    const faces = Object.values(manifest.exports).map((face) => posix.normalize(face));
    assert.deepEqual(
      modules.filter((file) => !reached.has(file)).sort(),
      [entry, ...faces].filter((file) => modules.includes(file) && !reached.has(file)).sort(),
    );
    assert.deepEqual(Object.keys(manifest.imports).sort(), [...names].sort());
  }
});

/** The file of a bundle that has this line. */
function fileWith(role: Role, line: RegExp): string {
  return filesOf(role).filter((file) => file.startsWith("dist/"))
    .find((file) => line.test(read(role, file)))!;
}

test("code in a bundle is readable: one statement a line, with its names, and where it comes " +
  "from", () => {
  for (const role of ROLES) {
    const isCode = (file: string): boolean => /^dist\/.*\.js$/.test(file) && !isOfPage(file);
    const remarks = filesOf(role).filter(isCode)
      .filter((file) => /^\s*(?:\/\*|\/\/ (?!dist\/))/m.test(read(role, file)));
    assert.deepEqual(remarks, [], "comments are in the repository");
    assert.match(read(role, "README.md"), /commented source is in[^.]* at the commit in/);
  }
  const code = read("worker", fileWith("worker", /^class WorkerProcess \{$/m));
  assert.match(code, /^\/\/ dist\/worker\/\w+\.js\n/m);
  assert.ok(splitUp(code).length > 10);
});

function urlOf(line: RegExp): string {
  return pathToFileURL(join(folders.master, fileWith("master", line))).href;
}

test("every command of the master's bundle has its help; the worker's " +
  "has three commands", async () => {
  // In one process: a start for each of them would take longer than all other tests here.
  const program = `
    const { allCommands, runProgram } = await import("${urlOf(/^export function runProgram\(/m)}");
    const { Context } = await import("${urlOf(/^export class Context /m)}");
    for (const { name } of await allCommands()) {
      const code = await runProgram(new Context(), [name, "--help"]);
      if (code !== 0) throw new Error(name + " " + code);
    }`;
  const args = ["--input-type=module", "-e", program];
  const helps = execFileSync(process.execPath, args, { encoding: "utf8" });
  assert.ok((helps.match(/^usage: titan /gm)?.length ?? 0) > 20, helps);
  const { code, stdout } = await bin("worker", ["help"]).ended;
  assert.equal(code, 0);
  assert.deepEqual(
    [...stdout.matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name), ["worker", "version", "help"]);
  const refused = await bin("worker", ["run", "x.yaml"]).ended;
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /Cannot run titan run: it is not in the worker's bundle/);
  const slip = await bin("worker", ["workr"]).ended;
  assert.match(slip.stderr, /has all commands \(did you mean worker\?\)/);
});

const OLD_NODES: readonly (readonly [says: string, expected: RegExp])[] = [
  [
    "v18.20.4",
    /titan: Cannot start: Titan needs Node 20\.15 or newer, this is v18\.20\.4 \(\/.*node\)/,
  ],
  ["v20.14.0", /needs Node 20\.15 or newer, this is v20\.14\.0/],
  ["v4.9.1", /this is v4\.9\.1/],
  ["io.js", /Titan needs Node 20\.15 or newer, and "node --version" says "io\.js"/],
];

test("bin/titan says it when Node is too old, strange or missing", () => {
  const folder = tempFolder();
  for (const tool of ["dirname", "readlink"]) {
    symlinkSync(execFileSync("sh", ["-c", `command -v ${tool}`], { encoding: "utf8" }).trim(),
      join(folder, tool));
  }
  const main = join(folders.worker, "bin", "titan");
  const run = (): { status: number | null; stderr: string } =>
    spawnSync("/bin/sh", [main, "version"], { env: { PATH: folder }, encoding: "utf8" });
  assert.match(run().stderr, /Titan needs Node 20\.15 or newer, and there is no "node"/);
  for (const [says, expected] of OLD_NODES) {
    writeFileSync(join(folder, "node"), `#!/bin/sh\necho ${says}\n`, { mode: 0o755 });
    const { status, stderr } = run();
    assert.equal(status, 1);
    assert.match(stderr, expected);
  }
  writeFileSync(join(folder, "node"), "#!/bin/sh\necho v20.15.0\n", { mode: 0o755 });
  assert.equal(run().status, 0, "the oldest that it takes");
});

test("bin/titan runs by a link, from another folder, in a path with blanks", async () => {
  const folder = join(tempFolder(), "a b ü");
  mkdirSync(folder);
  execFileSync("tar", ["xzf", bundle(built, "worker")], { cwd: folder });
  const link = join(folder, "link");
  symlinkSync("titan-worker/bin/titan", link);
  const { stdout, stderr } = await titan(["version"], { cwd: home, main: link, runtime: ["sh"] });
  assert.match(stdout, /^titan \d/, stderr);
});

test("start_worker.sh without a master says how it is used", () => {
  const script = join(folders.worker, "start_worker.sh");
  const { TITAN_MASTER: _, ...env } = process.env;
  const { status, stderr } = spawnSync("sh", [script, "--tags", "GPU"], { env, encoding: "utf8" });
  assert.equal(status, 2);
  assert.match(stderr, /^usage: .*start_worker\.sh MASTER\[:PORT\]/);
});

test("a master's bundle serves the dashboard, with all that its modules import", async (t) => {
  const up = bin("master", ["up", "--port", "0", "--http", "0", "--workers", "0", "--json"]);
  t.after(() => up.kill("SIGTERM"));
  const [, url] = await up.until("stdout", /"http":"([^"]+)"/);
  const load = async (path: string): Promise<string> => {
    const response = await fetch(url + path);
    assert.equal(response.status, 200, path);
    return response.text();
  };
  const shell = await load("/");
  assert.match(shell, /<script type="module" src="\/assets\/main\.js">/);
  const links = [...shell.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)];
  const seen = new Set(links.map(([, path]) => path!));
  for (const path of seen) {
    const text = await load(path);
    if (!path.endsWith(".js")) continue;
    for (const [, name] of text.matchAll(/(?:from|import)\s*\(?\s*"([./][^"\n]+)"/g)) {
      seen.add(new URL(name!, url + path).pathname);
    }
  }
  assert.ok(seen.size > 20, `${seen.size} files`);
  assert.ok(seen.has("/assets/views/constructor.js"));
  assert.deepEqual(filesOf("worker").filter(isOfPage), []);
});

const PIPELINE = `name: bundled
project: true
jobs:
  - { id: hello, run: "echo hello from $TITAN_WORKER" }
  - { id: six, call: "math.mjs#times", with: { a: 2, b: 3 }, depends_on: hello, requirement: GPU }
  - { id: file, run: "node show.mjs", depends_on: six }
  - { id: asks, run: "node asks.mjs || true", depends_on: file, requirement: GPU }
  - { id: knows, run: "node asks.mjs", depends_on: asks, requirement: FULL }
  - id: python
    shell: python3
    run: "import titan_job; print(titan_job.__name__)"
    depends_on: file
    requirement: GPU
`;

/**
 * The programs that run the master and the workers. TITAN_TEST_NODES=/old/node:/new/node mixes
 * versions; without it there is one at hand, which is the oldest and the newest.
 */
const NODES = (process.env["TITAN_TEST_NODES"] ?? process.execPath).split(":");

test("both bundles together run a pipeline with a project and a call", async (t) => {
  const work = tempFolder({
    "p.yaml": PIPELINE,
    "math.mjs": "export const times = ({ a, b }) => a * b;\n",
    "show.mjs":
      'import { readFileSync } from "node:fs";\nconsole.log(readFileSync("data.txt", "utf8"));\n',
    "data.txt": "from the project",
    "asks.mjs": 'import { connect } from "titan-orchestrator";\nconsole.log(typeof connect);\n',
  });
  const shell = (folder: string, script: string, args: readonly string[]): Started => {
    const env = {
      TITAN_TOKEN: "s3cret",
      TITAN_HOME: join(home, "state", script, `${args.at(-1)}`),
      TITAN_NODE: (script === "start_master.sh" ? NODES[0] : NODES.at(-1))!,
    };
    const started = start(args, { cwd: work, env, main: join(folder, script), runtime: ["sh"] });
    t.after(() => started.kill("SIGTERM"));
    return started;
  };
  const master = shell(folders.master, "start_master.sh", ["--json", "--port", "0"]);
  const [, port] = await master.until("stdout", /"port":(\d+)/);
  const at = `127.0.0.1:${port}`;
  const thin = shell(folders.worker, "start_worker.sh", [at, "--slots", "2", "--tags", "GPU"]);
  const full = shell(folders.master, "start_worker.sh", [at, "--slots", "2", "--tags", "FULL"]);
  await Promise.all([thin, full].map((worker) => worker.until("stdout", /offers 2 slots/)));
  const options = { cwd: work, env: { TITAN_TOKEN: "s3cret" }, runtime: ["sh"] as const };
  const main = join(folders.master, "bin", "titan");
  const ran = await titan(["run", "--master", at, "p.yaml"], { ...options, main });
  assert.equal(ran.code, 0, ran.stdout + ran.stderr);
  const { stdout: lines } = await titan(["logs", "--master", at, "@latest"], { ...options, main });
  assert.match(lines, /^file +\| from the project$/m);
  assert.match(lines, /^asks +\| .*Cannot import titan-orchestrator here: .*thin one/m);
  assert.match(lines, /^knows +\| function$/m);
  assert.match(lines, /^python +\| titan_job$/m);
  const six = await titan(["status", "--json", "--master", at, "@latest"], { ...options, main });
  assert.match(six.stdout, /"result":6/);
});

// ── upgrades ─────────────────────────────────────────────────────────────────────────────────────

const rolled = (go: string): string => `name: rolled
jobs:
  - { id: a, run: "echo $TITAN_ATTEMPT" }
  - { id: b, run: "until test -e '${go}'; do sleep 0.05; done", depends_on: a }
  - { id: c, run: "echo $TITAN_ATTEMPT", depends_on: b }
`;
const SERVES = "name: serves\njobs:\n  - { id: web, type: service, run: sleep 60 }\n";

test("a worker of an older bundle works with this master, which is replaced in the middle of a " +
  "run, and gets no service", async (t) => {
  const work = tempFolder({ "s.yaml": SERVES });
  const old = join(ROOT, "test", "data", "bundles", "0.1.0-worker.tar.gz");
  execFileSync("tar", ["xzf", old], { cwd: work });
  const go = join(work, "go");
  writeFileSync(join(work, "p.yaml"), rolled(go));
  const main = join(folders.master, "bin", "titan");
  const begin = (args: readonly string[], program = main): Started => {
    const env = { TITAN_HOME: join(work, "state") };
    const started = start(args, { cwd: work, env, main: program, runtime: ["sh"] });
    t.after(() => started.kill("SIGTERM"));
    return started;
  };
  const port = String(await ownPort());
  const first = begin(["master", "--port", port, "--json"]);
  const [, at] = await first.until("stdout", /"master":"([^"]+)"/);
  const script = join(work, "titan-worker", "start_worker.sh");
  await begin([at!, "--slots", "2"], script).until("stdout", /offers 2 slots/);
  const ran = begin(["run", "--master", at!, "p.yaml"]);
  await ran.until("stderr", /b running/);
  await first.kill("SIGTERM");
  await begin(["master", "--port", port, "--json"]).until("stdout", /"type":"ready"|"master":/);
  writeFileSync(go, "");
  assert.equal((await ran.ended).code, 0, ran.stdout + ran.stderr);
  assert.match(ran.stdout + ran.stderr, /COMPLETED in .* \(3\/3 done\)/);
  assert.doesNotMatch(ran.stderr, /attempt 2/);
  const served = await titan(["run", "--master", at!, "--detach", "s.yaml"], {
    cwd: work, main, runtime: ["sh"],
  });
  const why = /w1 is of version 0\.1\.0 and cannot run services: upgrade it/;
  assert.match(served.stdout + served.stderr, why);
});

// ── over SSH ─────────────────────────────────────────────────────────────────────────────────────

test("remote-worker.sh brings a worker to a machine that cannot reach the master", {
  skip: noSshd,
}, async (t) => {
  const { port, key } = await startSshd(t);
  const state = join(home, "remote-state");
  const master = bin("master", ["master", "--port", "0", "--json", "--state", state], {
    TITAN_TOKEN: "s3cret",
  });
  t.after(() => master.kill("SIGTERM"));
  const [, at] = await master.until("stdout", /"master":"([^"]+)"/);
  const dir = join(tempFolder(), "it's there");
  const ssh = sshFolder();
  const remote = start([
    `${userInfo().username}@127.0.0.1`, "--port", `${port}`, "--identity", key, "--dir", dir,
    "--bundle", bundle(built, "worker"), "--master", at!, "--tags", "GPU", "--slots", "1",
    "--json",
  ], {
    cwd: home, main: join(ROOT, "scripts", "remote-worker.sh"), runtime: ["bash"],
    env: { TITAN_TOKEN: "s3cret", PATH: `${ssh}:${process.env["PATH"]}` },
  });
  t.after(() => remote.kill("SIGTERM"));
  const [line] = await remote.until("stdout", /^\{"type":"worker".*\}$/m);
  const { pid, tags } = JSON.parse(line) as { pid: number; tags: string[] };
  assert.deepEqual(tags, ["GPU"]);
  assert.match(remote.stderr, /its connection goes through SSH/);
  const work = tempFolder({
    "p.yaml": "name: far\njobs:\n  - { id: a, run: echo hi, requirement: GPU }\n",
  });
  const ran = await titan(["run", "--master", at!, "p.yaml"], {
    cwd: work, env: { TITAN_TOKEN: "s3cret" }, main: join(folders.master, "bin", "titan"),
    runtime: ["sh"],
  });
  assert.equal(ran.code, 0, ran.stdout + ran.stderr);
  const { code } = await remote.kill("SIGTERM");
  assert.equal(code, 143);
  await eventually("the worker over there has ended", () => !isAlive(pid));
});
