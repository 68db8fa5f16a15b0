/**
 * Lesson 10: a client with all that it can do. Which master it is of is told in calls/.
 *
 *     connect()                      TITAN_MASTER, TITAN_TOKEN, else 127.0.0.1:9090 without a token
 *     connect("host:port")           that master; the token as above
 *     connect({ master, token, … })  the given ones; the rest as above
 *
 * Test: test/sdk.test.ts
 */
import { readDial, type ConnectOptions } from "#calls";
import { Client } from "./client.ts";

/**
 * Opens a session with a master. Close it: an open one keeps the process from ending.
 *
 * @throws {ConnectError} nothing answers there, or it is not a master
 * @throws {RpcError} UNAUTHORIZED (token), UNSUPPORTED (another version)
 * @throws {TypeError} the address cannot be read, or another option is of the wrong type
 */
export async function connect(options: string | ConnectOptions = {}): Promise<Client> {
  const { host, redial } = readDial(options);
  return new Client(await redial(), { host, redial });
}
