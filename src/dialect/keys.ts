/**
 * The keys of old clients in the cluster's store. As in the original they live apart from all
 * others, under a prefix of their own, and their values are bytes.
 *
 * Test: test/dialect.cluster.test.ts
 */
import type { Client } from "#sdk";

const PREFIX = "user:";

export class OldKeys {
  readonly #client: () => Promise<Client>;

  constructor(client: () => Promise<Client>) {
    this.#client = client;
  }

  async set(key: string, value: Buffer): Promise<void> {
    await (await this.#client()).kvBuffers("SET", `${PREFIX}${key}`, value);
  }

  /** Undefined: there is none. */
  async get(key: string): Promise<Buffer | undefined> {
    const value = await (await this.#client()).kvBuffers("GET", `${PREFIX}${key}`);
    return Buffer.isBuffer(value) ? value : undefined;
  }

  async add(key: string, member: Buffer): Promise<void> {
    await (await this.#client()).kvBuffers("SADD", `${PREFIX}${key}`, member);
  }

  async members(key: string): Promise<Buffer[]> {
    const value = await (await this.#client()).kvBuffers("SMEMBERS", `${PREFIX}${key}`);
    const members = Array.isArray(value) || value instanceof Set ? [...value] : [];
    return members.filter((member) => Buffer.isBuffer(member));
  }
}
