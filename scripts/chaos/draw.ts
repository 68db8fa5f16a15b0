/** Choices from a seed: what the plan, the pipelines and the clients draw from. */
import { seededRandom } from "#host";

export interface Draw {
  /** A whole number, both ends included. */
  int(low: number, high: number): number;
  chance(probability: number): boolean;
  /** One of a list that is not empty. */
  one<T>(list: readonly T[]): T;
}

export function draw(seed: number): Draw {
  const random = seededRandom(seed);
  const int = (low: number, high: number): number =>
    low + Math.floor(random.unit() * (high - low + 1));
  return {
    int,
    chance: (probability) => random.unit() < probability,
    one: (list) => list[int(0, list.length - 1)]!,
  };
}
