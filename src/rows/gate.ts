/**
 * An open gate, and an answer, as plain JSON.
 *
 * Test: test/16-gates.cli.test.ts
 */
import { resultValue, rulesOf, type GateInfo } from "#wire";

export function gateJson(gate: GateInfo): object {
  const { id, message, openedAt, deadline, votes, result, submitter } = gate;
  const { form, approvers, required, onTimeout, selfApproval } = rulesOf(gate);
  return {
    id, message, openedAt, deadline, submitter, form, approvers, required, onTimeout,
    selfApproval, result: result === undefined ? null : resultValue(result),
    approvals: votes.map(({ by, comment, values, at }) => ({ by, comment, fields: values, at })),
  };
}
