"""Titan for Python: one file, the standard library, Python 3.9 or newer. Copy it where you need it.

    from titan import Client, pipeline
    with Client() as titan:                             # the master that TITAN_MASTER names
        answer = pipeline("answer").job("think", run='echo 42 > "$TITAN_OUTPUT"')
        run = titan.submit(answer.job("tell", run='cat "$TITAN_INPUTS"', needs="think")).run
        print(titan.wait(run).status, titan.result(run, "think"))       # COMPLETED 42

It speaks the protocol itself (TITAN_PROTO 2). It reads from the bytes up: errors · a frame (lesson
01) · a message (lesson 02) · a connection (lesson 04) · a pipeline (lesson 17) · a project (lesson
11) · the store (lesson 15) · a client · a job, seen from inside · programs of Titan 1.

Invariants: bytes that are no frame or no message are refused; a request goes out twice only if that
does no harm (a submission has a key). Left out: limits of single fields, which the master checks.
Test: test/sdk.python.test.ts, which runs test/python
"""
import collections, difflib, fnmatch, functools, gzip, hashlib, io, itertools, json, os, queue
import random, re, secrets, shlex, shutil, socket, stat, struct, subprocess, threading, time, zlib
from typing import Any, Callable, Iterable, Iterator, NamedTuple, Optional, Union
from urllib.parse import unquote, urlsplit
__all__ = ["Client", "Store", "TitanClient", "TitanError", "TitanJob", "job", "pipeline"]
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
def variants(fields: list[tuple[int, str, Any]]) -> Type:
    """One message out of several, which `type` names: a tag, then its fields."""
    tags = {name: (tag, message) for tag, name, message in fields}
    def put(out: bytearray, value: dict[str, Any]) -> None:
        tag, message = tags[value["type"]]
        put_bytes(out, bytes((tag,)) + message.encode(value))
    return Type(BYTES, put)
def read_schema(text: str) -> Row:
    """`Name(field type, …)`: fields count from 1, or from a number in front. `Name|(…)`: one of
    those messages. u, i: integers, f: double, b: boolean, t: text, r: bytes, m: map of texts, A|B:
    one of these. Behind it, `?`: may be missing, `=`: is then empty, `*`: a list."""
    types, empty = Row(PLAIN), {"t": str, "b": bool, "u": int}
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
        types[name.strip("|")] = (inner if "is " in body else variants(fields) if "|" in name
                                  else Message(name, fields))
    return types
