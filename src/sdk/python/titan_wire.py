"""The protocol of Titan (TITAN_PROTO 2) in Python, from the bytes up: errors · a frame (lesson 01)
· a message (lesson 02) · the messages of a master, and its requests · a connection (lesson 04).
titan.py is a client made of it.

    connection = Connection(("127.0.0.1", 9090), timeout=5)
    hello = wire.Hello.encode({"protocol": 2, "role": "client"})
    print(wire.Welcome.decode(next(connection.start(ask.HELLO.opcode, hello).items())).version)

Invariant: bytes that are no frame or no message are refused.
Left out: limits of single fields, which the master checks.
Test: test/sdk.python.test.ts, which runs test/python
"""
import queue, re, socket, struct, threading, time, zlib
from typing import Any, Callable, Iterable, Iterator, NamedTuple, Optional
# ── errors ────────────────────────────────────────────────────────────────────────────────────────
class TitanError(Exception):
    """Whatever goes wrong. `code` is for programs. `retryable`: the same may succeed later."""
    code, retryable = "ERROR", False
    def __init_subclass__(cls) -> None:  # NotFoundError is NOT_FOUND
        cls.code = re.sub("(?<!^)(?=[A-Z])", "_", cls.__name__[:-5]).upper()
class ClosedError(TitanError): retryable = True  # the connection is gone; was it carried out?
class DeadlineError(TitanError): retryable = True  # no answer in time; the same doubt
class CancelledError(TitanError): """Nobody wants the answer any more."""
class OverloadedError(TitanError): retryable = True  # the master has not begun with it
class TooLargeError(TitanError): """It will be as large next time."""
class BadFrameError(TitanError): """The peer broke the protocol."""
class BadRequestError(TitanError): """A frame was good, and the message in it was not."""
class UnauthorizedError(TitanError): """The token is missing or wrong."""
class NotFoundError(TitanError): """There is no such run, job, gate or service."""
class ConflictError(TitanError): """It contradicts what already happened."""
class InvalidError(TitanError): """Well-formed and refused: the pipeline has a cycle, say."""
class UnschedulableError(TitanError): """No worker could ever run this."""
class UnsupportedError(TitanError): """The peer does not know this."""
class InternalError(TitanError): """A bug, or trouble with a disk, on the other side."""
class BudgetError(TitanError): """The budget of an agent run is used up."""
class LimitError(TitanError): """A limit that no budget raises."""
CODES = TitanError.__subclasses__()  # in the order of their bytes on the wire, from 1
class ConnectError(TitanError): retryable = True  # nobody answers there, or it is no master
class PipelineError(TitanError, ValueError): """A pipeline that says what nobody could do."""
class StoreError(TitanError): """The store said no. `code` is its own: WRONGTYPE, ERR, …"""
class NotSupportedError(TitanError, NotImplementedError): """The original has it, we do not yet."""
# ── a frame ───────────────────────────────────────────────────────────────────────────────────────
VERSION, MAX_BODY_BYTES, HEADER_BYTES = 2, 8 * 1024 * 1024, 16
HEAD, U32 = struct.Struct(">BBBBII"), struct.Struct(">I")  # version opcode flags 0 id length; crc
Frame = NamedTuple("Frame", [("opcode", int), ("flags", int), ("request_id", int), ("body", bytes)])
def encode_frame(opcode: int, flags: int = 0, request_id: int = 0, body: bytes = b"") -> bytes:
    if len(body) > MAX_BODY_BYTES:
        raise TooLargeError(f"Cannot write frame: length {len(body)} exceeds {MAX_BODY_BYTES}")
    head = HEAD.pack(VERSION, opcode, flags, 0, request_id, len(body))
    return b"".join((head, U32.pack(zlib.crc32(body, zlib.crc32(head))), body))  # of both

