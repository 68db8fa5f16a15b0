/**
 * Lesson 19: who may keep a connection. A browser has six of them to one address, for all windows
 * that show it. Answers that do not end, the stream of events and a log that still grows, would
 * take them all, and nothing else would get through.
 *
 *     4 seats    each with one answer that does not end
 *     2 left     for all else; there a window without a seat asks again and again what is new
 *
 * A seat is a lock of the browser, by its name: it is free when its window is gone, however that
 * ended. A browser has locks only where it trusts the address, as this machine's own or with TLS;
 * elsewhere everybody has a seat.
 *
 * Test: test/19-dashboard.frame.test.ts
 */
const SEATS = 4;

/** Undefined: all of them are taken. Otherwise what gives it back. */
export async function takeSeat(): Promise<(() => void) | undefined> {
  const locks = globalThis.navigator?.locks;
  if (locks === undefined) return () => undefined;
  for (let seat = 0; seat < SEATS; seat++) {
    const leave = await new Promise<(() => void) | undefined>((taken) => {
      void locks.request(`titan seat ${seat}`, { ifAvailable: true }, (lock) =>
        lock === null ? taken(undefined) : new Promise<void>((free) => taken(() => free())));
    });
    if (leave !== undefined) return leave;
  }
  return undefined;
}
