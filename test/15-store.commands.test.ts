/**
 * The store's commands, one by one: a script is what a client types, and after => what it reads.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { inspect } from "node:util";
import { seededRandom } from "#host";
import {
  Engine, MAX_BULK_BYTES, MAX_COMMAND_BYTES, Refusal, ReplyBuffer, type Reply,
} from "#store";
import { fixture } from "./15-store.support.ts";

const shown = (reply: Reply): Reply =>
  reply instanceof Refusal ? `-${reply.text}` : Array.isArray(reply) ? reply.map(shown) : reply;

/** Arguments are split at spaces; "" is the empty string. Further lines of a reply are indented. */
function play(script: string, protocol: 2 | 3 = 2): void {
  const { ask } = fixture().client({ protocol });
  for (const entry of script.trim().split(/\n {2}(?! )/)) {
    const [command = "", expected] = entry.replace(/\s+/g, " ").split(/ => (.*)/);
    const reply = ask(...command.split(" ").map((arg) => (arg === '""' ? "" : arg)));
    if (expected !== undefined) {
      assert.equal(
        inspect(shown(reply), { breakLength: Infinity }).replaceAll('"', "'").replace(/\s+/g, " "),
        expected,
        command,
      );
    }
  }
}

test("SET obeys NX, XX, GET, KEEPTTL and its times", () => play(`
  SET k v => 'OK'
  SET k w NX => null
  SET k w XX => 'OK'
  SET new w XX => null
  SET k x GET => 'w'
  SET new x NX GET => null
  GET new => 'x'
  SET k y EX 100 => 'OK'
  TTL k => 100
  SET k z KEEPTTL => 'OK'
  TTL k => 100
  SET k z => 'OK'
  TTL k => -1
  SET k z px 1500 => 'OK'
  PTTL k => 1500
  SET k z EXAT 1704067300 => 'OK'
  EXPIRETIME k => 1704067300
  SET k z PXAT 1704067300123 => 'OK'
  PEXPIRETIME k => 1704067300123
  SET k z PXAT 1 => 'OK'
  EXISTS k => 0
  SET k z NX XX => '-ERR syntax error'
  SET k z EX 1 PX 1 => '-ERR syntax error'
  SET k z EX 1 KEEPTTL => '-ERR syntax error'
  SET k z EX => '-ERR syntax error'
  SET k z EX x => '-ERR value is not an integer or out of range'
  SET k z EX 0 => '-ERR invalid expire time in 'set' command'
  SET k z EX 9223372036854775807 => '-ERR invalid expire time in 'set' command'
  SET k z wat => '-ERR syntax error'
  SET k => '-ERR wrong number of arguments for 'set' command'
`));

test("strings: the rest of the family", () => play(`
  SETNX k a => 1
  SETNX k b => 0
  SETEX k 10 v => 'OK'
  TTL k => 10
  SETEX k 0 v => '-ERR invalid expire time in 'setex' command'
  PSETEX k 10 v => 'OK'
  PTTL k => 10
  GETSET k w => 'v'
  TTL k => -1
  GETDEL k => 'w'
  GETDEL k => null
  MSET a 1 b 2 => 'OK'
  MSET a 1 b => '-ERR wrong number of arguments for 'mset' command'
  MSETNX b 9 c 9 => 0
  MSETNX c 3 d 4 => 1
  MSETNX fresh a fresher b => 1
  MGET a c nosuch => [ '1', '3', null ]
  SADD set m
  MGET set a => [ null, '1' ]
  APPEND text Hello => 5
  APPEND text World => 10
  GETRANGE text 0 4 => 'Hello'
  GETRANGE text -5 -1 => 'World'
  GETRANGE text 5 3 => ''
  GETRANGE text -1 -5 => ''
  GETRANGE c -1 -2 => ''
  GETRANGE c -2 -2 => '3'
  GETRANGE text 0 -100 => 'H'
  GETRANGE text 0 9223372036854775807 => 'HelloWorld'
  SETRANGE text 5 ____ => 10
  GET text => 'Hello____d'
  SETRANGE text -1 x => '-ERR offset is out of range'
  SETRANGE text 67108864 x => '-ERR string exceeds maximum allowed size (proto-max-bulk-len)'
  SETRANGE nosuch 3 "" => 0
  EXISTS nosuch => 0
  SETRANGE pad 2 x => 3
  STRLEN pad => 3
  STRLEN nosuch => 0
  GETEX a EX 100 => '1'
  TTL a => 100
  GETEX a PERSIST => '1'
  TTL a => -1
  GETEX a PXAT 1 => '1'
  EXISTS a => 0
  GETEX nosuch EX 5 => null
  GETEX b NX => '-ERR syntax error'
`));

test("counters accept the one spelling of an integer, and floats are added as decimals", () =>
  play(`
  INCR n => 1
  INCRBY n 41 => 42
  DECR n => 41
  DECRBY n 41 => 0
  DECR n => -1
  SET n -9223372036854775807
  DECR n => -9223372036854775808n
  SET n 01
  INCR n => '-ERR value is not an integer or out of range'
  SET n -0
  INCR n => '-ERR value is not an integer or out of range'
  SET n +1
  INCR n => '-ERR value is not an integer or out of range'
  SET n 9223372036854775808
  INCR n => '-ERR value is not an integer or out of range'
  SET n 5:
  INCR n => '-ERR value is not an integer or out of range'
  SET n 5/
  INCR n => '-ERR value is not an integer or out of range'
  SET n ""
  INCR n => '-ERR value is not an integer or out of range'
  INCRBY m 1.5 => '-ERR value is not an integer or out of range'
  INCRBYFLOAT f 0.1 => '0.1'
  INCRBYFLOAT f 0.2 => '0.3'
  INCRBYFLOAT f -0.3 => '0'
  INCRBYFLOAT f 5.0e3 => '5000'
  INCRBYFLOAT f -1e-2 => '4999.99'
  INCRBYFLOAT f 1e-17 => '4999.99000000000000001'
  INCRBYFLOAT f 1e-18 => '4999.99000000000000001'
  INCRBYFLOAT f x => '-ERR value is not a valid float'
  INCRBYFLOAT f 1e => '-ERR value is not a valid float'
  INCRBYFLOAT f . => '-ERR value is not a valid float'
  INCRBYFLOAT f 1e999999999 => '-ERR value is not a valid float'
  INCRBYFLOAT f 1e-999999999 => '4999.99000000000000001'
  SET f abc
  INCRBYFLOAT f 1 => '-ERR value is not a valid float'
  INCRBYFLOAT f inf => '-ERR value is not a valid float'
  SET f inf
  INCRBYFLOAT f abc => '-ERR value is not a valid float'
  INCRBYFLOAT f 1 => '-ERR increment would produce NaN or Infinity'
  INCRBYFLOAT f -inf => '-ERR increment would produce NaN or Infinity'
  SET f 1
  INCRBYFLOAT f inf => '-ERR increment would produce NaN or Infinity'
`));

