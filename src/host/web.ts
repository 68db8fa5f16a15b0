/**
 * Lesson 18: requests to servers of the web, such as a provider of models.
 *
 * The master and the workers never ask the web. A program of a job may, and it asks by this name,
 * so that a test can hand it another one.
 */
export type Fetch = typeof globalThis.fetch;

export function nodeFetch(): Fetch {
  return (input, init) => globalThis.fetch(input, init);
}
