/**
 * The glossary and the index of ahas.
 *
 * A term is bold where a lesson defines it. Bold words that end like a sentence are the beginning
 * of a paragraph, and names of other systems are bold in "What real systems do": both are no terms.
 * Test: test/book.test.ts
 */
import { plain } from "./inline.ts";

export interface Chapter {
  readonly id: string;
  /** "05. Log: …". */
  readonly title: string;
  readonly file: string;
  readonly markdown: string;
}

export interface Term {
  readonly name: string;
  /** The sentence that defines it, as Markdown. */
  readonly sentence: string;
  readonly chapter: Chapter;
  /** Later chapters that use the word. */
  readonly usedBy: readonly Chapter[];
}

const NOT_OURS = /^## (What real systems do|Further reading|Exercise)/;
/** Longer ones are whole clauses. */
const MAX_WORDS = 4;

export function termsOf(chapters: readonly Chapter[]): Term[] {
  const terms = new Map<string, Term>();
  for (const [at, chapter] of chapters.entries()) {
    for (const paragraph of paragraphs(chapter.markdown)) {
      for (const [bold = "", words = ""] of paragraph.matchAll(/\*\*([^*]+)\*\*/g)) {
        const name = plain(words).replace(/\s+/g, " ").toLowerCase().replace(/^(an?|the) /, "");
        const isClause = /[.:?!,]$/.test(name) || name.split(" ").length > MAX_WORDS;
        if (isClause || terms.has(name)) continue;
        const sentence = sentenceWith(paragraph, bold);
        const usedBy = chapters.slice(at + 1).filter(({ markdown }) => uses(markdown, name));
        terms.set(name, { name, sentence, chapter, usedBy });
      }
    }
  }
  return [...terms.values()].sort((a, b) => a.name.localeCompare(b.name));
}

/** Prose of the sections in which terms are defined. */
function paragraphs(markdown: string): string[] {
  const prose = markdown.replace(/^(`{3,})[\s\S]*?^\1\s*$/gm, "");
  return prose.split(/^(?=## )/m).filter((section) => !NOT_OURS.test(section))
    .flatMap((section) => section.split(/\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )/))
    .filter((text) => !/^(#|\|)/.test(text));
}

function sentenceWith(paragraph: string, bold: string): string {
  const text = paragraph.replace(/\s*\n\s*/g, " ").replace(/^\s*(?:[-*]|\d+\.) /, "");
  const at = text.indexOf(bold.replace(/\s*\n\s*/g, " "));
  const before = [...text.slice(0, Math.max(0, at)).matchAll(/[.?!] (?=[A-Z*`"])/g)].at(-1);
  const from = before === undefined ? 0 : before.index + 2;
  const end = /[.?!](?= [A-Z*`"(]|$)/.exec(text.slice(at + bold.length));
  return text.slice(from, end === null ? undefined : at + bold.length + end.index + 1);
}

function uses(markdown: string, name: string): boolean {
  const pattern = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/ /g, "\\s+");
  return new RegExp(`\\b${pattern}s?\\b`, "i").test(markdown.replace(/^(`{3,})[\s\S]*?^\1/gm, ""));
}

/** "Log: append, …" without its number. */
export function hookOf({ title }: Chapter): string {
  return plain(title).replace(/^\d\d\. [^:]+: /, "");
}

/** The question that a lesson leaves, and the next one answers. */
export function questionOf({ markdown }: Chapter): string {
  const last = markdown.trimEnd().split(/\n\s*\n/).at(-1)!;
  return last.replace(/^[*_]|[*_]$/g, "").replace(/\n/g, " ");
}