test("keys: deleting, asking, renaming, copying", () => play(`
  MSET a 1 b 2 c 3
  DEL a nosuch => 1
  UNLINK b => 1
  EXISTS c c nosuch => 2
  TOUCH c nosuch => 1
  TYPE c => 'string'
  TYPE nosuch => 'none'
  SADD s m
  TYPE s => 'set'
  HSET h f v
  TYPE h => 'hash'
  RPUSH l x
  TYPE l => 'list'
  DBSIZE => 4
  RENAME c d => 'OK'
  RENAME c d => '-ERR no such key'
  EXPIRE d 100 => 1
  RENAME d s => 'OK'
  TTL s => 100
  TYPE s => 'string'
  RENAMENX s h => 0
  RENAMENX s new => 1
  RENAMENX s new => '-ERR no such key'
  RENAME new new => 'OK'
  COPY l l2 => 1
  RPUSH l2 y => 2
  LLEN l => 1
  COPY l l2 => 0
  COPY new l2 REPLACE => 1
  TTL l2 => 100
  COPY h h2 DB 0 => 1
  HGET h2 f => 'v'
  COPY h h2 DB 1 => '-ERR DB index is out of range'
  COPY h h => '-ERR source and destination objects are the same'
  COPY h h3 WAT => '-ERR syntax error'
  FLUSHALL ASYNC => 'OK'
  FLUSHDB WAT => '-ERR syntax error'
  FLUSHDB SYNC SYNC => '-ERR syntax error'
  DBSIZE => 0
  RANDOMKEY => null
  SET only v
  RANDOMKEY => 'only'
`));

test("EXPIRE and its family obey NX, XX, GT and LT", () => play(`
  EXPIRE nosuch 10 => 0
  TTL nosuch => -2
  EXPIRETIME nosuch => -2
  SET k v
  TTL k => -1
  PEXPIRETIME k => -1
  EXPIRE k 100 XX => 0
  EXPIRE k 100 GT => 0
  EXPIRE k 100 NX => 1
  EXPIRE k 50 NX => 0
  EXPIRE k 50 GT => 0
  EXPIRE k 200 GT => 1
  EXPIRE k 300 LT => 0
  EXPIRE k 150 LT => 1
  EXPIRE k 150 GT => 0
  EXPIRE k 150 LT => 0
  TTL k => 150
  PEXPIRE k 1500 => 1
  PTTL k => 1500
  TTL k => 2
  PEXPIRE k 1499
  TTL k => 1
  EXPIREAT k 1704067500 => 1
  TTL k => 300
  PEXPIREAT k 1704067500001 => 1
  PEXPIRETIME k => 1704067500001
  PERSIST k => 1
  PERSIST k => 0
  PEXPIRE k 9223370332787575808 => '-ERR invalid expire time in 'pexpire' command'
  PEXPIRE k 9223370332787575807 => 1
  PEXPIREAT k 9223372036854775807 => 1
  EXPIRE k -9223372036854776 => '-ERR invalid expire time in 'expire' command'
  EXPIREAT k -9223372036854776 => '-ERR invalid expire time in 'expireat' command'
  EXISTS k => 1
  EXPIRE k 10 NX XX => '-ERR NX and XX, GT or LT options at the same time are not compatible'
  EXPIRE k 10 GT LT => '-ERR GT and LT options at the same time are not compatible'
  EXPIRE k 10 WAT => '-ERR Unsupported option WAT'
  EXPIRE k 10 NX XX WAT NX => '-ERR Unsupported option WAT'
  EXPIRE k x => '-ERR value is not an integer or out of range'
  EXPIRE k 9223372036854775807 => '-ERR invalid expire time in 'expire' command'
  EXPIRE k -1 => 1
  EXISTS k => 0
  SET k v
  EXPIREAT k 1 => 1
  EXISTS k => 0
  SET k v
  PEXPIRE k -9223372036854775808 => 1
  EXISTS k => 0
`));

