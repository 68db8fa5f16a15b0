"""Titan for Python: the standard library, Python 3.9 or newer. Copy the files where you need them.

    from titan import Client, pipeline
    with Client() as titan:                             # the master that TITAN_MASTER names
        answer = pipeline("answer").job("think", run='echo 42 > "$TITAN_OUTPUT"')
        run = titan.submit(answer.job("tell", run='cat "$TITAN_INPUTS"', needs="think")).run
        print(titan.wait(run).status, titan.result(run, "think"))       # COMPLETED 42

It reads in this order: a pipeline (lesson 17) · a project (lesson 11) · the store (lesson 15) · a
client · programs of Titan 1. Below it is titan_wire.py, the protocol; above it is titan_job.py, for
programs that run as jobs (lesson 18).

Invariant: a request goes out twice only if that does no harm (a submission has a key).
Test: test/sdk.python.test.ts, which runs test/python
"""
import collections, difflib, fnmatch, functools, gzip, hashlib, importlib, io, itertools, json, os
import pathlib, random, re, secrets, shlex, shutil, socket, stat, struct, subprocess, threading
import time, zipfile
from typing import Any, Callable, Iterable, Iterator, Optional, Union
from urllib.parse import unquote, urlsplit
from titan_wire import *
from titan_wire import VERSION
__all__ = ["Client", "Store", "TitanClient", "TitanError", "TitanJob", "job", "pipeline"]
def __getattr__(name: str) -> Any:
    """`from titan import job` is that of titan_job.py."""
    if name == "job": return importlib.import_module("titan_job").job
    raise AttributeError(f"module titan has no {name}")
# ── a pipeline ────────────────────────────────────────────────────────────────────────────────────
class Pipeline:
    """`pipeline("n").job("a", run="make").job("b", file="b.py", needs="a")`: docs/pipelines.md"""
    def __init__(self, name: str, **keys: Any) -> None:
        self.definition: dict[str, Any] = {"name": name, **keys, "jobs": []}
    def job(self, id: str, **keys: Any) -> "Pipeline":
        self.definition["jobs"].append({"id": id, **keys})
        return self
pipeline = Pipeline
Definition = Union[Pipeline, dict[str, Any]]
JOB_KEYS = ("id type file args command run shell call input with depends_on needs requirement when "
            "priority delay affinity port hitl hitl_message max_wait_seconds retries retry timeout "
            "env healthcheck restart replicas stop_grace outputs inputs")
SERVICE_KEYS = {"port", "healthcheck", "restart", "replicas", "stop_grace"}
BUDGET_KEYS = "jobs depth fan_out steps tokens usd deadline"
OWNERS = {"args": "file", "shell": "run", "input": "call", "with": "call",
          "max_wait_seconds": "hitl_message"}  # keys that go with another one only
UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}

class Keys(dict):
    """A map as a person writes it. A key that nobody reads is refused; None is no key."""
    def __init__(self, where: str, keys: dict[str, Any], known: str) -> None:
        self.where = where
        if not isinstance(keys, dict): raise PipelineError(f"{where} must be a map: {keys!r:.40}")
        super().__init__({key: item for key, item in keys.items() if item is not None})
        for key in map(str, self):
            if key in known.split() or key.startswith("x-"): continue
            near = difflib.get_close_matches(key, known.split(), 1) or known.split()
            raise PipelineError(f'unknown key "{key}" in {where} (known: {", ".join(near)})')
    def fail(self, key: str, rule: str) -> None:
        raise PipelineError(f'"{key}" in {self.where} {rule}, found {repr(self.get(key))[:60]}')
    def texts(self, *names: str) -> list[str]:
        """A list of texts, or one text for a list of one; each text once."""
        found = [[v] if isinstance(v, str) else [*v] for v in map(self.get, names) if v is not None]
        return list(dict.fromkeys(sum(found, [])))
    def ms(self, key: str, usual: int) -> int:
        """A duration: a number is seconds, a text has units, as in 1h30m and 500ms."""
        value = self.get(key, usual / 1000)
        if isinstance(value, str):
            parts = re.findall(r"(\d+\.?\d*|\.\d+)(ms|[dhms])", value)
            if not parts or "".join(map("".join, parts)) != value:
                self.fail(key, "must be a duration such as 90s, 10m, 1h30m or 500ms, or seconds")
            value = sum(float(amount) * UNITS_MS[unit] for amount, unit in parts) / 1000
        if value < 0 or abs(value * 1000 - round(value * 1000)) > 1e-6 + value * 1e-9:
            self.fail(key, "must be in whole milliseconds from 0 on")
        return round(value * 1000)
    def backoff(self) -> dict[str, Any]:
        delay = self.ms("delay", 1000)  # if it is beyond the usual cap, the cap gives way
        return {"delay_ms": delay, "max_delay_ms": self.ms("max_delay", max(60_000, delay)),
                "backoff": self.get("backoff", 2)}
def spec_of(definition: Definition, project: Optional[str] = None, deploy: bool = False) -> dict:
    """From keys as people write them to a spec as it travels: names of parents become indexes."""
    top = Keys("the pipeline", getattr(definition, "definition", definition),
               "name version project shell agent agent_run_id jobs")
    jobs, places, count = [job_keys(each) for each in top.get("jobs", ())], {}, 0
    for keys in jobs:
        places[keys.get("id")] = range(count, count + keys.get("replicas", 1))
        count += keys.get("replicas", 1)
    jobs = [spec for keys in jobs for spec in job_specs(keys, places, top.get("shell"), deploy)]
    return {**{key: top.get(key) for key in ("name", "version")}, "project": project, "jobs": jobs,
            "agent": agent_of(top)}
def agent_of(top: Keys) -> Optional[dict[str, Any]]:
    if "agent" not in top: return {"id": top["agent_run_id"]} if "agent_run_id" in top else None
    if "agent_run_id" in top: top.fail("agent_run_id", 'stands beside "agent": write id there')
    own = Keys("agent", top["agent"], "id budget")
    limits = Keys("budget of agent", own.get("budget", {}), BUDGET_KEYS)
    budget = {**limits, "usd_micros": round(limits["usd"] * 1e6) if "usd" in limits else None,
              "deadline_ms": limits.ms("deadline", 0) or None}
    return {"id": own.get("id"), "budget": budget if limits else None}
