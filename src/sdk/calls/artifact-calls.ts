/**
 * Lesson 11: artifacts, for programs: which there are, and those that go.
 *
 * Test: test/10-master.artifacts.test.ts
 */
import {
  ArtifactPage, ArtifactsAsked, ArtifactsRemoved, Op, RemoveArtifacts, type ArtifactInfo,
} from "#wire";

/** Which one: of a run, or one that is kept by its name. `orKept`: of the run, or else kept. */
export interface ArtifactName {
  readonly run?: string | undefined;
  readonly orKept?: boolean | undefined;
  /** Each piece of its bytes is used up before the next is asked for: they share their memory. */
  readonly lent?: boolean | undefined;
}

type Ask<Answer> = (opcode: number, body: Buffer) => Answer;

export async function listArtifacts(
  pages: Ask<AsyncIterable<Buffer>>, { run, kept = false }: { run?: string; kept?: boolean },
): Promise<ArtifactInfo[]> {
  const found: ArtifactInfo[] = [];
  for await (const body of pages(Op.ARTIFACTS, ArtifactsAsked.encode({ run, kept }))) {
    found.push(...ArtifactPage.decode(body).artifacts);
  }
  return found;
}

export interface CollectOptions {
  readonly olderMs?: number;
  readonly kept?: boolean;
  /** Says what would go, and removes nothing. */
  readonly dryRun?: boolean;
  readonly by?: string;
}

/** One by its name, or without one those that are old. */
export async function removeArtifacts(
  ask: Ask<Promise<Buffer>>, which: CollectOptions & ArtifactName & { readonly name?: string },
): Promise<ArtifactsRemoved> {
  const { name, run = "", orKept = false, ...rest } = which;
  const { by = "", olderMs = 0, kept = false, dryRun = false } = rest;
  const ref = name === undefined ? undefined : { name, run, orKept };
  const body = RemoveArtifacts.encode({ ref, by, olderMs, kept, dryRun });
  return ArtifactsRemoved.decode(await ask(Op.REMOVE_ARTIFACTS, body));
}