test("sets: members, moves, combinations", () => play(`
  SADD s a b c a => 3
  SADD s a d => 1
  SREM s d nosuch => 1
  SREM nosuch a => 0
  SCARD s => 3
  SCARD nosuch => 0
  SISMEMBER s a => 1
  SISMEMBER s z => 0
  SMISMEMBER s a z c => [ 1, 0, 1 ]
  SMEMBERS s => [ 'a', 'b', 'c' ]
  SMEMBERS nosuch => []
  SADD t b c d => 3
  SINTER s t => [ 'b', 'c' ]
  SINTER s nosuch => []
  COPY s copied => 1
  SMEMBERS copied => [ 'a', 'b', 'c' ]
  SUNION s t nosuch => [ 'a', 'b', 'c', 'd' ]
  SDIFF s t => [ 'a' ]
  SDIFF nosuch s => []
  SINTERSTORE out s t => 2
  SCARD out => 2
  SUNIONSTORE out s t => 4
  SDIFFSTORE out s t => 1
  SMEMBERS out => [ 'a' ]
  SINTERSTORE out s nosuch => 0
  EXISTS out => 0
  SINTERCARD 2 s t => 2
  SINTERCARD 2 s t LIMIT 1 => 1
  SINTERCARD 2 s t LIMIT 0 => 2
  SINTERCARD 0 s => '-ERR numkeys should be greater than 0'
  SINTERCARD 3 s t => '-ERR Number of keys can't be greater than number of args'
  SINTERCARD 1 s LIMIT -1 => '-ERR LIMIT can't be negative'
  SINTERCARD 1 s WAT => '-ERR syntax error'
  SINTERCARD 1 s OTHER 1 => '-ERR syntax error'
  SINTERCARD 1 s WAT 1 => '-ERR syntax error'
  SMOVE s t a => 1
  SMOVE s t a => 0
  SMOVE nosuch t a => 0
  SMOVE s s b => 1
  SCARD t => 4
  SMOVE t fresh a => 1
  SMEMBERS fresh => [ 'a' ]
  SMOVE fresh t a => 1
  EXISTS fresh => 0
  SADD one m => 1
  SPOP one => 'm'
  EXISTS one => 0
  SADD one a one => 2
  SREM one m => 0
  SMEMBERS one => [ 'a', 'one' ]
  SPOP s 0 => []
  SPOP s 10 => [ 'c', 'b' ]
  EXISTS s => 0
  SPOP s => null
  SPOP s 1 => []
  SPOP t -1 => '-ERR value is out of range, must be positive'
  SPOP t 1 1 => '-ERR syntax error'
  SRANDMEMBER t 1 1 => '-ERR syntax error'
  SRANDMEMBER nosuch => null
  SRANDMEMBER nosuch 2 => []
  SRANDMEMBER t 0 => []
  SRANDMEMBER t -1000001 => '-ERR value is out of range'
  SRANDMEMBER nosuch -1000000 => []
`));

test("SPOP and SRANDMEMBER draw different members; a negative count may draw one again", () => {
  const { ask } = fixture();
  const members = Array.from({ length: 100 }, (_, i) => `m${i}`);
  ask("SADD", "s", ...members);
  for (const count of [1, 10, 60, 99, 100, 1000]) {
    const drawn = ask("SRANDMEMBER", "s", String(count)) as string[];
    assert.equal(drawn.length, Math.min(count, 100));
    assert.equal(new Set(drawn).size, drawn.length);
    assert.ok(drawn.every((each) => members.includes(each)));
  }
  for (const count of [1, 2, 500]) {
    const drawn = ask("SRANDMEMBER", "s", String(-count)) as string[];
    assert.equal(drawn.length, count);
    assert.ok(drawn.every((each) => members.includes(each)));
  }
  assert.ok(members.includes(ask("SRANDMEMBER", "s") as string));
  assert.equal(ask("SCARD", "s"), 100);
  const popped = [ask("SPOP", "s") as string, ...(ask("SPOP", "s", "59") as string[])];
  assert.equal(new Set(popped).size, 60);
  assert.equal(ask("SCARD", "s"), 40);
  assert.ok(popped.every((each) => ask("SISMEMBER", "s", each) === 0));
});

test("SPOP of large members is propagated as commands that a parser takes", () => {
  const { ask, groups } = fixture();
  // A 64th of the largest members, and so of the largest command.
  const members = Array.from({ length: 20 }, (_, i) => String(i).padEnd(MAX_BULK_BYTES / 64, "m"));
  ask("SADD", "s", ...members);
  const popped = ask("SPOP", "s", "19") as string[];
  const commands = groups.at(-1)!;
  assert.deepEqual(
    commands.flatMap(([name, key, ...rest]) => (name === "srem" && key === "s" ? rest : [])),
    popped,
  );
  for (const argv of commands) {
    assert.ok(argv.join("").length <= MAX_COMMAND_BYTES / 64, `${argv.length} arguments`);
  }
});

test("hashes", () => play(`
  HSET h a 1 b 2 => 2
  HSET h a 9 c 3 => 1
  HSET h a => '-ERR wrong number of arguments for 'hset' command'
  HSET h a 1 b => '-ERR wrong number of arguments for 'hset' command'
  HSET h d 4 => 1
  HSETNX h d 5 => 0
  HSETNX h e 5 => 1
  HGET h a => '9'
  HGET h nosuch => null
  HGET nosuch a => null
  HMGET h a nosuch e => [ '9', null, '5' ]
  HMGET nosuch a => [ null ]
  HGETALL h => [ 'a', '9', 'b', '2', 'c', '3', 'd', '4', 'e', '5' ]
  HGETALL nosuch => []
  HKEYS h => [ 'a', 'b', 'c', 'd', 'e' ]
  HVALS h => [ '9', '2', '3', '4', '5' ]
  HLEN h => 5
  HLEN nosuch => 0
  HEXISTS h a => 1
  HEXISTS h nosuch => 0
  HDEL h a b nosuch => 2
  HDEL nosuch a => 0
  HINCRBY h c 39 => 42
  HINCRBY h new -5 => -5
  HSET h text abc max 9223372036854775807
  HINCRBY h text 1 => '-ERR hash value is not an integer'
  HINCRBY h c x => '-ERR value is not an integer or out of range'
  HINCRBY h max 1 => '-ERR increment or decrement would overflow'
  HINCRBYFLOAT h c 0.5 => '42.5'
  HINCRBYFLOAT h text 1 => '-ERR hash value is not a float'
  HINCRBYFLOAT h c x => '-ERR value is not a valid float'
  HSET h inf -Infinity => 1
  HINCRBYFLOAT h inf 1 => '-ERR increment would produce NaN or Infinity'
`));