def job_keys(keys: dict[str, Any]) -> Keys:
    return Keys(f'job "{keys.get("id")}"' if isinstance(keys, dict) else "a job", keys, JOB_KEYS)
def job_specs(keys: Keys, places: dict, shell: Optional[str] = None, deploy: bool = False) -> list:
    """A job; a service with replicas is as many: web, web.2, web.3."""
    parents, near = keys.texts("depends_on", "needs"), keys.get("affinity") or None
    near = parents[0] if near is True and parents else near
    kind = keys.get("type", "run")
    for parent in parents:
        if parent not in places: keys.fail("needs", f'or "depends_on" names no job "{parent}"')
    if near not in (None, *parents): keys.fail("affinity", "must name one of its parents")
    if kind not in ("run", "service") or (SERVICE_KEYS & set(keys) and kind == "run"):
        keys.fail("type", "must be run or service, and a port or health check is a service's")
    spec = {
        "id": keys.get("id"), "action": action_of(keys, shell), "env": keys.get("env"),
        "depends_on": [place for parent in parents for place in places[parent]],
        "requirement": [tag for tag in keys.texts("requirement") if tag != "GENERAL"],
        "priority": keys.get("priority", 1), "delay_ms": keys.ms("delay", 0),
        "affinity": places[near][0] if near else None, "when": keys.get("when", "success"),
        "timeout_ms": keys.ms("timeout", 0), "retry": retry_of(keys), "gate": gate_of(keys),
        "service": service_of(keys, deploy) if kind == "service" else None,
        "files": files_of(keys, places)}
    names = [spec["id"], *(f'{spec["id"]}.{at}' for at in range(2, keys.get("replicas", 1) + 1))]
    return [{**spec, "id": name} for name in names]
def action_of(keys: Keys, shell: Optional[str]) -> dict[str, Any]:
    if len({"file", "command", "run", "call"} & set(keys)) != 1:
        raise PipelineError(f"{keys.where} must have exactly one of file, command, run and call")
    for key, owner in OWNERS.items():
        if key in keys and owner not in keys: keys.fail(key, f'goes with "{owner}" only')
    args, shell = keys.get("args", []), keys.get("shell", shell)
    if isinstance(args, str): args = shlex.split(args)
    if shell == "sh": shell = None  # the usual one
    if "file" in keys: return {"type": "file", "file": keys["file"], "args": args}
    if "command" in keys: return {"type": "command", "argv": keys["command"]}
    if "run" in keys: return {"type": "shell", "script": keys["run"], "shell": shell}
    value = keys.get("input", keys.get("with"))
    return {"type": "call", "target": keys["call"], "input": json_of(value)}
def files_of(keys: Keys, places: dict) -> Optional[dict[str, Any]]:
    inputs, plain = [], lambda path: re.sub(r"^(\./)+", "", path)
    for each in keys.get("inputs", ()):
        own = Keys(f"inputs of {keys.where}", each, "job path as")
        if own.get("job") not in places: own.fail("job", "names no job of this pipeline")
        path, to = plain(own["path"]), plain(own.get("as", own["path"]))
        to = None if to == path else to
        inputs.append({"job": places[own["job"]][0], "path": path, "to": to})
    outputs = [plain(path) for path in keys.texts("outputs")]
    return {"outputs": outputs, "inputs": inputs} if outputs or inputs else None
def gate_of(keys: Keys) -> Optional[dict[str, Any]]:
    wait, ask = keys.ms("max_wait_seconds", 172_800_000), keys.get("hitl_message")
    if "hitl" not in keys: return {"message": ask, "max_wait_ms": wait} if ask else None
    own = Keys(f"hitl of {keys.where}", keys["hitl"],
               "message form approvers required timeout on_timeout self_approval notify")
    form = [{"label": "", "required": False, "type": "choice" if each.get("choices") else "text",
             **each} for each in own.get("form", ())]
    for each in form:  # a value of a form is a text, as a person types it
        value = each.get("default", "")
        if not isinstance(value, str): each["default"] = json.dumps(value)
    rules = {"form": form, "approvers": own.texts("approvers"), "required": own.get("required", 1),
             "on_timeout": own.get("on_timeout", "reject"),
             "self_approval": own.get("self_approval", True), "notify": notify_of(own)}
    return {"message": own.get("message"), "max_wait_ms": own.ms("timeout", wait), "rules": rules}
def notify_of(gate: Keys) -> Optional[dict[str, Any]]:
    own = Keys(f"notify of {gate.where}", gate.get("notify", {}), "command webhook")
    if "notify" in gate and len(own) != 1: gate.fail("notify", "wants either command or webhook")
    if "webhook" in own: return {"type": "webhook", "url": own["webhook"]}
    words = own.get("command", ())
    argv = [words] if isinstance(words, str) else [*words]
    return {"type": "command", "argv": argv} if "command" in own else None
def retry_of(keys: Keys) -> Optional[dict[str, Any]]:
    own = Keys(f"retry of {keys.where}", keys.get("retry", {}),
               "max_attempts delay backoff max_delay jitter")
    most, jitter = own.get("max_attempts", keys.get("retries", 0) + 1), own.get("jitter", 0.5)
    return {"max_attempts": most, "jitter": jitter, **own.backoff()} if most > 1 else None
def service_of(keys: Keys, deployed: bool) -> dict[str, Any]:
    health, restart = keys.get("healthcheck", "tcp"), keys.get("restart", "always")
    own = Keys(f"healthcheck of {keys.where}", {} if health == "tcp" else health,
               "tcp http command interval timeout healthy_after unhealthy_after start_period")
    rules = Keys(f"restart of {keys.where}", {"policy": restart} if isinstance(restart, str) else
                 restart, "policy delay backoff max_delay attempts window")
    kind = next((key for key in ("http", "command") if key in own), "tcp")
    restarts = {"policy": rules.get("policy", "always"), "attempts": rules.get("attempts", 0),
                "window_ms": rules.ms("window", 600_000), **rules.backoff()}
    return {
        "name": keys.get("id"), "deployed": deployed, "port": keys.get("port"), "restart": restarts,
        "check": {"type": kind, "path": own.get("http"), "argv": own.get("command")},
        "interval_ms": own.ms("interval", 2000), "timeout_ms": own.ms("timeout", 2000),
        "healthy_after": own.get("healthy_after", 1), "stop_grace_ms": keys.ms("stop_grace", 5000),
        "unhealthy_after": own.get("unhealthy_after", 3),
        "start_period_ms": own.ms("start_period", 30_000)}
