/**
 * Three days in the life of a message, with two formats: fields found by position, and fields found by number.
 *
 *     npm run -s try 02/evolve
 */
import { message, optional, string, u32 } from "#codec";

interface Hello {
  name: string;
  slots: number;
  zone?: string | undefined;
}

// #region positional
/** Version 1 of the layout: `name` (a length byte, then the text), then `slots` (four bytes). */
function readPositional(bytes: Buffer): Hello {
  const nameEnd = 1 + bytes[0]!;
  return { name: bytes.toString("utf8", 1, nameEnd), slots: bytes.readUInt32BE(nameEnd) };
}
// #endregion

/** Version 2 puts a zone between the two. */
function readPositional2(bytes: Buffer): Hello {
  const nameEnd = 1 + bytes[0]!;
  const zoneEnd = nameEnd + 1 + bytes[nameEnd]!;
  const zone = bytes.toString("utf8", nameEnd + 1, zoneEnd);
  return { name: bytes.toString("utf8", 1, nameEnd), zone, slots: bytes.readUInt32BE(zoneEnd) };
}

function text(value: string): Buffer {
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
}

function number(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}

const Old = message("Hello", { name: [1, string()], slots: [2, u32()] });
const New = message("Hello", { name: [1, string()], zone: [3, optional(string())], slots: [2, u32()] });

function show(format: string, read: () => Hello): void {
  let outcome: string;
  try {
    const { name, slots, zone } = read();
    outcome = `${name} offers ${slots} slots${zone === undefined ? "" : ` in ${zone}`}`;
  } catch (error) {
    outcome = `${(error as Error).name}: ${(error as Error).message}`;
  }
  console.log(`  ${format.padEnd(13)}${outcome}`);
}

const [positional1, positional2] = [[text("w-1"), number(4)], [text("w-1"), text("eu-west"), number(4)]].map((parts) => Buffer.concat(parts));
const tagged1 = Old.encode({ name: "w-1", slots: 4 });
const tagged2 = New.encode({ name: "w-1", slots: 4, zone: "eu-west" });

console.log("Monday: everybody runs version 1");
show("by position", () => readPositional(positional1!));
show("by number", () => Old.decode(tagged1));
console.log("Tuesday: the worker runs version 2, the master still version 1");
show("by position", () => readPositional(positional2!));
show("by number", () => Old.decode(tagged2));
console.log("Wednesday: the master runs version 2, and an old worker turns up");
show("by position", () => readPositional2(positional1!));
show("by number", () => New.decode(tagged1));
