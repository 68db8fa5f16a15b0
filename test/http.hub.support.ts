/** A reader of the event stream that keeps what it is sent, and may stop reading. */
import type { Outlet } from "#http";

export class FakeOutlet implements Outlet {
  text = "";
  destroyed = false;
  /** It reads. */
  flows = true;
  #held: (() => void)[] = [];
  #onClose: () => void = () => undefined;

  write(bytes: Uint8Array, done?: () => void): boolean {
    this.text += Buffer.from(bytes).toString();
    if (done !== undefined) this.#held.push(done);
    if (this.flows) queueMicrotask(() => this.flow());
    return true;
  }

  flow(): void {
    this.flows = true;
    for (const done of this.#held.splice(0)) done();
  }

  once(_event: "close", fn: () => void): void {
    this.#onClose = fn;
  }

  end(): void {
    this.destroy();
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#onClose();
  }

  seqs(event: string): number[] {
    const found = this.text.matchAll(/event: (\w+)\ndata: \{"seq":(\d+)/g);
    return [...found].filter(([, name]) => name === event).map(([, , seq]) => Number(seq));
  }

  get ids(): number[] {
    return [...this.text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
  }

  get lastId(): number {
    return this.ids.at(-1) ?? NaN;
  }
}
