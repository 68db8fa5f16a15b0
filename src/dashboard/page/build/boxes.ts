/**
 * Lesson 19: the two places in which drafts are kept: the cluster's store, by the master's port,
 * and the storage of this browser, for a cluster without a store.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { ApiError, type Api } from "../api.ts";
import { Drafts, type Box } from "./drafts.ts";

export interface Place {
  readonly drafts: Drafts;
  readonly where: "on the master" | "in this browser";
}

let place: Promise<Place> | undefined;

/** Found out once: a cluster has a store, or has none. */
export function draftPlace(api: Api): Promise<Place> {
  place ??= (async (): Promise<Place> => {
    try {
      const { store } = await api.get<{ store: boolean }>(
        "store/keys?limit=1&prefix=titan%3Adrafts%3A");
      if (store) return { drafts: new Drafts(storeBox(api), token), where: "on the master" };
    } catch (error) {
      // No answer at all says nothing about the store: the next one who asks tries again.
      if (error instanceof ApiError && error.status === 0) {
        place = undefined;
        throw error;
      }
    }
    return { drafts: new Drafts(browserBox(localStorage), token), where: "in this browser" };
  })();
  return place;
}

/** Two windows never have the same one. */
function token(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return Array.from(bytes, (byte) => byte.toString(36).padStart(2, "0")).join("");
}

const pathOf = (key: string): string => `store/keys/${encodeURIComponent(key)}`;

function storeBox(api: Api): Box {
  return {
    get: async (key) =>
      (await api.get<{ value: string | null }>(pathOf(key))).value ?? undefined,
    set: async (key, value) => void await api.post(pathOf(key), { value }),
    async swap(key, was, value) {
      try {
        await api.post(pathOf(key), { value, was: was ?? null });
        return true;
      } catch (error) {
        if (error instanceof ApiError && error.status === 409) return false;
        throw error;
      }
    },
    remove: async (key) => void await api.post(`${pathOf(key)}/delete`),
    async keys(prefix) {
      const found: string[] = [];
      for (let cursor = ""; cursor !== "0";) {
        const query = new URLSearchParams({ prefix, limit: "1000", ...(cursor && { cursor }) });
        const page = await api.get<{ keys: { key: string }[]; cursor: string }>(
          `store/keys?${query}`);
        found.push(...page.keys.map(({ key }) => key));
        cursor = page.cursor;
      }
      return [...new Set(found)];
    },
  };
}

function browserBox(storage: Storage): Box {
  return {
    get: async (key) => storage.getItem(key) ?? undefined,
    set: async (key, value) => storage.setItem(key, value),
    async swap(key, was, value) {
      if ((storage.getItem(key) ?? undefined) !== was) return false;
      storage.setItem(key, value);
      return true;
    },
    remove: async (key) => storage.removeItem(key),
    keys: async (prefix) => Object.keys(storage).filter((key) => key.startsWith(prefix)),
  };
}
