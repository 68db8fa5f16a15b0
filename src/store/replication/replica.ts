/**
 * Lesson 15: a replica's link to its primary.
 *
 *     dial ─▶ AUTH ─▶ TITAN.SYNC ─▶ titan.continue ───────────────────▶ changes, as they come
 *      ▲                         └▶ titan.full ─▶ a copy ─▶ titan.end ─▶──┘
 *      └──── a pause, doubled each time, half of it chance ◀── cut, refused, silent
 *
 * The replica counts the bytes of the stream that it has applied; their number follows from the
 * text itself. After a cut it says how far it is, and gets the rest: every group once. It counts a
 * group when it has done all of it, so a group that was cut in two comes again whole.
 *
 * A copy replaces the replica's data when the copy is whole, and not before: until then the old
 * data is kept, and in the replica's log the copy is one group, which counts when its EXEC is
 * there. A replica that dies in the midst of a copy, or is made a primary because its primary died,
 * still has the old data.
 *
 * Invariants: `known` and the keyspace belong together, or `known` is undefined; while a copy
 * comes, the role is `loading`: no client sees half of it, and no copy is made of it.
 * Left out: a copy that needs no memory beside the old data's; keeping `known` over a restart (a
 * restarted replica copies anew); replicas of replicas.
 * Test: test/15-store.replica.test.ts
 */
import type { Address, Host, Socket, Timer } from "#host";
import { retryPolicy } from "#retry";
import { Redialer } from "#rpc";
import { encodeCommand, encodedBytes, GroupReader } from "../log/text.ts";
import type { SnapshotQueue } from "../log/snapshot-queue.ts";
import { RespParser } from "../resp/resp.ts";
import type { Engine } from "../engine.ts";

/**
 * From a tenth of a second to five: replicas do not all dial at once, and none is late for a
 * primary that comes back.
 */
const REDIAL = retryPolicy({ delayMs: 100, backoff: 2, maxDelayMs: 5000, jitter: 0.5 });
const DIAL_MS = 5000;
const MINUS = 45;
/** As in Redis: how often a replica says how far it is. */
const ACK_MS = 1000;
/**
 * As in Redis: nothing heard for this long, and the other end counts as gone. The primary pings
 * every ten seconds.
 */
export const REPLICATION_SILENCE_MS = 60_000;

export interface ReplicaOptions {
  readonly host: Host;
  readonly store: Engine;
  readonly primary: Address;
  readonly password: () => string;
  /** Gets the groups that were applied, for the replica's own log. */
  readonly applied: (group: string[][]) => void;
  /** The replica's own snapshots wait while a copy comes in. */
  readonly snapshots: Pick<SnapshotQueue, "hold">;
  /** Resolves when the replica's log has caught up; undefined: it has. */
  readonly caughtUp: () => Promise<void> | undefined;
  /** The link has another error than before; undefined: it has none any more. */
  readonly onLinkError: (linkError: string | undefined) => void;
}

