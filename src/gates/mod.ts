/**
 * Lesson 16: a gate: a question that a run puts to people, and waits for up to two days.
 *
 *     form.ts      the fields that the question asks for: types, defaults, what was typed
 *     ballot.ts    who may answer, how many must, what an answer does, what silence does
 *
 * The rules only. That a gate is open, the approvals so far and its deadline are facts in the
 * master's log (lesson 10), so that they survive every crash; nobody waits anywhere, so an open
 * gate takes no slot and no thread.
 *
 * Invariants: a gate that is not answered is not approved, unless its author wrote that; whatever
 * is refused is refused in words, and changes nothing.
 * Left out: proof of who somebody is. A name is as good as the token that all share.
 * Test: test/16-gates.test.ts
 */
export {
  castAnswer, closeAtDeadline, personOf, rulesProblem, type Answer, type Cast,
} from "./ballot.ts";
export { formProblem, readForm, typedValues, type FormResult, type FormTexts } from "./form.ts";
