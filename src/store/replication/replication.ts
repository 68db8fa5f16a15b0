/**
 * Lesson 15: one primary, and replicas that do what it did.
 *
 *     client ─▶ primary ─▶ [ backlog ] ─▶ replica ─▶ its own log
 *                                    └──▶ replica
 *
 * The stream has the bytes that the log gets, and an answer does not wait for it: a replica is
 * behind by the bytes on the wire, and a primary that dies takes these along. Replicas are for
 * reading and for having a copy elsewhere.
 *
 * Invariants: a stream has an id, new whenever a process starts or begins to be a primary, and an
 * offset means something only with its id; after a full copy or a continuation the replica's
 * keyspace is the primary's at its offset.
 * Left out: choosing a new primary when the old one dies (a person decides, and says REPLICAOF);
 * WAIT; a second id that would spare the other replicas a full copy after that.
 * Test: test/15-store.replica.test.ts
 */
import type { Address, Host, Timer } from "#host";
import type { SnapshotQueue } from "../log/snapshot-queue.ts";
import { Refusal } from "../refusal.ts";
import { ReplicaLink, REPLICATION_SILENCE_MS } from "./replica.ts";
import { Backlog } from "./backlog.ts";
import { ReplicaStream, type ReplicaStreamContext } from "./replica-stream.ts";
import type { Session } from "../session.ts";
import type { Engine } from "../engine.ts";
import type { Replies } from "../types.ts";

/**
 * How many bytes a replica may miss while it is away: an eighth of a second of a gigabit line,
 * minutes of usual traffic.
 */
export const BACKLOG_BYTES = 16 * 1024 * 1024;
/**
 * A connected replica, and one that is being copied to, may be behind by this many times as much:
 * 128 MiB. That is room for two of the largest values, or for 200,000 small changes a second during
 * the copy of a gigabyte, ten seconds of a gigabit line.
 */
export const LAG_FACTOR = 8;
/** As in Redis. */
const PING_MS = 10_000;

export interface ReplicationOptions {
  readonly host: Host;
  readonly store: Engine;
  readonly snapshots: SnapshotQueue;
  readonly primaryPassword: string;
  readonly backlogBytes: number;
  /** Sends all changes so far to the log and to `append`. */
  readonly flush: () => void;
  readonly applied: (group: string[][]) => void;
  readonly caughtUp: () => Promise<void> | undefined;
  readonly onLinkError: (primary: Address, linkError: string | undefined) => void;
}

export class Replication {
  readonly #options: ReplicationOptions;
  readonly #streams = new Set<ReplicaStream>();
  #id: string;
  #password: string;
  /** From the first replica on. */
  #backlog: Backlog | undefined;
  #link: ReplicaLink | undefined;
  #timer: Timer | undefined;
  readonly #counts = { full: 0, partial: 0 };

