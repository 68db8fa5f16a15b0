/**
 * Chapter 13: the recipes of docs/scaling.md for Docker, kubectl and SSH, with programs in their
 * places that write down how they are called. The command lines are held against what the tools
 * document: `docker run`, `stop` and `ps`; `kubectl create` and `delete`, and the fields of a pod.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseArgs, type ParseArgsConfig } from "node:util";
import type { Launch } from "#core";
import { parseYaml, toValue } from "#yaml";
import { worker } from "../src/cli/commands/worker.ts";
import { CommandDriver } from "../src/cluster/drivers.ts";
import { eventually, tempFolder } from "./cli.support.ts";
import { poolOf } from "./13-scaling.recipes.support.ts";

const TOKEN = "a token's text";
const MASTER = "titan.example.org:9090";

interface Called {
  readonly argv: string[];
  readonly env: Record<string, string>;
  readonly stdin: string;
}

/** Its answers are files, and each call becomes a folder. */
const STAND_IN = `#!/bin/sh
here=$(dirname "$0"); name=$(basename "$0")
n=0; until mkdir "$here/calls/$name.$n" 2>/dev/null; do n=$((n + 1)); done
at=$here/calls/$name.$n
env -0 >"$at/env"
case $name in kubectl) [ "$1" != create ] || cat >"$at/stdin" ;; esac
printf '%s\\0' "$@" >"$at/argv"
case $name in ssh) exec env -i PATH="$PATH" sh -c "$2" ;; esac
[ ! -e "$here/$name.$1.says" ] || cat "$here/$name.$1.says"
[ ! -e "$here/$name.$1.code" ] || exit "$(cat "$here/$name.$1.code")"
`;

/** A recipe, run as a master runs it. */
class Stage {
  readonly folder = tempFolder({ token: `${TOKEN}\n` });
  readonly #heading: string;
  readonly #driver: CommandDriver;

  constructor(heading: string, programs: readonly string[]) {
    this.#heading = heading;
    mkdirSync(join(this.folder, "calls"));
    for (const name of programs) {
      writeFileSync(join(this.folder, name), STAND_IN, { mode: 0o755 });
    }
    const env = { PATH: `${this.folder}:${process.env["PATH"]}` };
    const tokenFile = join(this.folder, "token");
    this.#driver = new CommandDriver({ cwd: this.folder, master: MASTER, tokenFile, env });
  }

  answer(call: string, { says, code }: { says?: string; code?: number }): void {
    if (says !== undefined) writeFileSync(join(this.folder, `${call}.says`), says);
    if (code !== undefined) writeFileSync(join(this.folder, `${call}.code`), `${code}`);
  }

  up(name: string, tags: readonly string[] = []): Promise<string> {
    return this.#driver.start({ ...poolOf(this.#heading), tags }, name);
  }