class Frames:
    """Bytes in, frames out, in whatever pieces the bytes come."""
    def __init__(self) -> None: self._bytes = bytearray()
    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The frames that are whole now. After an error nobody knows where the next one begins."""
        data, at = self._bytes, 0
        data += chunk
        while at < len(data):
            if data[at] != VERSION:  # a stranger that speaks HTTP is known by its first byte
                raise BadFrameError(f"Cannot read frame: version {data[at]}, expected {VERSION}")
            if len(data) - at < HEADER_BYTES: break
            _, opcode, flags, zero, request_id, length = HEAD.unpack_from(data, at)
            if zero != 0 or length > MAX_BODY_BYTES:
                raise BadFrameError(f"Cannot read frame: reserved byte {zero}, length {length}")
            begin, end = at + HEADER_BYTES, at + HEADER_BYTES + length
            if len(data) < end: break
            body, said = bytes(data[begin:end]), data[at + HEAD.size:begin]
            crc = U32.pack(zlib.crc32(body, zlib.crc32(data[at:at + HEAD.size])))
            if crc != said:
                raise BadFrameError(f"Cannot read frame: checksum {crc.hex()}, not {said.hex()}")
            at = end
            yield Frame(opcode, flags, request_id, body)
        del data[:at]
# ── a message ─────────────────────────────────────────────────────────────────────────────────────
# A message turns the plain errors of its parts into a BadRequestError that names the field.
VARINT, FIXED64, BYTES = 0, 1, 2  # seven bits a byte, lowest first; eight bytes; length and bytes
CODEC_ERRORS = (ValueError, LookupError, TypeError, AttributeError, struct.error)

class Row(dict):
    """A message that was read: `run.status` is short for `run["status"]`."""
    def __getattr__(self, name: str) -> Any:
        if name in self: return self[name]
        raise AttributeError(f"there is no {name} among {', '.join(self)}")

class Reader:
    def __init__(self, data: bytes) -> None: self.data, self.at = data, 0
    def varint(self) -> int:
        value = 0
        for shift in range(0, 56, 7):
            byte, self.at = self.data[self.at], self.at + 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80: break
        if byte < 0x80 and (byte > 0 or shift == 0) and value < 2 ** 53: return value
        raise ValueError("number is padded with zeros, or exceeds 2^53-1")
    def take(self, count: int) -> bytes:
        part = self.data[self.at:self.at + count]
        self.at += count
        if len(part) == count: return part
        raise ValueError(f"length {count} exceeds the {len(part)} bytes left")
    def part(self) -> bytes: return self.take(self.varint())
    def key(self, before: int) -> int:
        """The number and the wire type of the next field. Numbers only go up; 0 ends them."""
        key = self.varint()
        if key == 0 or key >> 3 > before >> 3: return key
        raise ValueError(f"field {key >> 3} follows field {before >> 3}")
    def skip(self, key: int) -> int:
        """Steps over a field of a newer peer: its wire type is all that we know of it."""
        {VARINT: self.varint, FIXED64: lambda: self.take(8), BYTES: self.part}[key & 7]()
        return self.key(key)

class Type:
    """How values travel. `absent` makes one for a field that is not there; else it must be."""
    def __init__(self, wire: int, put: Callable, get: Any = None, absent: Any = None) -> None:
        self.wire, self.put, self.get, self.absent = wire, put, get, absent
def put_varint(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
def put_signed(out: bytearray, value: int) -> None:
    size, first = abs(value), (abs(value) & 63) << 1 | (value < 0)  # six bits, and the sign below
    out.append(first if size < 64 else first | 0x80)
    if size >= 64: put_varint(out, size >> 6)
def put_bytes(out: bytearray, value: bytes) -> None:
    put_varint(out, len(value))
    out += value
def one_of(*names: str) -> Type:
    return Type(VARINT, lambda out, value: put_varint(out, names.index(value)),
                lambda reader: names[reader.varint()])
def list_of(item: Type) -> Type:
    def put(out: bytearray, values: Iterable) -> None:
        part = bytearray()
        for value in values: item.put(part, value)
        put_bytes(out, part)
    def get(reader: Reader) -> list:
        part, values = Reader(reader.part()), []
        while part.at < len(part.data): values.append(item.get(part))
        return values
    return Type(BYTES, put, get, list)
def get_map(reader: Reader) -> dict[str, str]:
    texts = list_of(TEXT).get(reader)
    return dict(zip(texts[::2], texts[1::2]))
TEXT = Type(BYTES, lambda out, text: put_bytes(out, text.encode()), lambda r: r.part().decode())
PLAIN = {
    "u": Type(VARINT, put_varint, Reader.varint), "i": Type(VARINT, put_signed),
    "f": Type(FIXED64, lambda out, value: out.extend(struct.pack(">d", value))),
    "b": Type(VARINT, lambda out, yes: out.append(bool(yes)), lambda r: (False, True)[r.varint()]),
    "m": Type(BYTES, lambda out, env: list_of(TEXT).put(out, sum(env.items(), ())), get_map, dict),
    "t": TEXT, "r": Type(BYTES, put_bytes, Reader.part)}

class Message(Type):
    def __init__(self, name: str, fields: list[tuple[int, str, Type]]) -> None:
        super().__init__(BYTES, lambda out, value: put_bytes(out, self.encode(value)),
                         lambda reader: self.decode(reader.part()))
        self.name = name
        self.fields = [(number, number << 3 | kind.wire, key, kind) for number, key, kind in fields]
    def encode(self, value: dict[str, Any]) -> bytes:
        out, name, item = bytearray(), "", value
        try:
            for _, key, name, kind in self.fields:
                item = value.get(name)
                if item is None and kind.absent is None: raise ValueError("it must be there")
                if item is None or (not item and kind.absent in (list, dict)): continue
                put_varint(out, key)
                kind.put(out, item)
        except CODEC_ERRORS as error:
            found = f"found {repr(item)[:60]} ({error})"
            raise BadRequestError(f"Cannot encode {self.name}.{name}: {found}") from error
        out.append(0)  # without an end, a message cut off between two fields would be one
        return bytes(out)
    def decode(self, data: bytes) -> Row:
        """Merges two ascending lists: the fields that we know, and the keys that are there."""
        value, reader, name = Row(), Reader(data), ""
        try:
            key = reader.key(0)
            for number, own, name, kind in self.fields:
                while key != 0 and key >> 3 < number: key = reader.skip(key)
                if key == own:
                    value[name] = kind.get(reader)
                    key = reader.key(key)
                elif key >> 3 == number or kind.absent is None:
                    raise ValueError("it is of another wire type, or missing")
                else: value[name] = kind.absent()
            while key != 0: key = reader.skip(key)
            if reader.at != len(data): raise ValueError(f"{len(data) - reader.at} bytes left over")
        except CODEC_ERRORS as error:
            raise BadRequestError(f"Cannot decode {self.name}.{name}: {error}") from error
        return value
class Variants(Type):
    """One message out of several, which `type` names: a tag, then its fields."""
    def __init__(self, name: str, fields: list[tuple[int, str, Any]]) -> None:
        super().__init__(BYTES, lambda out, value: put_bytes(out, self.encode(value)),
                         lambda reader: self.decode(reader.part()))
        self.name, self.tags = name, {name: (tag, message) for tag, name, message in fields}
        self.names = {tag: (name, message) for tag, name, message in fields}
    def encode(self, value: dict[str, Any]) -> bytes:
        tag, message = self.tags[value["type"]]
        return bytes((tag,)) + message.encode(value)
    def decode(self, data: bytes) -> Row:
        if data[0:1] and data[0] in self.names:
            name, message = self.names[data[0]]
            return Row(message.decode(data[1:]), type=name)
        raise BadRequestError(f"Cannot decode {self.name}: {data[:1].hex() or 'nothing'} is no tag")
def read_schema(text: str, known: Optional[dict[str, Any]] = None) -> Row:
    """`Name(field type, …)`: fields count from 1, or from a number in front. `Name|(…)`: one of
    those messages. u, i: integers, f: double, b: boolean, t: text, r: bytes, m: map of texts, A|B:
    one of these. Behind it, `?`: may be missing, `=`: is then empty, `*`: a list."""
    types, empty = Row(PLAIN if known is None else known), {"t": str, "b": bool, "u": int}
    for name, body in re.findall(r"(\S+?)\(([^)]*)\)", text):
        number, fields = 0, []
        for field in filter(None, body.split(",")):
            *at, key, kind = field.split()
            number = int(at[0]) if at else number + 1
            base, mark = re.fullmatch(r"(.*?)([?=*]?)", kind).groups()
            inner = types[base] if base in types else one_of(*base.split("|"))
            absent = (lambda: None) if mark == "?" else empty[base] if mark == "=" else None
            fields.append((number, key, list_of(inner) if mark == "*" else inner if not absent
                           else Type(inner.wire, inner.put, inner.get, absent)))
        types[name.strip("|")] = (inner if "is " in body else Variants(name[:-1], fields)
                                  if "|" in name else Message(name, fields))
    return types
wire = read_schema("""
Hello(protocol u, role client|worker, token t?, version t=)   Welcome(protocol u, version t)
FileAction(file t, args t*)   ShellAction(script t, shell sh|bash|python3|node?)
CommandAction(argv t*)   CallAction(target t, input r)   BlobPut(hash t, total u, offset u, data r)
Action|(file FileAction, command CommandAction, shell ShellAction, call CallAction)
Retry(max_attempts u, delay_ms u, backoff f, max_delay_ms u, jitter f)
FormField(name t, type text|number|choice|boolean, label t=, choices t*, default t?, required b=)
Webhook(url t)   Notify|(command CommandAction, webhook Webhook)   TcpCheck()   HttpCheck(path t)
GateRules(form FormField*, approvers t*, required u?, on_timeout reject|approve|skip?, self_approval
  b?, 52 notify Notify?)   Gate(message t, max_wait_ms u, rules GateRules?)
