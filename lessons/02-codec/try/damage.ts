/**
 * Cuts a message at every byte, then flips every bit, and counts the answers.
 *
 *     npm run -s try 02/damage
 */
import { CodecError, enumOf, list, message, optional, string, u32 } from "#codec";

const Hello = message("Hello", {
  role: [1, enumOf("client", "worker")],
  name: [2, string(32)],
  slots: [3, u32()],
  tags: [4, list(string(16), 4)],
  zone: [5, optional(string(16))],
});
const whole = Hello.encode({ role: "worker", name: "w-1", slots: 300, tags: ["GPU", "HIGH_MEM"], zone: "eu-west" });

function answer(bytes: Buffer): string {
  try {
    Hello.decode(bytes);
    return "a message";
  } catch (error) {
    if (error instanceof CodecError) return error.code;
    throw error; // a TypeError, a RangeError: the reader trusted something
  }
}

function count(title: string, answers: string[]): void {
  console.log(title);
  const counts = new Map<string, number>();
  for (const each of answers) counts.set(each, (counts.get(each) ?? 0) + 1);
  for (const [each, times] of [...counts].sort()) console.log(`  ${String(times).padStart(4)}  ${each}`);
}

count(`${whole.length} bytes, cut at every place`, Array.from(whole, (_, length) => answer(whole.subarray(0, length))));
count(`${whole.length * 8} bits, each flipped once`, Array.from({ length: whole.length * 8 }, (_, bit) => {
  const damaged = Buffer.from(whole);
  damaged[bit >> 3]! ^= 1 << (bit & 7);
  return answer(damaged);
}));
