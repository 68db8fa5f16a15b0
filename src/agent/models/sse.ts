/**
 * Lesson 18: server-sent events, the form in which providers stream a reply.
 *
 *     data: {"choices":[{"delta":{"content":"Hel"}}]}
 *     (blank line)                                        ◀── ends the event
 *     : a comment, to keep the connection
 *     data: [DONE]
 *
 * The bytes come in any pieces: a piece may end inside a line, between CR and LF, or inside a
 * letter of several bytes. It is lesson 01 again, with lines for frames.
 *
 * Source: the HTML standard, section 9.2 "Server-sent events".
 * Left out: `event`, `id` and `retry`, which no provider of models uses.
 * Test: test/18-agents.models.test.ts
 */

// #region events
/**
 * Yields the data of each event. Throws what `tooLong` makes if one is longer than `maxBytes`. A
 * long line may come in small pieces: its price must not grow with the square of its length.
 */
export async function* readEvents(
  chunks: AsyncIterable<Uint8Array>, limit: { maxBytes: number; tooLong: () => Error },
): AsyncGenerator<string> {
  // #exercise readEvents
  const decoder = new TextDecoder();
  let rest = "";
  let data: string[] = [];
  let held = 0;
  for await (const chunk of chunks) {
    // Only what is new is searched: a long line in small pieces must not cost its square.
    const [end, ...more] = decoder.decode(chunk, { stream: true }).split("\n");
    const lines = [rest + end!, ...more];
    rest = lines.pop()!;
    for (const raw of lines) {
      const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
      if (line === "") {
        if (data.length > 0) yield data.join("\n");
        data = [];
        held = 0;
      } else if (line.startsWith("data:")) {
        data.push(line.slice(line[5] === " " ? 6 : 5));
        held += line.length;
      }
    }
    if (held + rest.length > limit.maxBytes) throw limit.tooLong();
  }
  // #end-exercise
}
// #endregion
