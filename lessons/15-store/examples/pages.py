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
    kind, rest = wire.read(1), wire.readline()[:-2]
    if kind == b"-":
        raise RuntimeError(rest.decode())
    if kind == b"$":
        return None if rest == b"-1" else wire.read(int(rest) + 2)[:-2].decode()
    return int(rest) if kind == b":" else rest.decode()

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