  down(name: string, handle: string): Promise<void> {
    const pool = poolOf(this.#heading);
    const launch = { name, pool: pool.name, handle, down: [] };
    return this.#driver.stop(launch as unknown as Launch, pool);
  }

  calls(name: string): Called[] {
    const all = readdirSync(join(this.folder, "calls")).filter((one) => one.startsWith(`${name}.`));
    return all.map((_, n) => {
      const part = (file: string): string => {
        const path = join(this.folder, "calls", `${name}.${n}`, file);
        return existsSync(path) ? readFileSync(path, "utf8") : "";
      };
      const env = part("env").split("\0").filter((one) => one !== "")
        .map((one) => [one.slice(0, one.indexOf("=")), one.slice(one.indexOf("=") + 1)]);
      return {
        argv: part("argv").split("\0").slice(0, -1), env: Object.fromEntries(env),
        stdin: part("stdin"),
      };
    });
  }
}

/** Flags up to the first word that is none, as docker reads them, and the words from there on. */
function docker(argv: readonly string[], options: ParseArgsConfig["options"]) {
  const { tokens } = parseArgs({
    args: [...argv], options: options!, allowPositionals: true, strict: false, tokens: true,
  });
  const at = tokens.find(({ kind }) => kind === "positional")?.index ?? argv.length;
  const { values } = parseArgs({ args: argv.slice(0, at), options: options!, strict: true });
  return { values: values as Record<string, unknown>, words: argv.slice(at) };
}

const RUN = {
  detach: { type: "boolean" }, rm: { type: "boolean" }, init: { type: "boolean" },
  name: { type: "string" }, network: { type: "string" }, volume: { type: "string" },
  env: { type: "string", multiple: true },
} as const;
const PS = {
  all: { type: "boolean" }, quiet: { type: "boolean" }, filter: { type: "string" },
} as const;

test("the Docker recipe runs a container of that name, and nobody sees the token", async () => {
  const stage = new Stage("Docker", ["docker"]);
  stage.answer("docker.run", { says: "4f1c8a\n" });
  assert.equal(await stage.up("docker-1", ["GPU", "BIG"]), "4f1c8a");
  const [{ argv, env }] = stage.calls("docker") as [Called];
  assert.equal(argv[0], "run");
  const { values, words } = docker(argv.slice(1), RUN);
  assert.deepEqual({ ...values, env: undefined }, {
    detach: true, rm: true, init: true, name: "docker-1", network: "host", env: undefined,
    volume: "/opt/titan-worker:/opt/titan-worker:ro",
  });
  assert.deepEqual(words, ["node:22", "/opt/titan-worker/bin/titan", "worker"]);
  // `--env NAME` takes the value from where docker itself runs.
  const given = (values["env"] as string[]).map((name) => [name, env[name]]);
  assert.deepEqual(Object.fromEntries(given), {
    TITAN_TOKEN: TOKEN, TITAN_MASTER: MASTER, TITAN_WORKER_NAME: "docker-1", TITAN_SLOTS: "2",
    TITAN_TAGS: "GPU,BIG",
  });
  assert.ok(!argv.join(" ").includes(TOKEN), "everybody can read a command line");
  stage.answer("docker.run", { code: 125 });
  await assert.rejects(stage.up("docker-1"), /exit code 125/);
});

test("the Docker recipe ends a container by its name, and says whether it is gone", async () => {
  const stage = new Stage("Docker", ["docker"]);
  for (const handle of ["4f1c8a", ""]) await stage.down("docker-1", handle);
  const [stop, ps, ...again] = stage.calls("docker").map(({ argv }) => argv);
  assert.deepEqual([stop, ps], again, "also without a handle");
  assert.deepEqual(stop, ["stop", "docker-1"]);
  assert.equal(ps![0], "ps");
  const { values, words } = docker(ps!.slice(1), PS);
  assert.deepEqual([values["all"], values["quiet"], words], [true, true, []]);
  // A name is found with and without the slash that Docker keeps before it.
  const [, name] = /^name=(.*)$/.exec(values["filter"] as string)!;
  const isFound = (container: string): boolean => new RegExp(name!).test(`/${container}`);
  assert.deepEqual(["docker-1", "docker-10", "my-docker-1"].map(isFound), [true, false, false]);
  stage.answer("docker.stop", { code: 1 });
  await stage.down("docker-1", "4f1c8a"); // it is gone already
  stage.answer("docker.ps", { says: "4f1c8a\n" });
  await assert.rejects(stage.down("docker-1", "4f1c8a"), /exit code 1/);
});

/** What a pod of a recipe may have, and of which type: a part of the API of Kubernetes v1. */
const POD = {
  apiVersion: "v1", kind: "Pod",
  metadata: { name: "text", labels: "texts" },
  spec: { restartPolicy: "Never", containers: "list" },
};
const LABEL = /^(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

function checkPod(pod: unknown): Record<string, unknown> {
  const { metadata, spec, ...rest } = pod as {
    metadata: Record<string, unknown>; spec: Record<string, unknown>; apiVersion: string;
  };
  assert.deepEqual(rest, { apiVersion: POD.apiVersion, kind: POD.kind });
  assert.deepEqual(Object.keys(metadata), Object.keys(POD.metadata));
  assert.match(metadata["name"] as string, LABEL);
  const labels = Object.values(metadata["labels"] as object);
  assert.ok(labels.every((value) => typeof value === "string" && LABEL.test(value)));
  assert.deepEqual(Object.keys(spec), Object.keys(POD.spec));
  assert.equal(spec["restartPolicy"], POD.spec.restartPolicy, "Titan replaces what it needs");
  const containers = spec["containers"] as Record<string, unknown>[];
  assert.equal(containers.length, 1);
  return containers[0]!;
}

test("the recipe for Kubernetes makes a pod with the fields that a pod has", async () => {
  for (const tags of [[], ["GPU", "BIG"]]) {
    const stage = new Stage("Kubernetes", ["kubectl"]);
    stage.answer("kubectl.create", { says: "pod/k8s-1\n" });
    assert.equal(await stage.up("k8s-1", tags), "pod/k8s-1");
    const [{ argv, stdin }] = stage.calls("kubectl") as [Called];
    assert.deepEqual(argv, ["create", "--output=name", "--filename=-"]);
    const { env, command, resources, ...others } = checkPod(toValue(parseYaml(stdin)));
    assert.deepEqual(others, { name: "worker", image: "registry.example.org/titan:latest" });
    assert.deepEqual(command, ["titan", "worker"]);
    assert.deepEqual(resources, { requests: { cpu: "2" } });
    const token = { name: "titan", key: "token", optional: true };
    assert.deepEqual(env, [
      { name: "TITAN_TOKEN", valueFrom: { secretKeyRef: token } },
      { name: "TITAN_MASTER", value: MASTER },
      { name: "TITAN_WORKER_NAME", value: "k8s-1" },
      { name: "TITAN_SLOTS", value: "2" },
      { name: "TITAN_TAGS", value: tags.join(",") },
    ]);
    assert.ok(!stdin.includes(TOKEN));
  }
});

test("the recipe for Kubernetes deletes a pod by its name, also one that is gone", async () => {
  const stage = new Stage("Kubernetes", ["kubectl"]);
  for (const handle of ["pod/k8s-1", ""]) await stage.down("k8s-1", handle);
  const words = ["delete", "pod", "k8s-1", "--ignore-not-found"];
  assert.deepEqual(stage.calls("kubectl").map(({ argv }) => argv), [words, words]);
  stage.answer("kubectl.delete", { code: 1 });
  await assert.rejects(stage.down("k8s-1", "pod/k8s-1"), /exit code 1/);
});

test("the SSH recipe starts a worker without tags, too, and its pattern finds it", async () => {
  const stage = new Stage("SSH", ["ssh", "titan", "pkill"]);
  assert.match(await stage.up("gpu1-1"), /^\d+$/);
  await eventually("the worker runs", () => (stage.calls("titan")[0]?.argv.length ?? 0) > 0);
  const [{ argv, env }] = stage.calls("titan") as [Called];
  assert.deepEqual(argv, [
    "worker", "--name", "gpu1-1", "--master", MASTER, "--slots", "4",
  ]);
  const known = [...Object.keys(worker.flags), "master"].map((name) => `--${name}`);
  assert.deepEqual(argv.filter((word) => word.startsWith("--") && !known.includes(word)), []);
  assert.deepEqual([env["TITAN_TOKEN"], env["TITAN_TAGS"]], [TOKEN, ""]);
  const [{ argv: [host, line] }] = stage.calls("ssh") as [Called];
  assert.equal(host, "gpu1.example.org");
  assert.ok(!line!.includes(TOKEN));
  await stage.down("gpu1-1", "4711");
  const [{ argv: [full, pattern] }] = stage.calls("pkill") as [Called];
  assert.equal(full, "-f");
  const isFound = (text: string): boolean => new RegExp(pattern!).test(text);
  assert.ok(isFound(`node titan ${argv.join(" ")}`));
  assert.ok(!isFound(`node titan ${argv.join(" ")}`.replace("gpu1-1", "gpu1-10")));
  assert.ok(!isFound(`sh -c pkill -f '${pattern}'`), "it does not find itself");
  stage.answer("pkill.-f", { code: 1 });
  await stage.down("gpu1-1", "4711"); // there is none
  stage.answer("pkill.-f", { code: 3 });
  await assert.rejects(stage.down("gpu1-1", "4711"), /exit code 1/);
});