Check|(tcp TcpCheck, http HttpCheck, command CommandAction)
Restart(policy always|on-failure|never, delay_ms u, backoff f, max_delay_ms u, attempts u,
  window_ms u)
Service(name t, deployed b=, port u?, check Check, interval_ms u, timeout_ms u, healthy_after u,
  unhealthy_after u, start_period_ms u, restart Restart, stop_grace_ms u)
JobInput(job u, path t, to t?)   JobFiles(outputs t*, inputs JobInput*)
JobSpec(id t, action Action, depends_on u*, requirement t*, priority i?, delay_ms u?, affinity u?,
  when success|failure|always?, timeout_ms u?, retry Retry?, env m, gate Gate?, 30 service Service?,
  60 files JobFiles?)   AddJobs(run t, jobs JobSpec*)   Budget(jobs u?, depth u?, fan_out u?,
  steps u?, tokens u?, usd_micros u?, deadline_ms u?)   Agent(id t?, budget Budget?)
PipelineSpec(name t, version t?, project t?, jobs JobSpec*, 60 agent Agent?)
Submit(spec r?, spec_blob t?, key t?, strict b=, by t?)   BlobRef(hash t)   BlobHas(present b)
Submitted(run t, existing b=, warnings t*, forgotten b=, 40 replaces t=)   Affected(jobs u)
JobStatus(is PENDING|RUNNING|WAITING|COMPLETED|FAILED|DEAD|CANCELLED|SKIPPED)
Failure(kind exit|signal|timeout|not-found|not-executable|unsupported|bad-input|worker-lost|\
rejected|cancelled|internal|unhealthy|port-taken, message t, exit_code u?, signal t?)
Decision(approved b, by t, comment t, at u, already b=, skipped b?, values m, missing u?)
LostOutput(bytes u, why t)   GateVote(by t, comment t=, values m, at u)   JobRef(run t, job t?)
ServiceInfo(name t, phase STARTING|READY|UNHEALTHY|RESTARTING|STOPPED|FAILED, since u, reason t=,
  host t=, port u=, pid u=, restarts u=)  DecideGate(gate t, approve b, by t=, comment t=, values m)
