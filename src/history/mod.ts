/**
 * Lesson 10: time travel. The log holds all that has ever happened, so it can say what was true at
 * any moment: its facts are folded again, up to that moment, by the core's own `apply`.
 *
 *     history.ts       what can be asked: a moment, facts in words, one step        ← start here
 *     pass.ts          the way through the log, once: names, stretches, checkpoints
 *     checkpoints.ts   states on the way, from which a visit begins
 *     cursor.ts        a state that stands at one place of the log, and goes on from there
 *     names.ts         what the numbers of all events mean, and which runs there ever were
 *     rows.ts          a moment as rows: runs, jobs, workers, the queue
 *     facts.ts         facts as JSON, with a sentence
 *     changes.ts       what each fact has changed of a run, for those who fold elsewhere
 *     step.ts          how one fact came about, and what it changed;
 *     words.ts         that change in short words;
 *     origins.ts       from which command it follows, and which effects follow with it;
 *     wishes.ts        the commands in a few words
 *     door.ts          questions and answers as bytes
 *     errors.ts        what cannot be told, and why
 *
 * Invariants: the log is read beside its owner, and nothing is written; the state at a moment is
 * the state that a start would find if the log ended there; memory is bounded.
 * Left out: moments before the front of the log. A snapshot has taken the place of their facts.
 * Test: test/10-master.history.test.ts
 */
export { answerHistory, openPast } from "./door.ts";
export { History } from "./history.ts";
