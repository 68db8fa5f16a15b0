const UNITS = { s: 1, m: 60, h: 3600, d: 86_000 };

/** "1h30m" to seconds. */
export function parseDuration(text) {
  let seconds = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)([a-z])/g)) {
    seconds += Number(count) * UNITS[unit];
  }
  return seconds;
}

/** Seconds to "1h30m". */
export function formatDuration(seconds) {
  let text = "";
  for (const unit of ["d", "h", "m", "s"]) {
    const count = Math.round(seconds / UNITS[unit]);
    if (count > 0) text += `${count}${unit}`;
    seconds -= count * UNITS[unit];
  }
  return text;
}
