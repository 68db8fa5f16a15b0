/**
 * Lesson 10: fields that messages of all kinds have, each with its longest value. The schemas in
 * this folder are made of them.
 *
 * Private to src/wire.
 * Test: test/10-master.test.ts
 */
import { string } from "#codec";

export const name = string(256);
export const sentence = string(16 * 1024);
/** Of one page. */
export const MAX_ROWS = 100_000;
