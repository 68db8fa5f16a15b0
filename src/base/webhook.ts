/**
 * Lesson 16: where a message may be sent: the rule for an address of the web that stands in a file.
 *
 *     https://hooks.example.org/T0/B1      the address itself, for all who may read the file
 *     $TITAN_NOTIFY_OPS                    a variable of the process that sends has it
 *
 * Only variables with this prefix are looked up: the file must not choose what else of an
 * environment leaves the machine.
 *
 * Test: test/16-gates.notify.test.ts
 */
const VARIABLE = /^\$(TITAN_NOTIFY_[A-Z0-9_]+)$/;

/** The variable that an address stands for. Undefined: it is an address itself. */
export function webhookVariable(text: string): string | undefined {
  return VARIABLE.exec(text)?.[1];
}

/** What is wrong with an address, to be read after its name. Undefined: nothing. */
export function webhookProblem(text: string): string | undefined {
  if (webhookVariable(text) !== undefined) return undefined;
  const rule = "must be an http or https address, or the name of a variable such as " +
    "$TITAN_NOTIFY_OPS";
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") return rule;
  return url.username + url.password === "" ? undefined
    : `${rule}, and has no user and no password: put the whole address into such a variable`;
}

/** An address as people may see it: a path and what follows it are often a secret. */
export function webhookShown(text: string): string {
  if (webhookProblem(text) !== undefined || webhookVariable(text) !== undefined) return text;
  const { origin, pathname, search } = new URL(text);
  return pathname + search === "/" ? origin : `${origin}/…`;
}
