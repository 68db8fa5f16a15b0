/** When a Redialer dials, and what it hands out: in virtual time, with a scripted network. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualTime, type Host, type Socket } from "#host";
import { retryPolicy } from "#retry";
import { Redialer } from "#rpc";

const TO = { host: "m", port: 1 };
/** Without chance: 100, 200, 400, 400 … ms. */
const PAUSES = retryPolicy({ delayMs: 100, backoff: 2, maxDelayMs: 400, jitter: 0 });

interface Attempt {
  readonly atMs: number;
  answer(): Socket & { destroyed: boolean };
  refuse(): void;
}

/** A network whose every answer the test gives. */
class Desk {
  readonly time = new VirtualTime();
  readonly attempts: Attempt[] = [];
  readonly timeouts: (number | undefined)[] = [];
  /** The next numbers of chance; 0 behind them. */
  readonly chance: number[] = [];
  readonly host = {
    clock: this.time.clock,
    timers: this.time.timers,
    random: { unit: () => this.chance.shift() ?? 0 },
    network: {
      dial: (to, { timeoutMs } = {}) => {
        assert.deepEqual(to, TO);
        this.timeouts.push(timeoutMs);
        return new Promise((resolve, reject) => {
          this.attempts.push({
            atMs: this.time.now,
            answer: () => {
              const socket = { destroyed: false, destroy: () => void (socket.destroyed = true) };
              resolve(socket as unknown as Socket);
              return socket as unknown as Socket & { destroyed: boolean };
            },
            refuse: () => reject(new Error("refused")),
          });
        });
      },
    } satisfies Pick<Host["network"], "dial">,
  } as unknown as Host;

  redialer(options: Partial<ConstructorParameters<typeof Redialer>[0]> = {}): Redialer {
    return new Redialer({ host: this.host, to: TO, timeoutMs: 2000, pauses: PAUSES, ...options });
  }

  async for(ms: number): Promise<void> {
    await this.time.run(this.time.now + ms);
  }

  get dialledAt(): number[] {
    return this.attempts.map(({ atMs }) => atMs);
  }
}

/** Dials, and has the network refuse. */
async function refused(desk: Desk, redialer: Redialer): Promise<void> {
  const dial = redialer.dial();
  await desk.time.run();
  desk.attempts.at(-1)!.refuse();
  await assert.rejects(dial, /refused/);
  redialer.failed();
}

test("dial() is one attempt, and none behind stop(), also when both come in one turn", async () => {
  const desk = new Desk();
  const redialer = desk.redialer();
  const both = [redialer.dial(), redialer.dial()];
  await desk.time.run();
  assert.deepEqual(desk.dialledAt, [0]);
  const socket = desk.attempts[0]!.answer();
  assert.deepEqual(await Promise.all(both), [socket, undefined]);

  const stopped = new Desk();
  const other = stopped.redialer();
  const dial = other.dial();
  other.stop();
  assert.equal(await dial, undefined);
  await stopped.time.run();
  assert.equal(await other.dial(), undefined);
  assert.deepEqual(stopped.dialledAt, []);
});

test("dial() waits not at all at first, then longer with every failure in a row", async () => {
  const desk = new Desk();
  const redialer = desk.redialer();
  for (let i = 0; i < 5; i++) await refused(desk, redialer);
  assert.deepEqual(desk.dialledAt, [0, 100, 300, 700, 1100]);
  assert.deepEqual(new Set(desk.timeouts), new Set([2000]));

  const soon = new Desk();
  void soon.redialer().dial();
  await undefined;
  assert.deepEqual(soon.dialledAt, [0], "no timer is needed for no pause");
});

