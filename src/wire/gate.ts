/**
 * Lesson 16: a gate as it travels: the question, who may answer it, and what an answer is.
 *
 * Values of a form are texts here, as a person types them. The form says what they mean: "3" is a
 * number where the field is one. So there is one spelling of each value in the log.
 *
 * Test: test/16-gates.test.ts
 */
import {
  bool, enumOf, list, map, message, optional, string, u32, u53, union, withDefault, type Infer,
} from "#codec";

/** More than this nobody fills in. */
export const MAX_FORM_FIELDS = 32;
export const MAX_CHOICES = 100;
export const MAX_FIELD_NAME_CHARS = 64;
/** One value of a form. A longer text is a file, and travels as one. */
export const MAX_FIELD_BYTES = 4096;
/** All values of one form together: with its answer they are handed to the jobs behind the gate. */
export const MAX_FORM_BYTES = 8 * 1024;
/** People who may answer one gate. */
export const MAX_APPROVERS = 100;
export const MAX_LABEL_BYTES = 1024;
export const MAX_PERSON_BYTES = 256;

/** Approvals that are kept of one gate while it is open. */
export const MAX_VOTES = MAX_APPROVERS;

export const FIELD_TYPES = ["text", "number", "choice", "boolean"] as const;

export const FormField = message("FormField", {
  name: [1, string(MAX_FIELD_NAME_CHARS)],
  type: [2, enumOf(...FIELD_TYPES)],
  /** What a person reads beside it; empty: its name. */
  label: [3, withDefault(string(MAX_LABEL_BYTES), "")],
  choices: [4, list(string(MAX_FIELD_BYTES), MAX_CHOICES)],
  /** What counts if nothing is given. */
  default: [5, optional(string(MAX_FIELD_BYTES))],
  /** An approval without it is refused. */
  required: [6, withDefault(bool(), false)],
});
export type FormField = Infer<typeof FormField>;

/** By the names of the form's fields. */
export const FormValues = map(string(MAX_FIELD_BYTES), MAX_FORM_FIELDS);

export const GATE_TIMEOUTS = ["reject", "approve", "skip"] as const;

/** Words of a program that tells people of a gate, and the bytes of one. */
export const MAX_NOTIFY_ARGS = 64;
export const MAX_NOTIFY_ARG_BYTES = 4096;
export const MAX_URL_BYTES = 2048;
/** Of the reason why a message could not be sent. */
export const MAX_NOTICE_WHY_BYTES = 512;

/** How people hear that a gate is open: a program is run, or an address of the web is called. */
export const Notify = union("Notify", {
  command: [1, message("NotifyCommand", {
    argv: [1, list(string(MAX_NOTIFY_ARG_BYTES), MAX_NOTIFY_ARGS)],
  })],
  /** `$TITAN_NOTIFY_…`: the variable of the master's has it, so that the log does not. */
  webhook: [2, message("NotifyWebhook", { url: [1, string(MAX_URL_BYTES)] })],
});
export type Notify = Infer<typeof Notify>;

/** What has become of the message that a gate is open. */
export const Notice = message("Notice", {
  /** Times that it was sent, or was to be. */
  tries: [1, u32()],
  /** When it is sent next. 0: it is not sent any more. */
  dueAt: [2, u53()],
  /** When it was delivered. 0: it was not. */
  sentAt: [3, u53()],
  /** Why the latest try failed. */
  why: [4, withDefault(string(MAX_NOTICE_WHY_BYTES), "")],
});
export type Notice = Infer<typeof Notice>;

/** A gate may have these beside its question and its deadline. */
export const GateRules = message("GateRules", {
  form: [1, list(FormField, MAX_FORM_FIELDS)],
  /** Empty: everybody. */
  approvers: [2, list(string(MAX_PERSON_BYTES), MAX_APPROVERS)],
  /** Approvals by different people that open it. One rejection closes it. */
  required: [3, withDefault(u32(), 1)],
  onTimeout: [4, withDefault(enumOf(...GATE_TIMEOUTS), "reject")],
  /** Whether an approval by the person who submitted the run counts. */
  selfApproval: [5, withDefault(bool(), true)],
  notify: [52, optional(Notify)],
});
export type GateRules = Infer<typeof GateRules>;

/** A pause behind a job, until a person decides. Most gates are a question and no more. */
export const Gate = message("Gate", {
  message: [1, string(16 * 1024)],
  maxWaitMs: [2, u53()],
  rules: [3, optional(GateRules)],
});
export type Gate = Infer<typeof Gate>;

/** Everybody may answer, one approval is enough, and silence is a rejection. */
export const PLAIN_RULES: GateRules = {
  form: [], approvers: [], required: 1, onTimeout: "reject", selfApproval: true,
  notify: undefined,
};

export function rulesOf({ rules }: { readonly rules?: GateRules | undefined }): GateRules {
  return rules ?? PLAIN_RULES;
}

/** An approval that has been counted, of a gate that needs more than one. */
export const GateVote = message("GateVote", {
  by: [1, string(MAX_PERSON_BYTES)],
  comment: [2, withDefault(string(16 * 1024), "")],
  values: [3, FormValues],
  at: [4, u53()],
});
export type GateVote = Infer<typeof GateVote>;

export const GATE_OUTCOMES = ["approved", "rejected", "skipped"] as const;
export type GateOutcome = (typeof GATE_OUTCOMES)[number];
export const GateOutcome = enumOf(...GATE_OUTCOMES);