RunStatus(is RUNNING|COMPLETED|FAILED|CANCELLED|SERVING|PAUSED)   RetryRun(run t, from t?,
  60 accept_changed b?)   RunInfo(id t, name t, status RunStatus, submitted_at u, ended_at u?,
  counts u*, cancelling b=)   StatusRequest(run t, job t?, 75 only t*)
JobInfo(index u, id t, status JobStatus, attempt u, worker t=, started_at u?, ended_at u?,
  failure Failure?, reason t=, depends_on u*, result r?, cancelling b=, decision Decision?,
  stopped_at u?, retry_at u?, lost_output LostOutput?, 30 service ServiceInfo?)
JobChange(index u, status JobStatus, attempt u=, worker t=, at u, failure Failure?, cancelling b=,
  reason t=, retry_at u?, lost_output LostOutput?, 30 service ServiceInfo?)
StatusPage(run RunInfo?, jobs JobInfo*, parents t*)   KvRequest(args r*)   KvReply(resp r)
WatchPage(reset b=, run RunInfo?, jobs JobInfo*, changes JobChange*)
OutputRequest(run t, job t, attempt u=, follow b=)   RunPage(rows RunInfo*)
OutputChunk(stream stdout|stderr, at u, data r, dropped u?)   OutputPage(chunks OutputChunk*)
WorkerJob(run t, job t, attempt u, started_at u, service t?,
  phase STARTING|READY|UNHEALTHY|RESTARTING|STOPPED|FAILED?)
