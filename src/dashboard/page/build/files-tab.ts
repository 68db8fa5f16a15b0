/**
 * Lesson 19: the files of a pipeline: written here, or taken from the person's computer.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { button } from "../parts/page.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { filed } from "./board.ts";
import { setField } from "./deeds.ts";
import { currentDesk, onBoard, update, type Desk } from "./desk.ts";
import { textAt, type Job } from "./document.ts";
import { EditError } from "./edit.ts";
import { editor } from "./editor.ts";
import { decoded, INSTEAD, MAX_FILE_BYTES, namedFiles } from "./files.ts";

/** Writes a file, or (undefined) removes it, or says why not. */
function keep(context: Context, path: string, text: string | undefined): boolean {
  try {
    update(context, onBoard((board) => filed(board, path, text)));
    return true;
  } catch (error) {
    if (!(error instanceof EditError)) throw error;
    context.dispatch({ type: "notice", kind: "problem", text: error.message });
    return false;
  }
}

/** Shows a file in its tab. One that is not there yet is an empty one then. */
function showFile(context: Context, path: string): void {
  if (!currentDesk().board.files.has(path) && !keep(context, path, "")) return;
  update(context, (desk) => ({ ...desk, tab: "files", file: path }));
  requestAnimationFrame(() => requestAnimationFrame(() =>
    document.querySelector<HTMLElement>(".build-files textarea")?.focus()));
}

export function filesTab({ board, file, from }: Desk, context: Context): VNode {
  const paths = [...board.files.keys()].sort();
  const shown = board.files.has(file) ? file : paths[0];
  const missing = from !== undefined && paths.length === 0 ? []
    : [...namedFiles(board.document)].filter(([path]) => !board.files.has(path));
  const onchange = ({ target }: Event): void =>
    showFile(context, (target as HTMLSelectElement).value);
  return h("div", { class: "build-files", key: "files" },
    h("div", { key: "head" },
      h("div", { class: "build-row" },
        chooser(context, "Upload…",
          (name, text) => keep(context, name, text) && showFile(context, name)),
        newFile(context)),
      shown === undefined ? null : h("div", { class: "build-row", key: "one" },
        h("select", { "aria-label": "File", onchange, value: shown }, paths.map((path) =>
          h("option", { key: path, value: path, selected: path === shown }, path))),
        button("Remove", () => void keep(context, shown, undefined),
          { kind: "danger", label: `Remove ${shown}` }))),
    missing.map(([path, job]) => h("p", { class: "build-help", key: `missing ${path}` },
      `${job} names ${path}, which is not here. `,
      button("Write it", () => showFile(context, path), { label: `Write ${path}` }))),
    shown !== undefined ? editor(context, {
      label: `Text of ${shown}`, text: board.files.get(shown)!,
      typed: (text) => void keep(context, shown, text),
    }) : h("p", { class: "build-help" }, from === undefined
      ? "Scripts that jobs name in their field “file” are written here, or uploaded. They go " +
        "with the pipeline when it runs."
      : `The folder of ${from} is used. Once a file is here, only files from here are.`));
}

function newFile(context: Context): Child {
  const add = (event: Event): void => {
    event.preventDefault();
    const input = (event.target as HTMLElement).querySelector("input")!;
    const path = input.value.trim();
    if (currentDesk().board.files.has(path) || keep(context, path, "")) {
      input.value = "";
      showFile(context, path);
    }
  };
  return h("form", { class: "build-row", onsubmit: add },
    h("input", { type: "text", "aria-label": "Path of a new file", placeholder: "scripts/new.py",
      autocomplete: "off", spellcheck: "false" }),
    h("button", { type: "submit", class: "button button-plain" }, "Add file"));
}

/** A button that opens the browser's window for files. Each one that is a text is taken. */
export function chooser(
  context: Context, words: string, take: (name: string, text: string) => unknown,
): VNode {
  const onchange = ({ target }: Event): void => void context.act(async () => {
    const input = target as HTMLInputElement;
    const chosen = [...input.files ?? []];
    input.value = "";
    for (const file of chosen) {
      if (file.size > MAX_FILE_BYTES) {
        throw new EditError(`Cannot take ${file.name}: it is larger than 1 MiB. ${INSTEAD}.`);
      }
      take(file.name, decoded(file.name, new Uint8Array(await file.arrayBuffer())));
    }
  });
  return h("label", { class: "button button-plain" }, words,
    h("input", { type: "file", class: "spoken", multiple: true, onchange }));
}

/** Below the field `file` of a job: choose one that is here, write it, or take one. */
export function fileRow(context: Context, job: Job, disabled: boolean): Child {
  const { board } = currentDesk();
  const path = textAt(job.node, "file") ?? "";
  const name = (chosen: string): boolean => setField(context, ["jobs", job.index, "file"], chosen);
  const others = [...board.files.keys()].filter((each) => each !== path).sort();
  const upload = (own: string, text: string): void => {
    if (keep(context, path || own, text) && path === "") name(own);
  };
  return h("div", { class: "build-row build-file", key: "file row" },
    path === "" ? null : button(board.files.has(path) ? "Edit file" : "Write it here",
      () => showFile(context, path), { disabled, label: `Edit ${path}` }),
    disabled ? null : chooser(context, "Upload…", upload),
    others.length === 0 ? null : h("select", { "aria-label": "Files that are here", disabled,
      onchange: ({ target }: Event) => name((target as HTMLSelectElement).value) },
    h("option", { value: "", selected: true }, "choose…"),
    others.map((each) => h("option", { key: each, value: each }, each))));
}