# ── a project ─────────────────────────────────────────────────────────────────────────────────────
FOLDER, FILE, PROGRAM, LINK, MAX_PROJECT_BYTES = 1, 2, 3, 4, 64 * 1024 * 1024
Entries = dict[str, tuple[int, bytes]]  # by path: the kind; the content, or the target of a link
def pack(entries: Entries) -> bytes:
    """gzip("TITANPK1" entry* 0), entry = kind u8 | path length u16 | length u32 | path | content"""
    parts = [b"TITANPK1"]
    for path, (kind, content) in sorted((path.encode(), entry) for path, entry in entries.items()):
        parts += (struct.pack(">BHI", kind, len(path), len(content)), path, content)
    return gzip.compress(b"".join(parts) + b"\0", 6, mtime=0)  # the same files give the same bytes
def read_folder(folder: str) -> Entries:
    """All but .git, node_modules, .titan, and what .titanignore (else .gitignore) names."""
    if not os.path.isdir(folder): raise PipelineError(f"Cannot pack {folder}: it is no folder")
    rules, entries, size = ignore_rules(folder), {}, 0
    for at, folders, files in os.walk(folder):
        inside, keep = os.path.relpath(at, folder).replace(os.sep, "/"), []
        for name in folders + files:
            place, path = os.path.join(at, name), name if inside == "." else f"{inside}/{name}"
            mode, bytes_there = os.lstat(place).st_mode, os.lstat(place).st_size
            if any(is_ignored(path, stat.S_ISDIR(mode), rule) for rule in rules): continue
            if stat.S_ISDIR(mode):
                keep.append(name)
                entries[path] = (FOLDER, b"")
            elif stat.S_ISLNK(mode):
                target = os.readlink(place)
                if target.startswith("/") or ".." in target.split("/"):
                    raise PipelineError(f'Cannot pack {path}: its link may leave it, to "{target}"')
                entries[path] = (LINK, target.encode())
            elif stat.S_ISREG(mode):
                size += bytes_there
                if size > MAX_PROJECT_BYTES:
                    found = f"more than {MAX_PROJECT_BYTES} bytes; .titanignore leaves files out"
                    raise PipelineError(f"Cannot pack {folder}: {found}")
                with open(place, "rb") as file:
                    entries[path] = (PROGRAM if mode & 0o111 else FILE, file.read())
        folders[:] = keep
    return entries
def ignore_rules(folder: str) -> list[str]:
    places = [os.path.join(folder, name) for name in (".titanignore", ".gitignore")]
    with open(next(filter(os.path.isfile, places), os.devnull), encoding="utf-8") as file:
        rules = [line.rstrip() for line in file if line.strip() and line[0] != "#"]
    for rule in rules:
        if re.search(r"^!|\*\*|\\", rule):
            raise PipelineError(f'Cannot pack {folder}: it ignores "{rule}", and titan.py knows no '
                                '"!", "**" and "\\"; a .titanignore is read before a .gitignore')
    return [".git", "node_modules", ".titan", *rules]
def is_ignored(path: str, is_folder: bool, rule: str) -> bool:
    """A rule with a slash before its end is compared with the whole path, else with the name."""
    names, parts = rule.strip("/").split("/"), path.split("/")
    parts = parts if "/" in rule.rstrip("/") else parts[-1:]
    return (is_folder or rule[-1] != "/") and len(names) == len(parts) and all(
        fnmatch.fnmatchcase(part, name.replace("[^", "[!")) for part, name in zip(parts, names))
# ── the store ─────────────────────────────────────────────────────────────────────────────────────
class Store:
    """The cluster's store. `call` takes any command: `store.call("INCR", "visits")`."""
    def __init__(self, call: Callable[..., Any]) -> None: self.call = call
    def get(self, key: str) -> Optional[str]: return self.call("GET", key)
    def set(self, key: str, value: Any) -> None: self.call("SET", key, value)
    def delete(self, *keys: str) -> int: return self.call("DEL", *keys)
    def sadd(self, key: str, *members: Any) -> int: return self.call("SADD", key, *members)
    def smembers(self, key: str) -> list[str]: return sorted(self.call("SMEMBERS", key))
    @staticmethod
    def dial(url: str) -> "Store":
        """The store itself, as TITAN_STORE names it: redis://[[user]:password@]host[:port]"""
        at, lock = urlsplit(url), threading.Lock()
        file = socket.create_connection((at.hostname or "", at.port or 6379)).makefile("rwb")
        def call(*args: Any) -> Any:
            words = [b"$%d\r\n%s\r\n" % (len(word), word) for word in map(bytes_of, args)]
            with lock:
                file.write(b"".join([b"*%d\r\n" % len(words), *words]))
                file.flush()
                return unless_error(read_reply(file))
        if at.password: call("AUTH", *map(unquote, filter(None, (at.username, at.password))))
        return Store(call)
