/** Chapter 17: reads pipeline files and prints each as a summary, or all that is wrong with it. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { parsePipeline, PipelineError } from "#pipeline";

for (const path of process.argv.slice(2)) {
  try {
    const { name, jobs, warnings } = parsePipeline(readFileSync(path, "utf8"), { file: basename(path) });
    console.log(`${basename(path)}: pipeline "${name}", ${jobs.length} jobs`);
    for (const job of jobs) {
      const notes = [job.retry.maxAttempts > 1 && `up to ${job.retry.maxAttempts} attempts`, job.when !== "success" && job.when, job.gate && "then asks a person"];
      console.log(`  ${job.id.padEnd(10)} ${job.action.type.padEnd(8)} after [${job.dependsOn.join(", ")}]  ${notes.filter(Boolean).join(", ")}`.trimEnd());
    }
    for (const warning of warnings) console.log(warning);
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error;
    console.log(error.format());
  }
}
