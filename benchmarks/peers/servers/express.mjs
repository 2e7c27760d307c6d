// Streams, polls and an order in Express, rooms in Socket.IO, as their documentation writes them.
import express from 'express';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { Server } from 'socket.io';

const ORDER = JSON.parse(readFileSync(process.argv[3]));

const channels = new Map();
const channel = (name) => {
  if (!channels.has(name)) channels.set(name, { streams: new Set(), polls: new Set(), events: 0 });
  return channels.get(name);
};

const app = express();
app.disable('x-powered-by');
app.disable('etag');
app.use(express.json());

app.post('/pub/:name', (request, response) => {
  const it = channel(request.params.name);
  it.events += 1;
  it.last = request.body;
  const event = Buffer.from(`data: ${JSON.stringify(it.last)}\n\n`);
  for (const stream of it.streams) stream.write(event);
  const { polls } = it;
  it.polls = new Set();
  for (const wake of polls) wake();
  response.status(202).json({ ok: true });
});

app.get('/sse/:name', (request, response) => {
  const { streams } = channel(request.params.name);
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  response.flushHeaders();
  streams.add(response);
  request.on('close', () => streams.delete(response));
});

app.get('/poll/:name', (request, response) => {
  const it = channel(request.params.name);
  let timer;
  const wake = () => {
    clearTimeout(timer);
    response.json({ cursor: it.events, events: [it.last] });
  };
  if (it.events > Number(request.query.since)) return wake();
  const forget = () => it.polls.delete(wake);
  timer = setTimeout(() => { forget(); response.status(204).end(); }, 25000);
  it.polls.add(wake);
  response.on('close', () => { clearTimeout(timer); forget(); });
});

app.get('/orders/:id', (request, response) => {
  response.json({ ...ORDER, id: Number(request.params.id) });
});
app.get('/healthz', (request, response) => response.send('ok'));

const server = http.createServer(app);
server.keepAliveTimeout = 120000;
const rooms = new Server(server, { serveClient: false, transports: ['websocket'] });
rooms.on('connection', (socket) => {
  socket.on('join', ({ room }, joined) => { socket.join(room); joined(); });
  socket.on('chat', (message) => socket.to(message.room).emit('chat', message));
});
server.listen(Number(process.argv[2]), '127.0.0.1', 4096);