def bytes_of(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
def unless_error(value: Any) -> Any:
    if isinstance(value, TitanError): raise value
    return value
def read_part(file: Any, size: int = 0, read: str = "read") -> str:
    data = file.readline() if read == "line" else file.read(size + 2)
    if len(data) >= size + 2 and data.endswith(b"\r\n"):
        return data[:-2].decode("utf-8", "surrogateescape")
    raise ClosedError("The store's answer ends before it is whole")
def read_reply(file: Any) -> Any:
    """A value of RESP3. Text that is not UTF-8 keeps its bytes as lone surrogates."""
    line = read_part(file, read="line")
    sign, rest = line[:1], line[1:]
    if rest == "-1" or sign == "_": return None
    if sign in "$=!": rest = read_part(file, int(rest))[4 if sign == "=" else 0:]
    if sign in "-!":
        error = StoreError(rest)
        error.code = rest.split(" ")[0]
        return error
    if sign in "*~>": return [read_reply(file) for _ in range(int(rest))]
    if sign == "%": return {read_reply(file): read_reply(file) for _ in range(int(rest))}
    return {":": int, "(": int, ",": float, "#": "t".__eq__}.get(sign, str)(rest)
# ── a client ──────────────────────────────────────────────────────────────────────────────────────
CHUNK_BYTES, MAX_INLINE_BYTES = 256 * 1024, 4 * 1024 * 1024
WHY = ((ConnectionRefusedError, "nobody listens there"), (OverloadedError, "it is full"),
       (ClosedError, "it takes connections, and closes them"),
       ((DeadlineError, socket.timeout), "it does not answer"), (OSError, "it is out of reach"),
       ((BadFrameError, BadRequestError), "what answers there is no Titan master"))
def address_of(text: str) -> tuple[str, int]:
    """`host:port`, `[::1]:9090`, `host`, `:9090` or `9090`."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]\s/@]*?))(?::?(\d+))?", text)
    if found is None or not 1 <= int(found[3] or 9090) <= 65_535:
        raise ValueError(f'Cannot use master "{text}": expected HOST:PORT, a port up to 65535')
    return found[1] or found[2] or "127.0.0.1", int(found[3] or 9090)

Source = Union[bytes, str, pathlib.Path, Iterable[bytes]]
def pieces_of(source: Source) -> Iterable[bytes]:
    if isinstance(source, str): source = source.encode()
    if not isinstance(source, pathlib.Path):
        yield from (source,) if isinstance(source, (bytes, bytearray, memoryview)) else source
        return
    with open(source, "rb") as file: yield from iter(lambda: file.read(CHUNK_BYTES), b"")
def json_of(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode()
def value_of(result: Optional[bytes]) -> Any:
    """A value if it is JSON, else a text."""
    try: return None if result is None else json.loads(result)
    except ValueError: return result.decode("utf-8", "replace")

class Client:
    """A master, over one connection that is opened again when it breaks. Threads may share it.
    `deadline`: seconds that a request may take; `patience`: how long a master may be away."""
    def __init__(self, master: Optional[str] = None, token: Optional[str] = None, *,
                 timeout: float = 5.0, deadline: float = 60.0, patience: float = 30.0) -> None:
        self.master = master or os.environ.get("TITAN_MASTER") or "127.0.0.1:9090"
        self.token = os.environ.get("TITAN_TOKEN") or None if token is None else token
        self.address, self.store, self._left = address_of(self.master), Store(self.kv), False
        self.timeout, self.deadline, self.patience = timeout, deadline, patience
        self._opening, self._uploading = threading.Lock(), threading.Lock()
        self._uploads, self._session = itertools.count(1), self._open()
    def __enter__(self) -> "Client": return self
    def __exit__(self, *_: Any) -> None: self.close()
    def close(self) -> None:
        self._left = True
        self._session.close()
    def _open(self) -> Connection:
        hello = {"protocol": VERSION, "role": "client", "token": self.token, "version": "python"}
        until, connection = time.monotonic() + self.timeout, None
        while True:
            try:
                connection = Connection(self.address, self.timeout)
                call = connection.start(ask.HELLO.opcode, wire.Hello.encode(hello))
                wire.Welcome.decode(next(call.items(until)))
                return connection
            except (TitanError, OSError) as error:
                if connection is not None: connection.close()
                why = [words for kinds, words in WHY if isinstance(error, kinds)]
                if not why: raise
                if not isinstance(error, OverloadedError) or time.monotonic() + 0.2 > until:
                    found = f"Cannot connect to the master at {self.master}: {why[0]} ({error})"
                    raise ConnectError(found) from error
            time.sleep(0.1 * (1 + random.random()))  # a full master refuses many at once
    def _connected(self) -> Connection:
        with self._opening:
            if self._left: raise CancelledError("Cannot go on: this client was closed")
            if self._session.error is not None: self._session = self._open()
            return self._session
    def _items(self, opcode: int, body: bytes, *, stream: bool = True, twice: bool = True,
               until: Optional[float] = None) -> Iterator[Optional[bytes]]:
        """Answers; None when the connection broke, and they begin anew on the next one."""
        harmless = (OverloadedError, ConnectError, *((ClosedError,) if twice else ()))
        lost, pause = None, 0.1
        while True:
            try:
                for item in self._connected().start(opcode, body, stream).items(until):
                    lost, pause = None, 0.1
                    yield item
                return
            except harmless:
                lost = lost or time.monotonic()
                if time.monotonic() - lost >= self.patience: raise
            time.sleep(pause * (1 + random.random()) / 2)
            pause = min(0.5, 2 * pause)
            yield None
    def _ask(self, request: Request, twice: bool = True, **keys: Any) -> Row:
        """One request and its answer. Its keys are the fields of the question."""
        until, body = time.monotonic() + self.deadline, request.question.encode(keys)
        items = self._items(request.opcode, body, stream=False, twice=twice, until=until)
        return request.answer.decode(next(item for item in items if item is not None))
    def _pages(self, request: Request, **keys: Any) -> Row:
        """A stream of pages as one: their lists are joined, the rest is that of the first."""
        pages: list[Row] = []
        until, body = time.monotonic() + self.deadline, request.question.encode(keys)
        for item in self._items(request.opcode, body, until=until):
            pages = [] if item is None else [*pages, request.answer.decode(item)]
        whole = Row(pages[0]) if pages else Row(rows=[])
        for key, first in whole.items():
            if isinstance(first, list): whole[key] = [row for page in pages for row in page[key]]
        return whole
    def submit(self, definition: Definition, *, key: Optional[str] = None, strict: bool = False,
               project_dir: Union[str, Entries, None] = None, deploy: bool = False) -> Row:
        """Once it returns, the run survives any crash. Two submissions with one key are one run."""
        entries = read_folder(project_dir) if isinstance(project_dir, str) else project_dir
        project = None if entries is None else self.put_blob(pack(entries))
        keys = self._keyed(spec_of(definition, project, deploy), key, strict)
        return self._ask(ask.SUBMIT, **keys)
    def submit_many(self, definitions: Iterable[Definition], window: int = 256) -> Iterator[Row]:
        """Submits without waiting for each answer: `window` are under way. Answers in order."""
        waiting: Any = collections.deque()
        for definition in itertools.chain(definitions, itertools.repeat(None, window)):
            if definition is not None:
                keys = self._keyed(spec_of(definition))
                body = wire.Submit.encode(keys)
                waiting.append((keys, self._session.start(ask.SUBMIT.opcode, body)))
            if len(waiting) >= window or (waiting and definition is None):
                keys, call = waiting.popleft()
                try: yield wire.Submitted.decode(next(call.items(time.monotonic() + self.deadline)))
                except (ClosedError, OverloadedError): yield self._ask(ask.SUBMIT, **keys)
    def _keyed(self, spec: dict, key: Optional[str] = None, strict: bool = False) -> dict[str, Any]:
        for each in spec["jobs"]:
            if each["action"]["type"] == "file" and spec["project"] is None:
                raise PipelineError(f'job "{each["id"]}" names a file: say in which project_dir')
        if key == "": raise ValueError('Cannot submit: found key "", leave it out')
        data, key = wire.PipelineSpec.encode(spec), key or f"py-{secrets.token_hex(12)}"
        blob = None if len(data) <= MAX_INLINE_BYTES else self.put_blob(data)
        spec = {"spec_blob": blob} if blob else {"spec": data}
        return {**spec, "key": key, "strict": strict}
    def put_blob(self, data: bytes) -> str:
        """Uploads bytes unless they are there. Their hash is their name."""
        name, total = hashlib.sha256(data).hexdigest(), len(data)
        is_there = self._ask(ask.BLOB_HAS, hash=name).present
        for at in range(0, 0 if is_there else total, CHUNK_BYTES):
            piece = data[at:at + CHUNK_BYTES]
            self._ask(ask.BLOB_PUT, False, hash=name, total=total, offset=at, data=piece)
        return name
    def add_jobs(self, run: str, jobs: Union[Pipeline, list[dict[str, Any]]]) -> int:
        """Jobs for a run that goes on; not all at once, if some of them need others."""
        waiting = [job_keys(each) for each in getattr(jobs, "definition", {"jobs": jobs})["jobs"]]
        count = len(waiting)
        while waiting:
            known = {each.id: [each.index] for each in self.status(run).jobs}
            ready = [keys for keys in waiting if {*keys.texts("depends_on", "needs")} <= {*known}]
            specs = [spec for keys in ready or waiting for spec in job_specs(keys, known)]
            self._ask(ask.ADD_JOBS, False, run=run, jobs=specs)
            waiting = [keys for keys in waiting if keys not in ready]
        return count
    def status(self, run: str, job: Optional[str] = None, only: Iterable[str] = ()) -> Row:
        """A run and its jobs; or one job of it, and the names of its parents; or `only` some."""
        return self._pages(ask.STATUS, run=run, job=job, only=[*only])
    def reasons(self, run: str, jobs: Iterable[int]) -> list[Row]:
        """Why these jobs, by their indexes in the run, wait. Others are left out."""
        return self._ask(ask.WHY, run=run, jobs=[*jobs]).rows
    def watch(self, run: str, timeout: Optional[float] = None) -> Iterator[Row]:
        """Events until the run ends: `snapshot` (run, jobs; also after a break), `job`, `run`."""
        until = None if timeout is None else time.monotonic() + timeout
        names, jobs, whole = [], [], False
        body = wire.JobRef.encode({"run": run})
        for body in self._items(ask.WATCH.opcode, body, until=until):
            if body is None: continue
            page = wire.WatchPage.decode(body)
            if page.reset: jobs, whole = [], False
            jobs += page.jobs
            if not whole and page.run is not None:  # the last page of the whole
                whole, names = True, [each.id for each in jobs]
                yield Row(type="snapshot", run=page.run, jobs=jobs)
            elif whole:
                for each in page.changes: yield Row(type="job", job=names[each.index], change=each)
                if page.run is not None: yield Row(type="run", run=page.run)
    def wait(self, run: str, timeout: Optional[float] = None, to_end: bool = False,
             on_event: Callable[[Row], Any] = lambda event: None) -> Row:
        """The run once it is over, or (unless `to_end`) PAUSED, or nothing but services is left.
        `on_event` hears every change, as `watch` tells it."""
        going = ("RUNNING", "SERVING", "PAUSED") if to_end else ("RUNNING",)
        for event in self.watch(run, timeout):
            on_event(event)
            if event.type != "job" and event.run.status not in going: return event.run
        raise InternalError(f"Cannot wait for {run}: its events end before it does")
    def run(self, definition: Definition, *, timeout: Optional[float] = None, to_end: bool = False,
            on_event: Callable[[Row], Any] = lambda event: None, **options: Any) -> Row:
        """Submits a pipeline (`options` are those of `submit`) and waits for its end, good or bad:
        look at `status`."""
        return self.wait(self.submit(definition, **options).run, timeout, to_end, on_event)
    def result(self, run: str, job: str) -> Any:
        """What a job wrote to TITAN_OUTPUT: a value if that is JSON, else a text; None: nothing."""
        return value_of(self.status(run, job).jobs[0].result)
    def logs(self, run: str, job: str, attempt: int = 0, follow: bool = False) -> Iterator[Row]:
        """What an attempt printed (0: the latest), in pieces: stream, at, data."""
        attempt = attempt or max(1, self.status(run, job).jobs[0].attempt)
        keys = {"run": run, "job": job, "attempt": attempt, "follow": follow}
        told = skip = 0  # bytes; both streams have one order
        for page in self._items(ask.LOGS.opcode, wire.OutputRequest.encode(keys)):
            if page is None: skip = told
            for chunk in wire.OutputPage.decode(page or b"\0").chunks:
                data, skip = chunk.data[skip:], max(0, skip - len(chunk.data))
                told += len(data)
                if data: yield Row(chunk, data=data)
    def cancel(self, run: str, job: Optional[str] = None) -> int:
        """How many jobs that touched."""
        return self._ask(ask.CANCEL, run=run, job=job).jobs
    def retry(self, run: str, job: Optional[str] = None, accept_changed: bool = False) -> int:
        """Another chance for what did not complete, or for a job and all after it. Durable steps
        stand as they are done; `accept_changed`: even if the program asks for others."""
        keys = {"run": run, "from": job, "accept_changed": accept_changed or None}
        return self._ask(ask.RETRY, False, **keys).jobs
    def approve(self, gate: str, comment: str = "", by: str = "",
                values: Optional[dict[str, str]] = None, approve: bool = True) -> Row:
        """Answers RUN/JOB. `already`: another answer stands. `missing`: so many more are wanted."""
        answer = {"approve": approve, "by": by, "comment": comment, "values": values}
        return self._ask(ask.DECIDE, gate=gate, **answer)
    def reject(self, gate: str, comment: str = "", by: str = "") -> Row:
        return self.approve(gate, comment, by, approve=False)
    # ── agent runs, services, workers: lessons 18, 14 and 13
    def steps(self, run: str, job: Optional[str] = None) -> list[Row]:
        """What the journals of a run's jobs have, in the order in which steps began."""
        return self._pages(ask.STEPS, run=run, job=job).rows
    def fork(self, run: str, step: str, set: Optional[dict[str, Any]] = None, by: str = "") -> Row:
        """A new run with the steps of this one up to `step` (NAME#N, or JOB:NAME#N), which are not
        run again. `set`: results that take the place of others, by the names of their steps."""
        own = [{"step": name, "result": json_of(value)} for name, value in (set or {}).items()]
        return self._ask(ask.FORK, False, **{"from": step, "run": run, "set": own, "by": by})
    def agents(self) -> list[Row]: return self._pages(ask.AGENTS).rows
    def agent(self, name: str) -> Row:
        """An agent run, by its name or by the id of one of its runs: `agent`, `runs`, `jobs`."""
        return self._pages(ask.AGENT, name=name)
    def cancel_agent(self, name: str) -> Row: return self._ask(ask.CANCEL_AGENT, name=name)
    def raise_budget(self, group: str, by: str = "", **limits: Any) -> Row:
        """`usd=5` raises a limit to 5, `usd="+5"` by 5; `deadline="+1h"`. Paused runs go on."""
        said = {what: str(value).lstrip("+") for what, value in limits.items()}
        keys = Keys("the budget", said, BUDGET_KEYS)
        def amount(what: str) -> int:
            if what == "deadline": return keys.ms(what, 0)
            return round(float(keys[what]) * (1_000_000 if what == "usd" else 1))
        changes = [{"what": what, "amount": amount(what), "add": str(value).startswith("+")}
                   for what, value in limits.items()]
        return self._ask(ask.BUDGET, False, group=group, changes=changes, by=by)
    def stop(self, name: str, by: str = "") -> Row:
        """Ends a service, or those of a RUN, or RUN/JOB, for good. `restart` starts them anew."""
        return self._ask(ask.STOP, name=name, by=by)
    def restart(self, name: str, by: str = "") -> Row:
        return self._ask(ask.RESTART, False, name=name, by=by)
    def scale(self, name: str, replicas: int, by: str = "") -> Row:
        return self._ask(ask.SCALE, name=name, replicas=replicas, by=by)
    def rollback(self, name: str, by: str = "", key: Optional[str] = None) -> Row:
        """Deploys the version before again. Two rollbacks with one key are one."""
        return self._ask(ask.ROLLBACK, name=name, by=by, key=key or f"py-{secrets.token_hex(12)}")
    def drain(self, worker: str, undo: bool = False) -> Row:
        """Gives a worker (its name, or the number of its registration) nothing new."""
        return self._ask(ask.DRAIN, worker=worker, undo=undo)
    def pools(self) -> Row: return self._pages(ask.POOLS)  # of workers that the master starts
    def launch(self, pool: str, by: str = "") -> str:
        return self._ask(ask.LAUNCH, False, pool=pool, by=by).name
    def retire(self, worker: str, by: str = "") -> Row:
        """Ends a worker of a pool once nothing runs there."""
        return self._ask(ask.RETIRE, worker=worker, by=by)
    def info(self, hash: bool = False) -> Row: return self._ask(ask.INFO, hash=hash)
    def runs(self) -> list[Row]: return self._pages(ask.RUNS).rows
    def gates(self) -> list[Row]: return self._pages(ask.GATES).rows
    def workers(self) -> list[Row]: return self._pages(ask.WORKERS).rows
    def services(self) -> list[Row]: return self._pages(ask.SERVICES).rows
    def dead_letters(self) -> list[Row]: return self._pages(ask.DEAD).rows
    # ── artifacts
    def put_artifact(self, name: str, source: Source, *, run: Optional[str] = None, by: str = "",
                     keep: bool = False, job: Optional[str] = None, attempt: Optional[int] = None
                     ) -> Row:
        """Keeps bytes under a name: in a run, or (`keep`) by the name alone. `source`: bytes, a
        text, a pathlib.Path, or pieces of bytes as they come. Returns once it survives any crash,
        with `info`, and with what it `replaced`."""
        head = {"name": name, "run": run, "job": job, "attempt": attempt, "keep": keep, "by": by}
        with self._uploading: return self._send(self._connected(), head, pieces_of(source))
    def _send(self, session: Connection, head: dict[str, Any], pieces: Iterable[bytes]) -> Row:
        """Four pieces are under way, so neither side holds more. All of it is kept, or nothing."""
        upload, offset, digest = next(self._uploads), 0, hashlib.sha256()
        under_way: Any = collections.deque()
        def send(data: bytes = b"", **keys: Any) -> Call:
            piece = {"upload": upload, "offset": offset, "data": data, **keys}
            return session.start(ask.ARTIFACT_PUT.opcode, wire.ArtifactPut.encode(piece))
        def taken(call: Call) -> Row:
            return wire.ArtifactPutAnswer.decode(next(call.items(time.monotonic() + self.deadline)))
        taken(send(head=head))
        try:
            for piece in pieces:
                digest.update(piece)
                for at in range(0, len(piece), CHUNK_BYTES):
                    if len(under_way) == 4: taken(under_way.popleft())
                    part = piece[at:at + CHUNK_BYTES]
                    under_way.append(send(part))
                    offset += len(part)
            while under_way: taken(under_way.popleft())
        except BaseException:
            send(last=True)  # an end without a hash: the master lets go of what has come
            raise
        end = taken(send(last=True, sha256=digest.hexdigest()))
        return Row(info=end.done, replaced=end.replaced)
    def get_artifact(self, name: str, *, run: str = "", or_kept: bool = False) -> Row:
        """What it is, and its bytes as they come: `info`, `bytes`. Read to their end without an
        error, they are what was put. Without `run`: one that is kept; `or_kept`: or else such."""
        ref = wire.ArtifactRef.encode({"name": name, "run": run, "or_kept": or_kept})
        items = self._items(ask.ARTIFACT_GET.opcode, ref)
        info = wire.ArtifactItem.decode(next(item for item in items if item is not None)).info
        return Row(info=info, bytes=self._checked(info, items))
    def _checked(self, info: Row, items: Iterator[Optional[bytes]]) -> Iterator[bytes]:
        digest, told, skip = hashlib.sha256(), 0, 0  # what was told before a break is skipped
        for item in items:
            if item is None: skip = told
            data = b"" if item is None else wire.ArtifactItem.decode(item).data
            data, skip = data[skip:], max(0, skip - len(data))
            told += len(data)
            digest.update(data)
            if data: yield data
        if (told, digest.hexdigest()) != (info.size, info.sha256):
            found = f"{told} bytes came with the SHA-256 {digest.hexdigest()}, not {info.size}"
            raise InternalError(f"Cannot use artifact {info.name}: {found} with {info.sha256}")
    def artifacts(self, run: Optional[str] = None, kept: bool = False) -> list[Row]:
        """Those of a run, those that are kept by name, or all."""
        return self._pages(ask.ARTIFACTS, run=run, kept=kept).rows
    def remove_artifact(self, name: str, run: str = "", by: str = "") -> Row:
        return self._ask(ask.REMOVE_ARTIFACTS, ref={"name": name, "run": run}, by=by)
    def collect_artifacts(self, older: Union[str, float] = 0, *, kept: bool = False,
                          dry_run: bool = False, by: str = "") -> Row:
        """Removes those of runs that are over, and with `kept` those that live by name: all of
        them, or those that are `older` (seconds, or a text as in "30d")."""
        keys = {"older_ms": Keys("gc", {"older": older}, "older").ms("older", 0), "kept": kept}
        return self._ask(ask.REMOVE_ARTIFACTS, **keys, dry_run=dry_run, by=by)
    def kv(self, *args: Any) -> Any:
        """A command for the store, by way of the master: `titan.kv("INCR", "visits")`."""
        harmless, words = args[0] in ("GET", "SMEMBERS"), [bytes_of(arg) for arg in args]
        return unless_error(read_reply(io.BytesIO(self._ask(ask.KV, harmless, args=words).resp)))
# ── Titan 1 ───────────────────────────────────────────────────────────────────────────────────────
GATE_KEY, GATE_ID = "titan:hitl:status:", "hitl-gate-"
TITAN_1 = {"WAITING": "COMPLETED", "FAILED": "DEAD", "SKIPPED": "DEAD"}  # its words for our states

class TitanJob:
    """A script, which is read now, and its place in a DAG. `delay` is in milliseconds."""
    def __init__(self, job_id: str, filename: str, job_type: str = "RUN_PAYLOAD", args: str = "",
                 parents: Iterable[str] = (), port: int = 0, is_archive: bool = False,
                 priority: int = 1, delay: int = 0, affinity: bool = False,
                 requirement: str = "GENERAL", hitl_message: Optional[str] = None,
                 max_wait_seconds: int = 172800) -> None:
        vars(self).update({name: item for name, item in locals().items() if name != "self"})
        self.id, self.parents, self.content = job_id, list(parents or ()), b""
        if not is_archive:
            with open(filename, "rb") as file: self.content = file.read()
    def keys(self, file: str) -> dict[str, Any]:
        """As a job of a pipeline: one that ends had four attempts, without a pause, and a day."""
        kind = {"retry": {"max_attempts": 4, "delay": 0}, "timeout": "1d"}
        if self.job_type in ("SERVICE", "DEPLOY_PAYLOAD"):
            kind = {"type": "service", "port": self.port or None}
        gate = {"hitl_message": self.hitl_message, "max_wait_seconds": self.max_wait_seconds}
        if self.hitl_message: kind.update(gate)
        args, action = (self.args or "").split(), {"file": file}
        if self.is_archive:  # starts in the folder of its file, as it did
            program = ["bash"] if file.endswith(".sh") else ["python3", "-u"]
            words = [*program, os.path.basename(file), *args]
            script = ["sh", "-c", 'cd "$0" && exec "$@"', os.path.dirname(file)]
            action = {"command": [*script, *words]}
        else: action["args"] = args
        return {"id": self.id, **action, **kind,
                "needs": self.parents, "priority": self.priority, "delay": self.delay / 1000,
                "requirement": self.requirement, "affinity": bool(self.affinity and self.parents)}

class TitanClient:
    """An id, with or without DAG-, means our last run of that job, else anybody's. What is refused
    or out of reach is a TitanError, where the original lost a job or returned words."""
    def __init__(self) -> None: self._runs: dict[str, str] = {}
    @functools.cached_property
    def titan(self) -> Client:
        old = f'{os.environ.get("TITAN_HOST", "127.0.0.1")}:{os.environ.get("TITAN_PORT", "9090")}'
        return Client(os.environ.get("TITAN_MASTER") or old)
    def submit_dag(self, name: str, jobs: list[TitanJob], agent_run_id: Any = None) -> str:
        """`agent_run_id` grouped what the dashboard showed, and does nothing here."""
        entries: Entries = {}
        keys = []
        for each in jobs:
            file, entry = os.path.basename(each.filename), (FILE, each.content)
            if each.is_archive:
                file = each.filename
                entries.update(self._unzipped(file.split("/")[0]))
                if file not in entries: raise PipelineError(f'Cannot run "{each.id}": no {file}')
            elif entries.setdefault(file, entry) != entry:  # another script of that name
                entries[each.id], file = (FOLDER, b""), f"{each.id}/{file}"
                entries[file] = entry
            keys.append(each.keys(file))
        definition = {"name": re.sub(r"[^\w.-]+", "-", name), "jobs": keys}
        run = self.titan.submit(definition, project_dir=entries).run
        self._runs.update((each.id, run) for each in jobs)
        return "DAG_ACCEPTED"
    def submit_job(self, job: TitanJob) -> str: return self.submit_dag(job.id, [job])
    def submit_yaml(self, path: str, agent_run_id: Optional[str] = None, wait: bool = False,
                    poll_interval: float = 2, timeout: float = 300) -> Union[str, bool]:
        """The titan program reads it, and ships the folder around it. False: it is not over yet."""
        program = os.environ.get("TITAN_CLI") or shutil.which("titan")
        if program is None:
            raise NotSupportedError("Cannot read YAML: titan is not on PATH, nor in TITAN_CLI")
        words = ["run", path, "--detach", "--json", "--master", self.titan.master]
        done = subprocess.run([*shlex.split(program), *words], capture_output=True, text=True)
        if done.returncode != 0: raise PipelineError(done.stderr.strip() or done.stdout.strip())
        try: wait and self.titan.wait(json.loads(done.stdout)["id"], timeout)
        except DeadlineError: return False
        return "DAG_ACCEPTED"
    def _find(self, job_id: str) -> Optional[Row]:
        name = re.sub(f"^(DAG-)?({GATE_ID})?", "", job_id)
        latest = sorted(self.titan.runs(), key=lambda run: -run.submitted_at)[:100]
        for run in [self._runs[name]] if name in self._runs else [run.id for run in latest]:
            try: return Row(self.titan.status(run, name).jobs[0], run=run)
            except NotFoundError: continue
        return None
    def get_job_status(self, job_id: str) -> str:
        """PENDING, RUNNING, COMPLETED, DEAD, CANCELLED, or NULL. A gate is the job hitl-gate-ID."""
        job = self._find(job_id)
        if job is None: return "NULL"
        if GATE_ID in job_id and job.decision is None:
            return "RUNNING" if job.status == "WAITING" else "PENDING"
        if GATE_ID in job_id: return "COMPLETED" if job.decision.approved else "DEAD"
        is_ready = job.service is not None and job.service.phase == "READY"
        return "COMPLETED" if job.decision or is_ready else TITAN_1.get(job.status, job.status)
    def fetch_logs(self, job_id: str) -> str:
        """The last hundred lines of all attempts."""
        job = self._find(job_id) or Row(attempt=0)
        data = b"".join(piece.data for attempt in range(1, job.attempt + 1)
                        for piece in self.titan.logs(job.run, job.id, attempt))
        return "\n".join(data.decode("utf-8", "replace").splitlines()[-100:])
    def stop_service(self, service_id: str) -> str:
        if not service_id: raise ValueError("Cannot stop a service: its id is empty")
        job = self._find(service_id)
        try: self.titan.stop(f"{job.run}/{job.id}" if job else service_id)
        except NotFoundError as error: return f"ERROR: {error}"
        return f"STOPPED: DAG-{job.id if job else service_id}"
    def store_put(self, key: str, value: str) -> str:
        """A gate is answered by APPROVED or REJECTED under its key."""
        job = self._find(key[len(GATE_KEY):]) if key.startswith(GATE_KEY) else None
        if job is not None and value in ("APPROVED", "REJECTED"):
            self.titan.approve(f"{job.run}/{job.id}", approve=value == "APPROVED")
        self.titan.store.set(f"user:{key}", value)  # as the older dialect keeps it
        return "OK"
    def store_get(self, key: str) -> str:
        if key.startswith(GATE_KEY) and self.get_job_status(key[len(GATE_KEY):]) == "RUNNING":
            return "WAITING"
        value = self.titan.store.get(f"user:{key}")
        return "NULL" if value is None else value
    def store_sadd(self, key: str, member: str) -> int:
        return self.titan.store.sadd(f"user:{key}", member)
    def store_smembers(self, key: str) -> list[str]: return self.titan.store.smembers(f"user:{key}")
    # files: artifacts that are kept by their names
    def upload_file(self, filepath: str) -> str:
        if not os.path.isfile(filepath): return f"ERROR: File not found at: {filepath}"
        self.titan.put_artifact(os.path.basename(filepath), pathlib.Path(filepath), keep=True)
        return "UPLOAD_SUCCESS"
    def deploy_script(self, filepath: str) -> str:
        """As upload_file: a job brings its own script."""
        return self.upload_file(filepath).replace("UPLOAD_", "DEPLOY_")
    def upload_project_folder(self, folder_path: str, project_name: Optional[str] = None) -> str:
        """As NAME.zip. A job of it: TitanJob(filename="NAME.zip/main.py", is_archive=True)."""
        if not os.path.isdir(folder_path): return f"ERROR: Folder not found at: {folder_path}"
        name, data = project_name or os.path.basename(os.path.abspath(folder_path)), io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted(pathlib.Path(folder_path).rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    file.write(path, path.relative_to(folder_path))
        self.titan.put_artifact(f"{name}.zip", data.getvalue(), keep=True)
        return "UPLOAD_SUCCESS"
    def _unzipped(self, name: str) -> Entries:
        try: data = b"".join(self.titan.get_artifact(name).bytes)
        except NotFoundError as error:
            raise PipelineError(f"Cannot run jobs of {name}: {error}") from error
        entries: Entries = {}
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            for each in file.infolist():
                path = pathlib.PurePosixPath(name, each.filename)
                if ".." in path.parts or each.filename.startswith("/"):
                    raise PipelineError(f"Cannot use {name}: {each.filename} would leave it")
                entries.update((str(folder), (FOLDER, b"")) for folder in [*path.parents][:-1])
                entries[str(path)] = (FOLDER, b"") if each.is_dir() else (FILE, file.read(each))
        return entries
    def fetch_artifact(self, filename: str, save_path: Optional[str] = None) -> bool:
        """False: there is none."""
        try: pieces = self.titan.get_artifact(filename).bytes
        except NotFoundError: return False
        with open(save_path or filename, "wb") as file: file.writelines(pieces)
        return True
    def publish_artifact(self, key: str, filename: str) -> bool:
        """Uploads a file, and keeps its name under a key of the store."""
        if self.upload_file(filename) != "UPLOAD_SUCCESS": return False
        return self.store_put(key, os.path.basename(filename)) == "OK"
    def get_artifact(self, key: str, save_path: Optional[str] = None) -> bool:
        name = self.store_get(key)
        return (name not in ("", "NULL", "CLEARED")
                and self.fetch_artifact(name, save_path or f"/tmp/{name}"))