export class ReplicaLink {
  readonly primary: Address;
  /** The last error of the link. */
  linkError: string | undefined;
  readonly #options: ReplicaOptions;
  readonly #redialer: Redialer;
  #state: "connect" | "connecting" | "sync" | "connected" = "connect";
  #known: { id: string; offset: number } | undefined;
  /** Set while a copy comes in. `restore` brings back the data from before it. */
  #copying: { known: { id: string; offset: number }; restore: () => void } | undefined;
  #socket: Socket | undefined;
  #parser = new RespParser();
  #groups = new GroupReader();
  /** Bytes of the group that is coming in. */
  #groupBytes = 0;
  #heardAt = -Infinity;
  #timer: Timer | undefined;
  #paused = false;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.primary = options.primary;
    this.#redialer = new Redialer({
      host: options.host, to: options.primary, timeoutMs: DIAL_MS, pauses: REDIAL,
    });
    void this.#dial();
  }

  /** Redis's words, for ROLE. */
  get state(): "connect" | "connecting" | "sync" | "connected" {
    return this.#redialer.isDialling ? "connecting" : this.#state;
  }

  /** Bytes of the primary's stream that have been applied. */
  get offset(): number {
    return this.#known?.offset ?? -1;
  }

  get id(): string {
    return this.#known?.id ?? "?";
  }

  stop(): void {
    this.#redialer.stop();
    this.#timer?.cancel();
    this.#socket?.destroy();
    this.#socket = undefined;
    this.#abandonCopy();
  }

  async #dial(): Promise<void> {
    try {
      const socket = await this.#redialer.dial();
      if (socket !== undefined) this.#greet(socket);
    } catch (error) {
      this.#tryAgain((error as Error).message);
    }
  }

  #greet(socket: Socket): void {
    this.#socket = socket;
    this.#state = "connecting";
    this.#heardAt = this.#options.host.clock.monotonic();
    socket.handle({
      onData: (chunk) => {
        if (this.#socket === socket) this.#onData(chunk);
      },
      onClose: (error) => {
        if (this.#socket === socket) {
          this.#drop(error?.message ?? "the primary closed the connection");
        }
      },
    });
    const password = this.#options.password();
    if (password === "") this.#ask();
    else this.#send(["AUTH", password]);
    this.#watch();
  }

  #ask(): void {
    this.#state = "sync";
    this.#send(["TITAN.SYNC", this.#known?.id ?? "?", String(this.#known?.offset ?? 0)]);
  }

  #send(argv: string[]): void {
    this.#socket?.write(Buffer.from(encodeCommand(argv), "latin1"));
  }

  /** Once a second: says how far we are, and drops a primary that is silent. */
  #watch(): void {
    const { host } = this.#options;
    this.#timer = host.timers.after(ACK_MS, () => {
      if (!this.#paused && host.clock.monotonic() - this.#heardAt >= REPLICATION_SILENCE_MS) {
        return this.#drop("the primary is silent");
      }
      if (this.#isFed) this.#send(["titan.ack", String(Math.max(0, this.offset))]);
      this.#watch();
    });
  }

  /** The primary has answered: the connection is a stream of changes from here on. */
  get #isFed(): boolean {
    return this.state === "connected" || this.#copying !== undefined;
  }

  #onData(chunk: Buffer): void {
    this.#heardAt = this.#options.host.clock.monotonic();
    const socket = this.#socket;
    // An error may hold quotes at places where the parser allows none: it is read here.
    if (chunk[0] === MINUS && !this.#parser.isInside) {
      return this.#drop(chunk.toString("latin1", 1).split("\r\n")[0]!);
    }
    try {
      this.#parser.push(chunk);
      for (let argv = this.#parser.next(); argv !== undefined; argv = this.#parser.next()) {
        this.#receive(argv);
        if (this.#socket !== socket) return;
      }
    } catch (error) {
      // Our data may differ from the primary's from here on.
      this.#known = undefined;
      return this.#drop((error as Error).message);
    }
    this.#throttle();
  }

  #receive(argv: string[]): void {
    const [name = "", id = "", offset = ""] = argv;
    // An answer in a line: the parser takes it for a command that somebody typed.
    if (name[0] === "-") return this.#drop(argv.join(" ").slice(1));
    if (name === "+OK") return this.#ask();
    if (name === "titan.ping") return;
    if (name === "titan.full") return this.#beginCopy({ id, offset: Number(offset) });
    if (name === "titan.end") return this.#endCopy();
    if (name === "titan.continue") return this.#connected();
    this.#change(argv);
  }

  #change(argv: string[]): void {
    if (!this.#isFed) throw new Error(`unexpected ${argv[0]}`);
    this.#groupBytes += encodedBytes(argv);
    const group = this.#groups.add(argv);
    if (group === undefined) return;
    for (const each of group) this.#options.store.load(each);
    this.#remember(group);
    if (this.#known !== undefined) this.#known.offset += this.#groupBytes;
    this.#groupBytes = 0;
  }

  #remember(group: string[][]): void {
    const { applied } = this.#options;
    if (this.#copying === undefined) applied(group);
    // One by one: a MULTI among them would begin the copy's own group anew.
    else for (const each of group) applied([each]);
  }

  #beginCopy(known: { id: string; offset: number }): void {
    const { store, applied, snapshots } = this.#options;
    this.#abandonCopy();
    this.#known = undefined;
    store.role = "loading";
    snapshots.hold(true);
    this.#copying = { known, restore: store.setAside() };
    // These are words of the log itself: all that is applied from here on counts when the EXEC is
    // there.
    applied([["multi"]]);
    applied([["flushall"]]);
  }

  #endCopy(): void {
    if (this.#copying === undefined) throw new Error("unexpected titan.end");
    const { store, applied, snapshots } = this.#options;
    applied([["exec"]]);
    this.#known = this.#copying.known;
    this.#copying = undefined;
    snapshots.hold(false);
    store.role = "replica";
    this.#connected();
  }

  /** Gives up half a copy, and brings the old data back. */
  #abandonCopy(): void {
    if (this.#copying === undefined) return;
    const { store, applied, snapshots } = this.#options;
    const { restore } = this.#copying;
    this.#copying = undefined;
    restore();
    // An empty group is MULTI, EXEC. A reader of the log begins anew at this second MULTI, and
    // forgets the commands behind the first.
    applied([]);
    snapshots.hold(false);
    store.role = "replica";
  }

  #connected(): void {
    this.#state = "connected";
    this.#redialer.succeeded();
    this.#tell(undefined);
  }

  /** Reads changes no faster than the replica's own disk takes them. */
  #throttle(): void {
    const behind = this.#paused ? undefined : this.#options.caughtUp();
    const socket = this.#socket;
    if (behind === undefined || socket === undefined) return;
    this.#paused = true;
    socket.pause();
    const goOn = (): void => {
      if (this.#socket !== socket) return;
      this.#paused = false;
      this.#heardAt = this.#options.host.clock.monotonic();
      socket.resume();
    };
    // It rejects when the disk has failed: no change could be kept.
    behind.then(goOn, () => this.stop());
  }

  #drop(why: string): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#parser = new RespParser();
    this.#groups = new GroupReader();
    this.#groupBytes = 0;
    this.#paused = false;
    socket?.destroy();
    this.#abandonCopy();
    this.#tryAgain(why);
  }

  #tryAgain(why: string): void {
    this.#tell(why);
    this.#state = "connect";
    this.#timer?.cancel();
    this.#redialer.failed();
    void this.#dial();
  }

  #tell(linkError: string | undefined): void {
    if (linkError === this.linkError && linkError !== undefined) return;
    this.linkError = linkError;
    this.#options.onLinkError(linkError);
  }
}
