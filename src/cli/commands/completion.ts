/** `titan completion`: what the shell needs to complete commands and flags, written from the declarations. */
import { GLOBAL_FLAGS, type Command } from "../command.ts";
import { EXIT, UsageError } from "../exit.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

export function completionCommand(commands: () => readonly Command[]): Command {
  return {
    name: "completion",
    summary: "completion for your shell",
    usage: "bash|zsh|fish",
    args: [1, 1],
    flags: {},
    words: SHELLS,
    examples: ["source <(titan completion bash)", "titan completion zsh > ~/.zfunc/_titan", "titan completion fish > ~/.config/fish/completions/titan.fish"],
    async run({ context, args: [shell] }) {
      const write = { bash, zsh, fish }[shell as (typeof SHELLS)[number]];
      if (write === undefined) throw new UsageError(`Cannot write completion for "${shell}": there are bash, zsh and fish`);
      context.out(write(commands()));
      return EXIT.OK;
    },
  };
}

function flagsOf(command: Command): string[] {
  return Object.entries({ ...command.flags, ...GLOBAL_FLAGS }).filter(([, flag]) => !flag.hidden).map(([name]) => `--${name}`);
}

/** Words after the command: its own, or files where it takes a file. */
function wordsOf(command: Command): string {
  return [...(command.words ?? []), ...flagsOf(command)].join(" ");
}

const takesFiles = (command: Command): boolean => /FILE|DIR/.test(command.usage);

function bash(commands: readonly Command[]): string {
  const names = commands.map((command) => command.name).join(" ");
  const cases = commands.map((command) => `    ${command.name}) words=${JSON.stringify(wordsOf(command))};${takesFiles(command) ? " files=1;" : ""};`);
  return `# titan completion for bash: source <(titan completion bash)
_titan() {
  local current=\${COMP_WORDS[COMP_CWORD]} words="" files=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${names}" -- "$current"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ -n "$files" ] && [ "\${current#-}" = "$current" ]; then COMPREPLY+=($(compgen -f -- "$current")); fi
}
complete -o filenames -F _titan titan`;
}

function zsh(commands: readonly Command[]): string {
  const quoted = (text: string) => text.replace(/'/g, "'\\''").replace(/:/g, "\\:");
  const names = commands.map((command) => `    '${command.name}:${quoted(command.summary)}'`);
  const cases = commands.map((command) => `    ${command.name}) compadd -- ${wordsOf(command)}${takesFiles(command) ? "; _files" : ""} ;;`);
  return `#compdef titan
# titan completion for zsh: put this into a folder of $fpath as _titan
_titan() {
  local -a commands
  commands=(
${names.join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe 'command' commands
    return
  fi
  case "$words[2]" in
${cases.join("\n")}
  esac
}
_titan "$@"`;
}

function fish(commands: readonly Command[]): string {
  const quoted = (text: string) => `'${text.replace(/\\/g, "\\\\").replace(/'/g, "\\'")}'`;
  const lines = ["# titan completion for fish", "complete -c titan -f"];
  for (const command of commands) {
    const inside = quoted(`__fish_seen_subcommand_from ${command.name}`);
    lines.push(`complete -c titan -n __fish_use_subcommand -a ${command.name} -d ${quoted(command.summary)}`);
    if (takesFiles(command)) lines.push(`complete -c titan -n ${inside} -F`);
    if (command.words !== undefined) lines.push(`complete -c titan -n ${inside} -a ${quoted(command.words.join(" "))}`);
    for (const [name, flag] of Object.entries({ ...command.flags, ...GLOBAL_FLAGS })) {
      if (!flag.hidden) lines.push(`complete -c titan -n ${inside} -l ${name}${flag.short === undefined ? "" : ` -s ${flag.short}`}${flag.type === "string" ? " -r" : ""} -d ${quoted(flag.summary)}`);
    }
  }
  return lines.join("\n");
}
