// @ts-check
/** What own-inside.mjs has Node ask for each import. */

/** @type {Record<string, string>} */
let own = {};

/** @param {Record<string, string>} data */
export function initialize(data) {
  own = data;
}

/** @type {import("node:module").ResolveHook} */
export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  // Between themselves the files of the reference stay what they are.
  if (!/\/test\/[^/]*$/.test(context.parentURL ?? "")) return found;
  const [url = "", ...query] = found.url.split("?");
  const mine = own[url];
  return mine === undefined ? found : { ...found, url: [mine, ...query].join("?") };
}
