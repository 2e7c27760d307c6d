// A member of a room by the stock client: node member.mjs URL TOKEN CHAT_ID AFTER TRANSPORTS
// A number on standard input sends as many messages at once. Each is sent again, after every
// reconnection, until it is acknowledged. Every event is printed as a line of JSON. At the end of
// standard input it leaves: the server would hold its last poll until a ping is missing.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url, token, chat_id, start, transports] = process.argv.slice(2);
const socket = io(url, {
  auth: { token },
  transports: transports.split(","),
  reconnectionDelay: 100,
  reconnectionDelayMax: 500,
});
const tell = (name, data) => console.log(JSON.stringify({ name, data }));
const unacknowledged = new Map();
let after = start || null;
let count = 0;
let joined = false;

const send = (message) => {
  socket.emit("message", message, (answer) => {
    if (answer.type === "error") return tell("refused", answer);
    unacknowledged.delete(message.client_id);
    tell("acknowledged", answer);
  });
};
socket.onAny((name, data) => {
  // One's own that had been stored before comes once more, with the cursor of then.
  if (name === "message" && !data.again) after = data.cursor;
  tell(name, data);
});
socket.on("connect_error", (error) => tell("connect_error", error.data ?? error.message));
socket.on("disconnect", (reason) => {
  joined = false;
  tell("disconnect", reason);
});
socket.on("connect", () => {
  // First, as what is said meanwhile comes from then on.
  socket.emit("join", { chat_id, after }, (answer) => {
    joined = true;
    tell("joined", answer);
    unacknowledged.forEach(send);
  });
});
const input = createInterface({ input: process.stdin });
input.on("close", () => socket.disconnect());
input.on("line", (line) => {
  for (let left = Number(line); left > 0; left--, count++) {
    const message = { chat_id, client_id: `own${count}`, text: `message ${count} ☃ 👩‍🍳` };
    unacknowledged.set(message.client_id, message);
    if (joined) send(message);
  }
});
