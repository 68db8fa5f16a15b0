/** A real sshd on loopback, for this user and one key, both made for one test. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { ownPort, tempFolder } from "./cli.support.ts";

const SSHD = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].find(existsSync);

/** Why there is none here; false if there is one. Under CI a missing sshd fails the test. */
export const noSshd = SSHD === undefined && !process.env["CI"] && "only on machines with an sshd";

/** `lines`: more of its configuration. */
export async function startSshd(
  t: TestContext, lines: readonly string[] = [],
): Promise<{ port: number; key: string }> {
  assert.ok(SSHD !== undefined, "no sshd here");
  const folder = tempFolder();
  const keygen = (name: string): string => {
    const path = join(folder, name);
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", path]);
    return path;
  };
  const [hostKey, key] = [keygen("host"), keygen("user")];
  const port = await ownPort();
  const config = join(folder, "config");
  writeFileSync(config, [
    `Port ${port}`, "ListenAddress 127.0.0.1", `HostKey "${hostKey}"`, "UsePAM no",
    "StrictModes no",
    `AuthorizedKeysFile "${key}.pub"`, "PasswordAuthentication no", "PidFile none", ...lines,
  ].join("\n"));
  if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true });
  const sshd = spawn(SSHD, ["-D", "-e", "-f", config], { stdio: ["ignore", "ignore", "pipe"] });
  t.after(async () => {
    sshd.kill();
    await once(sshd, "exit");
  });
  await new Promise<void>((ready, failed) => {
    let said = "";
    sshd.once("exit", (code) => failed(new Error(`sshd ended with ${code}: ${said}`)));
    sshd.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (/Server listening/.test(said)) ready();
    });
  });
  return { port, key };
}

/**
 * A folder for PATH, whose `ssh` knows nothing of this user's own configuration and believes every
 * host at first sight. `options` come before those of the caller.
 */
export function sshFolder(options: readonly string[] = []): string {
  const folder = tempFolder({ known: "" });
  const real = execFileSync("sh", ["-c", "command -v ssh"], { encoding: "utf8" }).trim();
  const known = `-o 'UserKnownHostsFile="${join(folder, "known")}"'`;
  writeFileSync(
    join(folder, "ssh"),
    `#!/bin/sh\nexec '${real}' -F none ${known} -o StrictHostKeyChecking=accept-new ` +
      `${options.map((word) => `'${word}'`).join(" ")} "$@"\n`,
    { mode: 0o755 },
  );
  return folder;
}
