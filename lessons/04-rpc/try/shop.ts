/**
 * A shop answers two questions over one connection; the one about the house takes longer. `shop` matches answers to questions
 * by their order, `shop ids` by the id in the frame.
 */
import { encodeFrame, FrameDecoder, type Frame } from "#framing";
import { type Socket } from "#host";
import { SimWorld } from "#simhost";

const PRICES: Record<string, { price: string; thinkMs: number }> = {
  house: { price: "400000 euros", thinkMs: 30 },
  apple: { price: "1 euro", thinkMs: 5 },
};

const world = new SimWorld({ seed: 42 });
const withIds = process.argv[2] === "ids";

function onFrames(socket: Socket, handle: (frame: Frame) => void): void {
  const decoder = new FrameDecoder();
  socket.handle({
    onData: (chunk) => {
      decoder.push(chunk);
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) handle(frame);
    },
    onClose: () => {},
  });
}

const say = (text: string): void => console.log(`t=${world.now.toFixed(0).padEnd(3)} ${text}`);

const shop = world.host("shop");
await shop.network.listen({ host: "shop", port: 80 }, (socket) => onFrames(socket, ({ requestId, body }) => {
  const { price, thinkMs } = PRICES[body.toString()]!;
  shop.timers.after(thinkMs, () => {
    say(`shop      answers #${requestId}: ${price}`);
    socket.write(encodeFrame({ opcode: 1, requestId, body: Buffer.from(price) }));
  });
}));

const socket = await world.settle(world.host("customer").network.dial({ host: "shop", port: 80 }));
const waiting: Array<{ id: number; done: (price: string) => void }> = [];
onFrames(socket, ({ requestId, body }) => {
  const index = withIds ? waiting.findIndex(({ id }) => id === requestId) : 0;
  waiting.splice(index, 1)[0]!.done(body.toString());
});

let lastId = 0;
async function ask(thing: string): Promise<void> {
  const id = ++lastId;
  say(`customer  asks #${id}: what does the ${thing} cost?`);
  socket.write(encodeFrame({ opcode: 1, requestId: id, body: Buffer.from(thing) }));
  const price = await new Promise<string>((done) => waiting.push({ id, done }));
  say(`customer  believes that the ${thing} costs ${price}`);
}

await world.settle(Promise.all([ask("house"), ask("apple")]));