WorkerInfo(id u, name t, tags t*, slots u, running u, remote t=, joined_at u, connected b,
  version t=, draining b=, beat_late_ms u?, beat_late_max_ms u?, 30 pool t?, 60 heard_ms u?,
  jobs WorkerJob*)
GateInfo(id t, message t, opened_at u, deadline u, rules GateRules?, votes GateVote*, result r?,
  submitter t=)   ServiceRef(name t, by t=)   ServicesMeant(run t, services t*, replicas u,
  called_off t?, let_go b?)   GatePage(rows GateInfo*)
ServiceRow(name t, run t, job t, deployed b, status JobStatus, worker t=, attempt u=,
  service ServiceInfo?, reason t=, last_failure Failure?, started_at u?, 40 version u=, current b?,
  leaving b=)   WorkerPage(rows WorkerInfo*)   ServicePage(rows ServiceRow*)
ScaleService(name t, replicas u, by t=)   RollbackService(name t, update_ms u?, by t=, key t?)
Scaled(run t, service t, before u, replicas u, added t*, stopped t*)
RolledBack(run t, replaces t=, like t)   Drained(id u, name t, running u)   Empty()
DrainWorker(worker t, undo b=)   DeadLetter(run t, job t, attempts u, failures u, losses u,
  failure Failure?, ended_at u, forgotten b=)   DeadPage(rows DeadLetter*)
InfoRequest(hash b=)   Why(run t, jobs u*)
Info(version t, pid u, started_at u, state t, next_seq u, runs u, workers u, state_hash t=, now u=,
  refused u=, full t=, letters_dropped u=)   JobReason(index u,
  kind parents|time|worker|slots|person|start|jobs, reason t)   Reasons(rows JobReason*)
LaunchInfo(name t, state starting|running|retiring|stopping, ordered_at u, handle t=, reason t=,
  pool t)   PoolInfo(name t, tags t*, slots u, min u, max u, wanted u, running u, starting u,
  leaving u, why t, driver process|command, failures u, last_failure t=)   Launched(name t)
PoolPage(pools PoolInfo*, launches LaunchInfo*)   LaunchWorker(pool t, by t=)
RetireWorker(worker t, by t=)   Retired(name t, pool t, running u)   AgentRef(name t)
Limits(jobs u?, depth u?, fan_out u?, steps u?, tokens u?, usd_micros u?, deadline_at u?)
Spent(jobs u=, steps u=, tokens u=, usd_micros u=)   Reserve(tokens u=, usd_micros u=)
AgentInfo(id t, status RunStatus, started_at u, ended_at u?, limits Limits, used Spent,
  reserved Reserve, runs u, counts u*, questions u=, reason t=)   AgentList(rows AgentInfo*)
AgentJob(run t, index u, id t, status JobStatus, attempt u=, started_at u?, ended_at u?,
  spawner u?, stage t=, reason t=, steps u=, tokens u=, usd_micros u=)
