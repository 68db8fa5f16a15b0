/**
 * `titan dead`: the jobs whose retries are spent.
 *
 * Test: test/cli.lists.test.ts
 */
import { deadJson } from "#rows";
import type { DeadLetter } from "#wire";
import { openMaster } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { EXIT } from "../exit.ts";
import { clip, oneLine, table, timeText } from "../text.ts";

const MAX_WHY_CELLS = 80;

export const dead: Command = {
  name: "dead",
  summary: "list jobs whose retries are spent, the newest last",
  usage: "",
  args: [0, 0],
  flags: {},
  notes: [
    "A job is dead when it has used up more than one try, or when one worker after another was " +
      "lost while it ran. It stays on the list until it is retried. Once its run is forgotten it " +
      "cannot be retried any more, and the newest thousand of such jobs stay on the list.",
    "A job with a single try that fails is FAILED, and is not listed: titan status has it.",
  ],
  examples: ["titan dead", "titan dead --json"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const found = await (await openMaster(call)).deadLetters();
    if (call.json) {
      context.json(found.map(deadJson));
      return EXIT.OK;
    }
    if (found.length === 0) {
      context.note("titan: no job has spent its retries");
      return EXIT.OK;
    }
    const rows = found.map((letter) => [
      `${letter.run}/${letter.job}`,
      triesText(letter),
      timeText(letter.endedAt),
      clip(oneLine(whyText(letter)), MAX_WHY_CELLS),
    ]);
    context.out(table(["RUN/JOB", "ATTEMPTS", "WHEN", "WHY"], rows, context.columns));
    const last = found.findLast(({ forgotten }) => !forgotten);
    if (last !== undefined) {
      context.note(
        "titan: once the reason is gone: titan retry RUN --from JOB, " +
          `such as: titan retry ${last.run} --from ${last.job}`,
      );
    }
    return EXIT.OK;
  },
};

/** `3`, or with the attempts that ended because their worker was lost: `6 (5 lost)`. */
function triesText({ attempts, losses }: DeadLetter): string {
  return losses === 0 ? String(attempts) : `${attempts} (${losses} lost)`;
}

function whyText({ failure, forgotten }: DeadLetter): string {
  return `${forgotten ? "(run forgotten) " : ""}${failure?.message ?? ""}`;
}
