/**
 * Relative links and anchors in Markdown must lead somewhere. Addresses on the web are not fetched:
 * a gate must work offline.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { type Markdown, parseMarkdown, slug } from "./markdown.ts";
import type { Problem } from "./report.ts";

const LINK = /!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)/g;

export function checkLinks(root: string, file: string, markdown: Markdown): Problem[] {
  const problems: Problem[] = [];
  for (const { line, text } of markdown.prose) {
    // Code spans show syntax; they are not links.
    for (const [, target = ""] of text.replace(/`[^`]*`/g, "").matchAll(LINK)) {
      if (/^[a-z][a-z0-9+.-]*:/i.test(target)) continue;
      const why = brokenBecause(root, file, target);
      if (why) problems.push({ file, line, rule: "link", message: `${target} ${why}` });
    }
  }
  return problems;
}

function brokenBecause(root: string, file: string, target: string): string | undefined {
  const [path = "", anchor] = decodeURIComponent(target).split("#");
  const to = path === "" ? join(root, file)
    : join(root, path.startsWith("/") ? "" : dirname(file), path);
  if (relative(root, to).startsWith("..")) return "leads out of the project";
  if (!existsSync(to)) return "does not exist";
  if (anchor === undefined || !to.endsWith(".md") || statSync(to).isDirectory()) return undefined;
  const { headings } = parseMarkdown(readFileSync(to, "utf8"));
  if (headings.some(({ text }) => slug(text) === anchor)) return undefined;
  return `names a heading that ${relative(root, to)} does not have`;
}
