/**
 * `titan completion`: the scripts that complete in a shell, and `titan __complete`, which the
 * scripts ask with every Tab.
 *
 * The scripts know nothing of commands or flags, so they do not get old: that knowledge is in
 * complete.ts.
 * Test: test/cli.completion.test.ts
 */
import type { Client } from "#sdk";
import { DEFAULT_MASTER, parseAddress } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { complete, type Completion } from "../complete.ts";
import { EXIT, UsageError } from "../exit.ts";
import { meantHint, oneLine } from "../text.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
/** A person holds the Tab key. A master on this machine answers in a few milliseconds. */
const ASK_MS = 700;

export const completion: Command = {
  name: "completion",
  summary: "completion for your shell",
  usage: "bash|zsh|fish",
  args: [1, 1],
  flags: {},
  words: SHELLS,
  notes: [
    "It completes commands, flags and their values, files, and what the master knows: runs, " +
      "jobs, workers and gates.",
    "zsh: source it behind compinit, or write it into a folder of $fpath as _titan.",
  ],
  examples: [
    "source <(titan completion bash)",
    "source <(titan completion zsh)",
    "titan completion fish > ~/.config/fish/completions/titan.fish",
  ],
  async run({ context, args: [shell] }) {
    const script = { bash: BASH, zsh: ZSH, fish: FISH }[shell as (typeof SHELLS)[number]];
    if (script === undefined) {
      const hint = meantHint(shell!, SHELLS) || ": there are bash, zsh and fish";
      throw new UsageError(`Cannot write completion for "${shell}"${hint}`);
    }
    context.out(script);
    return EXIT.OK;
  },
};

export function completeCommand(commands: () => Promise<readonly Command[]>): Command {
  return {
    name: "__complete",
    summary: "what could come next, for the scripts of titan completion",
    usage: "-- WORD...",
    args: [0, Infinity],
    flags: {},
    hidden: true,
    dashArgs: true,
    examples: ["titan __complete -- logs ''"],
    async run(call) {
      const connect = (flags: ReadonlyMap<string, string>): Promise<Client | undefined> =>
        connectSoon(call, flags);
      const known = await commands();
      // Of the master alone: a busy machine takes its time to load the commands.
      const late = new Promise<Completion>((resolve) => setTimeout(resolve, ASK_MS, []).unref());
      const found = await Promise.race([
        complete(call.args, { commands: known, connect }), late,
      ]).catch(() => []);
      print(call, found);
      return EXIT.OK;
    },
  };
}

/** The master that the line names, or the one that the environment does. */
async function connectSoon(
  { context }: Call,
  flags: ReadonlyMap<string, string>,
): Promise<Client | undefined> {
  const { connect } = await import("#sdk");
  const text = flags.get("master") ?? context.setting("TITAN_MASTER");
  const master = text === undefined ? DEFAULT_MASTER : parseAddress(text, "--master");
  const token = flags.get("token") ?? context.setting("TITAN_TOKEN");
  const client = await connect({ host: context.host, master, token, timeoutMs: ASK_MS });
  context.onExit(() => client.close());
  return client;
}

/** A candidate per line, behind a tab what it is. */
function print({ context }: Call, found: Completion): void {
  if (typeof found === "string") return context.out(`:${found}`);
  for (const { value, note } of found) {
    context.out(note === "" ? value : `${value}\t${oneLine(note)}`);
  }
}

const BASH = `# titan completion for bash: source <(titan completion bash)
_titan() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    case "$line" in
      # Readline's own completion of names: it knows about blanks, quotes and ~.
      :files) compopt -o default 2>/dev/null; return ;;
      :folders) compopt -o dirnames 2>/dev/null; return ;;
      ?*) COMPREPLY+=("\${line%%$'\\t'*}") ;;
    esac
  done < <("\${COMP_WORDS[0]}" __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _titan titan`;

const ZSH = `#compdef titan
# titan completion for zsh: source <(titan completion zsh), or as _titan in a folder of $fpath
_titan() {
  local line
  local -a found
  while IFS= read -r line; do
    case "$line" in
      :files) _files; return ;;
      :folders) _files -/; return ;;
      *$'\\t'*) found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}") ;;
      ?*) found+=("\${line//:/\\\\:}") ;;
    esac
  done < <("\${words[1]}" __complete -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)
  (( \${#found} )) && _describe -V titan found
}
if [[ "\${funcstack[1]}" == _titan ]]; then
  _titan "$@"
elif (( \${+functions[compdef]} )); then
  compdef _titan titan
fi`;

const FISH = `# titan completion for fish, to be put into ~/.config/fish/completions/titan.fish
function __titan_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l found ($words[1] __complete -- $words[2..-1] "$current" 2>/dev/null)
  switch "$found[1]"
    case :files
      __fish_complete_path "$current"
    case :folders
      __fish_complete_directories "$current"
    case '*'
      string join \\n -- $found
  end
end
complete -c titan -f -k -a '(__titan_complete)'`;
