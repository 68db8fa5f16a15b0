/**
 * What a way between two hosts does to the bytes on it. Both directions.
 *
 * Test: test/22-simulation.world.test.ts
 */
import type { Random } from "#host";
import type { World } from "./types.ts";

/**
 * So many bytes of each write travel singly: enough to cut any header anywhere, at a cost that
 * stays bounded.
 */
const SINGLE_BYTES = 64;

export class Link {
  readonly #world: World;
  readonly #reset: () => void;
  #latencyMs: readonly [least: number, most: number] | undefined;
  #stall: { chance: number; ms: readonly [least: number, most: number] } | undefined;
  #oneByte = false;

  constructor(world: World, reset: () => void) {
    this.#world = world;
    this.#reset = reset;
  }

  /** Shortest and longest way of a piece. Undefined: the world's. */
  latency(range: readonly [least: number, most: number] | undefined): void {
    this.#latencyMs = range;
  }

  /**
   * With this chance a piece, and all behind it, waits so much longer: the piece was lost, and TCP
   * sent it again. Undefined: never.
   */
  stall(how: { chance: number; ms: readonly [least: number, most: number] } | undefined): void {
    this.#stall = how;
  }

  /** Cuts the first 64 bytes of each write into single bytes, and what follows at random places. */
  oneByte(on: boolean): void {
    this.#oneByte = on;
  }

  /**
   * Resets the connection now, maybe within a frame: bytes that have arrived are read, the rest is
   * lost, and both ends see ECONNRESET.
   */
  reset(): void {
    this.#reset();
  }

  get latencyRange(): readonly [least: number, most: number] {
    return this.#latencyMs ?? this.#world.options.latencyMs;
  }

  /** How long the next piece takes. */
  delay(): number {
    const delay = this.#world.between(this.latencyRange);
    const stall = this.#stall;
    if (stall === undefined || this.#world.chance.unit() >= stall.chance) return delay;
    return delay + this.#world.between(stall.ms, this.#world.chance);
  }

  /**
   * The length of the next piece of a write: `left` bytes are to be sent, and `sent` went before.
   */
  cut(left: number, sent: number): number {
    if (this.#oneByte) return sent < SINGLE_BYTES ? 1 : someOf(left, this.#world.chance);
    return this.#world.options.splitChunks ? someOf(left, this.#world.random) : left;
  }
}

function someOf(left: number, random: Random): number {
  return 1 + (random.u32() % left);
}
