/**
 * Lesson 19: server-sent events, read from a stream of text. Pure.
 *
 *     id: 812                       a message ends with an empty line
 *     event: rows                   lines of one message may come in pieces, and pieces may end
 *     data: {"seq":812,…}           anywhere
 *
 *     : beat                        a comment: somebody is there
 *
 * The browser's own EventSource does the same; but it hides comments, so that a connection that
 * died without a word cannot be told from one where nothing happens.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
export interface Message {
  readonly event: string;
  readonly id: string;
  readonly data: string;
}

/** HTML, "Server-sent events": the id stays until another one comes. */
export class SseReader {
  #rest = "";
  #id = "";
  #event = "";
  #data: string[] = [];

  /** The messages that a piece has completed. */
  *read(piece: string): Generator<Message> {
    const lines = (this.#rest + piece).split("\n");
    this.#rest = lines.pop()!;
    for (const line of lines) {
      const message = this.#line(line.endsWith("\r") ? line.slice(0, -1) : line);
      if (message !== undefined) yield message;
    }
  }

  #line(line: string): Message | undefined {
    if (line === "") return this.#end();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "id") this.#id = value;
    else if (field === "event") this.#event = value;
    else if (field === "data") this.#data.push(value);
    return undefined;
  }

  #end(): Message | undefined {
    const data = this.#data;
    const event = this.#event || "message";
    this.#data = [];
    this.#event = "";
    return data.length === 0 ? undefined : { event, id: this.#id, data: data.join("\n") };
  }
}
