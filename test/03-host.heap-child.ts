/** Says the heap of its own process. Only 03-host.heap.test.ts starts it. */
import { heapLimit } from "#host";

console.log(heapLimit());
