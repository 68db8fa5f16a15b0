/**
 * A shop charges a card over a network that loses one message: the answer.
 *
 *     npm run -s try 09/card           no idempotency key
 *     npm run -s try 09/card key       with one
 *     npm run -s try 09/card crash     with one, and the bank crashes between the charge and the note
 *
 * The clock is a number and the network an array of things to come, so each run is the same.
 */
import { backoffDelayMs, IdempotencyKeys, retryPolicy } from "#retry";

const mode = process.argv[2] ?? "none";
const [TRAVEL_MS, TIMEOUT_MS] = [20, 100];
const policy = retryPolicy({ maxAttempts: 3, delayMs: 200, jitter: 0 });

// The world: events in order of time, and one message that will be lost.
let nowMs = 0;
const pending: { atMs: number; run: () => void }[] = [];
let repliesToLose = 1;

function after(ms: number, run: () => void): void {
  const atMs = nowMs + ms;
  pending.splice(pending.findLastIndex((other) => other.atMs > atMs) + 1, 0, { atMs, run });
}

function say(who: string, what: string): void {
  console.log(`${`t=${nowMs}`.padEnd(7)}${who.padEnd(6)}${what}`);
}

// The bank. `account` and `keys` are its disk.
const account: number[] = [];
let keys = new IdempotencyKeys<string>();

function onCharge(euros: number, key: string | undefined): void {
  const request = `charge ${euros}`;
  const known = key === undefined ? { kind: "new" as const } : keys.recall(key, { request, nowMs });
  if (known.kind === "repeat") return reply(known.answer, "has seen this key, and gives its first answer again");
  account.push(euros);
  const receipt = `receipt ${account.length}`;
  say("bank", `charges the card: ${euros} euros, ${receipt}`);
  if (mode === "crash" && account.length === 1) {
    say("bank", "crashes: the charge is on disk, the key was to be written next");
    keys = new IdempotencyKeys<string>();
    return;
  }
  if (key !== undefined) keys.remember(key, receipt, { request, nowMs });
  reply(receipt, "answers");
}

function reply(receipt: string, why: string): void {
  say("bank", why);
  if (repliesToLose > 0 && mode !== "crash") {
    repliesToLose--;
    after(TRAVEL_MS / 2, () => say("net", "loses the answer"));
  } else after(TRAVEL_MS, () => onReceipt(receipt));
}

// The shop.
let answered = false;

function attempt(number: number): void {
  const key = mode === "none" ? undefined : "order-1001"; // one key for the order, not one for each attempt
  say("shop", `asks for 30 euros, attempt ${number}${key === undefined ? "" : `, key ${key}`}`);
  after(TRAVEL_MS, () => onCharge(30, key));
  after(TIMEOUT_MS, () => {
    if (answered) return;
    const delayMs = backoffDelayMs(policy, number, () => 0);
    say("shop", `has no answer, and will ask again ${delayMs} ms from now`);
    after(delayMs, () => attempt(number + 1));
  });
}

function onReceipt(receipt: string): void {
  answered = true;
  say("shop", `gets ${receipt} and thanks the customer`);
}

attempt(1);
for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
  nowMs = next.atMs;
  next.run();
}
console.log(`\nThe customer wanted to pay 30 euros once, and paid ${account.reduce((sum, euros) => sum + euros, 0)} in ${account.length} charge${account.length === 1 ? "" : "s"}.`);