test("RESP3 has maps and one nil", () => play(`
  HSET h a 1 => 1
  HGETALL h => Map(1) { 'a' => '1' }
  HGETALL nosuch => Map(0) {}
  CONFIG GET save => Map(1) { 'save' => '' }
`, 3));

test("lists", () =>
  play(`
  RPUSH l a b c => 3
  LPUSH l z y => 5
  LRANGE l 0 -1 => [ 'y', 'z', 'a', 'b', 'c' ]
  LRANGE l -2 100 => [ 'b', 'c' ]
  LRANGE l -6 0 => [ 'y' ]
  LRANGE l -7 -5 => [ 'y' ]
  LRANGE l 0 -6 => []
  BLPOP nosuch -0.0001 => '-ERR timeout is negative'
  LRANGE l 3 1 => []
  LRANGE nosuch 0 -1 => []
  LLEN l => 5
  LLEN nosuch => 0
  LINDEX l 0 => 'y'
  LINDEX l -1 => 'c'
  LINDEX l 5 => null
  LINDEX l -5 => 'y'
  LINDEX l -6 => null
  LINDEX l x => '-ERR value is not an integer or out of range'
  LPOP l => 'y'
  RPOP l => 'c'
  LPOP l 2 => [ 'z', 'a' ]
  LPOP l 0 => []
  LPOP l -1 => '-ERR value is out of range, must be positive'
  RPOP l 10 => [ 'b' ]
  LPOP l => null
  LPOP l 1 => null
  EXISTS l => 0
  RPUSH l a b a c a => 5
  RPUSH l b => 6
  LREM l 2 a => 2
  LRANGE l 0 -1 => [ 'b', 'c', 'a', 'b' ]
  LREM l -1 b => 1
  LRANGE l 0 -1 => [ 'b', 'c', 'a' ]
  LREM l 0 nosuch => 0
  LREM l -9223372036854775808 a =>
    '-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807'
  LTRIM l 1 -1 => 'OK'
  LRANGE l 0 -1 => [ 'c', 'a' ]
  LTRIM l 5 9 => 'OK'
  EXISTS l => 0
  LTRIM nosuch 0 1 => 'OK'
`));

test("a list is a deque: any sequence of pushes and pops equals an array's", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seededRandom(seed);
    const { ask } = fixture();
    const model: string[] = [];
    for (let i = 0; i < 400; i++) {
      const grows = random.u32() % 100 < (i < 200 ? 65 : 35);
      const left = random.u32() % 2 === 0;
      if (grows) {
        ask(left ? "LPUSH" : "RPUSH", "l", String(i));
        if (left) model.unshift(String(i));
        else model.push(String(i));
      } else {
        assert.equal(
          ask(left ? "LPOP" : "RPOP", "l"),
          (left ? model.shift() : model.pop()) ?? null,
          `seed ${seed}`,
        );
      }
      if (i % 20 === 0) assert.deepEqual(ask("LRANGE", "l", "0", "-1"), model, `seed ${seed}`);
    }
  }
});

test("SCAN, SSCAN and HSCAN filter by MATCH and TYPE, and refuse nonsense", () => play(`
  SET a 1
  SADD b m n => 2
  HSET c f 1 g 2 => 2
  SCAN 0 => [ '0', [ 'c', 'b', 'a' ] ]
  SCAN 0 COUNT 2 => [ '1', [ 'c', 'b' ] ]
  SCAN 1 COUNT 2 => [ '0', [ 'a' ] ]
  SCAN 1 COUNT 1 => [ '0', [ 'a' ] ]
  SCAN 0 MATCH [ab] => [ '0', [ 'b', 'a' ] ]
  SCAN 0 TYPE hash => [ '0', [ 'c' ] ]
  SCAN 0 type nosuch => [ '0', [] ]
  SCAN 18446744073709551615 => [ '0', [ 'c', 'b', 'a' ] ]
  SCAN x => '-ERR invalid cursor'
  SCAN -1 => '-ERR invalid cursor'
  SCAN 0 COUNT 0 => '-ERR syntax error'
  SCAN 0 COUNT x => '-ERR value is not an integer or out of range'
  SCAN 0 MATCH => '-ERR syntax error'
  SCAN 0 WAT => '-ERR syntax error'
  SSCAN b 0 => [ '0', [ 'n', 'm' ] ]
  SSCAN b 0 MATCH n => [ '0', [ 'n' ] ]
  SSCAN b 0 TYPE set => '-ERR syntax error'
  SSCAN nosuch 0 => [ '0', [] ]
  HSCAN c 0 => [ '0', [ 'g', '2', 'f', '1' ] ]
  HSCAN c 0 NOVALUES => [ '0', [ 'g', 'f' ] ]
  HSCAN c 0 MATCH f COUNT 100 => [ '0', [ 'f', '1' ] ]
`));

