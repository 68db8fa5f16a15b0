/**
 * Lesson 19: light or dark. The system's preference counts until a person has chosen; the choice
 * stays in this browser. It is loaded before the first picture, or that would flash.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
export type Theme = "system" | "light" | "dark";

const KEY = "titan-theme";

export function theme(): Theme {
  const kept = read();
  return kept === "light" || kept === "dark" ? kept : "system";
}

export function setTheme(next: Theme): void {
  try {
    if (next === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // A browser that keeps nothing still shows it.
  }
  show(next);
}

function read(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function show(chosen: Theme): void {
  if (chosen === "system") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", chosen);
}

show(theme());
