/**
 * What the cluster works on while it is being broken: jobs that write down what happens to them.
 *
 *     RUN JOB ATTEMPT WORKER PID begin|end|fail NANOSECONDS        one line per write, in a file per job, O_APPEND
 *
 * The file knows nothing of masters and logs: what stands in it was done, however often and by
 * whomever. The checks (verdict.ts) compare it with what the log says was done.
 *
 * Invariants: a script ends as soon as one of its programs does not succeed, so that a half-killed
 * attempt writes no `end`; a pipeline is the same for the same seed.
 */
import type { JobSpec, PipelineSpec } from "#wire";
import type { Draw } from "./draw.ts";

/** Where the jobs write, and what every script begins with. */
const SAY = `set -e
say() { t=$(date +%s%N); printf '%s %s %s %s %s %s %s\\n' "$TITAN_RUN" "$TITAN_JOB" "$TITAN_ATTEMPT" "$TITAN_WORKER" "$$" "$1" "$t" >> "$EFFECTS/$TITAN_RUN.$TITAN_JOB"; }
say begin
`;
/**
 * Somebody with an hour to live, in the job's group and outside of it: neither may survive its
 * attempt.
 */
const LEAVE_A_CHILD = "sleep 3600 >/dev/null 2>&1 &\n";
const LEAVE_A_DAEMON = "setsid sleep 3600 >/dev/null 2>&1 &\n";
const PRINT = 'i=0; while [ $i -lt 40 ]; do echo "line $i of $TITAN_JOB"; i=$((i+1)); done\n';
const FAIL_ONCE = 'if [ "$TITAN_ATTEMPT" = 1 ]; then say fail; exit 3; fi\n';
const RESULT = 'printf %s "$TITAN_ATTEMPT" > "$TITAN_OUTPUT"\n';

/** Per hundred jobs. */
const SHARE = {
  print: 15,
  failOnce: 12,
  child: 6,
  daemon: 5,
  result: 20,
  delay: 10,
  gpu: 5,
  affinity: 10,
} as const;

const TRIES = { maxAttempts: 4, delayMs: 100, backoff: 2, maxDelayMs: 1000, jitter: 0.5 };

function job(id: string, script: string, fields: Partial<JobSpec> = {}): JobSpec {
  return {
    id,
    action: { type: "shell", script: SAY + script },
    dependsOn: [],
    requirement: [],
    priority: 1,
    delayMs: 0,
    affinity: undefined,
    when: "success",
    timeoutMs: 0,
    retry: undefined,
    env: {},
    gate: undefined,
    ...fields,
  };
}

/** Takes 50 to 400 ms, and does some of the things that jobs do. */
function ordinary(random: Draw, id: string, parents: readonly number[]): JobSpec {
  const does = (share: number): boolean => random.chance(share / 100);
  const failsOnce = does(SHARE.failOnce);
  const script = [
    does(SHARE.child) ? LEAVE_A_CHILD : "",
    does(SHARE.daemon) ? LEAVE_A_DAEMON : "",
    does(SHARE.print) ? PRINT : "",
    `sleep ${random.int(50, 400) / 1000}\n`,
    failsOnce ? FAIL_ONCE : "",
    does(SHARE.result) ? RESULT : "",
    "say end\n",
  ].join("");
  return job(id, script, {
    dependsOn: [...parents],
    priority: random.int(1, 5),
    delayMs: does(SHARE.delay) ? random.int(100, 600) : 0,
    requirement: does(SHARE.gpu) ? ["GPU"] : [],
    affinity: parents.length > 0 && does(SHARE.affinity) ? parents[0] : undefined,
    retry: failsOnce ? TRIES : undefined,
  });
}

/** A parent that comes to nothing, and who is there for that. */
function tragedy(
  id: string,
  parent: number,
  at: { index: number; how: "fails" | "hangs" },
): JobSpec[] {
  const { index, how } = at;
  const bad =
    how === "fails"
      ? job(`${id}-fails`, "say fail; exit 4\n", {
          dependsOn: [parent],
          retry: { ...TRIES, maxAttempts: 2 },
        })
      : job(`${id}-hangs`, "sleep 3600\nsay end\n", { dependsOn: [parent], timeoutMs: 400 });
  return [
    bad,
    job(`${id}-failure`, "say end\n", { dependsOn: [index], when: "failure" }),
    job(`${id}-always`, "say end\n", { dependsOn: [index], when: "always" }),
    job(`${id}-never`, "say end\n", { dependsOn: [index] }),
  ];
}

/**
 * Layers, each job with a parent in the layer before, so that the whole takes as many steps as it
 * has layers: narrow ones, for a long life.
 */
export function bigPipeline(random: Draw, size: number): PipelineSpec {
  const jobs: JobSpec[] = [];
  const [width, tragedies] = size >= 200 ? [3, 6] : [5, 2];
  const plain = Math.max(width, size - 4 * tragedies);
  for (let index = 0; index < plain; index++) {
    const layer = Math.floor(index / width) * width;
    const parents = new Set<number>();
    if (layer > 0) parents.add(random.int(layer - width, layer - 1));
    for (let extra = layer > 0 ? random.int(0, 2) : 0; extra > 0; extra--) {
      parents.add(random.int(Math.max(0, layer - 5 * width), layer - 1));
    }
    jobs.push(ordinary(random, `j${String(index).padStart(3, "0")}`, [...parents]));
  }
  for (let n = 0; n < tragedies; n++) {
    // Spread over the run's life, so that some of it happens while everything burns.
    const parent = Math.floor((n * plain) / tragedies);
    jobs.push(
      ...tragedy(`t${n}`, parent, { index: jobs.length, how: n % 2 === 0 ? "fails" : "hangs" }),
    );
  }
  return { name: "big", version: undefined, project: undefined, jobs };
}

/** One to five jobs in a chain or a fan, sometimes with a gate after the first. */
export function smallPipeline(random: Draw): PipelineSpec {
  const fan = random.chance(0.5);
  const jobs = Array.from({ length: random.int(1, 5) }, (_, index) =>
    ordinary(random, `s${index}`, index === 0 ? [] : [fan ? 0 : index - 1]),
  );
  if (random.chance(0.2)) {
    jobs[0] = { ...jobs[0]!, gate: { message: "Go on?", maxWaitMs: 3_600_000 } };
  }
  return { name: "small", version: undefined, project: undefined, jobs };
}

/** The same pipeline with the folder that its jobs write to. */
export function withEffects(spec: PipelineSpec, folder: string): PipelineSpec {
  return {
    ...spec,
    jobs: spec.jobs.map((one) => ({ ...one, env: { ...one.env, EFFECTS: folder } })),
  };
}
