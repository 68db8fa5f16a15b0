/**
 * Lesson 19: what can be changed, and pipelines that are only looked at. Each route is one command
 * of the command line.
 *
 * Test: test/http.test.ts
 */
import { PipelineError } from "#pipeline";
import {
  answerJson, any, boolean, integer, list, mapOf, object, oneOf, shapes, text,
} from "#rows";
import { HttpError, type Asked, type Route } from "./route.ts";
import { PIPELINE, submissionOf, submit } from "./submission.ts";

/** The person who asks, as far as anybody has said. */
const by = { "by?": text } as const;
const affected = object({ run: text, jobs: integer });
const meant = object({
  run: text, services: list(text), replicas: integer, "calledOff?": text, "letGo?": boolean,
});

/** The forms of a change that names one thing and says who wants it. */
const post = (path: string, summary: string): Pick<Route, "method" | "path" | "summary"> =>
  ({ method: "POST", path: `/api/v1/${path}`, summary });

export const CHANGES: readonly Route[] = [
  {
    ...post("validate", "Reads a pipeline, and says all that is wrong with it."),
    takes: PIPELINE,
    answer: object({
      valid: boolean, "name?": text, "jobs?": integer, "warnings?": list(any),
      "problems?": list(any),
    }),
    run: validate,
  },
  {
    ...post("runs", "Submits a pipeline."),
    query: {
      key: "two submissions with one key are one run", by: "who submits it",
      strict: "1: refuse what no worker could run", deploy: "1: its services are the cluster's",
    },
    takes: PIPELINE,
    answer: object({
      run: text, existing: boolean, warnings: list(text), forgotten: boolean, replaces: text,
    }),
    run: async (asked) => submit(asked, {
      key: keyOf(asked), by: asked.query.get("by") ?? undefined,
      strict: asked.query.get("strict") === "1", deploy: asked.query.get("deploy") === "1",
    }),
  },
  {
    ...post("runs/{run}/cancel", "Cancels a run."), body: object({}), answer: affected,
    run: async ({ client, path }) =>
      ({ run: path["run"], jobs: await client.cancel(path["run"]!) }),
  },
  {
    ...post("runs/{run}/jobs/{job}/cancel", "Cancels a job."), body: object({}), answer: affected,
    run: async ({ client, path }) =>
      ({ run: path["run"], jobs: await client.cancel(path["run"]!, path["job"]) }),
  },
  {
    ...post("runs/{run}/retry", "Another chance for what did not complete, or from a job on."),
    body: object({ "from?": text }), answer: affected,
    run: async ({ client, path, body }) =>
      ({ run: path["run"], jobs: await client.retry(path["run"]!, textOf(body, "from")) }),
  },
  {
    ...post("runs/{run}/duplicate", "Submits the pipeline of a run again."),
    body: object(by),
    answer: object({
      run: text, existing: boolean, warnings: list(text), forgotten: boolean, replaces: text,
    }),
    run: async ({ client, path, body }) =>
      client.submitSpec(await client.definition(path["run"]!), whoOf(body)),
  },
  {
    ...post("gates/answer", "Answers a gate, named as the list of gates does."),
    body: object({
      gate: text, answer: oneOf("approve", "reject"), "comment?": text, "fields?": mapOf(text),
      ...by,
    }),
    answer: shapes.answer, run: answerGate,
  },
  {
    ...post("workers/{worker}/drain", "Gives a worker nothing new, or work again."),
    body: object({ "undo?": boolean }),
    answer: object({ id: integer, name: text, running: integer }),
    run: ({ client, path, body }) =>
      client.drain(path["worker"]!, { undo: body["undo"] === true }),
  },
  {
    ...post("workers/{worker}/retire", "Ends a worker of a pool once nothing runs there."),
    body: object(by), answer: object({ name: text, pool: text, running: integer }),
    run: ({ client, path, body }) => client.retire(path["worker"]!, whoOf(body)),
  },
  {
    ...post("pools/{pool}/launch", "Starts a worker of a pool."),
    body: object(by), answer: object({ worker: text, pool: text }),
    run: async ({ client, path, body }) =>
      ({ worker: await client.launch(path["pool"]!, whoOf(body)), pool: path["pool"] }),
  },
  {
    ...post("services/{service}/stop", "Stops a service for good."),
    body: object(by), answer: meant,
    run: ({ client, path, body }) => client.stop(path["service"]!, whoOf(body)),
  },
  {
    ...post("services/{service}/restart", "Starts a service anew."),
    body: object(by), answer: meant,
    run: ({ client, path, body }) => client.restart(path["service"]!, whoOf(body)),
  },
  {
    ...post("services/{service}/scale", "Another number of replicas."),
    body: object({ replicas: integer, ...by }), answer: any,
    run: ({ client, path, body }) =>
      client.scale(path["service"]!, body["replicas"] as number, whoOf(body)),
  },
  {
    ...post("services/{service}/rollback", "Deploys the version before again."),
    body: object(by), answer: any,
    run: ({ client, path, body }) => client.rollback(path["service"]!, whoOf(body)),
  },
];

/** @throws {HttpError} 400 */
function keyOf({ query }: Asked): string | undefined {
  const key = query.get("key");
  if (key !== "") return key ?? undefined;
  throw new HttpError(400, "BAD_REQUEST", 'Cannot submit: found key="", leave it out');
}

async function validate(asked: Asked): Promise<object> {
  try {
    const { name, jobs, warnings } = submissionOf(asked).definition;
    return { valid: true, name, jobs: jobs.length, warnings };
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error;
    return { valid: false, problems: error.problems };
  }
}

async function answerGate({ client, body }: Asked): Promise<object> {
  const gate = textOf(body, "gate")!;
  const given = {
    approve: body["answer"] === "approve", comment: textOf(body, "comment") ?? "",
    values: (body["fields"] ?? {}) as Record<string, string>, ...whoOf(body),
  };
  return { gate, ...answerJson(await client.decide(gate, given)) };
}

function textOf(body: Asked["body"], name: string): string | undefined {
  return body[name] as string | undefined;
}

function whoOf(body: Asked["body"]): { by?: string } {
  const found = textOf(body, "by");
  return found === undefined ? {} : { by: found };
}
