/** A heartbeat every ten seconds and a backup every night, for a year, in virtual time. */
import { nodeHost, VirtualTime } from "#host";

const DAY_MS = 86_400_000;
const time = new VirtualTime();
let beats = 0;
let backups = 0;
const beat = (): void => { beats++; time.timers.after(10_000, beat); };
const backup = (): void => { backups++; time.timers.after(DAY_MS, backup); };
beat();
backup();

const { clock } = nodeHost();
const days = Number(process.argv[2] ?? 30);
const started = clock.monotonic();
await time.run(days * DAY_MS - 1);
console.log(`${days} days: ${beats} beats, ${backups} backups, in ${((clock.monotonic() - started) / 1000).toFixed(2)} s`);
