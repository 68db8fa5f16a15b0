/**
 * An open gate, and an answer, as plain JSON.
 *
 * Test: test/16-gates.cli.test.ts
 */
import { webhookShown } from "#base";
import { resultValue, rulesOf, type GateInfo, type Notice, type Notify } from "#wire";

export function gateJson(gate: GateInfo): object {
  const { id, message, openedAt, deadline, votes, result, submitter, notice } = gate;
  const { form, approvers, required, onTimeout, selfApproval, notify } = rulesOf(gate);
  return {
    id, message, openedAt, deadline, submitter, form, approvers, required, onTimeout,
    selfApproval, result: result === undefined ? null : resultValue(result),
    notice: notify === undefined || notice === undefined ? null : noticeJson(notify, notice),
    approvals: votes.map(({ by, comment, values, at }) => ({ by, comment, fields: values, at })),
  };
}

/** Where the message goes, without what may be a secret. */
export function notifyText(notify: Notify): string {
  return notify.type === "webhook" ? webhookShown(notify.url) : notify.argv.join(" ");
}

function noticeJson(notify: Notify, { tries, dueAt, sentAt, why }: Notice): object {
  const state = sentAt > 0 ? "sent" : dueAt > 0 ? "waits" : "failed";
  const at = (ms: number): number | null => (ms > 0 ? ms : null);
  return { to: notifyText(notify), state, tries, sentAt: at(sentAt), nextAt: at(dueAt), why };
}
