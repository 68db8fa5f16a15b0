/**
 * Lesson 10: one connection to the master, from HELLO to its end. It hands each request to its
 * handler (handlers.ts).
 *
 * Invariants: nothing but HELLO is served before HELLO; a request has exactly one answer; an answer
 * that may be long is made in its turn, when there is room for it; a mistake of a peer is answered,
 * and a mistake of ours stops the process.
 * Test: test/10-master.test.ts
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { TAG } from "#base";
import { Refusal } from "#core";
import { RpcError, type IncomingRequest, type RpcConnection } from "#rpc";
import {
  Hello, isJobToken, MAX_SLOTS, Op, PROTOCOL, readJobToken, Welcome, workerKey, type JobScope,
} from "#wire";
import { answerError } from "./answer-error.ts";
import { ArtifactUploads } from "./artifact-uploads.ts";
import { CHANGES, HANDLERS, LONG } from "./handlers.ts";
import { MAX_LONG_PER_PEER } from "./limits.ts";
import { checkScope } from "./scope.ts";
import type { Handler, Peer, Services } from "./services.ts";
import { Uploads } from "./uploads.ts";
import type { WorkerLink } from "./workers.ts";

export class Session implements Peer {
  readonly #services: Services;
  readonly #connection: RpcConnection;
  readonly #uploads: Uploads;
  readonly #artifacts: ArtifactUploads;
  #role: "client" | "worker" | undefined;
  #link: WorkerLink | undefined;
  #scope: JobScope | undefined;
  /** Long answers that have begun, and requests for more. */
  #longs = 0;
  #waiting: [IncomingRequest, Handler][] = [];
  #sorted: Promise<void> = Promise.resolve();

  constructor(services: Services, connection: RpcConnection) {
    this.#services = services;
    this.#connection = connection;
    this.#uploads = new Uploads(services.blobs);
    this.#artifacts = new ArtifactUploads(services);
  }

  request(request: IncomingRequest): void {
    try {
      if (this.#link !== undefined) this.#services.workers.heard(this.#link);
      if (request.opcode === Op.HELLO) return this.#welcome(request);
      if (this.#role === undefined) {
        const why = "Cannot serve this request: the first one must be HELLO";
        return request.fail("UNAUTHORIZED", why);
      }
      const handler = HANDLERS[request.opcode];
      if (handler === undefined) {
        const why = `Cannot serve opcode ${request.opcode}: this master does not know it`;
        return request.fail("UNSUPPORTED", why);
      }
      if (this.#scope !== undefined) checkScope(this.#services, request, this.#scope);
      const change = CHANGES[request.opcode];
      if (change !== undefined) this.#services.engine.checkRoom(change);
      if (LONG.has(request.opcode)) return this.#long(request, handler);
      const done = handler(this.#services, request, this);
      if (done instanceof Promise) done.catch((error: unknown) => this.#failed(request, error));
    } catch (error) {
      this.#failed(request, error);
    }
  }

  #failed(request: IncomingRequest, error: unknown): void {
    if (answerError(request, error)) return;
    // A bug, with the state perhaps half-way between two events. The log is right, so start again
    // from it.
    const found = (error as Error).message;
    request.fail("INTERNAL", `Cannot serve opcode ${request.opcode}: ${found}`);
    this.#services.fatal(error as Error);
  }

  notify(opcode: number): void {
    if (this.#link === undefined) return;
    if (opcode === Op.LEAVING) this.#services.workers.leaving(this.#link);
    if (opcode === Op.GOODBYE) this.#services.workers.left(this.#link);
  }

  closed(): void {
    if (this.#link !== undefined) this.#services.workers.closed(this.#link);
    this.#waiting = []; // nobody hears the answers
    void this.#uploads.close().catch(() => undefined);
    void this.#artifacts.close().catch(() => undefined);
  }

  /** A list that has to be sorted exists as a whole: of these a peer has one at a time. */
  alone(work: () => Promise<void>): Promise<void> {
    const done = this.#sorted.then(work);
    this.#sorted = done.catch(() => undefined);
    return done;
  }

  /**
   * Long answers begin in order, a few at a time: an answer that has not begun costs little,
   * however much was asked for.
   */
  #long(request: IncomingRequest, handler: Handler): void {
    if (this.#longs >= MAX_LONG_PER_PEER) return void this.#waiting.push([request, handler]);
    this.#longs += 1;
    const done = async (): Promise<void> => handler(this.#services, request, this);
    done().catch((error: unknown) => this.#failed(request, error)).finally(() => {
      this.#longs -= 1;
      let next = this.#waiting.shift();
      // A peer that has gone leaves a thousand of them: none is begun to find out that it is over.
      while (next?.[0].over === true) next = this.#waiting.shift();
      if (next !== undefined) this.#long(...next);
    });
  }

  get connection(): RpcConnection {
    return this.#connection;
  }

  get uploads(): Uploads {
    return this.#uploads;
  }

  get artifacts(): ArtifactUploads {
    return this.#artifacts;
  }

  get link(): WorkerLink | undefined {
    return this.#link;
  }

  get scope(): JobScope | undefined {
    return this.#scope;
  }

  /** A peer for which there is no place is told so, and its connection ends. */
  #welcome(request: IncomingRequest): void {
    try {
      this.#hello(request);
    } catch (error) {
      this.#failed(request, error);
      if (error instanceof RpcError && error.code === "OVERLOADED") this.#connection.close();
    }
  }

  // #region hello
  #hello(request: IncomingRequest): void {
    const hello = Hello.decode(request.body);
    if (hello.protocol !== PROTOCOL) throw otherProtocol(hello);
    const { version, engine, doors, workers, secret } = this.#services;
    const scope = whoComes(this.#services, hello);
    // A worker with a long HELLO has introduced itself with a short one first.
    const isLonger = this.#role === "client" && hello.role === "worker";
    if (this.#role !== undefined && !isLonger) {
      throw new RpcError("CONFLICT", "Cannot open a session: this connection has one");
    }
    const welcome = { protocol: PROTOCOL, version, ...workers.lease };
    if (hello.role === "client") {
      doors.admit(this.#connection, "client");
      this.#role = "client";
      this.#scope = scope;
      return request.reply(Welcome.encode({
        ...welcome, worker: 0, name: "", stale: [],
        store: undefined, cluster: undefined, jobKey: undefined,
      }));
    }
    checkOffer(hello);
    const known = engine.state.workersByInstance.get(hello.instance);
    const older = known && workers.links.get(known.id)?.connection;
    doors.admit(this.#connection, "worker", { isKnown: known !== undefined, older });
    this.#role = "worker";
    const { cluster } = this.#services;
    const join = (store?: string): void => {
      const { id, name, stale, isNew } = this.#services.workers.join(hello, this.#connection);
      this.#link = this.#services.workers.links.get(id);
      const jobKey = workerKey(secret, id);
      const answer = { ...welcome, worker: id, name, stale, store, cluster, jobKey };
      const reply = (): void => request.reply(Welcome.encode(answer));
      if (isNew) engine.whenDurable(reply);
      // It was known before: nothing new is promised.
      else engine.answer(reply);
    };
    const url = this.#services.store?.url;
    if (!(url instanceof Promise)) return join(url);
    url.catch(() => undefined).then((known) => {
      // It has given up meanwhile, or we have.
      if (!request.cancelled && !this.#services.stopped) join(known ?? undefined);
    }).catch((error: unknown) => this.#failed(request, error));
  }
  // #endregion
}

function otherProtocol({ role, protocol, version }: Hello): RpcError {
  const which = `a ${role} that speaks protocol ${protocol}`;
  const its = `Titan ${version || "of an unknown version"}`;
  const found = `Cannot serve ${which} (${its}): this master speaks ${PROTOCOL}`;
  return new RpcError("UNSUPPORTED", found);
}

/**
 * A person or a worker (undefined), who has the cluster's token if there is one; or a job with its
 * own credential, which is looked at even where everybody may come in.
 *
 * @throws {RpcError} UNAUTHORIZED
 */
function whoComes({ token, secret }: Services, hello: Hello): JobScope | undefined {
  const { role, token: given = "" } = hello;
  if (token !== undefined && sameSecret(token, given)) return undefined;
  if (!isJobToken(given)) {
    if (token !== undefined) throw noEntry(hello);
    return undefined;
  }
  const scope = readJobToken(secret, given);
  if (scope !== undefined && role === "client") return scope;
  const found = scope === undefined
    ? "the token is that of a job, and not of this cluster"
    : "a worker cannot come with the token of a job";
  throw new RpcError("UNAUTHORIZED", `Cannot open a session: ${found}`);
}

function noEntry({ token }: Hello): RpcError {
  const isMissing = token === undefined;
  const found = isMissing ? "this master wants a token (TITAN_TOKEN)" : "the token is wrong";
  return new RpcError("UNAUTHORIZED", `Cannot open a session: ${found}`);
}

/** @throws {Refusal} INVALID */
function checkOffer({ instance, slots, tags }: Hello): void {
  const refuse = (found: string): Refusal =>
    new Refusal("INVALID", `Cannot register worker: ${found}`);
  if (instance === "") throw refuse("it has no instance, by which it could be known again");
  if (slots < 1 || slots > MAX_SLOTS) throw refuse(`${slots} slots, must be 1 to ${MAX_SLOTS}`);
  const bad = tags.find((tag) => !TAG.test(tag));
  if (bad !== undefined) throw refuse(`"${bad}" is not a tag`);
}

/**
 * Compares in a time that does not depend on where the two differ. Hashing first makes the lengths
 * equal.
 */
function sameSecret(a: string, b: string): boolean {
  const hash = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}
