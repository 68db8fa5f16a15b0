/**
 * The index of the search: a script that sets one variable, because a page from `file://` may not
 * fetch. One entry for each section. Test: test/book.test.ts
 */
import { slug } from "../learn/markdown.ts";
import { plain } from "./inline.ts";

export interface Indexed {
  readonly title: string;
  readonly file: string;
  readonly markdown: string;
}

export function searchIndex(pages: readonly Indexed[]): string {
  const entries = pages.flatMap(({ title, file, markdown }) => {
    const prose = markdown.replace(/^(`{3,})[\s\S]*?^\1\s*$/gm, "");
    return prose.split(/^(?=#{2,3} )/m).map((section) => {
      const heading = /^#{2,3} (.*)$/m.exec(section)?.[1];
      const text = plain(section.replace(/^#+ .*$/m, "").replace(/[|>]/g, " "));
      return {
        t: plain(title), h: heading === undefined ? "" : plain(heading),
        u: heading === undefined ? file : `${file}#${slug(plain(heading))}`,
        x: text.replace(/\s+/g, " ").trim(),
      };
    });
  });
  const json = JSON.stringify(entries).replace(/[\u2028\u2029]/g, " ");
  return `/* The text of the book, for its search. */\nglobalThis.TITAN_BOOK = ${json};\n`;
}