wire = read_schema("""
Hello(protocol u, role client|worker, token t?, version t=)   Welcome(protocol u, version t)
FileAction(file t, args t*)   ShellAction(script t, shell sh|bash|python3|node?)
CommandAction(argv t*)   CallAction(target t, input r)   BlobPut(hash t, total u, offset u, data r)
Action|(file FileAction, command CommandAction, shell ShellAction, call CallAction)
Retry(max_attempts u, delay_ms u, backoff f, max_delay_ms u, jitter f)
FormField(name t, type text|number|choice|boolean, label t=, choices t*, default t?, required b=)
GateRules(form FormField*, approvers t*, required u?, on_timeout reject|approve|skip?, self_approval
  b?)   Gate(message t, max_wait_ms u, rules GateRules?)   TcpCheck()   HttpCheck(path t)
Check|(tcp TcpCheck, http HttpCheck, command CommandAction)
Restart(policy always|on-failure|never, delay_ms u, backoff f, max_delay_ms u, attempts u,
  window_ms u)
Service(name t, deployed b=, port u?, check Check, interval_ms u, timeout_ms u, healthy_after u,
  unhealthy_after u, start_period_ms u, restart Restart, stop_grace_ms u)
JobSpec(id t, action Action, depends_on u*, requirement t*, priority i?, delay_ms u?, affinity u?,
  when success|failure|always?, timeout_ms u?, retry Retry?, env m, gate Gate?, 30 service Service?)
PipelineSpec(name t, version t?, project t?, jobs JobSpec*)   AddJobs(run t, jobs JobSpec*)
Submit(spec r?, spec_blob t?, key t?, strict b=, by t?)   BlobRef(hash t)   BlobHas(present b)
Submitted(run t, existing b=, warnings t*, forgotten b=, 40 replaces t=)   Affected(jobs u)
JobStatus(is PENDING|RUNNING|WAITING|COMPLETED|FAILED|DEAD|CANCELLED|SKIPPED)
Failure(kind exit|signal|timeout|not-found|not-executable|unsupported|bad-input|worker-lost|\
rejected|cancelled|internal|unhealthy|port-taken, message t, exit_code u?, signal t?)
Decision(approved b, by t, comment t, at u, already b=, skipped b?, values m, missing u?)
LostOutput(bytes u, why t)   GateVote(by t, comment t=, values m, at u)   JobRef(run t, job t?)
ServiceInfo(name t, phase STARTING|READY|UNHEALTHY|RESTARTING|STOPPED|FAILED, since u, reason t=,
  host t=, port u=, pid u=, restarts u=)  DecideGate(gate t, approve b, by t=, comment t=, values m)
RunInfo(id t, name t, status RUNNING|COMPLETED|FAILED|CANCELLED|SERVING|PAUSED, submitted_at u,
  ended_at u?, counts u*, cancelling b=)
JobInfo(index u, id t, status JobStatus, attempt u, worker t=, started_at u?, ended_at u?,
  failure Failure?, reason t=, depends_on u*, result r?, cancelling b=, decision Decision?,
  stopped_at u?, retry_at u?, lost_output LostOutput?, 30 service ServiceInfo?)
JobChange(index u, status JobStatus, attempt u=, worker t=, at u, failure Failure?, cancelling b=,
  reason t=, retry_at u?, lost_output LostOutput?, 30 service ServiceInfo?)
StatusPage(run RunInfo?, jobs JobInfo*, parents t*)   KvRequest(args r*)   KvReply(resp r)
WatchPage(reset b=, run RunInfo?, jobs JobInfo*, changes JobChange*)
OutputRequest(run t, job t, attempt u=, follow b=)   RunPage(rows RunInfo*)
OutputChunk(stream stdout|stderr, at u, data r, dropped u?)   OutputPage(chunks OutputChunk*)
WorkerInfo(id u, name t, tags t*, slots u, running u, remote t=, joined_at u, connected b,
  version t=, draining b=, beat_late_ms u?, beat_late_max_ms u?, 30 pool t?)
GateInfo(id t, message t, opened_at u, deadline u, rules GateRules?, votes GateVote*, result r?,
  submitter t=)   ServiceRef(name t, by t=)   ServicesMeant(run t, services t*, replicas u,
  called_off t?, let_go b?)   GatePage(rows GateInfo*)
ServiceRow(name t, run t, job t, deployed b, status JobStatus, worker t=, attempt u=,
  service ServiceInfo?, reason t=, last_failure Failure?, started_at u?, 40 version u=, current b?,
  leaving b=)   WorkerPage(rows WorkerInfo*)   ServicePage(rows ServiceRow*)
""")
HELLO, SUBMIT, RUNS, STATUS, WATCH, LOGS, CANCEL_JOBS, RETRY, WORKERS, GATES, DECIDE = range(1, 12)
BLOB_HAS, BLOB_PUT, ADD_JOBS, KV, SERVICES, STOP, NO_FIELDS = 12, 13, 16, 20, 22, 23, b"\0"
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
            "env healthcheck restart replicas stop_grace")
SERVICE_KEYS = {"port", "healthcheck", "restart", "replicas", "stop_grace"}
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
               "name version project shell jobs")
    jobs, places, count = [job_keys(each) for each in top.get("jobs", ())], {}, 0
    for keys in jobs:
        places[keys.get("id")] = range(count, count + keys.get("replicas", 1))
        count += keys.get("replicas", 1)
    jobs = [spec for keys in jobs for spec in job_specs(keys, places, top.get("shell"), deploy)]
    return {**{key: top.get(key) for key in ("name", "version")}, "project": project, "jobs": jobs}
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
        "service": service_of(keys, deploy) if kind == "service" else None}
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
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return {"type": "call", "target": keys["call"], "input": text.encode()}
def gate_of(keys: Keys) -> Optional[dict[str, Any]]:
    wait, ask = keys.ms("max_wait_seconds", 172_800_000), keys.get("hitl_message")
    if "hitl" not in keys: return {"message": ask, "max_wait_ms": wait} if ask else None
    own = Keys(f"hitl of {keys.where}", keys["hitl"],
               "message form approvers required timeout on_timeout self_approval")
    form = [{"label": "", "required": False, "type": "choice" if each.get("choices") else "text",
             **each} for each in own.get("form", ())]
    for each in form:  # a value of a form is a text, as a person types it
        value = each.get("default", "")
        if not isinstance(value, str): each["default"] = json.dumps(value)
    rules = {"form": form, "approvers": own.texts("approvers"), "required": own.get("required", 1),
             "on_timeout": own.get("on_timeout", "reject"),
             "self_approval": own.get("self_approval", True)}
    return {"message": own.get("message"), "max_wait_ms": own.ms("timeout", wait), "rules": rules}
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