  constructor(options: ReplicationOptions) {
    this.#options = options;
    this.#password = options.primaryPassword;
    this.#id = this.#freshId();
    const { store } = options;
    store.info.set("Replication", () => this.info());
    store.config.define("masterauth", {
      get: () => this.#password,
      set: (value) => void (this.#password = value),
    });
    store.config.define("repl-backlog-size", { get: () => String(options.backlogBytes) });
    store.config.define("replicaof", {
      get: () =>
        this.#link === undefined ? "" : `${this.#link.primary.host} ${this.#link.primary.port}`,
    });
  }

  #freshId(): string {
    return Buffer.from(this.#options.host.random.bytes(20)).toString("hex");
  }

  /** A replica may ask for the changes: they must be encoded. */
  get wantsChanges(): boolean {
    return this.#backlog !== undefined;
  }

  /** Takes the changes of a turn. */
  append(bytes: Buffer): void {
    if (this.#backlog === undefined) return;
    this.#backlog.append(bytes);
    for (const stream of this.#streams) stream.send();
    this.#trim(this.#backlog);
  }

  /**
   * A replica that is being sent changes may be further behind than one that is away: a change may
   * be larger than the backlog, and a copy takes long.
   */
  #trim(backlog: Backlog): void {
    const { backlogBytes } = this.#options;
    const someLag = [...this.#streams].some(({ isBehind }) => isBehind);
    backlog.trim(someLag ? LAG_FACTOR * backlogBytes : backlogBytes);
    for (const stream of this.#streams) if (stream.isLost) stream.destroy();
  }

  /** TITAN.SYNC: this client's connection becomes a replica's. */
  sync(session: Session, known: { readonly id: string; readonly offset: number }): void {
    if (this.#link !== undefined) {
      throw new Refusal("ERR a replica has no replicas of its own: ask its primary");
    }
    const { host, snapshots, flush } = this.#options;
    const backlog = (this.#backlog ??= new Backlog());
    const offset = known.id === this.#id && backlog.has(known.offset) ? known.offset : undefined;
    const context: ReplicaStreamContext = {
      id: this.#id, backlog, flush, mostBytes: LAG_FACTOR * this.#options.backlogBytes,
      now: () => host.clock.monotonic(),
      wake: () => snapshots.wake(),
      gone: (stream) => {
        this.#streams.delete(stream);
        snapshots.wake();
      },
    };
    session.takeOver = (socket) => {
      const stream = new ReplicaStream(socket, context, offset);
      this.#streams.add(stream);
      this.#counts[offset === undefined ? "full" : "partial"]++;
      if (offset === undefined) snapshots.add(stream);
      else stream.send();
      this.#watch();
      return stream.handlers;
    };
  }

  /** While there are replicas: pings them, and cuts off those that are silent. */
  #watch(): void {
    if (this.#timer !== undefined || this.#streams.size === 0) return;
    const { host } = this.#options;
    this.#timer = host.timers.after(PING_MS, () => {
      this.#timer = undefined;
      for (const stream of [...this.#streams]) {
        const silentMs = host.clock.monotonic() - stream.heardAt;
        if (stream.state !== "wait" && silentMs >= REPLICATION_SILENCE_MS) stream.destroy();
        else stream.ping();
      }
      this.#watch();
    });
  }

  /** REPLICAOF. Undefined: be a primary, with the data that is here. */
  follow(primary: Address | undefined): void {
    const { host, store, snapshots, applied, caughtUp, onLinkError } = this.#options;
    const before = this.#link?.primary;
    if (primary !== undefined && before?.host === primary.host && before.port === primary.port) {
      return;
    }
    this.#link?.stop();
    this.#link = undefined;
    if (primary === undefined) {
      if (before === undefined) return;
      this.#id = this.#freshId();
      store.role = "primary";
      return;
    }
    this.#cutOff();
    this.#backlog = undefined;
    store.role = "replica";
    this.#link = new ReplicaLink({
      host,
      store,
      primary,
      password: () => this.#password,
      applied,
      snapshots,
      caughtUp,
      onLinkError: (linkError) => onLinkError(primary, linkError),
    });
  }

  #cutOff(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const stream of [...this.#streams]) stream.destroy();
  }

  /** ROLE */
  describe(out: Replies): void {
    const link = this.#link;
    if (link !== undefined) {
      out.array(5);
      out.bulk("slave");
      out.bulk(link.primary.host);
      out.int(link.primary.port);
      out.bulk(link.state);
      out.int(link.offset);
      return;
    }
    out.array(3);
    out.bulk("master");
    out.int(this.#backlog?.end ?? 0);
    out.array(this.#streams.size);
    for (const stream of this.#streams) {
      const { ip, port } = addressOf(stream);
      out.array(3);
      out.bulk(ip);
      out.bulk(port);
      out.bulk(String(stream.ackOffset));
    }
  }

  info(): Record<string, string | number> {
    const link = this.#link;
    const { host, store, backlogBytes } = this.#options;
    const own =
      link === undefined
        ? { role: "master" }
        : {
            role: "slave",
            master_host: link.primary.host,
            master_port: link.primary.port,
            master_link_status: link.state === "connected" ? "up" : "down",
            master_sync_in_progress: store.role === "loading" ? 1 : 0,
            slave_repl_offset: link.offset,
            slave_read_only: 1,
            // A field of ours: a person who sees "down" asks why.
            ...(link.linkError !== undefined && {
              master_link_trouble: link.linkError.replace(/\s+/g, " "),
            }),
          };
    const streams = Object.fromEntries([...this.#streams].map((stream, i) => {
      const { ip, port } = addressOf(stream);
      const lag = Math.floor((host.clock.monotonic() - stream.heardAt) / 1000);
      const state = REDIS_STATE[stream.state];
      const fields = `ip=${ip},port=${port},state=${state},offset=${stream.ackOffset},lag=${lag}`;
      return [`slave${i}`, fields];
    }));
    const { start = 0, end = 0 } = this.#backlog ?? {};
    return {
      ...own,
      connected_slaves: this.#streams.size,
      ...streams,
      master_replid: link === undefined ? this.#id : link.id,
      master_repl_offset: link === undefined ? end : link.offset,
      repl_backlog_active: this.#backlog === undefined ? 0 : 1,
      repl_backlog_size: backlogBytes,
      repl_backlog_first_byte_offset: start,
      repl_backlog_histlen: end - start,
      sync_full: this.#counts.full,
      sync_partial_ok: this.#counts.partial,
    };
  }

  close(): void {
    this.#link?.stop();
    this.#cutOff();
  }
}

/** The state of a replica in Redis's words, for INFO. */
const REDIS_STATE = { online: "online", copy: "send_bulk", wait: "wait_bgsave" } as const;

/** The address that the replica's connection comes from. It does not say where it listens. */
function addressOf({ remote }: ReplicaStream): { ip: string; port: string } {
  const cut = remote.lastIndexOf(":");
  return { ip: remote.slice(0, cut), port: remote.slice(cut + 1) };
}
