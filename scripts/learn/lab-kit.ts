/**
 * A lab: one knob of a subsystem, a few numbers that it turns, and a budget that they must keep.
 *
 *     lessons/12-membership/lab.ts           says what it is, as JSON
 *     lessons/12-membership/lab.ts 4000      says what the knob at 4000 does
 *
 * Time is virtual, so a value has one answer. Test: test/learn-lab.test.ts
 */

export interface Lab {
  readonly title: string;
  /** What the knob does, in a sentence, and what the first number is. */
  readonly about: string;
  readonly knob: string;
  readonly unit: string;
  readonly least: number;
  readonly most: number;
  /** What one might take first: it does not keep the budget. */
  readonly first: number;
  readonly budget: string;
  /** A value that keeps it, for the test of the lab. */
  readonly solution: number;
  readonly why: string;
  run(value: number): LabResult | Promise<LabResult>;
}

export interface LabResult {
  /** The first one is what a reader predicts. */
  readonly numbers: readonly LabNumber[];
  readonly isWithin: boolean;
}

export interface LabNumber {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

/** The program of a lab's file. */
export async function lab(what: Lab): Promise<void> {
  const [asked] = process.argv.slice(2);
  const { run, ...said } = what;
  console.log(JSON.stringify(asked === undefined ? said : await run(Number(asked))));
}