class Client:
    """A master, over one connection that is opened again when it breaks. Threads may share it.
    `deadline`: seconds that a request may take; `patience`: how long a master may be away."""
    def __init__(self, master: Optional[str] = None, token: Optional[str] = None, *,
                 timeout: float = 5.0, deadline: float = 60.0, patience: float = 30.0) -> None:
        self.master = master or os.environ.get("TITAN_MASTER") or "127.0.0.1:9090"
        self.token = os.environ.get("TITAN_TOKEN") or None if token is None else token
        self.address, self.store, self._left = address_of(self.master), Store(self.kv), False
        self.timeout, self.deadline, self.patience = timeout, deadline, patience
        self._opening, self._session = threading.Lock(), self._open()
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
                call = connection.start(HELLO, wire.Hello.encode(hello))
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
    def _items(self, opcode: int, body: bytes, *, stream: bool = True, twice: bool = True,
               until: Optional[float] = None) -> Iterator[Optional[bytes]]:
        """Answers; None when the connection broke, and they begin anew on the next one."""
        harmless = (OverloadedError, ConnectError, *((ClosedError,) if twice else ()))
        lost, pause = None, 0.1
        while True:
            try:
                with self._opening:
                    if self._left: raise CancelledError("Cannot go on: this client was closed")
                    if self._session.error is not None: self._session = self._open()
                for item in self._session.start(opcode, body, stream).items(until):
                    lost, pause = None, 0.1
                    yield item
                return
            except harmless:
                lost = lost or time.monotonic()
                if time.monotonic() - lost >= self.patience: raise
            time.sleep(pause * (1 + random.random()) / 2)
            pause = min(0.5, 2 * pause)
            yield None
    def _ask(self, opcode: int, body: bytes = NO_FIELDS, twice: bool = True) -> bytes:
        until = time.monotonic() + self.deadline
        items = self._items(opcode, body, stream=False, twice=twice, until=until)
        return next(item for item in items if item is not None)
    def _pages(self, opcode: int, page: Message, body: bytes = NO_FIELDS) -> list[Row]:
        pages: list[Row] = []
        for item in self._items(opcode, body, until=time.monotonic() + self.deadline):
            pages = [] if item is None else [*pages, page.decode(item)]
        return pages
    def submit(self, definition: Definition, *, key: Optional[str] = None, strict: bool = False,
               project_dir: Union[str, Entries, None] = None, deploy: bool = False) -> Row:
        """Once it returns, the run survives any crash. Two submissions with one key are one run."""
        entries = read_folder(project_dir) if isinstance(project_dir, str) else project_dir
        project = None if entries is None else self.put_blob(pack(entries))
        body = self._submission(spec_of(definition, project, deploy), key, strict)
        return wire.Submitted.decode(self._ask(SUBMIT, body))
    def submit_many(self, definitions: Iterable[Definition], window: int = 256) -> Iterator[Row]:
        """Submits without waiting for each answer: `window` are under way. Answers in order."""
        waiting: Any = collections.deque()
        for definition in itertools.chain(definitions, itertools.repeat(None, window)):
            if definition is not None:
                body = self._submission(spec_of(definition))
                waiting.append((body, self._session.start(SUBMIT, body)))
            if len(waiting) >= window or (waiting and definition is None):
                body, call = waiting.popleft()
                try: answer = next(call.items(time.monotonic() + self.deadline))
                except (ClosedError, OverloadedError): answer = self._ask(SUBMIT, body)
                yield wire.Submitted.decode(answer)
    def _submission(self, spec: dict, key: Optional[str] = None, strict: bool = False) -> bytes:
        for each in spec["jobs"]:
            if each["action"]["type"] == "file" and spec["project"] is None:
                raise PipelineError(f'job "{each["id"]}" names a file: say in which project_dir')
        data, key = wire.PipelineSpec.encode(spec), key or f"py-{secrets.token_hex(12)}"
        blob = None if len(data) <= MAX_INLINE_BYTES else self.put_blob(data)
        spec = {"spec_blob": blob} if blob else {"spec": data}
        return wire.Submit.encode({**spec, "key": key, "strict": strict})
    def put_blob(self, data: bytes) -> str:
        """Uploads bytes unless they are there. Their hash is their name."""
        name, total = hashlib.sha256(data).hexdigest(), len(data)
        has = wire.BlobHas.decode(self._ask(BLOB_HAS, wire.BlobRef.encode({"hash": name})))
        for at in range(0, 0 if has.present else total, CHUNK_BYTES):
            piece = {"hash": name, "total": total, "offset": at, "data": data[at:at + CHUNK_BYTES]}
            self._ask(BLOB_PUT, wire.BlobPut.encode(piece), twice=False)
        return name
    def add_jobs(self, run: str, jobs: Union[Pipeline, list[dict[str, Any]]]) -> int:
        """Jobs for a run that goes on; not all at once, if some of them need others."""
        waiting = [job_keys(each) for each in getattr(jobs, "definition", {"jobs": jobs})["jobs"]]
        count = len(waiting)
        while waiting:
            known = {each.id: [each.index] for each in self.status(run).jobs}
            ready = [keys for keys in waiting if {*keys.texts("depends_on", "needs")} <= {*known}]
            specs = [spec for keys in ready or waiting for spec in job_specs(keys, known)]
            self._ask(ADD_JOBS, wire.AddJobs.encode({"run": run, "jobs": specs}), twice=False)
            waiting = [keys for keys in waiting if keys not in ready]
        return count
    def runs(self) -> list[Row]: return self._rows(RUNS, wire.RunPage)
    def gates(self) -> list[Row]: return self._rows(GATES, wire.GatePage)
    def workers(self) -> list[Row]: return self._rows(WORKERS, wire.WorkerPage)
    def services(self) -> list[Row]: return self._rows(SERVICES, wire.ServicePage)
    def _rows(self, opcode: int, page: Message) -> list[Row]:
        return [row for each in self._pages(opcode, page) for row in each.rows]
    def status(self, run: str, job: Optional[str] = None) -> Row:
        """A run and its jobs; or one job of it, and the names of its parents."""
        pages = self._pages(STATUS, wire.StatusPage, wire.JobRef.encode({"run": run, "job": job}))
        return Row(pages[0], jobs=[each for page in pages for each in page.jobs])
    def watch(self, run: str, timeout: Optional[float] = None) -> Iterator[Row]:
        """Events until the run ends: `snapshot` (run, jobs; also after a break), `job`, `run`."""
        until = None if timeout is None else time.monotonic() + timeout
        names, jobs, whole = [], [], False
        for body in self._items(WATCH, wire.JobRef.encode({"run": run}), until=until):
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
    def wait(self, run: str, timeout: Optional[float] = None, to_end: bool = False) -> Row:
        """The run once it is over, or (unless `to_end`) PAUSED, or nothing but services is left."""
        going = ("RUNNING", "SERVING", "PAUSED") if to_end else ("RUNNING",)
        return next(event.run for event in self.watch(run, timeout)
                    if event.type != "job" and event.run.status not in going)
    def result(self, run: str, job: str) -> Any:
        """What a job wrote to TITAN_OUTPUT: a value if that is JSON, else a text; None: nothing."""
        result = self.status(run, job).jobs[0].result
        try: return None if result is None else json.loads(result)
        except ValueError: return result.decode("utf-8", "replace")
    def logs(self, run: str, job: str, attempt: int = 0, follow: bool = False) -> Iterator[Row]:
        """What an attempt printed (0: the latest), in pieces: stream, at, data."""
        attempt = attempt or max(1, self.status(run, job).jobs[0].attempt)
        ask = {"run": run, "job": job, "attempt": attempt, "follow": follow}
        told = skip = 0  # bytes; both streams have one order
        for page in self._items(LOGS, wire.OutputRequest.encode(ask)):
            if page is None: skip = told
            for chunk in wire.OutputPage.decode(page or NO_FIELDS).chunks:
                data, skip = chunk.data[skip:], max(0, skip - len(chunk.data))
                told += len(data)
                if data: yield Row(chunk, data=data)
    def cancel(self, run: str, job: Optional[str] = None) -> int:
        """How many jobs that touched."""
        answer = self._ask(CANCEL_JOBS, wire.JobRef.encode({"run": run, "job": job}))
        return wire.Affected.decode(answer).jobs
    def retry(self, run: str, job: Optional[str] = None) -> int:
        """Another chance for what did not complete, or for a job and all after it."""
        answer = self._ask(RETRY, wire.JobRef.encode({"run": run, "job": job}), twice=False)
        return wire.Affected.decode(answer).jobs
    def approve(self, gate: str, comment: str = "", by: str = "",
                values: Optional[dict[str, str]] = None, approve: bool = True) -> Row:
        """Answers RUN/JOB. `already`: another answer stands. `missing`: so many more are wanted."""
        answer = {"gate": gate, "approve": approve, "by": by, "comment": comment, "values": values}
        return wire.Decision.decode(self._ask(DECIDE, wire.DecideGate.encode(answer)))
    def reject(self, gate: str, comment: str = "", by: str = "") -> Row:
        return self.approve(gate, comment, by, approve=False)
    def stop(self, name: str, by: str = "") -> Row:
        """Ends a service, or those of a RUN, or RUN/JOB, for good."""
        answer = self._ask(STOP, wire.ServiceRef.encode({"name": name, "by": by}))
        return wire.ServicesMeant.decode(answer)
    def kv(self, *args: Any) -> Any:
        """A command for the store, by way of the master: `titan.kv("INCR", "visits")`."""
        body = wire.KvRequest.encode({"args": [bytes_of(arg) for arg in args]})
        reply = self._ask(KV, body, twice=args[0] in ("GET", "SMEMBERS"))
        return unless_error(read_reply(io.BytesIO(wire.KvReply.decode(reply).resp)))