test("succeeded() forgets the failures, and spreads the next dial where " +
  "that is wanted", async () => {
  const desk = new Desk();
  const redialer = desk.redialer();
  await refused(desk, redialer);
  await refused(desk, redialer);
  redialer.succeeded();
  await refused(desk, redialer);
  await refused(desk, redialer);
  assert.deepEqual(desk.dialledAt, [0, 100, 100, 200]);

  const spread = new Desk();
  const other = spread.redialer({ spreadMs: 40 });
  spread.chance.push(0.5);
  other.succeeded();
  void other.dial();
  await spread.for(19);
  assert.deepEqual(spread.dialledAt, []);
  await spread.for(2);
  assert.deepEqual(spread.dialledAt, [20]);
});

test("chance shortens a pause by its policy's share", async () => {
  const desk = new Desk();
  const redialer = desk.redialer({ pauses: { ...PAUSES, jitter: 0.5 } });
  desk.chance.push(0.5);
  redialer.failed();
  void redialer.dial();
  await desk.for(1000);
  assert.deepEqual(desk.dialledAt, [75]);
});

test("a pause is counted from the failure: a caller that comes later waits " +
  "for the rest", async () => {
  const desk = new Desk();
  const redialer = desk.redialer();
  redialer.failed();
  await desk.for(60);
  void redialer.dial();
  await desk.for(100);
  assert.deepEqual(desk.dialledAt, [100]);

  const late = new Desk();
  const other = late.redialer();
  other.failed();
  await late.for(5000);
  void other.dial();
  await late.for(0);
  assert.deepEqual([late.dialledAt, other.isDialling], [[5000], true]);
});

test("one attempt at a time: a second call gets nothing, in a pause and in a dial", async () => {
  const desk = new Desk();
  const redialer = desk.redialer();
  redialer.failed();
  const first = redialer.dial();
  assert.equal(await redialer.dial(), undefined);
  await desk.for(100);
  assert.equal(await redialer.dial(), undefined);
  assert.equal(desk.attempts.length, 1);
  const socket = desk.attempts[0]!.answer();
  assert.equal(await first, socket);
  assert.deepEqual([socket.destroyed, redialer.isDialling], [false, false]);
  // The next call is free to dial, after an answer as after a refusal.
  await refused(desk, redialer);
  await refused(desk, redialer);
  assert.equal(desk.attempts.length, 3);
});

test("nothing is dialled that nobody wants, before a pause and after it", async () => {
  const desk = new Desk();
  let wanted = false;
  const redialer = desk.redialer({ isWanted: () => wanted });
  redialer.failed();
  const before = desk.time.now;
  assert.equal(await redialer.dial(), undefined);
  await desk.time.run();
  assert.equal(desk.time.now, before, "no timer was armed");
  wanted = true;
  const dial = redialer.dial();
  await desk.for(50);
  wanted = false;
  await desk.for(100);
  assert.equal(await dial, undefined);
  assert.deepEqual(desk.dialledAt, []);
  wanted = true;
  void redialer.dial();
  await desk.for(0);
  assert.deepEqual(desk.dialledAt, [150], "and it may be wanted again");
});

test("stop() ends a pause at once, and leaves no timer", async () => {
  const desk = new Desk();
  const redialer = desk.redialer();
  redialer.failed();
  const dial = redialer.dial();
  await desk.for(10);
  redialer.stop();
  assert.equal(await dial, undefined);
  await desk.time.run();
  assert.deepEqual([desk.time.now, desk.attempts.length], [10, 0]);
  assert.equal(await redialer.dial(), undefined, "it stays stopped");
  assert.equal(desk.attempts.length, 0);
});

test("stop() during a dial: the socket that comes too late is destroyed, an " +
  "error is dropped", async () => {
  for (const outcome of ["answer", "refuse"] as const) {
    const desk = new Desk();
    const redialer = desk.redialer();
    const dial = redialer.dial();
    await desk.for(0);
    redialer.stop();
    const socket = desk.attempts[0]![outcome]();
    assert.equal(await dial, undefined, outcome);
    if (socket !== undefined) assert.equal(socket.destroyed, true);
    assert.equal(redialer.isDialling, false);
    assert.equal(await redialer.dial(), undefined);
    assert.equal(desk.attempts.length, 1);
  }
});
