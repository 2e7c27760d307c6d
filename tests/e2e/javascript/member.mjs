// A member of a room by the stock client: node member.mjs URL TOKEN CHAT_ID AFTER COUNT TRANSPORTS
// Sends COUNT messages, each once the one before is acknowledged, and prints every event as a line
// of JSON. A line on standard input, `stop`, ends it.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url, token, chat_id, after, count, transports] = process.argv.slice(2);
const socket = io(url, { auth: { token }, transports: transports.split(","), reconnection: false });
const tell = (name, data) => console.log(JSON.stringify({ name, data }));

socket.onAny(tell);
socket.on("connect_error", (error) => tell("connect_error", error.data ?? error.message));
socket.on("disconnect", (reason) => tell("disconnect", reason));
socket.on("connect", async () => {
  tell("joined", await socket.emitWithAck("join", { chat_id, after: after || null }));
  for (let number = 0; number < Number(count); number++) {
    const message = { chat_id, client_id: `js${number}`, text: `from JavaScript ${number} ☃ 👩‍🍳` };
    tell("acknowledged", await socket.emitWithAck("message", message));
  }
});
createInterface({ input: process.stdin }).on("line", () => {
  socket.disconnect();
  process.exit(0);
});
