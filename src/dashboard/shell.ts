/**
 * Lesson 19: the page around the modules. It is the same for every path: the program reads the
 * address and shows the view.
 *
 * Test: test/19-dashboard.shell.test.ts
 */

export interface ShellOptions {
  /** Paths below /assets/: all modules that are needed at the start, and the style sheet. */
  readonly modules: readonly string[];
  readonly style: string;
}

export function shellOf({ modules, style }: ShellOptions): string {
  // Without these lines a browser finds the modules one level of imports after the other.
  const preloads = modules.map((path) => `<link rel="modulepreload" href="/assets/${path}">`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Titan</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="/assets/style/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/${style}">
${preloads.join("\n")}
<script type="module" src="/assets/theme.js" blocking="render"></script>
<script type="module" src="/assets/main.js"></script>
</head>
<body>
<div id="titan"></div>
<noscript>The dashboard is a program for the browser, and scripts are switched off here. The same
facts are in <a href="/api/v1/runs">/api/v1/runs</a> and in <code>titan runs</code>.</noscript>
</body>
</html>
`;
}

/** For a person whose browser has no session. `why` is a text of ours. */
export function lockedPage(why: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Titan: log in</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body>
<h1>This dashboard needs a login</h1>
<p>${escaped(why)}.</p>
<p>The master prints a link that works once when it starts; <code>titan up</code> and
<code>titan master</code> show it in their first lines.</p>
</body>
</html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}
