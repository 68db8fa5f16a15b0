/** What a reader tells a friend: one sentence for each chapter. */
export const AHAS: Readonly<Record<string, string>> = {
  "00-tour": "Kill a worker in the middle of a job: the job finishes somewhere else.",
  "01-framing":
    "One byte at a time, the same stream breaks the parser that everybody writes first; a " +
    "header that announces 4 GiB costs nothing.",
  "02-codec": "An old program meets a field that it has never heard of, and goes on.",
  "03-host": "Seed 42 twice is the same trace, byte for byte.",
  "04-rpc": "Replies come back in the other order; without numbers, answers change places.",
  "05-log":
    "Cut the file at any byte: what is left is always a beginning. A thousand appends cost " +
    "twenty fsyncs.",
  "06-dag": "Adding an edge in the middle of a run is legal, and a moment later it is refused.",
  "07-queue": "The clock sleeps to the exact millisecond, and waiting costs nothing.",
  "08-routing":
    "One slow worker in the fleet: the policy decides how long the slowest hundredth waits.",
  "09-retry": "Lose the acknowledgement alone, and the card is charged twice; with a key, once.",
  "10-master":
    "Throw the memory away and read the log: the same state, to the bit. Look at the clock " +
    "while reading, and it is another one.",
  "11-worker":
    "A job that ignores SIGTERM ends all the same; a reader that never reads stops the job at " +
    "its print.",
  "12-membership":
    "Freeze a worker instead of killing it. When it wakes up, its result is refused.",
  "13-scaling":
    "Take the brakes away, and the fleet oscillates: six thousand starts where twenty would do.",
  "14-services":
    "A program that crashes at once is not restarted at once; a port has one holder, or a " +
    "reason.",
  "15-store": "`redis-cli` talks to it.",
  "16-gates":
    "Restart the master between the question and the answer; click twice, and it is approved " +
    "once.",
  "17-pipelines":
    "`no`, `012` and a tab are errors with a caret, and not values that nobody meant.",
  "18-agents": "Kill the agent at step three: it goes on, and no paid call is made twice.",
  "19-dashboard": "Unplug the page and plug it in again: exactly the gap is told.",
  "20-mcp": "An assistant asks for something dangerous, and a person decides.",
  "22-simulation": "Put an old bug back: a seed finds it, and the schedule shrinks to six lines.",
  "24-packaging":
    "Unpack it in an empty folder, install nothing, and replace the master in the middle of a " +
    "run.",
};
