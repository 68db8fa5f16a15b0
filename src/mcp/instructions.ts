/**
 * Lesson 20: what a model is told once about this server, before it has seen a single tool.
 *
 * Test: test/20-mcp.test.ts
 */
export const INSTRUCTIONS = `\
Titan runs pipelines: jobs with dependencies, on worker machines, kept in a durable log.

A submitted pipeline is a run, with an id such as nightly-7k2m. A job of it is named RUN/JOB. A \
job id alone means the newest run that has such a job; ids are case-sensitive.

Work in this order:
1. validate_pipeline tells what is wrong with a YAML text. titan://pipelines/schema has every key.
2. submit_yaml_pipeline, submit_dag_pipeline or submit_single_job return ids at once. Send an \
idempotency_key: if you do not know whether a call arrived, repeat it with the same key, and there \
is one run.
3. wait_run waits up to 50 seconds, and says if it is not over; call it again. Do not poll faster.
4. get_run shows all jobs. Of a job that failed, read get_job_logs; of one that is PENDING, \
explain_pending. get_artifact reads files that jobs hand on.

Independent jobs run side by side: leave out parents where nothing is needed from them.

A job with a hitl_message has a gate behind it, named RUN/JOB, or hitl-gate-JOB. The run waits \
until a person decides. You cannot decide for them: approve_hitl_gate asks the person, or tells \
you what they must type. Never try to work around a gate.

States: PENDING, RUNNING, WAITING (for a person), COMPLETED, FAILED, DEAD (retries are spent), \
CANCELLED, SKIPPED. A run may also be SERVING (only services are left) or PAUSED (its budget).`;
