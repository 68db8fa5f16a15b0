/**
 * What the handlers of version 1 share. `door.ts` makes it once.
 *
 * Test: test/dialect.cluster.test.ts
 */
import type { Host } from "#host";
import type { Master } from "#master";
import type { Client } from "#sdk";
import type { OldFolder } from "./folder.ts";
import type { OldManifest } from "./manifest.ts";
import type { OldNames } from "./names.ts";
import type { Listener } from "./plan.ts";

/** The master, as far as it is read past its client. */
export type MasterView = Pick<Master, "runsAfter" | "counts">;

export interface Parts {
  readonly host: Host;
  readonly view: MasterView;
  readonly names: OldNames;
  readonly manifest: OldManifest;
  /** Files of UPLOAD_ASSET, and of DEPLOY_SCRIPT (the original's `perm_files`). */
  readonly uploads: OldFolder;
  readonly scripts: OldFolder;
  readonly listener: Listener;
  /** A session with the master: the one that is open, or a new one. */
  client(): Promise<Client>;
}
