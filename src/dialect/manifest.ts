/**
 * The names of DAGs. On the wire of version 1 a DAG has none: after each submission the original's
 * SDK tells it to the dashboard, with all that it has ever told before.
 *
 *     {"DAG-a": {"dag": "nightly", "deps": [], "run_ts": 1, "agent_run_id": "r1"},
 *      "__agent_run__r1": {…}, "__payload__nightly": {…}, "__job_payload__DAG-a": "…"}
 *
 * Of this we keep which jobs a DAG has. So `DAG-nightly` is the newest run of these jobs, unless a
 * job or a run is called so.
 *
 * Left out: a file of its own, since the SDK sends everything again with its next submission; the
 * scripts, which are in the runs; agent runs, since a run of ours belongs to one from its
 * submission, and this comes after it.
 * Test: test/dialect.manifest.test.ts
 */
/** At 100 bytes each a megabyte. Of more, the oldest are forgotten. */
const MAX_JOBS = 10_000;
const MAX_NAME_BYTES = 256;
const JOB = "DAG-";

export class OldManifest {
  /** The DAG of a job, the latest told last. */
  readonly #dags = new Map<string, string>();

  get size(): number {
    return this.#dags.size;
  }

  /** What the SDK sends. What is of no use here, or of the wrong form, is passed over. */
  merge(told: Readonly<Record<string, unknown>>): void {
    for (const [id, entry] of Object.entries(told)) {
      if (!id.startsWith(JOB) || Buffer.byteLength(id) > MAX_NAME_BYTES) continue;
      const dag = (entry as { dag?: unknown } | null)?.dag;
      if (typeof dag !== "string" || Buffer.byteLength(dag) > MAX_NAME_BYTES) continue;
      this.#dags.delete(id);
      this.#dags.set(id, dag);
      if (this.#dags.size > MAX_JOBS) this.#dags.delete(this.#dags.keys().next().value!);
    }
  }

  /** The ids of the jobs of a DAG, by its name or by `DAG-` and its name. */
  jobsOf(id: string): string[] {
    const names = [id, id.startsWith(JOB) ? id.slice(JOB.length) : id];
    return [...this.#dags].filter(([, dag]) => names.includes(dag)).map(([job]) => job);
  }
}
