/** The agent of the first transcript, as a job: each call is a step. */
import { job } from "titan-orchestrator/job";

const [world] = process.argv.slice(2);

// #region trip
await call("plan", "idempotent");
await call("book", "once");
await call("describe", "idempotent");
await call("mail", "once");

function call(what, effect) {
  return job.step(what, {}, async ({ idempotencyKey }) => {
    const headers = { "idempotency-key": idempotencyKey, "x-pid": String(process.pid) };
    return (await fetch(`${world}/${what}`, { headers })).json();
  }, { effect });
}
// #endregion
