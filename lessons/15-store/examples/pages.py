"""Reads the pages that nobody has read yet, from the first to the last. Speaks RESP over a plain socket."""
import os, socket, time
from urllib.parse import unquote, urlsplit

# #region client
url = urlsplit(os.environ["TITAN_STORE"])
wire = socket.create_connection((url.hostname, url.port)).makefile("rwb")

def kv(*words):
    wire.write(b"*%d\r\n" % len(words))
    for word in words:
        data = str(word).encode()
        wire.write(b"$%d\r\n%s\r\n" % (len(data), data))
    wire.flush()
    return reply()

def reply():
    kind, rest = wire.read(1), wire.readline()[:-2].decode()
    if kind == b"-":
        raise RuntimeError(rest)
    if kind == b"+":
        return rest
    number = int(rest)
    if kind == b":":
        return number
    if number < 0:
        return None
    return [reply() for _ in range(number)] if kind == b"*" else wire.read(number + 2)[:-2].decode()

if url.password:
    kv("AUTH", unquote(url.password))
# #endregion
run = os.environ["TITAN_RUN"]
mine = 0
for page in range(1, 61):
    if kv("SADD", f"{run}:taken", page) == 1:  # 0: somebody has it already
        time.sleep(0.02)  # reading
        mine += 1
        print(f"page {page}; {kv('INCR', f'{run}:read')} of 60 are read")
kv("EXPIRE", f"{run}:taken", 3600)
kv("EXPIRE", f"{run}:read", 3600)
print(f"read {mine} pages")