# ── a job ─────────────────────────────────────────────────────────────────────────────────────────
def setting(name: str) -> str:
    if name in os.environ: return os.environ[name]
    raise TitanError(f"Cannot read {name}: this program is no job of a Titan run")

class Job:
    """The job that this program is, from the variables that its worker has set."""
    id = property(lambda self: setting("TITAN_JOB"))
    run = property(lambda self: setting("TITAN_RUN"))
    attempt = property(lambda self: int(setting("TITAN_ATTEMPT")))
    store = functools.cached_property(lambda self: Store.dial(setting("TITAN_STORE")))
    @property
    def inputs(self) -> dict[str, Any]:
        """The results of its parents, by name."""
        with open(os.environ.get("TITAN_INPUTS", os.devnull), encoding="utf-8") as file:
            return json.loads(file.read() or "{}")
    def output(self, value: Any) -> None:
        """The result, for the children: anything that JSON can hold, at most 64 KiB of it."""
        data = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        if len(data) > 64 * 1024: raise TooLargeError("Cannot output more than 64 KiB: use a file")
        with open(setting("TITAN_OUTPUT"), "wb") as file: file.write(data)
    def log(self, *words: Any) -> None: print(*words, flush=True)
    def add(self, jobs: Union[Pipeline, list[dict[str, Any]]]) -> int:
        """More jobs for the run of this one."""
        with Client(setting("TITAN_MASTER")) as titan: return titan.add_jobs(self.run, jobs)
job = Job()
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
        return {"id": self.id, "file": file, "args": (self.args or "").split(), **kind,
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
        entries, keys = {}, []
        for each in jobs:
            if each.is_archive: self.upload_file(each.filename)
            file, entry = os.path.basename(each.filename), (FILE, each.content)
            if entries.get(file, entry) != entry:  # another script of that name
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
    def upload_file(self, *_: Any, **__: Any) -> None:
        raise NotSupportedError("Cannot keep files: there are no artifacts yet (see TITAN_SHARED)")
    deploy_script = upload_project_folder = upload_file
    fetch_artifact = publish_artifact = get_artifact = upload_file