AgentPage(agent AgentInfo?, runs RunInfo*, jobs AgentJob*)   AgentCancelled(group t, runs u, jobs u)
BudgetChange(what jobs|depth|fan_out|steps|tokens|usd|deadline, amount u, add b=)
RaiseBudget(group t, changes BudgetChange*, by t=)   BudgetNow(group t, limits Limits)
Usage(model t=, tokens_in u=, tokens_out u=, usd_micros u=, ms u=)   Blob(sha256 t, size u)
StepsOf(run t, job t?)   StepInfo(name t, ordinal u, job t, status STARTED|DONE|FAILED,
  effect read|idempotent|once, attempt u, started_at u, ended_at u?, input_hash t, result r?,
  blob Blob?, failure t=, usage Usage?, order u)   StepPage(rows StepInfo*)
ForkSet(step t, result r)   ForkRun(run t, from t, set ForkSet*, by t=)   Forked(run t, steps u)
ArtifactInfo(name t, sha256 t, size u, at u, by_run t=, by_job t=, by_attempt u=, by t=, 20 run t=)
ArtifactHead(name t, run t?, job t?, attempt u?, keep b=, by t=, size u?,
  output b=)
ArtifactPut(upload u, offset u, 4 head ArtifactHead?, sha256 t?, last b=, 100 data r)
ArtifactPutAnswer(done ArtifactInfo?, replaced ArtifactInfo?)   ArtifactsAsked(run t?, kept b=)
ArtifactRef(name t, run t=, or_kept b=)   ArtifactItem(info ArtifactInfo?, data r)
ArtifactPage(rows ArtifactInfo*)   ArtifactsRemoved(artifacts ArtifactInfo*, more b=, freed_bytes u,
  used_bytes u, max_bytes u)   RemoveArtifacts(ref ArtifactRef?, older_ms u=, kept b=, dry_run b=,
  by t=)