test("connection commands", () =>
  play(`
  PING => 'PONG'
  PING hello => 'hello'
  PING a b => '-ERR wrong number of arguments for 'ping' command'
  ECHO hello => 'hello'
  SELECT 0 => 'OK'
  SELECT 1 => '-ERR DB index is out of range'
  SELECT x => '-ERR value is not an integer or out of range'
  SELECT 2147483647 => '-ERR DB index is out of range'
  SELECT 2147483648 =>
    '-ERR value is out of range, value must between -2147483648 and 2147483647'
  SELECT -2147483648 => '-ERR DB index is out of range'
  SELECT -2147483649 =>
    '-ERR value is out of range, value must between -2147483648 and 2147483647'
  TIME => [ '1704067200', '0' ]
  CLIENT ID => 2
  CLIENT GETNAME => null
  CLIENT SETNAME me => 'OK'
  CLIENT GETNAME => 'me'
  CLIENT SETINFO lib-name x => 'OK'
  CLIENT SETINFO wat x => '-ERR Unrecognized option 'wat''
  CLIENT NO-EVICT on => 'OK'
  CLIENT NO-TOUCH OFF => 'OK'
  CLIENT NO-TOUCH wat => '-ERR syntax error'
  CONFIG RESETSTAT => 'OK'
  AUTH a b c => '-ERR syntax error'
  ROLE => [ 'master', 0, [] ]
  BGREWRITEAOF => '-ERR this store lives in memory only'
  REPLICAOF NO ONE => '-ERR this store lives in memory only'
  TITAN.SYNC ? 0 => '-ERR this store lives in memory only'
  CLIENT NOSUCH => '-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.'
  CLIENT LIST ID 1 => '-ERR wrong number of arguments for 'client|list' command'
  CLIENT ID x => '-ERR wrong number of arguments for 'client|id' command'
  CLIENT => '-ERR wrong number of arguments for 'client' command'
  CONFIG GET sav* append* => [ 'save', '', 'appendonly', 'no' ]
  CONFIG GET nosuch => []
  CONFIG GET databases proto-max-bulk-len =>
    [ 'proto-max-bulk-len', '67108864', 'databases', '1' ]
  CONFIG GET maxmemory-* => [ 'maxmemory-policy', 'noeviction' ]
  PUBSUB HELP =>
    [ 'PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:', 'CHANNELS',
      'NUMSUB', 'NUMPAT', 'HELP' ]
  PUBSUB CHANNELS a b =>
    '-ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.'
  PUBSUB HELP x => '-ERR wrong number of arguments for 'pubsub|help' command'
  CONFIG SET nosuch 1 => '-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch''
  CONFIG SET save x =>
    '-ERR CONFIG SET failed (possibly related to argument 'save') - can't set immutable config'
  CONFIG SET masterauth a maxmemory 0 => '-ERR wrong number of arguments for 'config|set' command'
  COMMAND LIST FILTERBY PATTERN * => '-ERR wrong number of arguments for 'command|list' command'
  COMMAND INFO get nosuch => [ [ 'get', 2, [ 'readonly', 'fast' ], 1, 1, 1, [], [], [], [] ], null ]
  QUIT => 'OK'
`));

test("a number of 4932 digits is a float, and one of 4933 is not", () => {
  const { ask } = fixture();
  for (const [most, beyond] of [["9".repeat(4932), "9".repeat(4933)], ["1e4931", "1e4933"]]) {
    ask("DEL", "n");
    assert.equal((ask("INCRBYFLOAT", "n", most!) as string).length, 4932);
    assert.equal(shown(ask("INCRBYFLOAT", "m", beyond!)), "-ERR value is not a valid float");
  }
});

test("a float of 5,119 characters is read, as in Redis, and a longer one is none", () => {
  const { ask } = fixture();
  assert.equal(ask("INCRBYFLOAT", "n", "1.".padEnd(5119, "0")), "1");
  assert.equal(shown(ask("INCRBYFLOAT", "n", "1.".padEnd(5120, "0"))),
    "-ERR value is not a valid float");
});

test("CLIENT LIST describes every client in Redis's fields", async () => {
  const { ask, client, time } = fixture();
  const other = client({ protocol: 3 });
  other.ask("SET", "k", "v");
  other.ask("WATCH", "k");
  other.ask("MULTI");
  other.ask("GET", "k");
  await time.run(5999);
  client();
  const line = (...own: (string | number)[]): string => {
    const [id, name, age, flags, multi, watch, qbuf, cmd, resp] = own;
    return `id=${id} addr= laddr= fd=-1 name=${name} age=${age} idle=0 flags=${flags} db=0 sub=0 ` +
      `psub=0 ssub=0 multi=${multi} watch=${watch} qbuf=${qbuf} qbuf-free=0 argv-mem=0 ` +
      "multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r " +
      `cmd=${cmd} user=default redir=-1 resp=${resp} lib-name= lib-ver=\n`;
  };
  ask("CLIENT", "SETNAME", "me");
  const first = line(1, "me", 5, "N", -1, 0, 26, "client|list", 2);
  const second = line(2, "", 5, "x", 1, 1, 0, "get", 3);
  assert.equal(ask("CLIENT", "LIST"), first + second + line(3, "", 0, "N", -1, 0, 0, "NULL", 2));
  await time.run(1_000_000);
  assert.match(ask("CLIENT", "INFO") as string, / age=1000 /);
  const { clock } = time;
  Object.assign(clock, { wall: () => 0 });
  assert.match(ask("CLIENT", "INFO") as string, / age=0 /, "a clock that was set back");
});

test("TIME is in seconds and microseconds", async () => {
  const { ask, time } = fixture();
  await time.run(1234);
  assert.deepEqual(ask("TIME"), ["1704067201", "234000"]);
});

test("CLIENT LIST says who waits, who listens, and who is in a transaction", () => {
  const { ask, client, store } = fixture();
  const clients = [client(), client(), client()];
  store.execute(clients[0]!.session, ["BLPOP", "l", "0"]);
  clients[1]!.ask("SUBSCRIBE", "news");
  clients[2]!.ask("MULTI");
  const flags = String(ask("CLIENT", "LIST")).matchAll(/ flags=(\w+) /g);
  assert.deepEqual([...flags].map(([, flag]) => flag), ["N", "b", "P", "x"]);
  assert.match(String(ask("INFO", "clients")), /blocked_clients:1\r\npubsub_clients:1\r\n/);
});

