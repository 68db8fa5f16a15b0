/**
 * Lesson 11: which files stay out of an archive, in the language of .gitignore.
 *
 *     # comment   !kept   /only-at-the-top   folder/   *.log   a?c   [a-z]   docs/**   \#literal
 *
 * The last rule that matches decides. A pattern with a slash before its end is compared with the
 * whole path, any other with the last name. A file inside an ignored folder cannot be kept: nobody
 * looks there.
 *
 * The matcher is two loops, one over folders and one over letters, and each remembers one star to
 * go back to: the last. That is enough, because an earlier star could only have taken letters that
 * the last one can take as well. So no pattern takes longer than its length times the path's; a
 * regular expression would have no such bound.
 *
 * Left out: ignore files in sub-folders, and git's own global one.
 * Test: test/11-worker.archive.test.ts
 */

/**
 * Reads an ignore file. The returned function tells whether a path (with `/`, no leading one) stays
 * out.
 */
export function parseIgnore(text: string): (path: string, isFolder: boolean) => boolean {
  const rules = text.split(/\r?\n/).flatMap(parseRule);
  return (path, isFolder) => {
    const names = path.split("/");
    for (let i = rules.length - 1; i >= 0; i--) {
      const rule = rules[i] as Rule;
      if (rule.folderOnly && !isFolder) continue;
      if (matchPath(rule.parts, names)) return !rule.negated;
    }
    return false;
  };
}

interface Rule {
  readonly negated: boolean;
  readonly folderOnly: boolean;
  /** Patterns of single names, and `**` for any number of them. */
  readonly parts: readonly string[];
}

function parseRule(line: string): Rule[] {
  if (line.startsWith("#")) return [];
  // Spaces at the end do not count, unless the last one is escaped.
  let pattern = line.replace(/(?<!\\) +$/, "");
  const negated = pattern.startsWith("!");
  if (negated) pattern = pattern.slice(1);
  const folderOnly = pattern.endsWith("/");
  if (folderOnly) pattern = pattern.slice(0, -1);
  if (pattern === "") return [];
  const anchored = pattern.includes("/");
  const parts = (anchored ? pattern.replace(/^\//, "") : `**/${pattern}`).split("/");
  return [{ negated, folderOnly, parts }];
}

// #region matchPath
/** Whether the names of a path match the parts of a pattern. */
export function matchPath(parts: readonly string[], names: readonly string[]): boolean {
  let part = 0;
  let name = 0;
  let star = -1; // the last `**` seen, and the name up to which it has matched
  let eaten = 0;
  while (name < names.length) {
    if (parts[part] === "**") {
      if (part === parts.length - 1) return true;
      star = part++;
      eaten = name;
    } else if (part < parts.length && matchName(parts[part] as string, names[name] as string)) {
      part++;
      name++;
    } else if (star >= 0) {
      part = star + 1; // the last `**` takes one name more, and the rest is tried again
      name = ++eaten;
    } else {
      return false;
    }
  }
  return part === parts.length;
}
// #endregion

/** The same, one level down: the letters of one name against `*`, `?`, `[a-z]` and `\x`. */
function matchName(pattern: string, name: string): boolean {
  let at = 0;
  let letter = 0;
  let star = -1;
  let eaten = 0;
  while (letter < name.length) {
    const one = pattern[at] === "*" ? undefined : matchLetter(pattern, at, name[letter] as string);
    if (pattern[at] === "*") {
      star = at++;
      eaten = letter;
    } else if (one !== undefined) {
      at = one;
      letter++;
    } else if (star >= 0) {
      at = star + 1;
      letter = ++eaten;
    } else {
      return false;
    }
  }
  while (pattern[at] === "*") at++;
  return at === pattern.length;
}

/** Where the pattern goes on if its next element matches this letter. */
function matchLetter(pattern: string, at: number, letter: string): number | undefined {
  const sign = pattern[at];
  if (sign === undefined) return undefined;
  if (sign === "?") return at + 1;
  if (sign === "\\") return pattern[at + 1] === letter ? at + 2 : undefined;
  const end = sign === "[" ? pattern.indexOf("]", at + 2) : -1;
  if (end < 0) return sign === letter ? at + 1 : undefined;
  const negated = pattern[at + 1] === "!" || pattern[at + 1] === "^";
  let found = false;
  for (let i = at + (negated ? 2 : 1); i < end; i++) {
    const from = pattern[i] as string;
    const isRange = pattern[i + 1] === "-" && i + 2 < end;
    const to = isRange ? (pattern[i + 2] as string) : from;
    if (isRange) i += 2;
    if (from <= letter && letter <= to) found = true;
  }
  return found !== negated ? end + 1 : undefined;
}