""")
Request = NamedTuple("Request", [("opcode", int), ("question", Message), ("answer", Any)])
def read_requests(text: str, types: Row) -> Row:
    """`NAME opcode question answer`: what is asked, and what each part of the answer is."""
    found = re.findall(r"(\w+) (\d+) (\w+) (\w+)", text)
    return Row({name: Request(int(opcode), types[question], types[answer])
                for name, opcode, question, answer in found})
ask = read_requests("""
HELLO 1 Hello Welcome         SUBMIT 2 Submit Submitted      RUNS 3 Empty RunPage
STATUS 4 StatusRequest StatusPage   WATCH 5 JobRef WatchPage   LOGS 6 OutputRequest OutputPage
CANCEL 7 JobRef Affected      RETRY 8 RetryRun Affected      ADD_JOBS 16 AddJobs Affected
WORKERS 9 Empty WorkerPage    GATES 10 Empty GatePage        DECIDE 11 DecideGate Decision
BLOB_HAS 12 BlobRef BlobHas   BLOB_PUT 13 BlobPut Empty      KV 20 KvRequest KvReply
INFO 17 InfoRequest Info      DRAIN 18 DrainWorker Drained   DEAD 19 Empty DeadPage
WHY 21 Why Reasons            SERVICES 22 Empty ServicePage  STOP 23 ServiceRef ServicesMeant
RESTART 24 ServiceRef ServicesMeant   SCALE 27 ScaleService Scaled   POOLS 28 Empty PoolPage
ROLLBACK 31 RollbackService RolledBack   LAUNCH 29 LaunchWorker Launched
RETIRE 30 RetireWorker Retired           STEPS 98 StepsOf StepPage    FORK 107 ForkRun Forked
AGENTS 104 Empty AgentList    AGENT 105 AgentRef AgentPage   BUDGET 106 RaiseBudget BudgetNow
CANCEL_AGENT 108 AgentRef AgentCancelled   ARTIFACT_PUT 48 ArtifactPut ArtifactPutAnswer
ARTIFACT_GET 49 ArtifactRef ArtifactItem   ARTIFACTS 50 ArtifactsAsked ArtifactPage
REMOVE_ARTIFACTS 51 RemoveArtifacts ArtifactsRemoved
""", wire)
# ── a connection ──────────────────────────────────────────────────────────────────────────────────
REPLY, ERROR, MORE, CANCEL, ONEWAY, CREDIT = 1, 2, 4, 8, 16, 32
WINDOW, STALL_S = 256 * 1024, 30.0  # bytes of a stream under way; longest time to take nothing

class Call:
    """A request under way. `items` are its answers: one, or as many as a stream has."""
    def __init__(self, connection: "Connection", request_id: int, stream: bool) -> None:
        self.connection, self.id, self.stream = connection, request_id, stream
        self.answers: Any = queue.SimpleQueue()
    def items(self, until: Optional[float] = None) -> Iterator[bytes]:
        """Leaving the loop early cancels the request. `until` is a time of time.monotonic()."""
        last, taken = False, 0
        try:
            while not last:
                left = None if until is None else max(0.0, until - time.monotonic())
                last, answer = self.answers.get(timeout=left)
                if isinstance(answer, TitanError): raise answer
                if answer or not (last and self.stream): yield answer  # a stream's end is empty
                taken += HEADER_BYTES + len(answer)
                if taken >= WINDOW // 2 and not last:  # for each item, it would double the frames
                    self.connection.write(encode_frame(0, CREDIT, self.id, U32.pack(taken)))
                    taken = 0
        except queue.Empty:
            raise DeadlineError(f"{self.connection.remote} has not answered in time") from None
        finally:
            if self.connection.calls.pop(self.id, None):
                self.connection.write(encode_frame(0, CANCEL, self.id))

class Connection:
    """Many conversations over one socket, from any number of threads; a thread of its own reads."""
    def __init__(self, address: tuple[str, int], timeout: float) -> None:
        self.remote, self.error = "%s:%d" % address, None
        self.socket = socket.create_connection(address, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(STALL_S)
        self.calls: dict[int, Call] = {}
        self.last_id, self.sending = 0, threading.RLock()
        threading.Thread(target=self._read, name=f"titan {self.remote}", daemon=True).start()
    def start(self, opcode: int, body: bytes, stream: bool = False) -> Call:
        with self.sending:
            self.last_id = self.last_id % 0xFFFF_FFFF + 1
            while self.last_id in self.calls:  # ids start again, and a stream may still hold one
                self.last_id = self.last_id % 0xFFFF_FFFF + 1
            frame = encode_frame(opcode, MORE if stream else 0, self.last_id, body)
            if stream: frame += encode_frame(0, CREDIT, self.last_id, U32.pack(WINDOW))
            call = self.calls[self.last_id] = Call(self, self.last_id, stream)
            self.write(frame)
        return call
    def write(self, frame: bytes) -> None:
        try:
            with self.sending: self.socket.sendall(frame)
        except OSError as error: self.close(ClosedError(f"Connection to {self.remote}: {error}"))
    def _read(self) -> None:
        frames, chunk = Frames(), b"?"
        try:
            while chunk:
                try: chunk = self.socket.recv(64 * 1024)
                except socket.timeout: continue  # a peer that has nothing to say may stay
                for frame in frames.feed(chunk): self._take(frame)
            raise ClosedError(f"Connection to {self.remote}: the other side closed it")
        except OSError as error: self.close(ClosedError(f"Connection to {self.remote}: {error}"))
        except TitanError as error: self.close(error)
    def _take(self, frame: Frame) -> None:
        flags, answer = frame.flags, frame.body
        if flags not in (REPLY, REPLY | ERROR, REPLY | MORE, ONEWAY):  # nobody asks a client
            raise BadFrameError(f"Cannot read from {self.remote}: unexpected flags {flags}")
        if flags & ERROR:  # a byte for the code, then words; unreadable, it is still an error
            known = answer and 1 <= answer[0] <= len(CODES)
            kind = CODES[answer[0] - 1] if known else InternalError
            answer = kind(answer[1:].decode("utf-8", "replace"))
            if frame.request_id == 0: raise answer  # why the connection is about to close
        call = self.calls.get(frame.request_id)  # none: this crossed our CANCEL on its way
        if call is None or flags == ONEWAY: return
        if not flags & MORE: self.calls.pop(frame.request_id, None)
        call.answers.put((not flags & MORE, answer))
    def close(self, error: Optional[TitanError] = None) -> None:
        self.error = self.error or error or ClosedError(f"Connection to {self.remote}: closed here")
        try: self.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads
        except OSError: pass
        self.socket.close()
        while self.calls: self.calls.popitem()[1].answers.put((True, self.error))
