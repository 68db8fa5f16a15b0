/** Lesson 10: a master that cannot start says what it was doing, and what the system said. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Host, Storage } from "#host";
import { MasterError, startMaster } from "#master";
import { connect } from "#sdk";
import { SimWorld } from "#simhost";
import { Room } from "./10-master.support.ts";
import { spec } from "./spec.support.ts";

const LISTEN = { host: "127.0.0.1", port: 9090 };

/** As Node words them. */
const SAID: Readonly<Record<string, string>> = {
  ENOSPC: "no space left on device",
  EROFS: "read-only file system",
  EACCES: "permission denied",
  ENOTDIR: "not a directory",
  EMFILE: "too many open files",
};

function said(code: string, call: string, path?: string): Error {
  const where = path === undefined ? "" : ` '${path}'`;
  return Object.assign(new Error(`${code}: ${SAID[code]}, ${call}${where}`), {
    code,
    syscall: call,
    ...(path !== undefined && { path }),
  });
}

/** A host whose storage refuses one method for paths that contain `part`. */
function refusing(host: Host, refuse: { method: keyof Storage; part: string; error: Error }): Host {
  const storage = new Proxy(host.storage, {
    get(target, name) {
      const method = (Reflect.get(target, name) as (...args: unknown[]) => unknown).bind(target);
      return (...args: unknown[]) =>
        name === refuse.method && String(args[0]).includes(refuse.part)
          ? Promise.reject(refuse.error)
          : method(...args);
    },
  });
  return { ...host, storage };
}

test("startMaster() says which step failed, and why, for whatever the system says", () =>
  Room.run(async (room) => {
    const steps = [
      { method: "mkdir", part: "/state", doing: "make the folder" },
      { method: "lock", part: "/state/lock", doing: "write the lock /state/lock" },
      { method: "open", part: "/state/log/", doing: "open the log /state/log" },
      { method: "syncDirectory", part: "/state", doing: "open the log /state/log" },
      { method: "list", part: "/state/output", doing: "look through outputs and blobs" },
    ] as const;
    for (const { method, part, doing } of steps) {
      for (const code of Object.keys(SAID)) {
        const host = refusing(room.world.host("m"), { method, part, error: said(code, "open") });
        const failed = await startMaster({ host, dir: "/state", listen: LISTEN }).then(
          () => undefined,
          (error: unknown) => error,
        );
        assert.ok(failed instanceof MasterError, `${method} ${code}: ${failed}`);
        assert.equal(failed.code, "START_FAILED");
        assert.equal(
          failed.message,
          `Cannot start master on /state: cannot ${doing}: ${SAID[code]} (${code})`,
        );
        assert.equal((failed.cause as { code?: string }).code, code);
      }
    }
    // Nothing is left in the way.
    const master = await startMaster({ host: room.world.host("m"), dir: "/state", listen: LISTEN });
    await assert.rejects(
      startMaster({ host: room.world.host("m"), dir: "/state", listen: LISTEN }),
      { code: "LOCKED", message: /another one is using it/ },
    );
    await assert.rejects(
      startMaster({ host: room.world.host("m"), dir: "/other", listen: LISTEN }),
      { code: "ADDRESS_IN_USE" },
    );
    await master.stop();
  }));

test("startMaster() keeps the path that the system names, and does not reword our own errors", () =>
  Room.run(async (room) => {
    const path = "/state/lock.7-0a";
    const host = refusing(room.world.host("m"), {
      method: "lock",
      part: "lock",
      error: said("EROFS", "open", path),
    });
    await assert.rejects(startMaster({ host, dir: "/state", listen: LISTEN }), {
      message: "Cannot start master on /state: cannot write the lock /state/lock: read-only file " +
        `system (EROFS, open '${path}')`,
    });
    const odd = refusing(room.world.host("m"), {
      method: "lock",
      part: "lock",
      error: new TypeError("a bug"),
    });
    await assert.rejects(startMaster({ host: odd, dir: "/state", listen: LISTEN }), TypeError);
  }));

test("startMaster() looks at what is due, although nobody comes who could wake it", async () => {
  const world = new SimWorld({ seed: 10 });
  await world.settle((async () => {
    const start = () => startMaster({ host: world.host("m"), dir: "/state", listen: LISTEN });
    await start();
    const at = { host: world.host("client"), master: { host: "m", port: 9090 } };
    const client = await connect(at);
    const jobs = [spec("late", { delayMs: 3_600_000 })];
    const pipeline = { name: "n", version: undefined, project: undefined, jobs };
    const { run } = await client.submitSpec(pipeline);
    world.crash("m");
    await new Promise<void>((resolve) => void at.host.timers.after(7_200_000, resolve));
    const { counts } = await start();
    await new Promise<void>((resolve) => void at.host.timers.after(50, resolve));
    assert.equal(counts().delayed, 0, run);
  })());
});