test("LREM removes what an array would lose, wherever in the ring it is", () => {
  const { ask } = fixture();
  for (let seed = 1; seed <= 200; seed++) {
    const random = seededRandom(seed);
    let model: string[] = [];
    ask("DEL", "l");
    for (let step = 0; step < 20; step++) {
      const item = String(random.u32() % 4);
      if (random.u32() % 4 > 0) {
        const items = Array.from({ length: 1 + (random.u32() % 6) }, () =>
          String(random.u32() % 4),
        );
        const left = random.u32() % 2 === 0;
        ask(left ? "LPUSH" : "RPUSH", "l", ...items);
        model = left ? [...items.reverse(), ...model] : [...model, ...items];
        continue;
      }
      const wanted = (random.u32() % 9) - 4;
      const places = [...model.keys()].filter((i) => model[i] === item);
      const going =
        wanted === 0 ? places : wanted > 0 ? places.slice(0, wanted) : places.slice(wanted);
      assert.equal(ask("LREM", "l", String(wanted), item), going.length);
      model = model.filter((_, i) => !going.includes(i));
      assert.deepEqual(ask("LRANGE", "l", "0", "-1"), model, `seed ${seed}, step ${step}`);
    }
  }
});

test("COMMAND names every command", () => {
  const { ask } = fixture();
  const names = ask("COMMAND", "LIST") as string[];
  assert.equal(ask("COMMAND", "COUNT"), names.filter((name) => !name.includes("|")).length);
  assert.equal((ask("COMMAND") as Reply[]).length, ask("COMMAND", "COUNT"));
  assert.deepEqual(ask("COMMAND", "INFO"), ask("COMMAND"));
  for (const name of ["set", "blpop", "exec", "psubscribe", "command"]) {
    assert.ok(names.includes(name), name);
  }
});

test("RANDOMKEY draws any key; a replica, where none dies, gives up after 100 draws", async (t) => {
  const { ask, store, time } = fixture();
  const keys = ["a", "b", "c"];
  for (const key of keys) ask("SET", key, "v", "PX", "10");
  const drawn = new Set(Array.from({ length: 50 }, () => ask("RANDOMKEY")));
  assert.deepEqual([...drawn].sort(), keys);
  store.role = "replica";
  await time.run(20);
  const { mock } = t.mock.method(store.host.random, "unit");
  assert.equal(ask("RANDOMKEY"), null);
  assert.equal(mock.callCount(), 100);
});

test("an option that EXPIRE does not know is quoted, its first 128 characters", () => {
  const { ask } = fixture();
  for (const length of [127, 128, 129]) {
    const { text } = ask("EXPIRE", "k", "1", "x".repeat(length)) as Refusal;
    assert.equal(text, `ERR Unsupported option ${"x".repeat(Math.min(length, 128))}`);
  }
});

