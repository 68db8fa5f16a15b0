/**
 * Named passages of a source file: `// #region name` … `// #endregion` (`#` comments in YAML and
 * Python). Marker lines, also those of exercises, are never part of what a lesson quotes.
 */

const MARKER = /^\s*(?:\/\/|#)\s*#(region|endregion|exercise|end-exercise)\b\s*(\S*)/;

/** A line that only tooling reads. */
export function isMarker(line: string): boolean {
  return MARKER.test(line);
}

/** The text of a region, dedented, without markers; undefined when the file has no such region. */
export function readRegion(source: string, name: string): string | undefined {
  const lines = source.split("\n");
  const start = lines.findIndex((line) => {
    const match = MARKER.exec(line);
    return match?.[1] === "region" && match[2] === name;
  });
  if (start < 0) return undefined;
  let depth = 1;
  for (let i = start + 1; i < lines.length; i++) {
    const kind = MARKER.exec(lines[i] ?? "")?.[1];
    if (kind === "region") depth++;
    if (kind === "endregion" && --depth === 0) return tidy(lines.slice(start + 1, i));
  }
  return undefined;
}

export function regionNames(source: string): string[] {
  return source.split("\n").flatMap((line) => {
    const match = MARKER.exec(line);
    return match?.[1] === "region" ? [match[2] ?? ""] : [];
  });
}

/** Without markers, common indentation, trailing spaces, and blank lines at either end. */
export function tidy(lines: readonly string[]): string {
  const kept = lines.filter((line) => !isMarker(line)).map((line) => line.trimEnd());
  const indents = kept.filter((line) => line !== "").map((line) => /^\s*/.exec(line)![0].length);
  const indent = indents.length > 0 ? Math.min(...indents) : 0;
  return kept.map((line) => line.slice(indent)).join("\n").replace(/^\n+|\n+$/g, "");
}
