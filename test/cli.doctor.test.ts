/** `titan doctor`: what keeps a cluster from starting, and what to do about it. */
import assert from "node:assert/strict";
import { createServer, type AddressInfo, type Server } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import { checkLock, checkStorePort, type Finding } from "../src/cli/health.ts";
import { inProcess, start, tempFolder, up } from "./cli.support.ts";

const cwd = tempFolder();
const cluster = await up(["--state", "state", "--token", "right"], { cwd });
after(() => cluster.kill("SIGTERM"));
const state = join(cwd, "state");
const { pid, master } = cluster.ready;

const examine = async (...args: string[]): Promise<Finding[]> =>
  JSON.parse((await inProcess(["doctor", "--json", ...args])).stdout) as Finding[];

test("titan doctor says which process has the state folder, and what to do", async () => {
  const found = await examine("--state", state, "--master", "127.0.0.1:1");
  const lock = found.find(({ check }) => check === "lock")!;
  assert.equal(lock.level, "warn");
  assert.match(
    lock.found,
    new RegExp(`/state is in use by process ${pid}: titan up cannot start on it$`),
  );
  assert.match(lock.advice!, new RegExp(`stopping process ${pid} frees the folder, --state DIR`));
});

test("titan doctor does not mind the master that it has asked itself", async () => {
  const found = await examine("--state", state, "--master", master, "--token", "right");
  assert.deepEqual(
    found.map(({ check }) => check).filter((check) => check === "lock" || check === "master"),
    ["master"],
  );
  const elsewhere = await examine("--state", tempFolder(), "--master", master, "--token", "right");
  assert.equal(
    elsewhere.some(({ check }) => check === "lock"),
    false,
  );
});

test("titan doctor says whether the token is wrong or missing", async () => {
  const advice = async (...args: string[]) =>
    (await examine("--master", master, ...args)).find(({ check }) => check === "master")!.advice;
  assert.match(
    (await advice("--token", "wrong"))!,
    /^the master wants the token that it was started with .*the one in --token is another$/,
  );
  assert.match((await advice())!, /and none is given here$/);
});

test("checkLock() names the address of a master whose command line says it", async () => {
  const other = tempFolder();
  const { port } = await listening(
    () => undefined,
    async (server) => server.address() as AddressInfo,
  );
  const named = start(
    ["up", "--port", String(port), "--workers", "0", "--no-store", "--json", "--state", other],
    { cwd },
  );
  await named.until("stdout", /^\{.*\n/);
  assert.match(
    (await checkLock(other, undefined))!.found,
    new RegExp(`process ${named.pid}, a master at 127\\.0\\.0\\.1:${port}:`),
  );
  await named.kill("SIGKILL");
  assert.equal(await checkLock(other, undefined), undefined, "a lock of the dead");
});

test("checkStorePort() finds a store, another program, a silent one, and a free port", async () => {
  const answers = (text: string) => (server: Server) =>
    server.on("connection", (socket) => socket.on("data", () => socket.end(text)));
  const look = (how: (server: Server) => unknown) =>
    listening(how, (server) => checkStorePort((server.address() as AddressInfo).port));
  for (const text of ["+PONG\r\n", "-NOAUTH Authentication required.\r\n"]) {
    const store = await look(answers(text));
    assert.match(
      store!.found,
      /in use by a store or a Redis \(EADDRINUSE\): titan up cannot start its store there$/,
    );
    assert.match(
      store!.advice!,
      /^titan up --store redis:\/\/127\.0\.0\.1:\d+ uses that one, --store-port PORT/,
    );
  }
  for (const how of [
    answers("HTTP/1.1 400 Bad Request\r\n\r\n"),
    (server: Server) => server.on("connection", (socket) => socket.resume()),
  ]) {
    const other = await look(how);
    assert.match(other!.found, /in use by another program/);
    assert.match(other!.advice!, /^titan up --store-port PORT/);
  }
  const { port } = await listening(
    () => undefined,
    async (server) => server.address() as AddressInfo,
  );
  assert.equal(await checkStorePort(port), undefined);
});

async function listening<T>(
  prepare: (server: Server) => unknown,
  use: (server: Server) => Promise<T>,
): Promise<T> {
  const server = createServer();
  prepare(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await use(server);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}