test("INFO tells roles, the time since the start, and whatever it is asked for", async () => {
  const { time } = fixture();
  await time.run(3000);
  const host = { clock: time.clock, timers: time.timers, random: seededRandom(1) };
  const store = new Engine({ host });
  const out = new ReplyBuffer();
  const session = store.session({ out });
  const info = (...sections: string[]): string => {
    store.execute(session, ["INFO", ...sections]);
    return String(out.take()[0]);
  };
  await time.run(4999);
  assert.match(info("server"), /uptime_in_seconds:1\r\n$/);
  const sections = (text: string): string[] => text.match(/^# \w+/gm) ?? [];
  assert.equal(sections(info()).length, 7);
  for (const word of ["default", "ALL", "everything"]) {
    assert.deepEqual(sections(info(word)), sections(info()), word);
    assert.deepEqual(sections(info("nosuch", word)), sections(info()), word);
  }
  assert.deepEqual(sections(info("stats", "CLIENTS", "nosuch")), ["# Clients", "# Stats"]);
  assert.equal(info("nosuch"), "");
  for (const [role, loading, name] of [
    ["primary", 0, "master"], ["replica", 0, "slave"], ["loading", 1, "master"],
  ] as const) {
    store.role = role;
    assert.equal(
      info("persistence", "replication", "keyspace"),
      `# Persistence\r\nloading:${loading}\r\naof_enabled:0\r\n\r\n# Replication\r\n` +
        `role:${name}\r\nconnected_slaves:0\r\n\r\n# Keyspace\r\n`,
    );
  }
  store.close();
});

test("CONFIG RESETSTAT counts from here on", async () => {
  const { ask, time } = fixture();
  ask("SET", "k", "v", "PX", "1");
  await time.run(2);
  for (let i = 0; i < 9; i++) ask("PING");
  const counted =
    /connections_received:(\d+)\r\ntotal_commands_processed:(\d+)\r\nexpired_keys:(\d+)/;
  assert.deepEqual(counted.exec(String(ask("INFO", "stats")))!.slice(1), ["1", "11", "1"]);
  ask("CONFIG", "RESETSTAT");
  assert.deepEqual(counted.exec(String(ask("INFO", "stats")))!.slice(1), ["0", "1", "0"]);
});

test("docs/store.md names every command, and no other", () => {
  const { ask } = fixture();
  const read = (file: string): string =>
    readFileSync(new URL(`../${file}`, import.meta.url), "utf8");
  const page = read("docs/store.md");
  const tables = page.split("\n").filter((line) => line.startsWith("|")).join();
  const named = [...tables.matchAll(/`([A-Z]+)`/g)].map(([, name]) => name!.toLowerCase()).sort();
  const own = (ask("COMMAND", "LIST") as string[]).filter((name) => /^[a-z]+$/.test(name)).sort();
  assert.deepEqual(named, own);
  for (const text of [page, read("lessons/15-store/README.md")]) {
    assert.match(text, new RegExp(`\\b${own.length}\\s(?:of\\sits\\s)?commands`));
  }
});

test("COMMAND LIST names members of families too", () => {
  const { ask } = fixture();
  const names = ask("COMMAND", "LIST") as string[];
  assert.deepEqual(names.filter((name) => name.startsWith("config")), [
    "config",
    "config|get",
    "config|set",
    "config|resetstat",
    "config|help",
  ]);
});

test("COMMAND INFO does not convert a name that is longer than any", (t) => {
  const { ask } = fixture();
  const long = "A".repeat(1000);
  const { mock } = t.mock.method(String.prototype, "toLowerCase");
  assert.deepEqual(ask("COMMAND", "INFO", long), [null]);
  assert.ok(!mock.calls.some((call) => String(call.this) === long));
});

test("HELLO switches the protocol, INFO and CLIENT LIST describe", async () => {
  const { ask, session, client, store, time } = fixture();
  assert.deepEqual((ask("HELLO") as Reply[]).slice(4, 6), ["proto", 2]);
  const map = ask("HELLO", "3", "SETNAME", "me") as Map<Reply, Reply>;
  assert.deepEqual(Object.fromEntries(map as Map<string, Reply>), {
    server: "redis", version: "7.4.0", proto: 3, id: 1, mode: "standalone", role: "master",
    modules: [],
  });
  assert.equal(session.name, "me");
  assert.deepEqual(ask("HELLO", "4"), new Refusal("NOPROTO unsupported protocol version"));
  assert.deepEqual(
    ask("HELLO", "x"),
    new Refusal("ERR Protocol version is not an integer or out of range"),
  );
  assert.deepEqual(ask("HELLO", "2", "WAT"), new Refusal("ERR Syntax error in HELLO option 'WAT'"));
  for (const words of ["AUTH", "AUTH default", "AUTH default any SETNAME", "SETNAME", "secret"]) {
    const option = words.split(" ").findLast((word) => /^[A-Zs]+/.test(word))!;
    assert.deepEqual(
      ask("HELLO", "2", ...words.split(" ")),
      new Refusal(`ERR Syntax error in HELLO option '${option}'`),
    );
  }
  assert.equal(session.protocol, 3, "a refused HELLO changes nothing");
  client();
  assert.equal((ask("CLIENT", "LIST") as string).split("\n").length, 3);
  assert.match(
    (ask("CLIENT", "SETNAME", "n".repeat(257)) as Refusal).text,
    /^ERR Client names are at most 256 bytes long/,
  );
  assert.equal(ask("CLIENT", "SETNAME", "n".repeat(256)), "OK");
  assert.equal(ask("CLIENT", "SETNAME", "me"), "OK");
  assert.match(
    ask("CLIENT", "INFO") as string,
    /^id=1 .*name=me .*cmd=client\|info .*resp=3 .*\n$/,
  );
  assert.match(
    ask("CLIENT", "LIST") as string,
    /^id=1 .*qbuf=26 .*cmd=client\|list /,
    "a family says which of its members",
  );
  await time.run(5000);
  assert.match(ask("INFO", "server") as string, /uptime_in_seconds:5\r\n/);
  ask("SET", "k", "v", "EX", "10");
  store.info.set("Persistence", () => ({ aof_enabled: 1 }));
  assert.match(
    ask("INFO") as string,
    new RegExp(
      "# Server\r\nredis_version:[^]*# Persistence\r\nloading:0\r\naof_enabled:1\r\n[^]*" +
        "# Keyspace\r\ndb0:keys=1,expires=1,avg_ttl=0\r\n$",
    ),
  );
  assert.match(
    ask("INFO", "replication") as string,
    /^# Replication\r\nrole:master\r\nconnected_slaves:0\r\n$/,
  );
  assert.equal(ask("RESET"), "RESET");
  assert.equal(session.protocol, 2);
  assert.equal(ask("CLIENT", "GETNAME"), null);
});

test("AUTH comes first when there is a password, and compares whatever the lengths", () => {
  const { ask, session } = fixture({ requirepass: "secret" });
  assert.deepEqual(ask("GET", "k"), new Refusal("NOAUTH Authentication required."));
  assert.deepEqual(ask("PING"), new Refusal("NOAUTH Authentication required."));
  assert.match((ask("HELLO", "3") as Refusal).text, /^NOAUTH HELLO must be called/);
  for (const wrong of ["", "secre", "secret ", "x".repeat(100_000)]) {
    assert.match((ask("AUTH", wrong) as Refusal).text, /^WRONGPASS /);
  }
  assert.match((ask("AUTH", "someone", "secret") as Refusal).text, /^WRONGPASS /);
  assert.match((ask("AUTH", "default", "default") as Refusal).text, /^WRONGPASS /);
  assert.match((ask("HELLO", "3", "AUTH", "default", "wrong") as Refusal).text, /^WRONGPASS /);
  assert.equal(session.protocol, 2);
  assert.equal(ask("AUTH", "secret"), "OK");
  assert.equal(ask("GET", "k"), null);
  assert.equal(ask("RESET"), "RESET");
  assert.deepEqual(ask("GET", "k"), new Refusal("NOAUTH Authentication required."));
  assert.ok(Array.isArray(ask("HELLO", "2", "SETNAME", "me", "AUTH", "default", "secret")));
  assert.equal(session.name, "me");
  assert.equal(ask("RESET"), "RESET");
  assert.equal(ask("AUTH", "default", "secret"), "OK");
  assert.equal(ask("CONFIG", "SET", "requirepass", "other"), "OK");
  assert.equal(ask("GET", "k"), null, "who is in, stays in");
  const open = fixture();
  assert.match(
    (open.ask("AUTH", "any") as Refusal).text,
    /^ERR AUTH <password> called without any password configured/,
  );
  assert.equal(open.ask("AUTH", "default", "any"), "OK");
});

test("FLUSHALL and FLUSHDB are both logged, as the former", () => {
  for (const name of ["FLUSHALL", "FLUSHDB"]) {
    const { ask, groups } = fixture();
    ask("SET", "k", "v");
    assert.equal(ask(name), "OK");
    assert.deepEqual(groups, [[["set", "k", "v"]], [["flushall"]]]);
  }
});

test("what another program could do in another way is logged as what it came to", () => {
  const { ask, groups } = fixture();
  ask("SADD", "s", "a");
  ask("HSET", "h", "f", "1");
  ask("SET", "k", "1");
  for (const [line, ...words] of [
    ["GETSET k 2", "set k 2"],
    ["INCRBYFLOAT k 0.5", "set k 2.5 KEEPTTL"],
    ["HINCRBYFLOAT h f 0.5", "hset h f 1.5"],
    ["GETEX k EX 10", "pexpireat k 1704067210000"],
    ["GETEX k PERSIST", "persist k"],
    ["GETEX k PXAT 1", "del k"],
    ["SET k v PXAT 1", "del k"],
    ["SETEX k 10 v", "set k v PXAT 1704067210000"],
    ["GETDEL k", "del k"],
    ["SPOP s", "del s"],
  ]) {
    groups.length = 0;
    ask(...line!.split(" "));
    assert.deepEqual(groups, [words.map((each) => each.split(" "))], line);
  }
});

test("CLIENT SETINFO takes names of 256 bytes, and no longer ones", () => {
  const { ask } = fixture();
  assert.equal(ask("CLIENT", "SETINFO", "lib-name", "n".repeat(256)), "OK");
  assert.match(ask("CLIENT", "INFO") as string, / lib-name=n{256} /);
  const { text } = ask("CLIENT", "SETINFO", "lib-name", "n".repeat(257)) as Refusal;
  assert.equal(text, "ERR lib-name is at most 256 bytes long.");
  assert.equal(ask("CLIENT", "SETINFO", "LIB-VER", "1.2.3"), "OK");
  assert.match(ask("CLIENT", "INFO") as string, / lib-name=n{256} lib-ver=1\.2\.3\n$/);
  assert.equal(
    (ask("CLIENT", "SETINFO", "lib-ver", "1 2") as Refusal).text,
    "ERR lib-ver cannot contain spaces, newlines or special characters.",
  );
});

test("INFO has seven sections, each of which can be asked for by its name", () => {
  const { ask } = fixture();
  ask("SET", "k", "v");
  const sections = String(ask("INFO")).trim().split("\r\n\r\n").map((text) => text.split("\r\n"));
  const names = sections.map(([head, ...fields]) =>
    [head, ...fields.map((field) => field.split(":")[0])].join(" "));
  assert.deepEqual(names, [
    "# Server redis_version server_name redis_mode uptime_in_seconds",
    "# Clients connected_clients blocked_clients pubsub_clients",
    "# Memory used_memory used_memory_dataset maxmemory maxmemory_policy",
    "# Persistence loading aof_enabled",
    "# Stats total_connections_received total_commands_processed expired_keys pubsub_channels " +
      "pubsub_patterns",
    "# Replication role connected_slaves",
    "# Keyspace db0",
  ]);
  for (const [head, ...fields] of sections) {
    const asked = String(ask("INFO", head!.slice(2).toLowerCase()));
    assert.deepEqual(asked.trim().split("\r\n").length, fields.length + 1, head);
  }
});

test("CLIENT INFO says what libraries make numbers of", () => {
  const { ask } = fixture();
  const info = ask("CLIENT", "INFO") as string;
  for (const field of [
    "id",
    "age",
    "idle",
    "db",
    "sub",
    "psub",
    "multi",
    "qbuf",
    "qbuf-free",
    "argv-mem",
    "obl",
    "oll",
    "omem",
    "tot-mem",
  ]) {
    assert.match(info, new RegExp(`(?:^| )${field}=-?\\d+ `), field);
  }
});

test("a role decides who may write: a replica and a store that is loading refuse", () => {
  const { ask, client, store, time } = fixture();
  ask("SET", "k", "v", "PX", "100");
  store.role = "replica";
  const hello = ask("HELLO") as Reply[];
  assert.equal(hello[hello.indexOf("role") + 1], "replica");
  assert.deepEqual(
    ask("SET", "k", "w"),
    new Refusal("READONLY You can't write against a read only replica."),
  );
  assert.equal(ask("GET", "k"), "v");
  store.load(["set", "streamed", "v"]);
  assert.equal(ask("GET", "streamed"), "v");
  ask("MULTI");
  ask("GET", "k");
  assert.match((ask("INCR", "n") as Refusal).text, /^READONLY /);
  assert.match((ask("EXEC") as Refusal).text, /^EXECABORT /);
  const early = client();
  for (const argv of [["MULTI"], ["GET", "k"]] as const) early.ask(...argv);
  store.role = "loading";
  assert.deepEqual(ask("GET", "k"), new Refusal("LOADING Redis is loading the dataset in memory"));
  assert.deepEqual(
    early.ask("EXEC"),
    new Refusal(
      "EXECABORT Transaction discarded because of: LOADING Redis is loading the dataset in memory",
    ),
    "queued while it was allowed",
  );
  store.role = "primary";
  assert.equal(ask("SET", "k", "w"), "OK");
  assert.equal(time.now, 0);
});

test("no value is longer than 64 MiB, and one of many small APPENDs is what they spell", () => {
  const { ask } = fixture();
  assert.equal(ask("SETRANGE", "k", String(64 * 1024 * 1024 - 1), "x"), 64 * 1024 * 1024);
  assert.deepEqual(
    ask("APPEND", "k", "x"),
    new Refusal("ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
  );
  ask("DEL", "k");
  for (let i = 0; i < 20_000; i++) ask("APPEND", "log", "x");
  assert.equal(ask("GET", "log"), "x".repeat(20_000));
});

test("every command is found in capitals, in small letters and in both", () => {
  const { ask } = fixture();
  const names = (ask("COMMAND", "LIST") as string[]).filter((name) => !name.includes("|"));
  assert.ok(names.length > 90);
  for (const name of names) {
    const mixed = name[0]!.toUpperCase() + name.slice(1);
    for (const spelled of [name, name.toUpperCase(), mixed]) {
      const [info] = ask("COMMAND", "INFO", spelled) as [Reply[] | null];
      assert.equal(info?.[0], name, spelled);
    }
  }
});
